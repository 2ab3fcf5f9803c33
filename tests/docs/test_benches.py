"""Every bench explains itself when asked: none was left behind by what it measures."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.media import RED, write_video
from tests.warm.start import warm

BENCH = Path(__file__).parents[2] / "bench"
ASKED = sorted(
    path.name for path in BENCH.glob("*.py") if "ArgumentParser(" in path.read_text() and "__main__" in path.read_text()
)


@pytest.mark.parametrize("name", ASKED)
def test_a_bench_answers_when_asked(monkeypatch, capsys, name: str):
    """Its imports are there, and --help says how it is called."""
    monkeypatch.setattr("sys.argv", [name, "--help"])
    monkeypatch.setattr("sys.path", [str(BENCH), *sys.path])
    with pytest.raises(SystemExit, match=r"^0$"):
        runpy.run_path(str(BENCH / name), run_name="__main__")
    assert "usage: " in capsys.readouterr().out


def test_make_listen_has_its_page(tmp_path):
    """Guards the way of `make listen` from a film to what is heard and seen: nothing else composes as it does."""
    film, page = tmp_path / "film.mp4", tmp_path / "listen.html"
    write_video(film, [(RED, 2)])
    listen = (*warm("bench.listen"), str(film), "--to", str(page))
    done = subprocess.run(listen, capture_output=True, text=True, check=False, cwd=BENCH.parent)
    assert done.returncode == 0, done.stderr
    assert "data:audio/mp4" in page.read_text()
