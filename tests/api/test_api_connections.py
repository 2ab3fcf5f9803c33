"""Who may be connected, when a process may only have so many files open."""

from __future__ import annotations

import asyncio
import json
import resource
from contextlib import suppress
from ipaddress import ip_network

import aiohttp

from edge_api.connections import RESERVED, Connections
from tests.api.test_api_process import GOOD, start
from tests.contract.conftest import VIDEO, ask


async def streaming(address: str, port: int, job: str) -> asyncio.StreamReader:
    """A client at this address of loopback that follows the job."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    with suppress(ConnectionError):
        writer.write(f"GET /api/v1/job/{job}/events HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        await writer.drain()
    reader.writer = writer  # type: ignore[attr-defined]
    return reader


async def status_of(reader: asyncio.StreamReader) -> int:
    line = await reader.readline()
    return int(line.split()[1]) if line else 0


async def test_one_hostile_client_stops_nobody(tmp_path, database_url, monkeypatch):
    """1,200 streams of one client meet a process that may have 1,024 files open: it gets its handful, and another client all it asks for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    limited = tmp_path / "limited"
    limited.mkdir()
    process = await start(limited, cold=True, **GOOD, DATABASE_URL=database_url)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (1024, 1024))
    try:
        assert process.stdout is not None
        port = int((await process.stdout.readline()).decode().rpartition(":")[2])
        good = aiohttp.TCPConnector(local_addr=("127.0.0.2", 0))
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", connector=good) as session:
            _, made = await ask(session, "post", "/api/v1/gen", json={"video_url": VIDEO})
            statuses: list[int] = []
            served: list[int] = []
            followed = await streaming("127.0.0.2", port, made["job_id"])
            assert await status_of(followed) == 200
            readers = []
            for _ in range(12):
                some = await asyncio.gather(*(streaming("127.0.0.1", port, made["job_id"]) for _ in range(100)))
                statuses += await asyncio.gather(*map(status_of, some), return_exceptions=True)
                readers += some
                for method, path in (("get", "/api/v1/ping"), ("get", f"/api/v1/job/{made['job_id']}")):
                    served.append((await ask(session, method, path))[0])
            assert set(served) == {200}
            assert statuses.count(200) == 12
            assert 503 in statuses
            await ask(session, "delete", f"/api/v1/job/{made['job_id']}")
            assert b'"cancelled"' in await asyncio.wait_for(followed.readuntil(b"id: end"), 60)
            for reader in [*readers, followed]:
                reader.writer.close()  # type: ignore[attr-defined]
    finally:
        process.terminate()
        _, said = await process.communicate()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert b"Traceback" not in said
    assert all(json.loads(line)["level"] != "error" for line in said.splitlines())


async def test_the_refused_are_told_and_room_comes_back(start_api):
    """Beyond what one client may have a connection gets a problem in the contract's words, and a place as soon as one is free."""
    api = await start_api(files=RESERVED + 16)
    port = start_api.runner.addresses[0][1]
    pair = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
    refusal = None
    while refusal is None:  # the two are counted when the server has met them
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /api/v1/ping HTTP/1.1\r\nHost: a\r\n\r\n")
        said = await reader.read()
        refusal = said if b" 503 " in said else None
        writer.close()
    head, _, body = refusal.partition(b"\r\n\r\n")
    assert json.loads(body)["code"] == "too_many_connections"
    assert b"Retry-After: 10" in head
    for _, writer in pair:
        writer.close()
    status = 0
    while status != 200:
        with suppress(aiohttp.ClientError):
            status, _ = await ask(api, "get", "/api/v1/ping")


def test_a_trusted_proxy_brings_many():
    """Whoever counts clients itself is not counted as one; the limit of all holds for it, too."""
    connections = Connections(16, [ip_network("10.0.0.0/8")])
    left = [connections.enter("10.1.2.3") for _ in range(16)]
    assert all(left)
    assert connections.enter("10.1.2.3") is None
    left[0]()
    left[1]()
    assert connections.enter("192.0.2.1")
    assert connections.enter("192.0.2.1")
    assert connections.enter("192.0.2.1") is None
