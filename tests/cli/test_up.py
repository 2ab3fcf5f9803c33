"""`rhythmai up` as a person uses it: started, asked, hurt, stopped, started again."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import signal
import socket
import sys
import tempfile
from pathlib import Path

import aiohttp
import asyncpg
import psutil
import pytest

from rhythmai.commands.up import _for_people
from rhythmai.local.home import Home
from rhythmai.local.postgres import free_port
from rhythmai.local.settings import LocalSettings
from rhythmai.local.stack import local_stack
from tests.cli.stack_process import RHYTHMAI, TOO_LONG_S, Up, call, clean_environment
from tests.cli.terminal import Terminal
from tests.warm.start import warm, warm_python

SIGNS = {"api": "Listening on", "gateway": r"gateway\.ready", "worker": r"worker\.ready"}
"""Each child and what it says when it is there."""
JOB = "insert into public.jobs (video_url) values ('https://example.com/a.mp4') returning id"


@pytest.fixture
def place():
    """A data directory and two free ports. Not under pytest's own directory: Postgres is another user and has to get in."""
    with tempfile.TemporaryDirectory(prefix="rhythmai-up-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder) / "data dir", free_port(), free_port()


async def environment(data: Path) -> dict[str, str]:
    code, out, err = await call("env", "--data", data, cwd=data.parent)
    assert code == 0, err
    return dict(part.split("=", 1) for line in out.splitlines() for part in shlex.split(line.removeprefix("export ")))


async def ask(database_url: str, query: str):
    connection = await asyncpg.connect(database_url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def is_up(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as http, http.get(f"{url}/api/v1/ping") as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


def gone(family) -> bool:
    """Whether all of these processes ended."""
    _, alive = psutil.wait_procs(family, timeout=120)
    return all(process.status() == psutil.STATUS_ZOMBIE for process in alive)


@pytest.mark.slow
async def test_a_stack_lives_and_dies_well(place):
    """`env` points at it, a second one is refused; after kill -9 the next `up` ends what was left behind, Postgres too, and starts
    on the same ports, with the data that were kept; SIGTERM leaves no process."""
    data, port, db_port = place
    script = data.parent / "extra.sql"
    script.write_text("create table if not exists public.extra (id int)")
    up = await Up.start(data, port, db_port, "--sql", script, program=RHYTHMAI, LOCAL_JWT_SECRET="s" * 32)
    try:
        variables = await environment(data)
        assert variables["SUPABASE_URL"] == variables["API_URL"] == f"http://127.0.0.1:{port}"
        assert variables["JWT_SECRET"] == "s" * 32
        assert set(variables) == {
            "SUPABASE_URL", "SUPABASE_KEY", "SUPABASE_PUBLISHABLE_KEY", "DATABASE_URL", "JWT_SECRET", "API_URL",
        }  # fmt: skip
        job = await ask(variables["DATABASE_URL"], JOB)
        assert await ask(variables["DATABASE_URL"], "select count(*) from public.extra") == 0

        code, _, err = await call("up", "--data", data, cwd=data.parent)
        assert code == 1
        assert err.count("\n") == 1
        assert f"pid {up.process.pid} on port {port} (Postgres on {db_port})" in err

        family = up.family()
        assert len(family) >= 4
        await up.stop(signal.SIGKILL)
        up = await Up.start(data, port, db_port, program=RHYTHMAI)
        assert gone(family)
        again = await environment(data)
        assert again["SUPABASE_KEY"] == variables["SUPABASE_KEY"]
        assert again["JWT_SECRET"] != variables["JWT_SECRET"]
        assert await ask(again["DATABASE_URL"], f"select count(*) from public.jobs where id = '{job}'") == 1

        assert await is_up(f"http://127.0.0.1:{port}")
        family = up.family()
        assert await up.stop(signal.SIGTERM) == 0
        assert gone(family)
        assert (data / "logs" / "worker.log").exists()
        code, _, err = await call("env", "--data", data, cwd=data.parent)
        assert (code, err.count("\n")) == (1, 1)
    finally:
        await up.stop(signal.SIGINT)
    events = [json.loads(line) for line in "".join(up.said).splitlines()]
    assert events[-1]["event"] == "stopped"
    assert {event["child"] for event in events} >= {"stack", "api", "gateway", "worker"}
    assert "request" not in {event["event"] for event in events}
    assert '"request"' in (data / "logs" / "api.log").read_text()


@pytest.mark.slow
async def test_people_are_told_in_sentences(place):
    """In a terminal `up` says where everything is and what becomes of jobs, in words, without a line a request."""
    data, port, db_port = place
    command = (*warm("rhythmai"), "up", "--data", data, "--port", port, "--db-port", db_port)
    terminal = await Terminal.start(*command, environment=clean_environment(), cwd=data.parent)
    # A worker is ready when the database says so; its own line may come later.
    await terminal.shows(r"ready to compose with sketch sketch-1\n", ever=True)
    assert (await terminal.shows(r"Page, API, Realtime, Storage +(\S+)\n", ever=True))[1] == f"http://127.0.0.1:{port}"
    await terminal.shows(re.escape(f"rhythmai submit VIDEO --data '{data}'"), ever=True)
    variables = await environment(data)
    for _ in range(3):
        assert await is_up(variables["API_URL"])
    job = await ask(variables["DATABASE_URL"], JOB.replace("https://example.com", "http://127.0.0.1"))
    await terminal.shows(f"worker +job {job} begins\n")
    await terminal.shows(f"worker +job {job} failed: The link http://127.0.0.1/a.mp4 ")
    assert await terminal.end() == 0
    assert terminal.said.endswith("stack    stopped\n")
    assert "request" not in terminal.said
    assert "{" not in terminal.said


@pytest.mark.slow
async def test_a_stack_that_ends_is_none_any_more(place, monkeypatch):
    """A killed child comes back; while a stack's children still say their last words, it is not there for others."""
    monkeypatch.setattr(sys, "executable", str(warm_python()))
    data, port, db_port = place
    home, ending, seen, said = Home(data), False, [], asyncio.Queue()

    def echo(child: str, line: str) -> None:
        said.put_nowait((child, line))
        if ending:
            seen.append(home.running())

    async def says(child: str, pattern: str) -> None:
        async with asyncio.timeout(TOO_LONG_S):
            while not ((told := await said.get())[0] == child and re.search(pattern, told[1])):
                pass

    async with local_stack(data, port=port, db_port=db_port, settings=LocalSettings(), echo=echo) as running:
        assert home.running() is not None
        for child, sign_of_life in SIGNS.items():
            psutil.Process(running.children[child][0]).kill()
            await says(child, "ended with code -9; it starts again")
            await says(child, sign_of_life)
        assert await is_up(running.url)
        ending = True
    assert seen
    assert not any(seen)


def test_trouble_is_told_and_requests_are_not(capsys):
    """A line a request is left out, one that went wrong is not; an error is told by its name, and no title moves the cursor."""
    tell = _for_people()
    tell("api", json.dumps({"event": "request", "route": "/api/v1/gen", "status": 200}))
    tell("api", "Listening on http://127.0.0.1:1")
    tell("api", json.dumps({"event": "request.broke", "error": "ValueError", "level": "error"}))
    tell("worker", json.dumps({"event": "job.bug", "exception": [{"exc_type": "KeyError", "exc_value": "'x'"}]}))
    tell("worker", json.dumps({"event": "result.ready", "job": "j", "title": "Rain\x1b[2J"}))
    tell("worker", json.dumps({"event": "job.completed", "job": "j"}))
    tell("postgres", "ended with code 1")
    assert capsys.readouterr().out.splitlines() == [
        "api      request.broke error=ValueError",
        "worker   job.bug KeyError: 'x'",
        'worker   job j: "Rain [2J" is ready',
        "worker   job.completed job=j",
        "postgres ended with code 1",
    ]


async def test_a_port_in_use_is_named(place):
    """A port that is taken is named together with the option that changes it, in one line."""
    data, port, db_port = place
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        for ports, option in (((number, db_port), "--port"), ((port, number), "--db-port")):
            code, _, err = await call(
                "up", "--data", data, "--port", str(ports[0]), "--db-port", str(ports[1]), cwd=data.parent
            )
            assert code == 1
            assert (
                err == f"rhythmai: Port {number} is in use: stop what listens there, or choose another with {option}\n"
            )


async def test_a_script_that_is_not_there(place):
    """A missing --sql file is one line, before anything is started."""
    data, *_ = place
    code, _, err = await call("up", "--data", data, "--sql", "nope.sql", cwd=data.parent)
    assert (code, err) == (1, "rhythmai: nope.sql cannot be read: No such file or directory\n")
    assert not data.exists()


async def test_a_child_that_cannot_start_is_quoted(place):
    """When a child says that it is misconfigured, the start is given up with its words, and nothing is left."""
    data, port, db_port = place
    code, _, err = await call(
        "up", "--data", data, "--port", str(port), "--db-port", str(db_port), cwd=data.parent, ENGINE="organ"
    )
    assert code == 1
    assert "The worker does not start: ENGINE is malformed" in err
    assert err.count("\n") == 1
    assert (await call("env", "--data", data, cwd=data.parent))[0] == 1
