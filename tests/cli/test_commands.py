"""Bad input to the console script: one line, exit code 1 (2 for wrong usage), and never a traceback."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from uuid import uuid4

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.cli.stack_process import RHYTHMAI, call, clean_environment
from tests.cli.terminal import Terminal
from tests.warm.start import warm

NOWHERE = ("--data", "nowhere")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["demo", "nope.mp4"], "nope.mp4 is not a file"),
        (["demo", "."], ". is not a file"),
        (["demo", "notes.txt"], "notes.txt is not a video but text"),
        (["demo", "--output", "notes.txt"], "--output"),
        (["env", *NOWHERE], "No local stack runs on nowhere"),
        (["submit", "a.mp4", *NOWHERE], "No local stack runs on nowhere"),
        (["watch", "x", *NOWHERE], "x is not the id of a job"),
        (["up", "--data", "notes.txt"], "--data"),
        (["submit", "a.mp4", "--plan", "nope.json"], "nope.json cannot be read"),
        (["submit", "a.mp4", "--plan", "notes.txt"], "notes.txt holds no list of directions: write them like"),
        (["submit", "a.mp4", "--plan", "broken.json"], "broken.json is neither JSON nor YAML"),
        (["submit", "a.mp4", "--metadata", "order"], "--metadata order is no pair of a name and a value: write"),
        (["submit", "a.mp4", "--metadata", "a=1", "--metadata", "a=2"], "--metadata a=2 gives a a second value"),
        (["cancel", "x"], "x is not the id of a job"),
    ],
)
def test_bad_input_is_one_line(rhythmai, arguments, words):
    """Bad input is answered with one line that names it, and exit code 1."""
    Path("notes.txt").write_text("x")
    Path("broken.json").write_text("[{")
    said = rhythmai(*arguments)
    assert said.code == 1
    assert said.err.startswith("rhythmai: ")
    assert words in said.err
    assert said.err.count("\n") == 1


def test_a_demo_that_cannot_begin_takes_nothing(rhythmai):
    """A demo that is refused leaves the files of its folder as they are."""
    Path("notes.txt").write_text("x")
    Path("keep").mkdir()
    Path("keep/track-1.flac").write_text("an hour of work")
    Path("a.mp4").write_text("x")
    assert rhythmai("demo", "a.mp4", "--output", "keep", "--data", "notes.txt").code == 1
    assert Path("keep/track-1.flac").read_text() == "an hour of work"


@pytest.mark.parametrize(
    "arguments", [["submit"], ["submit", "a.mp4", "--variants", "9"], ["up", "--port", "0"], ["play"]]
)
def test_wrong_usage(rhythmai, arguments):
    """Wrong usage is exit code 2 and points at --help."""
    said = rhythmai(*arguments)
    assert said.code == 2
    assert "--help" in said.err


def test_an_api_that_is_not_there(rhythmai):
    """An API_URL where nobody listens is named in one line."""
    said = rhythmai("submit", "https://example.com/a.mp4", API_URL="http://127.0.0.1:1")
    assert (said.code, said.err.count("\n")) == (1, 1)
    assert "http://127.0.0.1:1" in said.err


def test_an_address_without_a_scheme(rhythmai):
    """An API_URL without http:// is answered with how to write it."""
    said = rhythmai("submit", "https://example.com/a.mp4", API_URL="127.0.0.1:8000")
    assert "127.0.0.1:8000 is not the address of an API (API_URL): write it like http://" in said.err


def test_an_address_nobody_fetches_from(rhythmai):
    """What looks like an address and is none is named as it was written."""
    said = rhythmai("submit", "ftp://host/a.mp4", API_URL="http://127.0.0.1:1")
    assert said.err.startswith("rhythmai: ftp://host/a.mp4 is no address to fetch from")


async def test_an_interrupted_merge_says_that_it_goes_on(tmp_path):
    """Ctrl-C ends the waiting for a merge and not the merge, and the way back is told."""
    job_id, asked = str(uuid4()), asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        if request.method == "POST":
            return web.json_response({"job_id": job_id}, status=202)
        asked.set()
        return web.json_response({"job_id": job_id, "status": "pending", "completed_count": 0, "total_count": 1})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        terminal = await Terminal.start(
            *warm("rhythmai"), "merge", "https://example.com/a.mp4", "--audio", "https://example.com/a.flac",
            environment=clean_environment(API_URL=str(server.make_url(""))), cwd=tmp_path,
        )  # fmt: skip
        await asked.wait()
        assert await terminal.end() == 130
    await terminal.shows("The job goes on without you")
    await terminal.shows(f"  rhythmai watch {job_id}\n")


async def test_help_tells_users_from_operators(tmp_path):
    """Commands that need API_URL and commands that need DATABASE_URL are shown apart."""
    _, out, _ = await call("--help", cwd=tmp_path)
    _, local, users, operators = out.split("╭─")[1:]
    commands = [re.findall(r"^│ ([\w-]+)  ", panel, re.MULTILINE) for panel in (local, users, operators)]
    assert "API_URL" in users.splitlines()[0]
    assert "DATABASE_URL" in operators.splitlines()[0]
    assert commands == [
        ["demo", "up", "env", "doctor", "fit", "provenance", "models"],
        ["submit", "brief", "watch", "download", "merge", "pack", "again", "cancel", "delete", "mcp"],
        ["migrate", "roles", "worker-key", "top", "workers", "drain", "jobs", "retry", "purge", "keys"],
    ]


def test_a_dotenv_is_read(rhythmai, monkeypatch):
    """`.env` of the working directory counts like the environment."""
    monkeypatch.delenv("API_URL", raising=False)
    Path(".env").write_text("API_URL=http://127.0.0.1:2\n")
    assert "http://127.0.0.1:2" in rhythmai("submit", "https://example.com/a.mp4").err


async def test_help_is_light(tmp_path):
    """--help and --version import none of the heavy libraries."""
    for option in ("--help", "--version"):
        code, out, err = await call(option, cwd=tmp_path, program=RHYTHMAI, PYTHONPROFILEIMPORTTIME="1")
        assert code == 0
        assert "rhythmai" in out
        imported = {line.rsplit("|")[-1].strip().partition(".")[0] for line in err.splitlines()}
        assert "typer" in imported
        assert not imported & {"aiohttp", "asyncpg", "pydantic", "av", "numpy", "realtime", "supabase", "openai"}
