"""`python -m edge_api` as an operator sees it: environment in, one line per mistake, clean logs, a clean end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.warm.start import warm

ROOT = Path(__file__).parents[2]
KEPT = ("PATH", "HOME", "LANG", "SYSTEMROOT", "VIRTUAL_ENV")
GOOD = {
    "SUPABASE_URL": "http://127.0.0.1:9",
    "SUPABASE_KEY": "sb_secret_never_logged",
    "JWT_SECRET": "jwt-secret-never-logged-0123456789abcdef",
    "API_PORT": "0",
}


async def start(folder: Path, *, cold: bool = False, **environment: str) -> asyncio.subprocess.Process:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return await asyncio.create_subprocess_exec(
        *((sys.executable, "-m", "edge_api") if cold else warm("edge_api")),
        cwd=folder, env={**kept, "PYTHONPATH": str(ROOT), **environment},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def refused(folder: Path, **environment: str) -> list[str]:
    """The lines a process says that exits with code 2."""
    process = await start(folder, **environment)
    _, said = await process.communicate()
    assert process.returncode == 2, said.decode()
    return said.decode().strip().split("\n")


async def test_every_missing_variable_is_one_line(tmp_path):
    """Nothing set: three lines that name what is missing and how to get it, exit code 2."""
    lines = await refused(tmp_path)
    assert [line.split()[0] for line in lines] == ["SUPABASE_URL", "SUPABASE_KEY", "DATABASE_URL"]
    assert all("rhythmai env" in line for line in lines)


async def test_every_malformed_variable_is_one_line(tmp_path):
    """Wrong values are named with what is wrong about them, and not repeated when they may be secret."""
    wrong = {
        "SUPABASE_URL": "nonsense", "SUPABASE_KEY": "k", "DATABASE_URL": "mysql://root:hidden@h/d", "API_PORT": "99999",
        "CORS_ORIGINS": "example.com", "TRUSTED_PROXIES": "10.0.0.0/99", "REQUIRE_AUTH": "perhaps",
        "JWT_SECRET": "short-hidden", "MERGE_WAIT_S": "-1", "RETENTION_DAYS": "36501",
    }  # fmt: skip
    lines = await refused(tmp_path, **wrong)
    assert {line.split()[0] for line in lines} == set(wrong) - {"SUPABASE_KEY"}
    assert len(lines) == len(wrong) - 1
    assert all(" is malformed: " in line for line in lines)
    assert "hidden" not in "".join(lines)


async def test_a_taken_port_is_one_line(tmp_path, database_url):
    """A port that somebody uses is said with what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        lines = await refused(tmp_path, **{**GOOD, "DATABASE_URL": database_url, "API_PORT": str(port)})
    assert lines == [f"Cannot listen on 127.0.0.1:{port}: address already in use; choose another port"]


@pytest.mark.parametrize("query", ["sslmode=bogus", "sslmode=verify-full&sslrootcert=/nowhere.pem"])
async def test_a_hopeless_database_url_is_one_line(tmp_path, query):
    """A URL with which nothing can ever be reached is refused before anybody is served, and no password is told."""
    (line,) = await refused(tmp_path, **GOOD, DATABASE_URL=f"postgresql://u:hidden@127.0.0.1:9/d?{query}")
    assert line.startswith("DATABASE_URL ")
    assert "ssl" in line
    assert "hidden" not in line


async def test_a_database_that_is_away_is_no_reason_not_to_start(tmp_path):
    """The API starts, answers 503, and logs what connecting met, without the password."""
    process = await start(tmp_path, **GOOD, DATABASE_URL="postgresql://u:hidden@127.0.0.1:9/d")
    address = (await process.stdout.readline()).decode().split()[-1]
    async with aiohttp.ClientSession() as session, session.get(f"{address}/healthz") as answer:
        assert answer.status == 503
    process.send_signal(signal.SIGTERM)
    _, said = await process.communicate()
    away = [line for line in map(json.loads, said.decode().splitlines()) if line["event"] == "database.away"]
    assert len(away) == 2
    assert all("Connect" in line["error"] for line in away)
    assert "hidden" not in said.decode()


@pytest.mark.parametrize(
    "names",
    [("SUPABASE_SECRET_KEY", "DATABASE_URL"), ("SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_DB_URL")],
)
async def test_it_serves_until_told_to_stop(tmp_path, database_url, names):
    """Under each alias, from a `.env` too: it prints its address, answers, ends with 0 on SIGTERM, and logs no secret."""
    key, database = names
    (tmp_path / ".env").write_text(f"{key}={GOOD['SUPABASE_KEY']}\nSOMETHING_ELSE=1\nCORS_ORIGINS=\n")
    environment = {name: value for name, value in GOOD.items() if name != "SUPABASE_KEY"}
    cold = database == "DATABASE_URL"  # once with all its imports
    process = await start(tmp_path, cold=cold, **environment, **{database: database_url, "METRICS_PORT": "0"})
    addresses = [(await process.stdout.readline()).decode().split()[-1] for _ in range(2)]
    metrics, address = addresses
    job = "5f0c6d5e-2f6e-4f0e-9a53-0b8f3e4c7a10"
    async with aiohttp.ClientSession() as session:
        body = {"video_url": "https://example.com/private-video", "user_request": "private words"}
        async with session.post(f"{address}/api/v1/gen?token=private-query", json=body) as answer:
            assert answer.status == 200
        bad = {"Authorization": "Bearer private-token"}
        async with session.get(f"{address}/api/v1/job/{job}", headers=bad) as answer:
            assert answer.status == 401
        async with session.get(metrics) as answer:
            counted = await answer.text()
    process.send_signal(signal.SIGTERM)
    _, said = await process.communicate()
    assert process.returncode == 0
    assert 'rhythmai_api_requests_total{method="POST",route="/api/v1/gen",status="200"} 1.0' in counted
    lines = [json.loads(line) for line in said.decode().splitlines()]
    requests = [(line["method"], line["route"], line["status"]) for line in lines if line["event"] == "request"]
    assert requests == [("POST", "/api/v1/gen", 200), ("GET", "/api/v1/job/{job_id}", 401)]
    assert all(
        line["request_id"] == line["trace_id"] and line["ms"] >= 0 for line in lines if line["event"] == "request"
    )
    for secret in ("never-logged", "never_logged", "private", database_url, job):
        assert secret not in said.decode()
        assert secret not in counted
