"""Answers a second of GET /api/v1/job/{id}, a job with three results: before, now, and a plain FastAPI on uvloop, in turns."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from contextlib import AsyncExitStack
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import psutil

from bench.fleet_tree import ROOT, Tree, processor_s

CLIENTS = 16
SECONDS = 1.5
ROUNDS = 3
PEER = str(ROOT / "bench" / "fleet_peer.py")


class Asking(asyncio.Protocol):
    """Asks again as soon as it is answered, on a connection that stays; costs next to nothing itself."""

    def __init__(self, request: bytes) -> None:
        self.answers, self._request, self._got = 0, request, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, found, body = self._got.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        if len(body) >= length:
            assert head[9:12] in {b"200", b"304"}, head
            self.answers, self._got = self.answers + 1, b""
            self.transport.write(self._request)


async def measure(trees: list[Tree]) -> None:
    found: dict[str, list[tuple[float, float, float]]] = {}
    async with AsyncExitStack() as stack:
        servers = []
        for tree in trees:
            db = await tree.migrated()
            running = await made(db)
            job = await made(db)
            await db.execute("select queue.finish(id, attempt, worker_id) from public.jobs where id = $1", UUID(job))
            await db.close()
            served = await stack.enter_async_context(tree.runs("-m", "edge_api"))
            servers += [(tree.name, job, *served, ""), (f"{tree.name}, of a job that runs", running, *served, "")]
        servers.append(("peer", job, *await stack.enter_async_context(tree.runs(PEER)), ""))
        servers.append(("now, 304", job, *served, "If-None-Match: *\r\n"))
        postgres = psutil.Process(trees[0].server.pid)
        for _ in range(ROUNDS):
            for name, job, url, process, header in servers:
                found.setdefault(name, []).append(await asked(job, url, process, postgres, header))
    for name, rounds in found.items():
        answers, api_ms, postgres_ms = (statistics.median(column) for column in zip(*rounds, strict=True))
        ratios = [mine[0] / peer[0] for mine, peer in zip(rounds, found["peer"], strict=True)]
        print(
            f"{name}: {answers:.0f} answers a second ({min(ratios):.2f} to {max(ratios):.2f} x the peer), "
            f"{api_ms:.2f} ms of the API's core and {postgres_ms:.2f} ms of Postgres' for each"
        )


async def made(db: asyncpg.Connection) -> str:
    """A job that composes, with three results of usual size."""
    job = await db.fetchval(
        "insert into public.jobs (video_url, options) values ('https://example.com/v.mp4', '{\"variants\": 3}') returning id"
    )
    worker = await db.fetchval("select queue.register('bench', '{generate}', '{}', '', '1 hour')")
    await db.execute("select queue.ready($1, '')", worker)
    attempt = json.loads(await db.fetchval("select queue.claim($1, '1 hour')", worker))["attempt"]
    await db.fetchval("select queue.set_stage($1, $2, $3, 'composing')", job, attempt, worker)
    variants = [
        {"index": i, "seed": i, "direction": {"title": "Warm evening", "prompt": "slow piano, " * 10, "tempo_bpm": 90}}
        for i in range(3)
    ]
    plan = json.dumps({"variants": variants, "describer": "local"})
    await db.execute("select queue.save_plan($1, $2, $3, $4::jsonb)", job, attempt, worker, plan)
    for i in range(3):
        row = {"index": i, "prompt": "slow piano, " * 10, "title": "Warm evening", "duration": 12.0, "seed": i, "engine": "mmaudio",
               "audio_url": f"https://REF.supabase.co/storage/v1/object/public/audios/{job}/{'a' * 32}.flac"}  # fmt: skip
        assert (
            await db.fetchval("select queue.put_result($1, $2, $3, $4::jsonb)", job, attempt, worker, json.dumps(row))
            == "ok"
        )
    return str(job)


async def asked(
    job: str, url: str, process: psutil.Process, postgres: psutil.Process, header: str
) -> tuple[float, float, float]:
    """Answers a second, and milliseconds of the API's and of Postgres' processor for each."""
    port = urlsplit(url).port
    request = f"GET /api/v1/job/{job} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{header}\r\n".encode()
    loop = asyncio.get_running_loop()
    asking = [(await loop.create_connection(lambda: Asking(request), "127.0.0.1", port))[1] for _ in range(CLIENTS)]
    await asyncio.sleep(0.5)
    before = processor_s(process), processor_s(postgres), sum(one.answers for one in asking)
    began = time.perf_counter()
    await asyncio.sleep(SECONDS)
    answers, seconds = sum(one.answers for one in asking) - before[2], time.perf_counter() - began
    spent = processor_s(process) - before[0], processor_s(postgres) - before[1]
    for one in asking:
        one.transport.close()
    return answers / seconds, 1000 * spent[0] / answers, 1000 * spent[1] / answers
