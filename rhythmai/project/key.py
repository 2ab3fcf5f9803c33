"""Whose a key of the project is, as far as the key itself says it."""

from __future__ import annotations

from typing import Final

import jwt

SERVICE: Final = "service_role"
WORKER_KEY: Final = "rhythmai_worker_key"
"""The role of what `rhythmai worker-key` makes."""


def role_of(key: str) -> str | None:
    """The role that a key is for: by its shape, or unverified out of a JWT; None when it is neither."""
    if key.startswith("sb_"):
        return SERVICE if key.startswith("sb_secret_") else "anon"
    try:
        role = jwt.decode(key, options={"verify_signature": False}).get("role")
    except jwt.PyJWTError:
        return None
    return str(role)
