"""The real tus-js-client, on Deno, against the gateway: see tus_js.ts."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from deno import find_deno_bin

from tests.standin.delivering import FILM, MIB

SCRIPT = Path(__file__).with_name("tus_js.ts")


@pytest.fixture
async def tus_js(gateway, storage, tmp_path):
    """Runs the script as a process of its own, with a signed upload's token; returns (exit code, what it heard)."""
    film = tmp_path / "film.mp4"
    film.write_bytes(FILM)
    token = (await storage("POST", "object/upload/sign/b/film.mp4")).json()["token"]

    async def run(what):
        process = await asyncio.create_subprocess_exec(
            find_deno_bin(), "run", "--quiet", "--allow-all", "--no-check", "--no-lock", SCRIPT,
            what, f"{gateway.url}/storage/v1/upload/resumable/sign", token, film,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output = (await process.communicate())[0].decode()
        assert process.returncode in (0, 3), output
        return process.returncode, json.loads(output) if output else None

    return run


@pytest.mark.slow
async def test_tus_js_client_uploads(tus_js, storage):
    """Creation and pieces of 6 MiB, the last one smaller; the object has every byte."""
    assert await tus_js("upload") == (
        0,
        ["POST 201", f"PATCH 204 {6 * MIB}", f"PATCH 204 {12 * MIB}", f"PATCH 204 {18 * MIB}", f"PATCH 204 {20 * MIB}"],
    )
    assert (await storage("GET", "object/b/film.mp4")).body == FILM


@pytest.mark.slow
async def test_tus_js_client_resumes_after_a_cut(tus_js, storage):
    """Its process dies at 60 %; the next one asks how far it was and sends the rest, with no new creation."""
    assert await tus_js("cut") == (3, None)
    assert (await storage("GET", "object/b/film.mp4")).json()["statusCode"] == "404"
    code, asked = await tus_js("upload")
    assert code == 0
    first, *pieces = asked
    method, status, offset = first.split()
    assert (method, status) == ("HEAD", "200")
    assert int(offset) >= 6 * MIB
    assert pieces[-1] == f"PATCH 204 {20 * MIB}"
    assert all(piece.startswith("PATCH 204 ") for piece in pieces)
    assert (await storage("GET", "object/b/film.mp4")).body == FILM


@pytest.mark.slow
async def test_tus_js_client_takes_an_upload_back(tus_js, gateway):
    """Its abort(true) ends the upload and leaves no byte."""
    code, asked = await tus_js("abort")
    assert (code, asked[:2], asked[-1]) == (0, ["POST 201", f"PATCH 204 {6 * MIB}"], "DELETE 204")
    assert list((gateway.storage_dir / "unfinished").iterdir()) == []
