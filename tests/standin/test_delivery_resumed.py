"""How the client goes on with an upload in a new process, and when it begins another one instead."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from rhythmai import Client
from rhythmai.errors import Unreachable
from rhythmai.resumable import ResumableUpload
from rhythmai.unfinished import Begun, unfinished
from tests.standin.delivering import FILM, MIB, stored

DYING = """
import asyncio, os, sys
from pathlib import Path
from rhythmai import Client

async def main():
    async with Client(sys.argv[1]) as client:
        await client.upload(Path(sys.argv[2]), lambda sent, size: os._exit(9) if sent >= 0.6 * size else None)

asyncio.run(main())
"""


async def test_a_new_process_goes_on(tickets, gateway, film, storage, cache):
    """The process dies at 60 %; a call of another process for the same file goes on, says so, and asks for no other ticket."""

    async def upload(_request):
        return web.json_response(await tickets.ask())

    app = web.Application()
    app.router.add_post("/api/v1/upload", upload)
    async with TestServer(app) as api:
        url = str(api.make_url("/"))
        died = await asyncio.create_subprocess_exec(sys.executable, "-c", DYING, url, film)
        assert await died.wait() == 9
        said = []
        async with Client(url) as client:
            assert await client.upload(film, say=said.append) == "film-0.mp4"
    assert await stored(storage, "film-0.mp4") == FILM
    assert len(tickets.given) == 1
    assert len(said) == 1
    assert " goes on at " in said[0]


async def begin(tickets, film, **changes):
    """Leave an upload behind of which Storage has the first 6 MiB."""
    ticket = await tickets.ask()
    async with aiohttp.ClientSession(headers={"Tus-Resumable": "1.0.0", **ticket["resumable"]["headers"]}) as session:
        upload = ResumableUpload(session, ticket["resumable"])
        await upload.create(len(FILM))
        await upload.send(0, FILM[: 6 * MIB], lambda _: None)
    with unfinished(film, "http://api") as record:
        record.keep(Begun(ticket={**ticket, **changes}, location=upload.location))
    return upload.location, ticket["resumable"]["headers"]


async def test_what_has_expired_starts_afresh(deliver, tickets, film, storage):
    """After expires_at a new ticket is asked for, everything is sent again, and that is said."""
    await begin(tickets, film, expires_at=(datetime.now(UTC) - timedelta(seconds=1)).isoformat())
    assert await deliver() == "film-1.mp4"
    assert deliver.said == [f"The upload of {film} starts afresh: its address has expired"]
    assert await stored(storage, "film-1.mp4") == FILM


async def test_an_address_may_expire_between_two_pieces(deliver, tickets, asked, film, storage):
    """No piece is sent to an address that has expired: the first ticket's upload ends after its first piece."""

    def expire(sent, size):
        if tickets.given == ["film-0.mp4"]:
            tickets.last["expires_at"] = datetime.now(UTC).isoformat()

    assert await deliver(expire) == "film-1.mp4"
    assert deliver.said == [f"The upload of {film} starts afresh: its address has expired"]
    assert [method for method, _ in asked] == ["POST", "HEAD", "PATCH", "POST", "HEAD", *["PATCH"] * 4]
    assert await stored(storage, "film-1.mp4") == FILM


async def test_an_address_may_expire_again_and_again(deliver, tickets, film):
    """What does not fit into two addresses is given up with a sentence, not tried for ever."""
    tickets.life = timedelta(0)
    with pytest.raises(Unreachable, match="too large for this connection"):
        await deliver()
    assert len(tickets.given) == 2


@pytest.mark.parametrize("how", ["deleted", "refused"])
async def test_what_storage_has_no_more_starts_afresh(deliver, tickets, film, storage, http, gateway, how):
    """So it does when Storage has forgotten the upload, or takes its token no longer."""
    location, headers = await begin(tickets, film)
    if how == "deleted":
        await (await http.delete(location, headers={"Tus-Resumable": "1.0.0", **headers})).release()
    else:
        with unfinished(film, "http://api") as record:
            begun = record.recall()
            begun.ticket["resumable"]["headers"] = {"x-signature": "a key that was changed"}
            record.keep(begun)
    assert await deliver() == "film-1.mp4"
    code = {"deleted": 404, "refused": 400}[how]
    assert deliver.said == [f"The upload of {film} starts afresh: Storage has nothing of it any more ({code})"]
    assert await stored(storage, "film-1.mp4") == FILM


async def test_two_at_the_same_file_do_not_meddle(deliver, tickets, film, storage):
    """While one process is at an upload, another one for the same file has its own ticket and remembers nothing."""
    with unfinished(film, "http://api") as first:
        first.keep(Begun(ticket=await tickets.ask(), location="http://127.0.0.1:1/"))
        assert await deliver() == "film-1.mp4"
        assert first.recall().ticket["video_url"] == "film-0.mp4"


async def test_another_file_is_another_upload(deliver, tickets, film, storage):
    """A file that was changed since is not gone on with."""
    await begin(tickets, film)
    os.utime(film, (time.time() + 5,) * 2)
    assert await deliver() == "film-1.mp4"
    assert deliver.said == []


@pytest.mark.parametrize(
    "record", ["", "{", "[]", '{"ticket": {}, "location": ""}', '{"ticket": {"expires_at": "soon"}, "location": ""}']
)
async def test_a_broken_record_is_none(deliver, film, cache, record):
    """A process may die in the middle of a word."""
    with unfinished(film, "http://api") as begun:
        begun.keep(Begun(ticket={}, location=""))
    (file,) = cache.iterdir()
    file.write_text(record)
    assert await deliver() == "film-0.mp4"


async def test_old_records_go(deliver, cache):
    """What nobody came back for within a day is forgotten: its address has expired long since."""
    cache.mkdir(parents=True)
    (cache / "old.json").write_text(json.dumps({}))
    os.utime(cache / "old.json", (time.time() - 90_000,) * 2)
    await deliver()
    assert list(cache.iterdir()) == []


async def test_without_a_place_to_remember_it_goes_all_the_same(deliver, storage, monkeypatch):
    """A home that cannot be written to costs the resumption, not the upload."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    assert await deliver() == "film-0.mp4"
    assert await stored(storage, "film-0.mp4") == FILM
