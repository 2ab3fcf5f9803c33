"""The folder of a worker's files, through real deaths."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from worker.errors import Misconfigured
from worker.scratch import scratch

WORKER = """
import os, sys
from pathlib import Path
from worker.mastering_pool import MasteringPool
from worker.scratch import keep_in, scratch
with scratch(Path(sys.argv[1])) as folder:
    keep_in(folder)
    pool = MasteringPool(1)
    pool.submit(os.getpid).result()
    (folder / "rhythmai-job-1").mkdir()
    (folder / "rhythmai-job-1" / "video.mp4").write_bytes(b"large")
    print(folder.name, flush=True)
    sys.stdin.read()
    pool.shutdown()
"""


@pytest.fixture
def place():
    """Where workers have their folders, and the system its temporary files; its name is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="rhythmai-") as folder:
        yield Path(folder)


@pytest.fixture
def worker(place):
    """Call it for one more process that holds a folder with a file, and one that masters: `(process, name of its folder)`."""
    started = []

    def start():
        process = subprocess.Popen(
            [sys.executable, "-c", WORKER, place], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | {"TMPDIR": str(place)},
        )  # fmt: skip
        started.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.communicate()


def names(folder):
    return {entry.name for entry in folder.iterdir()}


def test_what_a_killed_worker_left_is_cleared_by_the_next(worker, place):
    """A kill -9 leaves the files of its jobs, and nothing elsewhere; the next worker on the box removes them, and leaves a living one's alone."""
    (killed, left), (_, held) = worker(), worker()
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert names(place) == {left, held}
    with scratch(place) as own:
        assert names(place) == {held, own.name}
    assert names(place) == {held}


def test_a_worker_takes_its_files_along(worker, place):
    """A worker that ends by itself leaves nothing."""
    process, _ = worker()
    process.communicate("")
    assert process.returncode == 0
    assert names(place) == set()


def test_what_is_not_ours_stays(tmp_path):
    """A link under our name is not followed, and nothing under another name is looked at."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "rhythmai-worker-link").symlink_to(tmp_path / "precious")
    with scratch(tmp_path):
        pass
    assert names(tmp_path) == {"precious", "rhythmai-worker-link"}


def test_a_folder_that_is_missing_names_the_variable(tmp_path):
    """A WORK_DIR that is not there is told at the start, not with the first job."""
    with pytest.raises(Misconfigured, match=r"WORK_DIR=.*none"), scratch(tmp_path / "none"):
        pass
