"""Who asks: the user of a Supabase access token, or a visitor.

Two signing schemes hold side by side, so that a project may change its keys and nobody has to sign in again: HS256 for
JWT_SECRET, and for each key that the project publishes (JWKS) its own asymmetric algorithm. No key has a second algorithm.
A publishable or anon key as Bearer, as supabase-js sends it before sign-in, is a visitor.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final
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


def published_keys(supabase_url: str) -> dict[str, jwt.PyJWK]:
    """The asymmetric keys, by id, that the project signs user tokens with. Blocks; raises jwt.PyJWKClientError."""
    address = f"{supabase_url}/auth/v1/.well-known/jwks.json"
    try:
        answer = jwt.PyJWKClient(address, timeout=5, cache_jwk_set=False).fetch_data()
    except (OSError, ValueError) as error:  # a body that breaks off, or is not JSON
        raise jwt.PyJWKClientError(f"{address} gave no keys: {error}") from error
    if not isinstance(answer.get("keys"), list):
        raise jwt.PyJWKClientError(f"{address} gave no keys")
    try:
        keys = jwt.PyJWKSet.from_dict(answer).keys
    except jwt.PyJWKSetError:  # an empty list, or nothing we understand
        keys = []
    return {
        key.key_id: key
        for key in keys
        if isinstance(key.key_id, str) and key.public_key_use in {"sig", None} and key.algorithm_name in ASYMMETRIC
    }


class ProjectKeys:
    """JWT_SECRET, and the project's published signing keys: cached five minutes, fetched again for an unknown key id at most every 30 s.

    One fetch at a time. Whoever brings a key we know never waits for somebody else's, and is served while Auth is away.
    """

    def __init__(
        self, supabase_url: str, secret: str | None = None, *, cooldown_s: float = 30, fresh_s: float = 300
    ) -> None:
        self._supabase_url = supabase_url
        self._secret = secret
        self._cooldown_s = cooldown_s
        self._fresh_s = fresh_s
        self._known: dict[str, jwt.PyJWK] = {}
        self._fresh_until = self._rest_until = 0.0
        self._fetching: asyncio.Task[None] | None = None
        self._away = self._told_of_none = False

    async def find(self, token: str) -> tuple[Any, str]:
        """The key and its one algorithm. Raises jwt.PyJWTError, Problem auth_unavailable."""
        header = jwt.get_unverified_header(token)
        if self._secret is not None and header.get("alg") == "HS256":
            return self._secret, "HS256"
        kid = header.get("kid")
        if not isinstance(kid, str) or header.get("alg") not in ASYMMETRIC:
            raise jwt.InvalidTokenError("the token names no key of ours")
        stale = time.monotonic() >= self._fresh_until and self._fetching is None
        if stale or kid not in self._known:
            await self._refresh()
        if key := self._known.get(kid):
            return key.key, key.algorithm_name
        raise _keys_away() if self._away else jwt.InvalidTokenError("no published key has this id")

    async def _refresh(self) -> None:
        if self._fetching is None:
            if time.monotonic() < self._rest_until:
                return
            self._fetching = asyncio.create_task(self._fetch())
        # Shielded: a caller who hangs up does not take the answer from the others.
        await asyncio.shield(self._fetching)

    async def _fetch(self) -> None:
        try:
            self._known = await asyncio.to_thread(published_keys, self._supabase_url)
        except jwt.PyJWKClientError as error:
            self._away, self._rest_until = True, time.monotonic() + REST_AFTER_FAILURE_S
            log.warning("jwks.away", error=str(error))
        else:
            now = time.monotonic()
            self._away, self._rest_until, self._fresh_until = False, now + self._cooldown_s, now + self._fresh_s
            if not self._known and self._secret is None and not self._told_of_none:
                self._told_of_none = True
                log.error("jwks.empty", remedy="this project publishes no signing keys: set JWT_SECRET")
        finally:
            self._fetching = None


KeyOf = Callable[[str], Awaitable[UUID | None]]


class Authenticator:
    """Turns an Authorization header into a user id, None for a visitor. A server's key is a user, whose id `key_of` finds by its hash."""

    def __init__(
        self, keys: ProjectKeys, key_of: KeyOf | None = None, *, publishable_key: str = "", require_auth: bool = False
    ) -> None:
        self._keys = keys
        self._key_of = key_of
        self._publishable_key = publishable_key.encode()
        self._require_auth = require_auth

    async def user(self, authorization: str | None) -> UUID | None:
        """Raises Problem: unauthorized, auth_unavailable, database_unavailable."""
        user = await self._user(authorization)
        if user is None and self._require_auth:
            raise unauthorized(
                "Sign in: this server takes requests of signed-in users only (Authorization: Bearer <access token>)"
            )
        return user

    async def _user(self, authorization: str | None) -> UUID | None:
        if authorization is None:
            return None
        bearer = _BEARER.fullmatch(authorization)
        if bearer is None:
            raise unauthorized("The Authorization header must be `Bearer <access token>`, or be left out")
        token = bearer[1]
        if self._key_of and token.startswith("rk_"):
            if (known := await self._key_of(hashlib.sha256(token.encode()).hexdigest())) is None:
                raise unauthorized("This key is unknown or revoked; `rhythmai keys add` makes one")
            return known
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
            raise unauthorized("The access token has expired; refresh the session and try again") from error
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
            raise unauthorized(
                "The access token is not valid; sign in again, or leave the Authorization header out"
            ) from error
        if claims.get("role") != "authenticated" or not UUID_TEXT.fullmatch(claims["sub"]):
            raise unauthorized("The access token is not one of a signed-in user; sign in, or leave it out")
        return UUID(claims["sub"])

    def _is_public_key(self, token: str) -> bool:
        if token.startswith("sb_") or hmac.compare_digest(token.encode(), self._publishable_key):
            return True
        try:
            # Unverified on purpose: being taken for a visitor gives nothing.
            return bool(jwt.decode(token, options={"verify_signature": False}).get("role") == "anon")
        except (jwt.PyJWTError, ValueError):
            return False


def unauthorized(detail: str) -> Problem:
    return Problem("unauthorized", detail, headers={"WWW-Authenticate": "Bearer"})


def _keys_away() -> Problem:
    return Problem(
        "auth_unavailable",
        "Access tokens cannot be checked right now; try again in a few seconds",
        headers={"Retry-After": str(REST_AFTER_FAILURE_S)},
    )
