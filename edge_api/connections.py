"""Connections: how many there may be, so that a file descriptor is left for everybody else.

Who comes when there are too many, or has too many alone, is told so at the door, in a few hundred bytes, and let go.
"""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final

from edge_api.addresses import client_of, trusts
from edge_api.problems import Problem
from edge_api.settings import Network

RESERVED: Final = 96
"""Descriptors that are no client's: the database's, Storage's, the log's, those of whoever is being turned away."""
MOST: Final = 20_000
LINGERING: Final = 32
LINGER_S: Final = 1.0


def descriptors() -> int:
    """Take all the file descriptors that this process may have; returns how many those are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else MOST + RESERVED


class Connections:
    """Who is connected: at most so many, and an eighth of them from one address, unless that is a trusted proxy's, which brings many."""

    def __init__(self, most: int, trusted: Sequence[Network] = ()) -> None:
        self.most, self._trusted = most, trusted
        self._count = 0
        self._by_client: Counter[str] = Counter()
        self.lingering = 0

    def enter(self, peer: str | None) -> Callable[[], None] | None:
        """Count one more; returns what to call when it is gone, or None where it may not come in."""
        client = client_of(peer, (), ())
        crowded = self._by_client[client] >= max(1, self.most // 8) and not trusts(peer, self._trusted)
        if crowded or self._count >= self.most:
            return None
        self._count += 1
        self._by_client[client] += 1

        def leave() -> None:
            self._count -= 1
            self._by_client[client] -= 1
            self._by_client += Counter()  # forgets whoever has none

        return leave


class Door(asyncio.Protocol):
    """What a new connection meets first: it is handed on to a protocol of its own, or refused."""

    def __init__(self, connections: Connections, admit: Callable[[Callable[[], None]], asyncio.Protocol]) -> None:
        self._connections, self._admit = connections, admit

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        peer = transport.get_extra_info("peername")
        if leave := self._connections.enter(peer[0] if peer else None):
            inside = self._admit(leave)
            transport.set_protocol(inside)
            inside.connection_made(transport)
        elif self._connections.lingering >= LINGERING:
            transport.abort()
        else:
            self._refuse(transport)

    def _refuse(self, transport: asyncio.Transport) -> None:
        """Closed at once, its request unread, a connection would be reset and the answer lost: it may linger for a second."""
        self._connections.lingering += 1
        transport.write(_refusal())
        transport.write_eof()
        self._end = asyncio.get_running_loop().call_later(LINGER_S, transport.abort)

    def connection_lost(self, _: Exception | None) -> None:
        if hasattr(self, "_end"):
            self._end.cancel()
            self._connections.lingering -= 1


@cache
def _refusal() -> bytes:
    problem = Problem(
        "too_many_connections",
        "Too many connections are open, here or from your address; close some, or try again soon",
    ).response()
    body = problem.body
    assert isinstance(body, bytes)
    head = f"HTTP/1.1 503 Service Unavailable\r\nContent-Type: {problem.headers['Content-Type']}\r\n"
    return f"{head}Content-Length: {len(body)}\r\nRetry-After: 10\r\nConnection: close\r\n\r\n".encode() + body
