# ruff: noqa: INP001
"""Renew `requirements/`: versions and hashes of all that make and the images install, for Python 3.11 and newer.

A file an extra. Each begins with the files that it builds upon (-r) and holds only what those lack.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements"
BUILDS_UPON = {
    "api": (),
    "worker": ("api",),
    "local": ("nle",),
    "gpu": ("worker",),
    "mcp": ("api",),
    "acestep": ("gpu",),
    "c2pa": ("worker",),
    "nle": ("worker",),
    "dev": ("local", "acestep", "c2pa", "mcp"),
}
"""`api` is the base, without any extra."""
COMPILE = (
    *(sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--quiet", "--upgrade", "--no-header", "--no-annotate"),
    *("--generate-hashes", "--universal", "--python-version=3.11"),
)  # fmt: skip


def pins(*options: str) -> list[str]:
    """All packages, each with its marker and its hashes, which are indented below it."""
    found = subprocess.run((*COMPILE, *options), cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    return re.findall(r"^\S.*\n(?:\s.*\n)*", found, re.MULTILINE)


def below(extra: str) -> set[str]:
    """The names of all files that this one builds upon."""
    return set(BUILDS_UPON[extra]).union(*map(below, BUILDS_UPON[extra]))


if __name__ == "__main__":
    LOCKS.mkdir(exist_ok=True)
    everything = LOCKS / "everything.txt"
    everything.write_text("".join(pins("--extra=dev", "--extra=acestep")))
    found = {}
    for extra, bases in BUILDS_UPON.items():
        asked = {"api": (), "dev": ("--extra=dev", "--extra=acestep")}.get(extra, (f"--extra={extra}",))
        found[extra] = pins(*asked, f"--constraint={everything}")
        held = {pin for base in below(extra) for pin in found[base]}
        text = "".join(f"-r {base}.txt\n" for base in bases) + "".join(pin for pin in found[extra] if pin not in held)
        (LOCKS / f"{extra}.txt").write_text(text)
    everything.unlink()
