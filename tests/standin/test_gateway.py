"""The front port: who may call, what is passed on, and how it lives through the end of its neighbours."""

from __future__ import annotations

import asyncio
import io
import os
import secrets
import signal
import sys
from dataclasses import replace

import aiohttp
import asyncpg
import pytest
from aiohttp import web

from rhythmai.local.postgres import Postgres
from supabase_standin import BASELINE
from supabase_standin.gateway import Gateway
from supabase_standin.realtime.frames import Fanout
from supabase_standin.realtime.topics import Topic
from tests.standin.conftest import JWT_SECRET, PUBLISHABLE_KEY, SECRET_KEY
from tests.standin.wire import Wire
from tests.warm.start import warm


def process_environment(settings):
    """What the supervisor gives the process."""
    return {
        "PATH": os.environ["PATH"], "GATEWAY_PORT": "0", "DATABASE_URL": settings.database_url, "JWT_SECRET": JWT_SECRET,
        "SUPABASE_KEY": SECRET_KEY, "SUPABASE_PUBLISHABLE_KEY": PUBLISHABLE_KEY, "STORAGE_DIR": str(settings.storage_dir),
    }  # fmt: skip


@pytest.fixture
async def api():
    """An API behind the gateway: it echoes bodies and streams events until its client goes."""
    gone = asyncio.Event()

    async def echo(request):
        body = await request.read()
        headers = {"X-Seen": f"{request.method} {request.raw_path} {request.headers.get('X-Forwarded-For')}"}
        return web.Response(body=body, headers=headers, status=201)

    async def events(request):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: 1\n\n")
        try:
            while True:
                await asyncio.sleep(0.01)
                await response.write(b": still here\n\n")
        except ConnectionError:
            gone.set()
        return response

    app = web.Application(client_max_size=1 << 30)
    app.router.add_get("/api/v1/events", events)
    app.router.add_route("*", "/{path:.*}", echo)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", gone
    await runner.cleanup()


async def test_other_paths_go_to_the_api(settings, api, http):
    """Method, path, query and bodies of any size reach the API as they are, and its answer comes back."""
    async with Gateway(replace(settings, api_upstream=api[0])) as gateway:
        body = secrets.token_bytes(8_000_000)
        url = f"http://localhost:{gateway.port}/api/v1/gen%20x?a=1%262"
        async with http.post(url, data=io.BytesIO(body)) as answer:
            assert answer.status == 201
            assert answer.headers["X-Seen"] == "POST /api/v1/gen%20x?a=1%262 127.0.0.1"
            assert await answer.read() == body


async def test_events_stream_and_end_with_their_reader(settings, api, http):
    """Server-sent events come as they are sent; when the reader goes the API is told."""
    async with Gateway(replace(settings, api_upstream=api[0])) as gateway:
        async with http.get(f"http://127.0.0.1:{gateway.port}/api/v1/events") as answer:
            assert await answer.content.readline() == b"data: 1\n"
        await asyncio.wait_for(api[1].wait(), 10)


async def test_an_absent_api_is_a_502_problem(gateway, http):
    """Without the API the answer is problem JSON that says what to do."""
    async with http.get(f"{gateway.url}/healthz") as answer:
        assert (answer.status, answer.content_type) == (502, "application/problem+json")
        assert (await answer.json())["code"] == "api_unavailable"


async def test_without_an_api_other_paths_are_not_found(settings, http):
    """Whoever wants Realtime and Storage alone leaves API_UPSTREAM out; the answer to all else names it."""
    async with (
        Gateway(replace(settings, api_upstream=None)) as gateway,
        http.get(f"http://127.0.0.1:{gateway.port}/rest/v1/jobs") as answer,
    ):
        assert (answer.status, "API_UPSTREAM" in (await answer.json())["message"]) == (404, True)


async def test_other_host_names_are_refused(gateway, http):
    """A Host that is not loopback gets 421, wherever it knocks."""
    port = gateway.url.rpartition(":")[2]
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "localhost@evil.example", ""):
        for path in ("/", "/realtime/v1/websocket", "/storage/v1/bucket"):
            async with http.get(gateway.url + path, headers={"Host": host}) as answer:
                assert answer.status == 421, (host, path)


async def test_a_proxy_in_front_may_keep_its_own_port(gateway, http):
    """Auth and REST of one's own stand in front of the gateway, and pass the Host on that the client dialled."""
    for host in ("127.0.0.1", "localhost:54321", "LOCALHOST", "[::1]:1"):
        headers = {"Host": host, "apikey": gateway.secret}
        async with http.get(f"{gateway.url}/storage/v1/bucket", headers=headers) as answer:
            assert answer.status == 200, host


async def test_browsers_of_any_origin_may_call_the_gateways(gateway, http):
    """A preflight is answered, also for the headers that supabase-js sends."""
    headers = {"Origin": "http://localhost:3000", "Access-Control-Request-Headers": "apikey,authorization,x-upsert"}
    async with http.options(f"{gateway.url}/storage/v1/object/b/o", headers=headers) as answer:
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Access-Control-Allow-Headers"] == "apikey,authorization,x-upsert"
        assert "PUT" in answer.headers["Access-Control-Allow-Methods"]


async def test_the_process_tells_when_it_is_ready_and_leaves_on_sigterm(settings):
    """`python -m supabase_standin` prints one line when ready; SIGTERM says goodbye to sockets and exits 0."""
    command = (sys.executable, "-m", "supabase_standin")
    process = await asyncio.create_subprocess_exec(
        *command, env=process_environment(settings), stdout=asyncio.subprocess.PIPE
    )
    ready = (await process.stdout.readline()).decode()
    url = ready.removeprefix("gateway.ready ").strip()
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{url}/realtime/v1/websocket?apikey={SECRET_KEY}") as ws,
    ):
        process.send_signal(signal.SIGTERM)
        assert (await ws.receive()).data == 1001
        assert await process.wait() == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"DATABASE_URL": None},
            "The gateway needs DATABASE_URL in its environment: see README.md in the folder supabase_standin.",
        ),
        ({"GATEWAY_PORT": "http"}, "GATEWAY_PORT must be a number: invalid literal for int() with base 10: 'http'"),
        ({"GATEWAY_PORT": "taken"}, "Choose another GATEWAY_PORT."),
        ({"DATABASE_URL": "wrong"}, "It needs a superuser's connection and baseline.sql."),
        ({"DATABASE_URL": "empty"}, "It needs a superuser's connection and baseline.sql."),
        ({"STORAGE_DIR": "/dev/null"}, "its log names the path; make it readable and writable"),
    ],
)
async def test_a_gateway_that_cannot_start_says_what_to_do(settings, gateway, change, said):
    """A missing variable, a taken port and a refused connection end the process with one sentence."""
    words = {
        "taken": gateway.url.rpartition(":")[2],
        "wrong": settings.database_url.replace("postgres:", "nobody:"),
        "empty": settings.database_url.rpartition("/")[0] + "/postgres",
    }
    environment = {**process_environment(settings), **{name: words.get(word, word) for name, word in change.items()}}
    process = await asyncio.create_subprocess_exec(
        *warm("supabase_standin"),
        env={name: value for name, value in environment.items() if value}, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, complaint = await process.communicate()
    assert process.returncode == 1
    assert complaint.decode().strip().endswith(said)
    assert "Traceback" not in complaint.decode()


async def test_a_socket_that_cannot_be_written_to_is_cut_off(settings, http):
    """A message that fails on its way out ends the connection: the client comes back, instead of hearing nothing for ever."""
    async with Gateway(settings) as gateway:
        url = f"http://127.0.0.1:{gateway.port}/realtime/v1/websocket"
        wire = Wire(await http.ws_connect(url, params={"apikey": SECRET_KEY, "vsn": "2.0.0"}), "2.0.0")
        await wire.join("room")
        topic = Topic("room", private=False)
        gateway._project.topics.send(topic, Fanout(topic.wire, "broadcast", "\ud800"))
        assert (await wire.get()).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)


async def test_pushes_go_on_after_a_restart_of_postgres(settings, data_folder, http):
    """Joined channels survive a restart: they are told when changes are live again, and broadcasts and changes come."""
    server = Postgres(data_folder, password="x", careless=True)

    async def execute(*statements):
        connection = await asyncpg.connect(server.url())
        for statement in statements:
            await connection.execute(statement)
        await connection.close()

    try:
        await asyncio.to_thread(server.start)
        server._asked_port = server.port
        await execute(
            BASELINE.read_text(),
            "create table public.plain (id int primary key); alter publication supabase_realtime add table public.plain",
        )
        async with Gateway(replace(settings, database_url=server.url())) as gateway:
            url = f"http://127.0.0.1:{gateway.port}/realtime/v1/websocket"
            wire = Wire(await http.ws_connect(url, params={"apikey": SECRET_KEY, "vsn": "2.0.0"}), "2.0.0")
            binding = {"event": "*", "schema": "public", "table": "plain"}
            await wire.join("feed", private=True, postgres_changes=[binding])
            assert (await wire.get())[4]["message"] == "Subscribed to PostgreSQL"
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
            assert (await wire.get())[4]["message"] == "Subscribed to PostgreSQL"
            await execute("insert into public.plain values (1)", "select realtime.send('{}', 'job', 'feed', true)")
            heard = [await wire.get(), await wire.get()]  # from two slots, in any order
            assert [m[4]["data"]["record"] for m in heard if isinstance(m, list)] == [{"id": 1}]
            assert [b'"id"' in m.data for m in heard if not isinstance(m, list)] == [True]
            assert (await wire.join("other", ref="9", private=True))[4]["status"] == "ok"
            await wire.ws.close()
    finally:
        await asyncio.to_thread(server.stop)
