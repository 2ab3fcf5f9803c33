"""Every bench explains itself when asked: none was left behind by what it measures."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.media import RED, write_video

BENCH = Path(__file__).parents[2] / "bench"
ASKED = sorted(
    path.name for path in BENCH.glob("*.py") if "ArgumentParser(" in path.read_text() and "__main__" in path.read_text()
)
# One process for all: each alone would import torch anew.
ASK_ALL = """
import contextlib, io, json, runpy, sys, traceback
places = list(sys.path)
for path in sys.argv[1:]:
    sys.argv, sys.path[:], code = [path, "--help"], places, None
    with contextlib.redirect_stdout(io.StringIO()) as said:
        try:
            runpy.run_path(path, run_name="__main__")
        except SystemExit as end:
            code = end.code
        except BaseException:
            traceback.print_exc(file=sys.stdout)
    print(json.dumps([path, code, said.getvalue()]), flush=True)
"""


@pytest.fixture(scope="module")
def answers() -> dict[str, tuple[int | None, str]]:
    """The exit code of each bench and what it said."""
    done = subprocess.run(
        [sys.executable, "-c", ASK_ALL, *(BENCH / name for name in ASKED)],
        stdout=subprocess.PIPE, text=True, check=True, cwd=BENCH,
    )  # fmt: skip
    return {Path(path).name: (code, said) for path, code, said in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("name", ASKED)
def test_a_bench_answers_when_asked(answers, name: str):
    """Its imports are there, and --help says how it is called."""
    code, said = answers[name]
    assert code == 0, said
    assert "usage: " in said


def test_make_listen_has_its_page(tmp_path):
    """Guards the way of `make listen` from a film to what is heard and seen: nothing else composes as it does."""
    film, page = tmp_path / "film.mp4", tmp_path / "listen.html"
    write_video(film, [(RED, 2)])
    listen = (sys.executable, "-m", "bench.listen", str(film), "--to", str(page))
    done = subprocess.run(listen, capture_output=True, text=True, check=False, cwd=BENCH.parent)
    assert done.returncode == 0, done.stderr
    assert "data:audio/mp4" in page.read_text()
