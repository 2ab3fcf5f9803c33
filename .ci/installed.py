# ruff: noqa: INP001
"""Exit 0 when this environment holds the working tree and all requirements of the extras named as arguments.

It saves a reinstallation (and the network) when nothing changed. Standard library and pip's own copies only.
"""

import json
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

from pip._vendor.packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
NAME = "rhythmai"


def requirements(extras: list[str]) -> list[Requirement]:
    """What pyproject.toml asks for; an extra that names another extra of ours includes it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [Requirement(line) for line in project["dependencies"]]
    for extra in extras:
        for line in project["optional-dependencies"][extra]:
            requirement = Requirement(line)
            wanted += requirements(sorted(requirement.extras)) if requirement.name == NAME else [requirement]
    return wanted


def holds(requirement: Requirement) -> bool:
    if requirement.marker and not requirement.marker.evaluate():
        return True
    try:
        return requirement.specifier.contains(version(requirement.name), prereleases=True)
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
    sys.exit(not (is_this_tree() and all(map(holds, requirements(sys.argv[1:])))))
