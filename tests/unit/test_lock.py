"""The lock in `requirements/`: what make, CI and the images install."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {
    "api": [],
    "worker": ["worker"],
    "local": ["local"],
    "gpu": ["gpu"],
    "mcp": ["mcp"],
    "acestep": ["acestep"],
    "c2pa": ["c2pa"],
    "nle": ["nle"],
    "dev": ["dev", "acestep"],
}


def asked(extras: list[str]) -> list[Requirement]:
    """What pyproject.toml asks for; an extra that names others of ours includes them."""
    found = [Requirement(line) for extra in extras for line in PROJECT["optional-dependencies"][extra]]
    inner = {extra for one in found if one.name == PROJECT["name"] for extra in one.extras}
    return [one for one in found if one.name != PROJECT["name"]] + (asked(sorted(inner)) if inner else [])


def lines(name: str) -> list[str]:
    """A line a package, its hashes and those of the files that this one builds upon included."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text().replace(" \\\n", "")
    below = [line for base in re.findall(r"^-r (\w+)\.txt$", text, re.MULTILINE) for line in lines(base)]
    return below + [line for line in text.splitlines() if not line.startswith("-r ")]


@pytest.mark.parametrize("name", EXTRAS)
def test_the_lock_is_up_to_date(name):
    """Everything that pyproject.toml asks for is pinned within its range, with hashes and from nowhere in particular."""
    locked = [line.partition("--hash=sha256:") for line in lines(name)]
    assert all(found for _, found, _ in locked)
    assert "://" not in "".join(lines(name))
    pins = [Requirement(pin) for pin, _, _ in locked]
    for wanted in [Requirement(line) for line in PROJECT["dependencies"]] + asked(EXTRAS[name]):
        versions = [pin.specifier for pin in pins if pin.name == canonicalize_name(wanted.name)]
        assert versions, f"{wanted.name} is not locked: run make lock"
        for exact in versions:
            assert wanted.specifier.contains(str(exact).removeprefix("==")), (
                f"{wanted} is locked {exact}: run make lock"
            )
