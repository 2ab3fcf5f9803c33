"""Resumable uploads with the answer of either host, at a Storage that takes them: what was announced binds these, too."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import aiohttp
import pytest

from rhythmai import Client
from rhythmai.errors import Refused
from rhythmai.resumable import ResumableUpload
from tests.conftest import fixture
from tests.contract.conftest import ask


@fixture
async def ticket(stack):
    """Asks for an upload of so many bytes."""
    async with aiohttp.ClientSession(stack[1]) as session:

        async def ticket(size):
            body = {"filename": "a.mp4", "content_type": "video/mp4", "size": size}
            return (await ask(session, "post", "/api/v1/upload", json=body))[1]

        yield ticket


async def bring(signed, data):
    """The object that the ticket is for, with these bytes, by TUS."""
    async with aiohttp.ClientSession() as session:
        upload = ResumableUpload(session, signed["resumable"])
        await upload.create(len(data))
        for start in range(0, len(data), upload.chunk_size):
            await upload.send(start, data[start : start + upload.chunk_size], lambda _: None)
        return upload


async def test_the_client_brings_a_large_file_with_either_hosts_answer(stack, db, tmp_path, monkeypatch):
    """`Client.upload` goes in pieces, and what lies in Storage then is what was sent, with its type."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    film = tmp_path / "film.mp4"
    film.write_bytes(bytes(7_000_000))
    async with Client(stack[1]) as client:
        url = await client.upload(film)
        assert await client.download(url, tmp_path / "again.mp4") == tmp_path / "again.mp4"
        assert await client.submit(url)
    assert (await asyncio.to_thread((tmp_path / "again.mp4").read_bytes)) == bytes(7_000_000)
    assert len(list((tmp_path / "storage" / "unfinished").glob("*.json"))) == 1
    kept = await db.fetchval("select metadata from storage.objects where name = $1", url.rpartition("/")[2])
    assert '"mimetype": "video/mp4"' in kept
    assert '"cacheControl": "max-age=3600"' in kept


async def test_no_door_takes_more_than_was_announced(stack, ticket, db):
    """An upload that became larger than its ticket, in pieces as in one, makes no job: by gen, by merge, by SQL."""
    honest, larger = await ticket(7_000_000), await ticket(1)
    for signed in (honest, larger):
        await bring(signed, bytes(7_000_000))
    async with Client(stack[1]) as client:
        job = await client.submit(honest["video_url"])
        said = "the upload has 7000000 bytes and was announced with 1"
        with pytest.raises(Refused, match=said):
            await client.submit(larger["video_url"])
        with pytest.raises(Refused, match=said):
            await client.merge(larger["video_url"], "https://example.com/a.flac")
        with pytest.raises(Exception, match=said):
            await db.execute("insert into public.jobs (video_url) values ($1)", larger["video_url"])
        await client.cancel(job)


async def test_storage_takes_no_more_than_it_ever_would(ticket, tmp_path):
    """512 MB is the bucket's own limit; a type that is no video's, another object and a second film at the same address are refused."""
    signed = await ticket(1)
    async with aiohttp.ClientSession() as session:
        for change, size, status in (
            ({}, 512 * 2**20 + 1, 413),
            ({"contentType": "text/html"}, 1, 415),
            ({"objectName": f"{uuid4().hex}.mp4"}, 1, 400),
            ({"bucketName": "videos"}, 1, 400),
        ):
            resumable = {**signed["resumable"], "metadata": {**signed["resumable"]["metadata"], **change}}
            with pytest.raises(Refused) as refused:
                await ResumableUpload(session, resumable).create(size)
            assert refused.value.status == status
    await bring(signed, b"1")
    with pytest.raises(Refused, match="already exists"):
        await bring(signed, b"2")
