"""config.toml, and `supabase functions deploy` as the real CLI does it, against a Management API on loopback."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tomllib
from pathlib import Path

import asyncpg
import pytest
from aiohttp import web

from tests.contract.conftest import ask
from tests.functions.conftest import FUNCTIONS
from tests.hosted.supabase_cli import QUIET, supabase_cli

REF = "abcdefghijklmnopqrst"
UNITS = {"MiB": 2**20, "GiB": 2**30}


def config() -> dict:
    return tomllib.loads((FUNCTIONS.parent / "config.toml").read_text())


async def test_the_buckets_are_the_migration_s(database_url):
    """config.toml declares the same buckets, limits and media types that the migrations make."""
    db = await asyncpg.connect(database_url)
    rows = await db.fetch("select id, public, file_size_limit, allowed_mime_types from storage.buckets")
    await db.close()
    declared = {
        (name, bucket["public"], int(bucket["file_size_limit"][:-3]) * UNITS[bucket["file_size_limit"][-3:]],
         tuple(bucket["allowed_mime_types"]))
        for name, bucket in config()["storage"]["buckets"].items()
    }  # fmt: skip
    assert declared == {(name, public, size, tuple(types)) for name, public, size, types in rows}


def test_the_project_is_set_up_for_us():
    """Realtime is on, the function checks tokens itself, and its files are where the configuration says."""
    settings = config()
    assert settings["realtime"]["enabled"]
    function = settings["functions"]["api"]
    assert (function["enabled"], function["verify_jwt"]) == (True, False)
    for name in ("entrypoint", "import_map"):
        assert (FUNCTIONS.parent / function[name]).is_file()
    assert not {"queue", "private"} & set(settings["api"]["schemas"])


class Platform:
    """As much of Supabase's Management API as a deployment asks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.metadata = b""

    async def deploy(self, request: web.Request) -> web.Response:
        async for part in await request.multipart():
            if part.name == "metadata":
                self.metadata = await part.read()
            else:
                place = self.folder / part.filename
                assert place.resolve().is_relative_to(self.folder)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(await part.read())
        answer = {
            "id": "1",
            "slug": "api",
            "name": "api",
            "version": 1,
            "status": "ACTIVE",
            "created_at": 1,
            "updated_at": 1,
        }
        return web.json_response(answer, status=201)

    async def anything(self, _: web.Request) -> web.Response:
        return web.json_response({})


@pytest.mark.slow
async def test_what_the_cli_deploys_is_complete(start, tmp_path):
    """The CLI takes the function from config.toml; the files it uploads, alone in a folder, are a function that answers."""
    project, deployed = tmp_path / "project", tmp_path / "deployed"
    shutil.copytree(FUNCTIONS.parent, project / "supabase")
    platform = Platform(deployed)
    app = web.Application(client_max_size=2**24)
    app.router.add_post(f"/v1/projects/{REF}/functions/deploy", platform.deploy)
    app.router.add_route("*", "/{rest:.*}", platform.anything)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    profile = tmp_path / "profile.yaml"
    profile.write_text(
        f"name: loopback\napi_url: {url}\ndashboard_url: {url}\nproject_host: example.com\npooler_host: example.com\n"
    )
    process = await asyncio.create_subprocess_exec(
        *supabase_cli(), "functions", "deploy", "--use-api", "--yes", f"--remote={REF}", "--profile", profile,
        cwd=project, env=os.environ | QUIET | {"SUPABASE_ACCESS_TOKEN": "sbp_" + "0" * 40},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    await runner.cleanup()
    assert process.returncode == 0, said.decode()
    # It only warns of settings that it does not know.
    assert not re.search(rb"(?i)warn|not recognize", said), said.decode()
    assert b'"verify_jwt":false' in platform.metadata
    async with start(deployed / "supabase" / "functions" / "api" / "index.ts").session() as api:
        assert (await ask(api, "get", "/healthz"))[0] == 200
        assert (await ask(api, "post", "/api/v1/gen", json={"video_url": "https://example.com/a.mp4"}))[0] == 200
