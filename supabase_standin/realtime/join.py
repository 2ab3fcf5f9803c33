"""What a client asks for when it joins a channel."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self


def as_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def as_bool(value: Any) -> bool:
    return value is True or value == "true"


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """The payload of phx_join; what cannot be understood counts as not asked for."""

    private: bool = False
    ack: bool = False
    echo: bool = False
    """The sender receives its own broadcasts too (`broadcast.self`)."""
    replay: dict[str, Any] = field(default_factory=dict)
    presence: bool = False
    presence_key: str = ""
    bindings: tuple[dict[str, Any], ...] = ()
    wait_s: float = 0.0
    """How long the reply may be held back until postgres_changes are live."""
    access_token: str | None = None

    @classmethod
    def from_payload(cls, payload: Any) -> Self:
        payload = as_dict(payload)
        config = as_dict(payload.get("config"))
        broadcast, presence = as_dict(config.get("broadcast")), as_dict(config.get("presence"))
        bindings, options = config.get("postgres_changes"), as_dict(config.get("postgres_changes_options"))
        token = payload.get("access_token") or payload.get("user_token")
        timeout = options.get("timeout")
        timeout_ms = timeout if isinstance(timeout, int | float) else 15_000
        return cls(
            private=as_bool(config.get("private")),
            ack=as_bool(broadcast.get("ack")),
            echo=as_bool(broadcast.get("self")),
            replay=as_dict(broadcast.get("replay")),
            presence=as_bool(presence.get("enabled")),
            presence_key=str(presence.get("key") or ""),
            bindings=tuple(b for b in bindings if isinstance(b, dict)) if isinstance(bindings, list) else (),
            wait_s=min(max(timeout_ms, 0), 20_000) / 1000 if as_bool(options.get("wait")) else 0.0,
            access_token=token if isinstance(token, str) and not token.startswith("sb_") else None,
        )
