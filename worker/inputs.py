"""Objects of the project's own buckets as videos, storage://bucket/path: read with this worker's key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from yarl import URL

from worker.addresses import bare
from worker.errors import Rejected

_NAME: Final = "A-Za-z0-9_!*'() &$@=;:+,-"
_ADDRESS: Final = re.compile(rf"storage://([A-Za-z0-9][A-Za-z0-9_.-]{{0,62}})((?:/\.*[{_NAME}][{_NAME}.]*)+)")
"""As `private.stored_error` has it: nothing is encoded, and no part is empty or of dots alone, so that nothing can hide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What INPUT_BUCKETS opens, and how its objects are asked for."""

    supabase_url: str
    buckets: tuple[str, ...] = ()
    key: str = field(default="", repr=False)
    apikey: str = field(default="", repr=False)

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.key}", "apikey": self.apikey}

    def find(self, url: str) -> URL | None:
        """Where Storage has it; None where the address is another's. Raises Rejected: bad_url, forbidden_address."""
        if not url.lower().startswith("storage:"):
            return None
        found = _ADDRESS.fullmatch(url)
        if not found:
            raise Rejected(
                f"{bare(url)!r} is not storage://bucket/path with both written as they are; give the object's own names",
                code="bad_url",
            )
        bucket, path = found.groups()
        if bucket not in self.buckets:
            raise Rejected(
                f"Bucket {bucket} is none that this worker reads; name it in its INPUT_BUCKETS",
                code="forbidden_address",
            )
        at = f"{self.supabase_url}/storage/v1/object/authenticated/{bucket}{quote(path)}"
        return URL(at, encoded=True)
