"""Users' tokens: by what the API verifies them."""

from __future__ import annotations

import asyncio
from typing import Final

import jwt

from edge_api.auth import published_keys
from rhythmai.doctor.environment import Everything
from rhythmai.doctor.finding import Finding, fail, note, ok

CHECK: Final = "tokens"
SET: Final = "Set JWT_SECRET (dashboard, Settings, JWT Keys), or change the project to asymmetric signing keys there"


async def examine(settings: Everything) -> list[Finding]:
    found = [ok(CHECK, "users' tokens are verified with JWT_SECRET (HS256)")] if settings.jwt_secret else []
    # Visitors are served without keys; when nobody else is let in, nothing works.
    finding = fail if settings.require_auth else note
    try:
        keys = await asyncio.to_thread(published_keys, settings.origin)
    except jwt.PyJWKClientError as error:
        return found or [finding(CHECK, f"no user can sign in: {error}", "Check SUPABASE_URL, or set JWT_SECRET")]
    if not keys:
        return found or [finding(CHECK, "no user can sign in: the project publishes no signing keys", SET)]
    algorithms = ", ".join(sorted({key.algorithm_name for key in keys.values()}))
    return [*found, ok(CHECK, f"users' tokens are verified with the project's public keys ({algorithms})")]
