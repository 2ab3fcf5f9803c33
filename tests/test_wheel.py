"""The wheel, as a stranger installs it: complete, and able to do the main job in an empty folder."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.conftest import FUZZ
from tests.hosted.conftest import empty_database, sql
from tests.hosted.programs import clean
from tests.unit.media import write_video

__all__ = ["empty_database", "sql"]

ROOT = Path(__file__).parent.parent
HOSTED = ROOT / "docs" / "hosted.md"
UNSET = "is not set (`rhythmai env --example` shows every variable), and the local stack is not installed: pip install 'rhythmai[local]'"


def tried(*command: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Without what would have it import our own tree, or compile the same files in every process."""
    ours = {name: value for name, value in clean(environment).items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, env=ours, capture_output=True, text=True, check=False
    )  # fmt: skip


def run(*command: object, cwd: Path, environment: dict[str, str] | None = None) -> str:
    """What it says on stdout; fails with what it says on stderr."""
    done = tried(*command, cwd=cwd, **environment or {})
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the sdist and the wheel that is made from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--installer", "uv", "--outdir", folder, ROOT, cwd=folder)
    return folder


@pytest.mark.slow
def test_the_wheel_is_complete(built):
    """Everything that programs read at run time is in the wheel, and nothing that only we need."""
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    migrations = {f"rhythmai/migrations/{file.name}" for file in (ROOT / "supabase" / "migrations").glob("*.sql")}
    units = {f"rhythmai/{file.relative_to(ROOT)}" for file in (ROOT / "deploy").rglob("*") if file.is_file()}
    assert names >= migrations | units | {
        "edge_api/openapi.yaml",
        "rhythmai/env.example",
        "supabase_standin/baseline.sql",
        "supabase_standin/gateway.sql",
        "supabase_standin/README.md",
        "worker/pipeline/direct/vocabulary.toml",
        "rhythmai/py.typed",
    }
    built_page = {str(file.relative_to(ROOT)) for file in (ROOT / "edge_api" / "static").rglob("*") if file.is_file()}
    assert names >= built_page
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"rhythmai", "edge_api", "worker", "supabase_standin"}
    assert not [name for name in names if "__pycache__" in name or "/test" in name]


@pytest.mark.slow
def test_the_sdist_is_complete(built):
    """Whoever has only the sdist can build, test and deploy."""
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names >= {"pyproject.toml", "Makefile", ".env.example"}
    assert names >= {"tests/test_wheel.py", "docs/hosted.md", "deploy/api.Dockerfile"}


@dataclass(frozen=True)
class Stranger:
    """An environment with the wheel, and of our packages with those that the wheel asks for."""

    bin: Path
    wheel: Path

    @property
    def version(self) -> str:
        return self.wheel.name.split("-")[1]

    @property
    def packages(self) -> Path:
        return next(self.bin.parent.glob("lib/python3.*/site-packages"))

    def install(self, extra: str = "") -> None:
        """`make test-all` fetches everything from the index, as a stranger does; here it is linked from where we have it."""
        if FUZZ > 1:
            pip = (
                self.bin / "python",
                "-m",
                "pip",
                "--quiet",
                "--disable-pip-version-check",
                "install",
                "--no-compile",
            )
            run(*pip, f"rhythmai[{extra}] @ {self.wheel.as_uri()}", cwd=self.bin)
            return
        (ours,) = metadata.distributions(name="rhythmai", path=[str(self.packages)])
        for package in closure(ours, extra) - {ours}:
            for file in package.files or ():
                if not file.is_absolute() and ".." not in file.parts:
                    link = self.packages / file
                    link.parent.mkdir(parents=True, exist_ok=True)
                    with suppress(FileExistsError):
                        linked(file.locate(), link)


def linked(file: Path, place: Path) -> None:
    """The same file, or a copy where that lies on another disk."""
    try:
        os.link(file, place)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.copy2(file, place)


def closure(package: metadata.Distribution, extra: str = "") -> set[metadata.Distribution]:
    """What it requires with that extra, and what that requires."""
    found, waiting = {}, [(package, extra)]
    while waiting:
        package, extra = waiting.pop()
        found.setdefault((package.name.lower(), extra), package)
        for line in package.requires or ():
            asked = Requirement(line)
            if asked.marker is None or asked.marker.evaluate({"extra": extra}):
                for more in ("", *asked.extras):
                    if (asked.name.lower(), more) not in found:
                        found[asked.name.lower(), more] = other = metadata.distribution(asked.name)
                        waiting.append((other, more))
    return {*found.values()}


def outside(prefix: str) -> Iterator[Path]:
    """Not under pytest's own folder, into which the system user that Postgres needs when we are root cannot look."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def stranger(built) -> Iterator[Stranger]:
    """An environment with the base wheel, to which a test may add an extra."""
    (wheel,) = built.glob("*.whl")
    for folder in outside("rhythmai-stranger-"):
        run(sys.executable, "-m", "venv", *["--without-pip"] * (FUZZ == 1), folder, cwd=folder)
        found = Stranger(folder / "bin", wheel)
        uv = (sys.executable, "-m", "uv", "--quiet", "pip", "install", "--offline", "--no-deps")
        run(*uv, "--python", folder / "bin" / "python", wheel, cwd=folder)
        found.install()
        yield found


@pytest.fixture
def place() -> Iterator[Path]:
    yield from outside("rhythmai-wheel-")


def units_of_the_page(python: Path) -> str:
    """Where docs/hosted.md finds the units: its own command, in another environment."""
    command = re.search(r"^units=\$\(/opt/rhythmai/bin/python -c '(.*)'\)$", HOSTED.read_text(), re.MULTILINE)[1]
    return run(python, "-c", command, cwd=python.parent).strip()


@pytest.mark.slow
def test_a_stranger_reads_the_first_pages(stranger, empty_database, tmp_path):
    """With the base wheel and nothing else: help, the schema's dry run, the units, each program's word on what is missing."""
    programs = stranger.bin
    rhythmai = programs / "rhythmai"
    assert run(rhythmai, "--version", cwd=tmp_path) == f"rhythmai {stranger.version}\n"
    assert "migrate" in run(rhythmai, "--help", cwd=tmp_path)
    assert run(rhythmai, "env", "--example", cwd=tmp_path) == (ROOT / ".env.example").read_text()
    dry = run(
        rhythmai, "migrate", "--baseline", "--dry-run", cwd=tmp_path, environment={"DATABASE_URL": empty_database}
    )
    assert dry.startswith("Would apply the shape of a Supabase project\n")
    assert (Path(units_of_the_page(programs / "python")) / "rhythmai-worker.service").is_file()
    for command, code, lines, words in (
        ((rhythmai, "submit", "https://example.com/a.mp4"), 1, 1, f"rhythmai: API_URL {UNSET}"),
        ((rhythmai, "workers"), 1, 1, f"rhythmai: DATABASE_URL {UNSET}"),
        ((rhythmai, "demo"), 1, 1, "is not installed: pip install 'rhythmai[local]'"),
        ((rhythmai, "up"), 1, 1, "is not installed: pip install 'rhythmai[local]'"),
        ((rhythmai, "mcp"), 1, 1, "is not installed: pip install 'rhythmai[mcp]'"),
        ((programs / "rhythmai-api",), 2, 3, "SUPABASE_URL is not set: see `rhythmai env --example`"),
        ((programs / "rhythmai-worker",), 2, 1, "is not installed: pip install 'rhythmai[worker]'"),
    ):
        done = tried(*command, cwd=tmp_path)
        assert (done.returncode, words in done.stderr, done.stderr.count("\n")) == (code, True, lines), done.stderr
    doctor = tried(rhythmai, "doctor", cwd=tmp_path)
    assert (doctor.returncode, doctor.stderr) == (1, "")
    assert "numpy is not installed: pip install 'rhythmai[worker]'" in doctor.stdout
    assert "tokens" in doctor.stdout


@pytest.mark.slow
def test_the_base_is_small(stranger):
    """API, client and console script take at most 100 MB, pip and what Python itself compiles aside."""
    files = [file for file in stranger.bin.parent.rglob("*") if file.is_file()]
    files = [file for file in files if "/pip" not in str(file) and file.suffix != ".pyc"]
    assert sum(file.stat().st_blocks * 512 for file in files) < 100e6


@pytest.mark.slow
def test_a_stranger_makes_music(stranger, place):
    """In an empty environment and folder, with the wheel and its local extra and nothing else, the demo makes tracks."""
    folder = place / "elsewhere"
    folder.mkdir()
    stranger.install("local")
    rhythmai, home = stranger.bin / "rhythmai", {"XDG_DATA_HOME": str(place / "data"), "HOME": str(place)}
    asked = {"_RHYTHMAI_COMPLETE": "complete_bash", "COMP_WORDS": "rhythmai mig", "COMP_CWORD": "1"}
    assert run(rhythmai, cwd=folder, environment=home | asked).split() == ["migrate"]
    # The sample, of 12 s, is played in tests/test_end_to_end.py each time.
    film = () if FUZZ > 1 else (write_video(folder / "film.mp4"),)
    run(rhythmai, "demo", *film, cwd=folder, environment=home)
    made = {"track-1.flac", "track-2.flac", "track-3.flac", "merged.mp4"}
    assert {file.name for file in (folder / "output").iterdir()} >= made
