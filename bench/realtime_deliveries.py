"""How fast the local Realtime gateway delivers, beside a bare aiohttp echo on the same machine in the same run.

500 sockets on 50 topics (10 each) receive 1,000 messages a second in all: broadcast by a client, and by the database
(`realtime.send`). The peer echoes 1,000 messages a second over 500 sockets. Run: python bench/realtime_deliveries.py [seconds]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import asyncpg
from aiohttp import web

from rhythmai.local.postgres import Postgres
from supabase_standin import BASELINE

SOCKETS, TOPICS, DELIVERIES_PER_S = 500, 50, 1000
KEY = "sb_secret_bench"


@dataclass
class Latencies:
    """Milliseconds from just before sending to just after receiving."""

    name: str
    sent: int = 0
    ms: list[float] = field(default_factory=list)

    def hear(self, sent_at: float) -> None:
        self.ms.append((time.monotonic() - sent_at) * 1000)

    def row(self, expected: int) -> str:
        cuts = statistics.quantiles(self.ms, n=1000)
        return f"| {self.name} | {len(self.ms)} of {expected} | {cuts[499]:.1f} | {cuts[949]:.1f} | {cuts[989]:.1f} | {max(self.ms):.1f} |"


async def paced(seconds: float, per_s: float, act: Callable[[int], Awaitable[None]]) -> int:
    """Act `per_s` times a second on a fixed timetable; return how often."""
    start, count = time.monotonic(), int(seconds * per_s)
    for n in range(count):
        await asyncio.sleep(max(start + n / per_s - time.monotonic(), 0))
        await act(n)
    return count


async def until_heard(latencies: Latencies, expected: int) -> None:
    for _ in range(200):
        if len(latencies.ms) >= expected:
            return
        await asyncio.sleep(0.05)


async def listen(ws: aiohttp.ClientWebSocketResponse, latencies: Latencies) -> None:
    async for message in ws:
        data = message.data
        if isinstance(data, bytes):  # type 4: header of five bytes, three texts, payload
            latencies.hear(json.loads(data[5 + sum(data[1:4]) :])["at"])
        elif (frame := json.loads(data))[3] == "broadcast":
            latencies.hear(frame[4]["payload"]["at"])


async def measure_gateway(url: str, database_url: str, seconds: float, http: aiohttp.ClientSession) -> list[str]:
    address = f"{url}/realtime/v1/websocket?apikey={KEY}&vsn=2.0.0"

    async def join(topics: list[int]) -> aiohttp.ClientWebSocketResponse:
        ws = await http.ws_connect(address)
        for topic in topics:
            await ws.send_json(
                [str(topic), str(topic), f"realtime:t{topic}", "phx_join", {"config": {"private": True}}]
            )
            assert (await ws.receive_json())[4]["status"] == "ok"
        return ws

    sockets = [await join([n % TOPICS]) for n in range(SOCKETS)]
    publisher = await join(list(range(TOPICS)))
    database = await asyncpg.connect(database_url)
    members, rows = SOCKETS // TOPICS, []

    async def by_client(n: int) -> None:
        topic = n % TOPICS
        body = {"type": "broadcast", "event": "e", "payload": {"at": time.monotonic()}}
        await publisher.send_json([str(topic), None, f"realtime:t{topic}", "broadcast", body])

    async def by_database(n: int) -> None:
        await database.execute(
            "select realtime.send(jsonb_build_object('at', $1::float8), 'e', $2, true)",
            time.monotonic(),
            f"t{n % TOPICS}",
        )

    for name, act in (
        ("gateway, broadcast by a client", by_client),
        ("gateway, broadcast by the database", by_database),
    ):
        latencies = Latencies(name)
        readers = [asyncio.create_task(listen(ws, latencies)) for ws in sockets]
        count = await paced(seconds, DELIVERIES_PER_S / members, act)
        await until_heard(latencies, count * members)
        rows.append(latencies.row(count * members))
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
    await database.close()
    await asyncio.gather(*(ws.close() for ws in (*sockets, publisher)))
    return rows


async def measure_echo(url: str, seconds: float, http: aiohttp.ClientSession) -> str:
    sockets = [await http.ws_connect(url) for _ in range(SOCKETS)]
    latencies = Latencies("bare aiohttp echo")

    async def read(ws: aiohttp.ClientWebSocketResponse) -> None:
        async for message in ws:
            latencies.hear(json.loads(message.data)["at"])

    readers = [asyncio.create_task(read(ws)) for ws in sockets]
    count = await paced(seconds, DELIVERIES_PER_S, lambda n: sockets[n % SOCKETS].send_json({"at": time.monotonic()}))
    await until_heard(latencies, count)
    await asyncio.gather(*(ws.close() for ws in sockets))
    await asyncio.gather(*readers)
    return latencies.row(count)


async def serve_echo() -> None:
    """The peer, in a process of its own."""

    async def echo(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(compress=False)
        await ws.prepare(request)
        async for message in ws:
            await ws.send_str(message.data)
        return ws

    app = web.Application()
    app.router.add_get("/", echo)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"echo.ready http://127.0.0.1:{runner.addresses[0][1]}/", flush=True)
    await asyncio.Event().wait()


async def start(*arguments: str, **environment: str) -> tuple[asyncio.subprocess.Process, str]:
    """Start a server and return it with the URL of its ready line."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env={**os.environ, **environment}, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    return process, (await process.stdout.readline()).decode().split()[1]


async def run(seconds: float) -> None:
    with tempfile.TemporaryDirectory(prefix="rhythmai-bench-") as folder:
        server = Postgres(Path(folder) / "data", password="bench")
        await asyncio.to_thread(server.start)
        database = await asyncpg.connect(server.url())
        await database.execute(BASELINE.read_text())
        await database.close()
        processes = []
        try:
            gateway, gateway_url = await start(
                "-m", "supabase_standin", GATEWAY_PORT="0", DATABASE_URL=server.url(), JWT_SECRET="b" * 40,
                SUPABASE_KEY=KEY, SUPABASE_PUBLISHABLE_KEY="sb_publishable_bench", STORAGE_DIR=f"{folder}/storage",
            )  # fmt: skip
            processes.append(gateway)
            echo, echo_url = await start(__file__, "--echo")
            processes.append(echo)
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
                rows = await measure_gateway(gateway_url, server.url(), seconds, http)
                rows.append(await measure_echo(echo_url, seconds, http))
        finally:
            for process in processes:
                process.terminate()
                await process.wait()
            await asyncio.to_thread(server.stop)
    print(
        f"{SOCKETS} sockets, {TOPICS} topics, {DELIVERIES_PER_S} deliveries/s, {seconds:g} s each; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n"
    )
    print("| | delivered | p50 ms | p95 ms | p99 ms | max ms |\n|---|---|---|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", type=float, nargs="?", default=20)
    parser.add_argument("--echo", action="store_true", help="be the echo server")
    asked = parser.parse_args()
    asyncio.run(serve_echo() if asked.echo else run(asked.seconds))
