"""Signed URLs: the right to read or write one object, for a while, without a key."""

from __future__ import annotations

import time
from typing import Any, Final
from urllib.parse import quote

from supabase_standin.authentication import BadToken, ProjectKeys
from supabase_standin.storage.failures import StorageFailure, jwt_complaint

UPLOAD_S: Final = 7200
"""Signed upload URLs hold for two hours."""


class Signing:
    """Tokens name the object they are for, and what they are for."""

    def __init__(self, keys: ProjectKeys) -> None:
        self._keys = keys

    def download_url(self, bucket: str, name: str, expires_in: int, *, image: bool = False) -> str:
        """Relative to /storage/v1; with `image`, where transformed images are served."""
        kind = "render/image/sign" if image else "object/sign"
        return self._url(kind, bucket, name, {"use": "download"}, expires_in)

    def upload_url(self, bucket: str, name: str, *, owner: str | None, upsert: bool) -> str:
        """Relative to /storage/v1."""
        claims = {"use": "upload", "owner": owner, "upsert": upsert}
        return self._url("object/upload/sign", bucket, name, claims, UPLOAD_S)

    def _url(self, kind: str, bucket: str, name: str, claims: dict[str, Any], seconds: int) -> str:
        now = int(time.time())
        token = self._keys.sign({"url": f"{bucket}/{name}", "iat": now, "exp": now + seconds, **claims})
        return f"/{kind}/{quote(bucket)}/{quote(name)}?token={token}"

    def check(self, token: str, bucket: str, name: str, use: str) -> dict[str, Any]:
        """The claims of a token for this object. Raises StorageFailure."""
        try:
            claims = self._keys.claims(token)
        except BadToken as error:
            raise StorageFailure(400, "InvalidJWT", jwt_complaint(error), "InvalidJWT") from error
        if claims.get("url") != f"{bucket}/{name}" or claims.get("use") != use:
            raise StorageFailure(400, "InvalidSignature", "The url do not match the signature", "InvalidSignature")
        return claims
