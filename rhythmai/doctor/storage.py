"""Storage: the buckets and their limits; put, read and delete an object."""

from __future__ import annotations

import secrets
from http import HTTPStatus
from typing import Final

from rhythmai.buckets import Buckets
from rhythmai.doctor.finding import KEY, PROJECT, Finding, fail, note, ok
from rhythmai.errors import Refused, RhythmAIError
from rhythmai.project.environment import OUR_BUCKETS
from worker.settings import Settings

CHECK: Final = "storage"
MIGRATE: Final = "Run `rhythmai migrate`, which makes the buckets"


async def examine(settings: Settings) -> list[Finding]:
    try:
        async with Buckets(settings.origin, settings.supabase_key, apikey=settings.apikey) as buckets:
            largest = await buckets.largest()
            findings = [f for bucket in OUR_BUCKETS for f in await _bucket(buckets, bucket, settings, largest)]
            findings += [await _input(buckets, bucket) for bucket in settings.input_buckets]
            return [*findings, await _round_trip(buckets)]
    except RhythmAIError as error:
        return [fail(CHECK, str(error), PROJECT)]


async def _bucket(buckets: Buckets, bucket: str, settings: Settings, largest: int | None) -> list[Finding]:
    try:
        found = await buckets.settings(bucket)
    except Refused as error:
        return [fail(CHECK, f"bucket {bucket}: {error}", MIGRATE if error.status == HTTPStatus.NOT_FOUND else KEY)]
    if not found["public"]:
        said = f"bucket {bucket} is not public: nobody could play what lies there"
        return [fail(CHECK, said, "Make it public: dashboard, Storage")]
    limit = found["file_size_limit"]
    if limit and largest is not None and largest < limit:
        said = (
            f"bucket {bucket} would take {limit / 2**20:.0f} MB, but the project takes {largest / 2**20:.0f} MB a file"
        )
        return [
            note(CHECK, said, "Raise the global file size limit: dashboard, Storage, Settings (Free ends at 50 MB)")
        ]
    if bucket == "uploads" and limit and limit < settings.max_bytes:
        said = f"bucket uploads takes {limit / 2**20:.0f} MB, MAX_BYTES would take {settings.max_bytes / 2**20:.0f} MB"
        return [note(CHECK, said, "Raise its limit, or lower MAX_BYTES")]
    return [ok(CHECK, f"bucket {bucket} is public" + (f" and takes {limit / 2**20:.0f} MB" if limit else ""))]


async def _input(buckets: Buckets, bucket: str) -> Finding:
    """A bucket that a key may not read is to that key as one that is not there."""
    try:
        await buckets.settings(bucket)
    except Refused as error:
        if error.status != HTTPStatus.NOT_FOUND:
            return fail(CHECK, f"bucket {bucket} of INPUT_BUCKETS: {error}", KEY)
        said = f"bucket {bucket} of INPUT_BUCKETS is not there, or the worker's key may not read it"
        return fail(CHECK, said, "Make it (dashboard, Storage), and run `rhythmai migrate` with the same INPUT_BUCKETS")
    return ok(CHECK, f"bucket {bucket} of INPUT_BUCKETS is there, and may be read")


async def _round_trip(buckets: Buckets) -> Finding:
    path, data = f"doctor/{secrets.token_hex(16)}.flac", secrets.token_bytes(64)
    try:
        url = await buckets.put("audios", path, data, "audio/flac")
        try:
            same = await buckets.read(url) == data
        finally:
            removed = await buckets.remove([("audios", path)])
    except RhythmAIError as error:
        return fail(CHECK, f"an object cannot be put, read and deleted: {error}", KEY)
    if not same or not removed:
        said = "an object came back changed, or could not be deleted"
        return fail(CHECK, said, "Check what stands between here and SUPABASE_URL")
    return ok(CHECK, "put, read and deleted an object")
