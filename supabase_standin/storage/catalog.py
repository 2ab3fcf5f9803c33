"""Objects, as rows of storage.objects: every statement runs in the caller's role unless it says otherwise."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg

from supabase_standin.authentication import Identity
from supabase_standin.database import Database
from supabase_standin.storage.buckets import ALLOW_DELETE
from supabase_standin.storage.failures import StorageFailure, duplicate, no_object
from supabase_standin.storage.upload import Upload

KEY: Final = re.compile(r"[\w/!\-.*'() &$@=;:+,?]{1,1024}", re.ASCII)

OBJECT: Final = "select * from storage.objects where bucket_id = $1 and name = $2"
INSERT: Final = """
insert into storage.objects (bucket_id, name, owner, owner_id, version, metadata, user_metadata)
values ($1, $2, $3, $4, $5, $6, $7)
"""
FRESH: Final = INSERT + "returning id"
IF_FREE: Final = INSERT + "on conflict (bucket_id, name) do nothing returning id"
UPSERT: Final = (
    INSERT
    + """
on conflict (bucket_id, name) do update set
  owner = excluded.owner, owner_id = excluded.owner_id, version = excluded.version, metadata = excluded.metadata,
  user_metadata = excluded.user_metadata, updated_at = now()
returning id
"""
)


def written(value: Any) -> str:
    """A time as the real server's JavaScript writes it; anything else that JSON does not know, an id, as text."""
    return (
        value.isoformat(timespec="milliseconds").replace("+00:00", "Z") if isinstance(value, datetime) else str(value)
    )


def check_key(name: str) -> str:
    """Raises StorageFailure for names that Storage does not take."""
    if not KEY.fullmatch(name) or any(part in ("", ".", "..") for part in name.split("/")):
        raise StorageFailure(400, "InvalidKey", f"Invalid key: {name}", "InvalidKey")
    return name


def owner_uuid(user: str | None) -> uuid.UUID | None:
    try:
        return uuid.UUID(user) if user else None
    except ValueError:
        return None


class Catalog:
    """Finds, makes, moves and removes rows; files are the caller's affair."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, identity: Identity | None, bucket: str, name: str) -> asyncpg.Record:
        """The object, as far as the identity may see it; None sees everything. Raises StorageFailure."""
        transaction = self._database.as_identity(identity) if identity else self._database.transaction()
        async with transaction as connection:
            row = await connection.fetchrow(OBJECT, bucket, name)
        if row is None:
            raise no_object()
        return row

    async def may_put(self, identity: Identity, bucket: str, name: str, *, upsert: bool) -> None:
        """Try the write and take it back. Raises the refusal."""
        async with self._database.as_identity(identity, undo=True) as connection:
            await connection.fetchval(
                UPSERT if upsert else FRESH,
                bucket, name, owner_uuid(identity.user), identity.user, str(uuid.uuid4()), None, None,
            )  # fmt: skip

    async def is_free(self, bucket: str, name: str) -> None:
        """Raises StorageFailure when the name is taken."""
        if await self._database.fetchrow(OBJECT, bucket, name):
            raise duplicate()

    async def put(
        self, owner: str | None, bucket: str, name: str, upload: Upload, *, upsert: bool
    ) -> tuple[uuid.UUID, str | None]:
        """Write the row of a received upload, as superuser: the right was asked for before the bytes came.

        Returns the object's id and the version that it replaces.
        """
        received = upload.received
        metadata = {
            "eTag": received.etag, "size": received.size, "contentLength": received.size, "httpStatusCode": 200,
            "mimetype": upload.mimetype, "cacheControl": upload.cache_control, "lastModified": written(datetime.now(UTC)),
        }  # fmt: skip
        row = (bucket, name, owner_uuid(owner), owner, received.version, metadata, upload.user_metadata)
        async with self._database.transaction() as connection:
            if not upsert:
                return await connection.fetchval(FRESH, *row), None
            # What is replaced must be known for sure, or its file stays for ever: only a row that is there can be locked,
            # so first try to be the one who makes it. It may be moved or removed again before we hold it.
            while (object_id := await connection.fetchval(IF_FREE, *row)) is None:
                held = await connection.fetchrow(OBJECT + " for update", bucket, name)
                if held is not None:
                    return await connection.fetchval(UPSERT, *row), held["version"]
        return object_id, None

    async def move(self, identity: Identity, bucket: str, name: str, to_bucket: str, to_name: str) -> uuid.UUID:
        async with self._database.as_identity(identity) as connection:
            moved: uuid.UUID | None = await connection.fetchval(
                """
                update storage.objects set bucket_id = $3, name = $4, updated_at = now()
                where bucket_id = $1 and name = $2 returning id
                """,
                bucket, name, to_bucket, to_name,
            )  # fmt: skip
        if moved is None:
            raise no_object()
        return moved

    async def remove(self, identity: Identity, bucket: str, names: list[str]) -> list[dict[str, Any]]:
        """Delete what is there and may be deleted; return those rows."""
        async with self._database.as_identity(identity) as connection:
            await connection.fetch(ALLOW_DELETE)
            rows = await connection.fetch(
                """
                delete from storage.objects as o where bucket_id = $1 and name = any ($2::text[])
                returning o.*
                """,
                bucket, names,
            )  # fmt: skip
        return [{name: value for name, value in row.items() if name != "path_tokens"} for row in rows]
