"""Who asks: opaque API keys, legacy JWT keys and user tokens, all turned into a role with claims."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt
from jwt.types import Options

UNCHECKED: Final[Options] = {
    "verify_exp": False,
    "verify_aud": False,
    "verify_iat": False,
    "verify_nbf": False,
    "verify_sub": False,
    "verify_jti": False,
}


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


class ProjectKeys:
    """The keys of this project."""

    def __init__(self, *, jwt_secret: str, secret_key: str, publishable_key: str) -> None:
        self._jwt_secret = jwt_secret
        self._opaque = ((secret_key, "service_role"), (publishable_key, "anon"))

    def identify(self, token: str) -> Identity:
        """Raises BadToken."""
        for opaque, role in self._opaque:
            if hmac.compare_digest(opaque.encode(), token.encode()):
                return Identity(role=role, claims={"role": role})
        claims = self.claims(token)
        claimed, exp = claims.get("role"), claims.get("exp")
        if not isinstance(claimed, str) or not claimed or not isinstance(exp, int | float):
            raise BadToken("InvalidJWTToken", "Fields `role` and `exp` are required in JWT")
        return Identity(role=claimed, claims=claims, expires_at=float(exp))

    def claims(self, token: str) -> dict[str, Any]:
        """The claims of any unexpired token signed with the project's secret. Raises BadToken."""
        try:
            claims: dict[str, Any] = jwt.decode(token, self._jwt_secret, algorithms=["HS256"], options=UNCHECKED)
        except jwt.InvalidSignatureError:
            raise BadToken("JwtSignatureError", "Failed to validate JWT signature") from None
        except jwt.InvalidAlgorithmError:
            raise BadToken("JwtSignerError", "The token must be signed with HS256") from None
        except jwt.PyJWTError:
            raise BadToken("MalformedJWT", "The token provided is not a valid JWT") from None
        exp = claims.get("exp")
        if isinstance(exp, int | float) and exp <= time.time():
            raise BadToken("InvalidJWTToken", f"Token has expired {int(time.time() - exp)} seconds ago")
        return claims

    def sign(self, claims: Mapping[str, Any]) -> str:
        """A token of our own, for signed Storage URLs."""
        return jwt.encode(dict(claims), self._jwt_secret, algorithm="HS256")
