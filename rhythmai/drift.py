"""Whether the database's record of migrations is ours: the same versions, made of the same statements."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import asyncpg

from rhythmai.errors import RhythmAIError
from rhythmai.schema import Migration

BLANK: Final = re.compile(r"[\s;]+")
"""What the supabase CLI loses when it splits a file into statements."""


class Drift(RhythmAIError):
    """The database was migrated by something that is not this version; nothing was changed."""


class State(StrEnum):
    """How a migration stands."""

    APPLIED = "applied"
    PENDING = "pending"
    ALTERED = "altered"
    """Recorded under our version, with other statements."""
    UNKNOWN = "unknown"
    """Recorded, and none of ours."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One migration and how it stands."""

    version: str
    name: str
    state: State


async def standings(connection: asyncpg.Connection, migrations: Sequence[Migration]) -> list[Standing]:
    """Ours and the recorded ones, oldest first. Changes nothing."""
    recorded = await _recorded(connection)
    ours = {
        migration.version: Standing(migration.version, migration.name, _state(migration, recorded))
        for migration in migrations
    }
    others = {
        version: Standing(version, name, State.UNKNOWN)
        for version, (name, _) in recorded.items()
        if version not in ours
    }
    return sorted((ours | others).values(), key=lambda standing: standing.version)


def refuse_drift(found: Sequence[Standing], *, allow_unknown: bool = False) -> None:
    """Raises Drift, which says what was found and what to do."""
    if altered := _listed(found, State.ALTERED):
        raise Drift(
            f"The database has other statements recorded than this rhythmai brings for {altered}. If it was made by a "
            "preview or a changed copy, install the version that made it; to accept it as it is, run "
            "`supabase migration repair --status applied VERSION` with our supabase/migrations"
        )
    if (unknown := _listed(found, State.UNKNOWN)) and not allow_unknown:
        raise Drift(
            f"The database has migrations that this rhythmai does not know: {unknown}. If a newer rhythmai made them, "
            "upgrade (pip install --upgrade rhythmai); if they are your project's own, add --allow-unknown"
        )


async def _recorded(connection: asyncpg.Connection) -> dict[str, tuple[str, list[str] | None]]:
    """Version: (name, statements). Older versions of the supabase CLI had neither column: hence to_jsonb."""
    if await connection.fetchval("select to_regclass('supabase_migrations.schema_migrations')") is None:
        return {}
    rows = [
        json.loads(row)
        for (row,) in await connection.fetch("select to_jsonb(m)::text from supabase_migrations.schema_migrations m")
    ]
    return {row["version"]: (row.get("name") or "", row.get("statements")) for row in rows}


def _state(migration: Migration, recorded: dict[str, tuple[str, list[str] | None]]) -> State:
    if migration.version not in recorded:
        return State.PENDING
    _, statements = recorded[migration.version]
    # Without statements there is nothing to compare: the record is believed.
    same = not statements or BLANK.sub("", "".join(statements)) == BLANK.sub("", migration.sql)
    return State.APPLIED if same else State.ALTERED


def _listed(found: Sequence[Standing], state: State) -> str:
    return ", ".join(f"{one.version}_{one.name}" for one in found if one.state is state)
