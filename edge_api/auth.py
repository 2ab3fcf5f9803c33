"""Who asks: the user of a Supabase access token, or a visitor.

The algorithm is fixed by configuration, never by the token: HS256 with JWT_SECRET, else the project's asymmetric keys
(JWKS). A publishable or anon key as Bearer, as supabase-js sends it before sign-in, is a visitor.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import time
from typing import Any, Final, Protocol
from uuid import UUID

import jwt
import structlog

from edge_api.problems import Problem

log = structlog.get_logger()

ASYMMETRIC: Final = frozenset({"ES256", "RS256", "EdDSA"})
LEEWAY_S: Final = 10
REST_AFTER_FAILURE_S: Final = 5
UUID_TEXT: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_BEARER: Final = re.compile(r"bearer +([!-~]+) *", re.IGNORECASE | re.ASCII)


class Keys(Protocol):
    """Where the key that verifies a token comes from."""

    async def find(self, token: str) -> tuple[Any, str]:
        """The key and its one algorithm. Raises jwt.PyJWTError, Problem auth_unavailable."""


class SecretKeys:
    """One shared secret, HS256."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    async def find(self, token: str) -> tuple[Any, str]:
        return self._secret, "HS256"


class JwksKeys:
    """The project's published signing keys: cached five minutes, fetched again for an unknown key id at most every 30 s."""

    def __init__(self, supabase_url: str, *, cooldown_s: float = 30) -> None:
        self._client = jwt.PyJWKClient(
            f"{supabase_url}/auth/v1/.well-known/jwks.json", timeout=5, cooldown_duration=cooldown_s
        )
        self._rest_until = 0.0

    async def find(self, token: str) -> tuple[Any, str]:
        kid = jwt.get_unverified_header(token).get("kid")
        if not isinstance(kid, str):
            raise jwt.InvalidTokenError("the token names no key")
        if time.monotonic() < self._rest_until:
            raise _keys_away()
        try:
            key = await asyncio.to_thread(self._client.get_signing_key, kid)
        except jwt.PyJWKClientConnectionError as error:
            # Callers queue up behind a fetch that hangs: let them go at once for a moment.
            self._rest_until = time.monotonic() + REST_AFTER_FAILURE_S
            log.warning("jwks.away", error=type(error).__name__)
            raise _keys_away() from error
        if key.algorithm_name not in ASYMMETRIC:
            raise jwt.InvalidTokenError("the key is not an asymmetric one")
        return key.key, key.algorithm_name


class Doorkeeper:
    """Turns an Authorization header into a user id, None for a visitor."""

    def __init__(self, keys: Keys, *, publishable_key: str = "", require_auth: bool = False) -> None:
        self._keys = keys
        self._publishable_key = publishable_key.encode()
        self._require_auth = require_auth

    async def user(self, authorization: str | None) -> UUID | None:
        """Raises Problem: unauthorized, auth_unavailable."""
        user = await self._user(authorization)
        if user is None and self._require_auth:
            raise _unauthorized(
                "Sign in: this server takes requests of signed-in users only (Authorization: Bearer <access token>)"
            )
        return user

    async def _user(self, authorization: str | None) -> UUID | None:
        if authorization is None:
            return None
        bearer = _BEARER.fullmatch(authorization)
        if bearer is None:
            raise _unauthorized("The Authorization header must be `Bearer <access token>`, or be left out")
        token = bearer[1]
        if self._is_public_key(token):
            return None
        try:
            key, algorithm = await self._keys.find(token)
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience="authenticated",
                leeway=LEEWAY_S,
                options={"require": ["exp", "aud", "sub"], "verify_iat": False, "verify_jti": False},
            )
            if any(type(claims.get(name, 0)) not in {int, float} for name in ("exp", "nbf", "iat")):
                raise jwt.InvalidTokenError("a time is not a number")
        except jwt.ExpiredSignatureError as error:
            raise _unauthorized("The access token has expired; refresh the session and try again") from error
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
            raise _unauthorized(
                "The access token is not valid; sign in again, or leave the Authorization header out"
            ) from error
        if claims.get("role") != "authenticated" or not UUID_TEXT.fullmatch(claims["sub"]):
            raise _unauthorized("The access token is not one of a signed-in user; sign in, or leave it out")
        return UUID(claims["sub"])

    def _is_public_key(self, token: str) -> bool:
        if token.startswith("sb_") or hmac.compare_digest(token.encode(), self._publishable_key):
            return True
        try:
            # Unverified on purpose: being taken for a visitor gives nothing.
            return bool(jwt.decode(token, options={"verify_signature": False}).get("role") == "anon")
        except (jwt.PyJWTError, ValueError):
            return False


def _unauthorized(detail: str) -> Problem:
    return Problem("unauthorized", detail, headers={"WWW-Authenticate": "Bearer"})


def _keys_away() -> Problem:
    return Problem(
        "auth_unavailable",
        "Access tokens cannot be checked right now; try again in a few seconds",
        headers={"Retry-After": str(REST_AFTER_FAILURE_S)},
    )
