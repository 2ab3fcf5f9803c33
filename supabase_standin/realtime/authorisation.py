"""What a role may do on a private channel: decided by the policies on realtime.messages, as on a hosted project."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from supabase_standin.authentication import Identity
from supabase_standin.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """The extensions ("broadcast", "presence") that may be read and written."""

    may_read: frozenset[str]
    may_write: frozenset[str]


_BOTH: Final = frozenset({"broadcast", "presence"})
EVERYTHING: Final = Policies(may_read=_BOTH, may_write=_BOTH)
"""On public channels."""


async def authorise(database: Database, topic: str, identity: Identity) -> Policies:
    """Ask the policies. Raises the database's errors; an unknown role may nothing."""
    row = await database.fetchrow(
        "select * from gateway.authorise($1, $2, $3, $4)", topic, identity.role, identity.claims_json, "{}"
    )
    return Policies(may_read=frozenset(row["may_read"]), may_write=frozenset(row["may_write"]))
