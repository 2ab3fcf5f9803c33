"""How the client brings large files to Storage: in pieces, through cuts, and back again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from rhythmai.errors import BadInput, Refused, Unreachable
from tests.standin.delivering import FILM, MIB, stored
from tests.standin.tunnel import tunnel


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


async def test_a_file_that_shrinks_is_told(deliver, film):
    """A file that becomes shorter under our hands is an error that names it."""

    def cut(sent, size):
        Path(film).write_bytes(FILM[:1000])

    with pytest.raises(BadInput, match="became shorter while it was uploaded"):
        await deliver(cut)
