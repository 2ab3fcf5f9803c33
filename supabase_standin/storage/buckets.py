"""Buckets: made, changed, emptied and deleted in the caller's role."""

from __future__ import annotations

import re
from typing import Any, Final

import asyncpg

from supabase_standin.authentication import Identity
from supabase_standin.database import Database
from supabase_standin.storage.bodies import BucketChange, BucketOrder, NewBucket
from supabase_standin.storage.failures import StorageFailure, no_bucket
from supabase_standin.storage.files import Files

NAME: Final = re.compile(r"[\w!\-.*'() &$@=;:+,?]{1,63}", re.ASCII)
BUCKETS: Final = """
select id, name, public, coalesce(owner_id, owner::text, '') as owner, created_at, updated_at, file_size_limit, allowed_mime_types
from storage.buckets
"""
ALLOW_DELETE: Final = "select set_config('storage.allow_delete_query', 'true', true)"


class Buckets:
    """The table storage.buckets."""

    def __init__(self, database: Database, files: Files) -> None:
        self._database = database
        self._files = files

    async def find(self, bucket: str) -> asyncpg.Record:
        """The bucket, whoever asks. Raises StorageFailure."""
        row = await self._database.fetchrow("select * from storage.buckets where id = $1", bucket)
        if row is None:
            raise no_bucket()
        return row

    async def list(self, identity: Identity, asked: BucketOrder) -> list[dict[str, Any]]:
        async with self._database.as_identity(identity) as connection:
            rows = await connection.fetch(BUCKETS + "where strpos(lower(name), lower($1)) > 0", asked.search or "")
        rows.sort(key=lambda row: (row[asked.column or "name"], row["name"]), reverse=asked.order == "desc")
        return [{**row, "type": "STANDARD"} for row in rows[asked.offset or 0 :][: asked.limit]]

    async def get(self, identity: Identity, bucket: str) -> dict[str, Any]:
        async with self._database.as_identity(identity) as connection:
            found = await connection.fetchrow(BUCKETS + "where id = $1", bucket)
        if found is None:
            raise no_bucket()
        return dict(found)

    async def create(self, identity: Identity, body: NewBucket) -> dict[str, str]:
        bucket = body.id or body.name
        for name in (body.name, bucket):
            if not NAME.fullmatch(name):
                raise StorageFailure(400, "InvalidRequest", f"Bucket name invalid: {name}", "InvalidBucketName")
        async with self._database.as_identity(identity) as connection:
            await connection.execute(
                """
                insert into storage.buckets (id, name, owner_id, public, file_size_limit, allowed_mime_types)
                values ($1, $2, $3, $4, $5, $6)
                """,
                bucket, body.name, identity.user, bool(body.public), body.file_size_limit, body.allowed_mime_types,
            )  # fmt: skip
        return {"name": bucket}

    async def update(self, identity: Identity, bucket: str, body: BucketChange) -> dict[str, str]:
        async with self._database.as_identity(identity) as connection:
            done = await connection.fetchval(
                """
                update storage.buckets set
                  public = coalesce($2, public),
                  file_size_limit = case when $3 then $4 else file_size_limit end,
                  allowed_mime_types = case when $5 then $6 else allowed_mime_types end,
                  updated_at = now()
                where id = $1 returning id
                """,
                bucket, body.public, "file_size_limit" in body.model_fields_set, body.file_size_limit,
                "allowed_mime_types" in body.model_fields_set, body.allowed_mime_types,
            )  # fmt: skip
        if done is None:
            raise no_bucket()
        return {"message": "Successfully updated"}

    async def empty(self, identity: Identity, bucket: str) -> dict[str, str]:
        await self.get(identity, bucket)
        async with self._database.as_identity(identity) as connection:
            await connection.fetch(ALLOW_DELETE)
            rows = await connection.fetch("delete from storage.objects where bucket_id = $1 returning version", bucket)
        for row in rows:
            self._files.remove(row["version"])
        return {"message": "Empty bucket has been queued. Completion may take up to an hour."}  # here it is done

    async def delete(self, identity: Identity, bucket: str) -> dict[str, str]:
        await self.get(identity, bucket)
        try:
            async with self._database.as_identity(identity) as connection:
                await connection.fetch(ALLOW_DELETE)
                done = await connection.fetchval("delete from storage.buckets where id = $1 returning id", bucket)
        except asyncpg.ForeignKeyViolationError as error:
            message = "The bucket you tried to delete is not empty"
            raise StorageFailure(409, "InvalidRequest", message, "InvalidRequest") from error
        if done is None:
            raise no_bucket()
        return {"message": "Successfully deleted"}
