"""What one client may ask for."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of a project on a middling plan; a socket that goes over them is told so and closed."""

    frame_bytes: int = 5_000_000
    broadcast_bytes: int = 3_000_000
    change_bytes: int = 1_048_576
    """A changed row above this goes out without its large values."""
    pending_bytes: int = 16_000_000
    """What may wait for a slow reader before it is cut off."""
    sockets: int = 10_000
    channels_per_socket: int = 100
    bindings_per_channel: int = 100
    """Entries of `postgres_changes` in one join."""
    joins_per_s: int = 100
    """By one socket."""
    messages_per_s: int = 500
    """By one socket."""
    statement_s: float = 2.0
    """How long Postgres may think about policies and filters."""
    presence_calls: int = 5
    presence_window_s: float = 30.0
    replay_messages: int = 25
    idle_s: float = 60.0
    """A socket that says nothing for so long, not even a heartbeat, is closed."""


class Rate:
    """Counts events in windows of `window_s` seconds."""

    def __init__(self, limit: int, window_s: float = 1.0) -> None:
        self._limit = limit
        self._window_s = window_s
        self._since = float("-inf")
        self._count = 0

    def exceeded(self) -> bool:
        """Count one more; True when it is one too many."""
        now = time.monotonic()
        if now - self._since >= self._window_s:
            self._since, self._count = now, 0
        self._count += 1
        return self._count > self._limit
