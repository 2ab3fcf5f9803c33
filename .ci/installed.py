# ruff: noqa: INP001
"""Exit 0 when this environment holds the working tree and all that the lock file named as argument pins.

It saves a reinstallation (and the network) when nothing changed. Standard library and pip's own copies only.
"""

import json
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

from pip._vendor.packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
NAME = "rhythmai"


def pins(lock: Path) -> Iterator[Requirement]:
    """What a lock file and those that it builds upon ask for; hashes are indented."""
    for line in lock.read_text().splitlines():
        if line.startswith("-r "):
            yield from pins(lock.parent / line.removeprefix("-r "))
        elif not line.startswith(" "):
            yield Requirement(line.removesuffix("\\"))


def holds(pin: Requirement) -> bool:
    if pin.marker and not pin.marker.evaluate():
        return True
    try:
        return pin.specifier.contains(version(pin.name), prereleases=True)
    except PackageNotFoundError:
        return False


def is_this_tree() -> bool:
    """Whether our own package is installed editable from here, at the version and with the scripts of today."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    try:
        here = distribution(NAME)
    except PackageNotFoundError:
        return False
    scripts = {entry.name for entry in here.entry_points if entry.group == "console_scripts"}
    return (
        json.loads(here.read_text("direct_url.json") or "{}").get("url") == ROOT.as_uri()
        and here.version == project["version"]
        and scripts == set(project["scripts"])
    )


if __name__ == "__main__":
    sys.exit(not (is_this_tree() and all(map(holds, pins(Path(sys.argv[1]))))))
