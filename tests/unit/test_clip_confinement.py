"""A child that a stranger's file has taken over: what it can reach of the worker's user. Run as an ordinary user."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit import intruder
from worker.pipeline.look.confinement import missing

ROOT = Path(intruder.__file__).parents[2]
NOBODY = 65534
NEED_LANDLOCK = ("write its own file", ".env beside it", "the folder")
SUBJECT = """
import asyncio, os, subprocess, sys
from pathlib import Path
from worker.pipeline.look.child import Limits, run_child
from worker.pipeline.look.warm_process import ENVIRONMENT, WARM
from worker.pipeline.look.confinement import hide

own, secret, way, script = map(Path, sys.argv[1:])
bystander = [sys.executable, "-c", f"open('/proc/{os.getpid()}/environ').read()"]
assert subprocess.run(bystander).returncode == 0, "the bait is no bait"
hide()
ENVIRONMENT["PYTHONPATH"] = os.environ["PYTHONPATH"]
assert subprocess.run(bystander, stderr=subprocess.DEVNULL).returncode != 0, "the worker can be read"
WARM.need("tests.unit.intruder")
WARM.open()
zygote = WARM._process.pid
arguments = [str(own), str(secret), str(os.getpid()), str(os.getppid()), str(zygote)]
if way.name == "fork":
    ended = asyncio.run(run_child(arguments, Limits(), task="Testing", module="tests.unit.intruder", reads=[own]))
else:
    command = [sys.executable, str(script), *arguments]
    ended = asyncio.run(run_child(command, Limits(), task="Testing", reads=[own, script]))
assert ended.code == 0, ended.complaints
print(ended.output.decode())
"""
STARTING = """
import ctypes, os
from worker import __main__ as worker, assembly

assembly.work = lambda settings: None
worker.asyncio.run = lambda nothing: print(ctypes.CDLL(None).prctl(3), *os.environ)
worker.main()
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder of the ordinary user's, with a film and the secrets of the project."""
    folder = Path(tempfile.mkdtemp(prefix="rhythmai-confined-"))
    for name in ("film.mp4", ".env"):
        (folder / name).write_text("SUPABASE_KEY=secret")
    (folder / "intruder.py").write_text(Path(intruder.__file__).read_text())
    if not os.getuid():
        for path in (folder, *folder.iterdir()):
            os.chown(path, NOBODY, NOBODY)
    yield folder
    shutil.rmtree(folder)


def ordinary() -> tuple[str, dict[str, object]]:
    """A Python that an ordinary user may run, and how to become one if we are root."""
    if os.getuid():
        return sys.executable, {}
    user: dict[str, object] = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        try:
            subprocess.run([python, "-c", ""], check=True, capture_output=True, cwd="/", **user)
        except (OSError, subprocess.CalledProcessError):
            continue
        return python, user
    raise AssertionError(f"root alone may run {sys.executable}: run the tests as an ordinary user")


async def intrude(place: Path, way: str) -> dict[str, str]:
    python, user = ordinary()
    libraries = next(path for path in sys.path if path.endswith("site-packages"))
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{libraries}", "SUPABASE_KEY": "secret"}
    subject = await asyncio.create_subprocess_exec(
        python, "-B", "-c", SUBJECT, place / "film.mp4", place / ".env", way, place / "intruder.py",
        cwd=place, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **user,
    )  # fmt: skip
    said, complained = await subject.communicate()
    assert subject.returncode == 0, complained.decode()
    return json.loads(said)


@pytest.mark.parametrize("way", ["fork", "exec"])
async def test_a_child_that_was_taken_over_reaches_nothing(place: Path, way: str) -> None:
    """Neither the environment of the worker, its parent or the warm process, nor a `.env`, nor a socket; only its file."""
    came = await intrude(place, way)
    assert came.pop("its own file") == "done"
    for attempt, reason in itertools.product(NEED_LANDLOCK, missing()):
        print(f"{attempt}: {came.pop(attempt, 'not tried')}, for {reason}")
    assert "done" not in came.values(), came


async def test_a_worker_cannot_be_read_and_its_children_inherit_no_secrets(tmp_path) -> None:
    """When it begins to work it is not dumpable, and the secrets it has read are gone from its environment."""
    secrets = {
        "SUPABASE_KEY": "a",
        "DATABASE_URL": "postgresql://a",
        "API_KEY": "a",
        "WEBHOOK_SECRET": "whsec_" + "a" * 32,
    }
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "SUPABASE_URL": "http://127.0.0.1:1"} | secrets
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STARTING, cwd=tmp_path, env=environment, stdout=subprocess.PIPE
    )
    dumpable, *names = (await worker.communicate())[0].decode().split()
    assert dumpable == "0"
    assert "SUPABASE_URL" in names
    assert not secrets.keys() & set(names)
