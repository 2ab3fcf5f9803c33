"""How the client brings large files to Storage: in pieces, through cuts, in a new process, and back again."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from rhythmai import Client
from rhythmai.delivery import Delivery
from rhythmai.errors import BadInput, Refused, Unreachable
from rhythmai.unfinished import Begun, unfinished
from tests.standin.tunnel import tunnel

MIB = 2**20
FILM = random.Random(7).randbytes(20 * MIB)
DYING = """
import asyncio, os, sys
from pathlib import Path
from rhythmai import Client

async def main():
    async with Client(sys.argv[1]) as client:
        await client.upload(Path(sys.argv[2]), lambda sent, size: os._exit(9) if sent >= 0.6 * size else None)

asyncio.run(main())
"""


class Tickets:
    """Answers POST /api/v1/upload with uploads signed by the gateway's Storage; counts them."""

    def __init__(self, storage, url):
        self._storage = storage
        self.url = url
        """Where Storage is said to be."""
        self.endpoint = "/storage/v1/upload/resumable/sign"
        self.life = timedelta(hours=2)
        self.given = []

    async def ask(self):
        name = f"film-{len(self.given)}.mp4"
        token = (await self._storage("POST", f"object/upload/sign/b/{name}")).json()["token"]
        self.given.append(name)
        return {
            "upload_url": f"{self.url}/storage/v1/object/upload/sign/b/{name}?token={token}",
            "method": "PUT",
            "headers": {"content-type": "video/mp4"},
            "video_url": name,
            "expires_at": (datetime.now(UTC) + self.life).isoformat(),
            "resumable": {
                "endpoint": self.url + self.endpoint,
                "headers": {"x-signature": token},
                "metadata": {"bucketName": "b", "objectName": name, "contentType": "video/mp4", "cacheControl": "3600"},
                "chunk_size": 6 * MIB,
            },
        }


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "rhythmai" / "uploads"


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(FILM)
    return path


@pytest.fixture
def tickets(gateway, storage):
    return Tickets(storage, gateway.url)


@pytest.fixture
async def asked():
    """What a client asks: (method, length of the body)."""
    return []


@pytest.fixture
async def session(asked):
    async def starts(_session, _context, request):
        asked.append((request.method, int(request.headers.get("Content-Length", 0))))

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(starts)
    async with aiohttp.ClientSession(trace_configs=[trace]) as session:
        yield session


@pytest.fixture
def deliver(session, tickets, film):
    """Brings the film; `deliver.said` is what was told."""

    async def run(progress=None, pauses_s=(0.0, 0.0, 0.0)):
        size = (await asyncio.to_thread(film.stat)).st_size
        delivery = Delivery(session, film, size, tickets.ask, progress, run.said.append, pauses_s)
        with unfinished(film, "http://api") as begun:
            return await delivery.run(begun)

    run.said = []
    return run


async def stored(storage, name):
    return (await storage("GET", f"object/b/{name}")).body


async def test_a_large_file_goes_in_pieces_of_six_mib(deliver, asked, storage, cache):
    """Every piece but the last has exactly the size that the API names; progress is told byte by byte; nothing is left to remember."""
    told = []
    assert await deliver(lambda there, size: told.append((there, size))) == "film-0.mp4"
    assert asked == [("POST", 0), ("HEAD", 0), *[("PATCH", 6 * MIB)] * 3, ("PATCH", 2 * MIB)]
    assert await stored(storage, "film-0.mp4") == FILM
    assert told == sorted(told)
    assert (told[-1], len(told)) == ((20 * MIB, 20 * MIB), 80)
    assert list(cache.iterdir()) == []
    assert deliver.said == []


async def test_a_small_file_goes_in_one_piece(deliver, asked, film, storage):
    """Up to 6 MB the single PUT is quicker."""
    film.write_bytes(FILM[:6_000_000])
    assert await deliver() == "film-0.mp4"
    assert asked == [("PUT", 6_000_000)]
    assert len(await stored(storage, "film-0.mp4")) == 6_000_000


async def test_it_goes_on_when_the_connection_comes_back(deliver, tickets, gateway, asked, storage):
    """Cut at 60 % and then in the dark for a while, it asks how far it was and sends the rest, under the same ticket."""
    async with tunnel(gateway.url, 0.6 * len(FILM), dark=3) as way:
        tickets.url = way.url
        assert await deliver() == "film-0.mp4"
        assert way.dark == 0
    assert await stored(storage, "film-0.mp4") == FILM
    assert len(tickets.given) == 1
    assert [method for method, _ in asked].count("POST") == 1
    (line,) = deliver.said
    assert 30 <= int(line.rpartition(" ")[2].rstrip("%")) <= 60


async def test_who_gives_up_says_where_and_goes_on_next_time(deliver, tickets, gateway, storage, cache):
    """After its patience the error says how far it came and what to do; the next call goes on from there."""
    async with tunnel(gateway.url, 0.6 * len(FILM), dark=100) as way:
        tickets.url = way.url
        with pytest.raises(Unreachable, match=r"broke off at 30%: .*\. Upload it again: it goes on from there"):
            await deliver()
        (record,) = await asyncio.to_thread(lambda: list(cache.iterdir()))
        assert (await asyncio.to_thread(record.stat)).st_mode & 0o777 == 0o600  # it holds the right to upload
        way.dark = 0
        assert await deliver() == "film-0.mp4"
    assert await stored(storage, "film-0.mp4") == FILM
    assert len(tickets.given) == 1


async def test_a_new_process_goes_on(tickets, gateway, film, storage, tmp_path):
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
        from rhythmai.resumable import ResumableUpload

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


async def test_an_address_may_expire_on_the_way(deliver, tickets, film):
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


async def test_a_cancelled_upload_is_taken_back(deliver, gateway, cache):
    """What Storage had of it is deleted, and nobody goes on with it."""
    there = asyncio.Event()
    task = asyncio.create_task(deliver(lambda sent, size: there.set() if sent > 0.6 * size else None))
    await there.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list((gateway.storage_dir / "unfinished").iterdir()) == []
    assert list(cache.iterdir()) == []
    assert deliver.said[0].endswith(" is cancelled, and what Storage had of it is deleted")


async def test_a_refused_creation_falls_back_to_the_put(deliver, tickets, asked, storage, film):
    """Where a project wants a key for resumable uploads ("Invalid Compact JWS") the same ticket takes the file in one piece, and that is said."""
    tickets.endpoint = "/storage/v1/upload/resumable"
    assert await deliver() == "film-0.mp4"
    assert asked == [("POST", 0), ("PUT", 20 * MIB)]
    assert await stored(storage, "film-0.mp4") == FILM
    assert deliver.said == [
        f"{film} goes in one piece, because Storage refused to take it in several: Invalid Compact JWS"
    ]


async def test_what_is_too_large_is_not_sent_at_all(deliver, asked, database):
    """A limit of the bucket or project is known before the first byte."""
    await database.execute("update storage.buckets set file_size_limit = 7000000 where id = 'b'")
    try:
        with pytest.raises(Refused, match=r"Storage takes no file of the size of .*Maximum size exceeded"):
            await deliver()
    finally:
        await database.execute("update storage.buckets set file_size_limit = null where id = 'b'")
    assert asked == [("POST", 0)]


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


async def test_a_file_that_shrinks_is_told(deliver, film):
    """A file that becomes shorter under our hands is an error that names it."""

    def cut(sent, size):
        Path(film).write_bytes(FILM[:1000])

    with pytest.raises(BadInput, match="became shorter while it was uploaded"):
        await deliver(cut)
