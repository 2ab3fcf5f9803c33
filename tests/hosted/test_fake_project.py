"""A hosted project as a stranger meets it: names, TLS, a transaction pooler, keys; everything by environment alone."""

from __future__ import annotations

import json
import ssl
import subprocess

import httpx
import jwt
import pytest

from rhythmai.sample import make_sample
from tests.hosted.fake import fake_project
from tests.hosted.gateway import JWT_SECRET
from tests.hosted.programs import Program, clean
from tests.warm.start import warm

LEGACY = {role: jwt.encode({"role": role, "exp": 4_000_000_000}, JWT_SECRET) for role in ("anon", "service_role")}


@pytest.fixture
def project(empty_database, certificates, tmp_path):
    """The environment of a project with our migrations."""
    with fake_project(empty_database, certificates, tmp_path / "storage") as environment:
        environment |= {"ENGINE": "sketch", "WORKER_NAME": "first", "API_PORT": "0"}
        assert command(tmp_path, environment, "migrate").returncode == 0
        yield environment


def command(folder, environment, *arguments):
    """The console script in a process of its own."""
    (folder / "empty").mkdir(exist_ok=True)
    return subprocess.run(
        [*warm("rhythmai"), *arguments], cwd=folder / "empty", env=clean(environment),
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_from_nothing_to_music_by_environment_alone(project, tmp_path, certificates):
    """migrate, doctor, API and worker need the environment only; a video becomes music, which everybody can download."""
    doctor = command(tmp_path, project, "doctor", "--json")
    assert doctor.returncode == 0, doctor.stdout
    assert not [finding for finding in json.loads(doctor.stdout) if finding["verdict"] == "fail"]

    make_sample(tmp_path / "holiday.mp4", 3)
    # The second half lives on legacy keys: both kinds are taken.
    legacy = {**project, "SUPABASE_KEY": LEGACY["service_role"], "SUPABASE_PUBLISHABLE_KEY": LEGACY["anon"]}
    with (
        Program("worker", "worker.ready", project, tmp_path) as worker,
        Program("edge_api", "Listening on", legacy, tmp_path) as api,
    ):
        ready = json.loads(next(line for line in worker.said if "worker.ready" in line))
        assert (ready["engine"], ready["kernels"]) == ("sketch sketch-1", "NumPy")
        listening = next(line for line in api.said if line.startswith("Listening on"))
        client = project | {"API_URL": listening.split()[-1]}
        made = command(tmp_path, client, "submit", str(tmp_path / "holiday.mp4"), "--variants", "2", "--watch")
        assert made.returncode == 0, made.stderr
        job = made.stdout.split()[0]
        (box,) = json.loads(command(tmp_path, project, "workers", "--json").stdout)
        assert (box["name"], box["state"]) == ("first", "ready")
        answer = httpx.get(f"{client['API_URL']}/api/v1/job/{job}", timeout=120).json()
    assert (answer["status"], len(answer["results"])) == ("completed", 2)
    context = ssl.create_default_context(cafile=certificates.authority)
    for result in answer["results"]:
        assert result["audio_url"].startswith(project["SUPABASE_URL"])
        assert httpx.get(result["audio_url"], verify=context, timeout=120).content[:4] == b"fLaC"
    purged = command(tmp_path, project, "purge", "--older-than", "0m", "--json")
    assert json.loads(purged.stdout) == {"jobs": 1, "objects": 4, "uploads": 1}, purged.stderr


@pytest.mark.parametrize("module", ["worker", "edge_api"])
def test_one_line_a_variable(module, tmp_path):
    """What is missing or malformed is told in one line each, and the exit code is 2."""
    done = subprocess.run(
        warm(module), cwd=tmp_path, env=clean({"DATABASE_URL": "nonsense"}), capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert sorted(line.split()[0] for line in lines) == ["DATABASE_URL", "SUPABASE_KEY", "SUPABASE_URL"]


def test_a_base_install_says_what_the_engine_needs(tmp_path):
    """Without torch the default engine ends the worker in one line with the command that brings it, exit code 2."""
    here = {
        "SUPABASE_URL": "https://x.supabase.co",
        "SUPABASE_KEY": "k",
        "DATABASE_URL": "postgresql://u:p@127.0.0.1:9/d",
    }
    done = subprocess.run(
        [*warm("-c"), "import sys; sys.modules['torch'] = None; from worker.__main__ import main; main()"],
        cwd=tmp_path, capture_output=True, text=True, check=False, env=clean(here),
    )  # fmt: skip
    assert done.returncode == 2
    assert "ENGINE=mmaudio needs torch: pip install 'rhythmai[gpu]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_dot_env_and_aliases(tmp_path):
    """`.env` in the working directory is read, and the names that Supabase gives are understood."""
    (tmp_path / ".env").write_text(
        "SUPABASE_URL=https://x.supabase.co\nSUPABASE_SERVICE_ROLE_KEY=k\nSUPABASE_DB_URL=postgresql://u:p@127.0.0.1:9/d\n"
        "LEASE_S=1\n"
    )
    done = subprocess.run(
        warm("worker"), cwd=tmp_path, env=clean({}), capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 2
    assert [line.split()[0] for line in done.stderr.splitlines()] == ["LEASE_S"]
