"""Supabase's own advisors look at the migrated database."""

import pytest

from tests.hosted.supabase_cli import SupabaseCLI

NEWEST_ONLY = True
pytestmark = pytest.mark.slow


@pytest.fixture
def advise(database_url, tmp_path):
    """Asks the advisors of this kind; returns the exit code and what they say."""

    def advise(kind: str) -> tuple[int, str]:
        words = ("db", "advisors", "--type", kind, "--fail-on", "warn", "--yes")
        return SupabaseCLI(tmp_path).ask(*words, remote=f"{database_url}?sslmode=disable")

    return advise


async def test_the_advisors_have_nothing_to_say(advise):
    """`supabase db advisors` finds no warning on the migrated database, neither of security nor of performance."""
    code, said = advise("all")
    assert code == 0, said
    assert "No issues found" in said


async def test_the_advisors_do_look(advise, db):
    """A policy that asks auth.uid() for every row is a warning: the silence above means something."""
    await db.execute("create policy slow on public.results for select to authenticated using (owner = auth.uid())")
    try:
        code, said = advise("performance")
    finally:
        await db.execute("drop policy slow on public.results")
    assert code != 0
    assert "auth_rls_initplan" in said
