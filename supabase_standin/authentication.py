"""Who asks: opaque API keys, legacy JWT keys and user tokens, all turned into a role with claims."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt


class BadToken(Exception):
    """A key or token that proves nothing; `code` is Realtime's name for the reason."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A database role and the claims that policies see."""

    role: str
    claims: Mapping[str, Any]
    expires_at: float | None = None
    """Unix time; None for opaque keys."""

    @property
    def claims_json(self) -> str:
        return json.dumps(self.claims)

    @property
    def user(self) -> str | None:
        sub = self.claims.get("sub")
        return sub if isinstance(sub, str) else None


def bearer(headers: Mapping[str, str]) -> str:
    """A user's token wins; an opaque key may stand in either header. Empty when there is none."""
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    return (token.strip() if scheme.lower() == "bearer" else scheme) or headers.get("apikey", "")


class ProjectKeys:
    """The keys of this project."""

    def __init__(self, jwt_secret: str, secret_key: str, publishable_key: str) -> None:
        self._jwt_secret = jwt_secret
        self._opaque = ((secret_key, "service_role"), (publishable_key, "anon"))

    def identify(self, token: str) -> Identity:
        """Raises BadToken."""
        for opaque, role in self._opaque:
            if hmac.compare_digest(opaque.encode(), token.encode(errors="replace")):
                return Identity(role=role, claims={"role": role})
        claims = self.claims(token)
        claimed, exp = claims.get("role"), claims.get("exp")
        if not isinstance(claimed, str) or not claimed or not isinstance(exp, int | float):
            raise BadToken("InvalidJWTToken", "Fields `role` and `exp` are required in JWT")
        return Identity(role=claimed, claims=claims, expires_at=float(exp))

    def claims(self, token: str) -> dict[str, Any]:
        """The claims of any unexpired token signed with the project's secret. Raises BadToken."""
        try:
            claims = json.loads(jwt.PyJWS().decode(token, self._jwt_secret, algorithms=["HS256"]))
        except jwt.InvalidSignatureError:
            raise BadToken("JwtSignatureError", "Failed to validate JWT signature") from None
        except jwt.InvalidAlgorithmError:
            raise BadToken("JwtSignerError", "The token must be signed with HS256") from None
        except (jwt.PyJWTError, ValueError):
            claims = None
        if not isinstance(claims, dict):
            raise BadToken("MalformedJWT", "The token provided is not a valid JWT")
        exp = claims.get("exp")
        if isinstance(exp, int | float) and exp <= time.time():
            raise BadToken("InvalidJWTToken", f"Token has expired {int(time.time() - exp)} seconds ago")
        return claims

    def sign(self, claims: Mapping[str, Any]) -> str:
        """A token of our own, for signed Storage URLs."""
        return jwt.encode(dict(claims), self._jwt_secret, algorithm="HS256")
