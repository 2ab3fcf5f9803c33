"""The page's sources: their types, and the unit tests of what needs no browser."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys

import platformdirs
import pytest

from tests.conftest import FUZZ, ROOT

STUDIO = ROOT / "studio"
CONTRACT = ROOT / "supabase" / "functions" / "_shared" / "contract.ts"


def digest() -> str:
    """Of all that the two scripts read: the page's sources and tests, the contract, settings and the lock of the packages."""
    whole = hashlib.sha256()
    for file in sorted([CONTRACT, *STUDIO.glob("*.*"), *STUDIO.glob("src/**/*.*"), *STUDIO.glob("tests/**/*.*")]):
        whole.update(f"{file.relative_to(ROOT)} {file.stat().st_size} ".encode() + file.read_bytes())
    return whole.hexdigest()


@pytest.mark.parametrize("script", ["check", "test"])
def test_the_sources_are_sound(script):
    """svelte-check has no error and no warning, and vitest passes; what passed on this machine, byte by byte, is not asked again."""
    passed = platformdirs.user_cache_path("rhythmai-tests") / f"studio-{script}-{digest()}"
    if FUZZ == 1 and passed.exists():
        return
    command = [sys.executable, STUDIO / "build.py", "run", script]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    passed.parent.mkdir(parents=True, exist_ok=True)
    passed.touch()


def test_what_to_do_is_said_of_errors_that_there_are():
    """Each code of an error that the page has words for is one that a worker gives."""
    worker = " ".join(file.read_text() for file in (ROOT / "worker").rglob("*.py"))
    known = re.findall(r'codes\("([^"]+)"', (STUDIO / "src" / "strings.ts").read_text())
    codes = " ".join(known).split()
    assert codes
    assert [code for code in codes if f'code="{code}"' not in worker] == []
