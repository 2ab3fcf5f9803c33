"""What a channel wants to hear of tables: one binding for each `postgres_changes` entry of its join."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any, Protocol, Self

from supabase_standin.authentication import Identity
from supabase_standin.realtime.fanout import Fanout
from supabase_standin.realtime.filters import Condition, parse
from supabase_standin.realtime.frames import dumps
from supabase_standin.realtime.pgoutput import Change, Relation


class Subscriber(Protocol):
    """A channel, as the change feed sees it."""

    @property
    def wire(self) -> str:
        """The topic as frames carry it."""

    @property
    def identity(self) -> Identity: ...

    def deliver(self, fanout: Fanout) -> None: ...

    def tell(self, status: str, extension: str, message: str) -> None:
        """Push a `system` message."""

    def end(self) -> None:
        """Close the channel."""


def binding_id(params: dict[str, Any]) -> int:
    """The same parameters give the same number; never 0, which clients take for none."""
    return zlib.crc32(dumps(sorted(params.items(), key=lambda item: item[0])).encode()) % (2**27 - 1) + 1


@dataclass(slots=True, kw_only=True, eq=False)
class Binding:
    """One entry; it hears nothing before `live_from` is set."""

    subscriber: Subscriber
    id: int
    event: str
    schema: str
    table: str
    conditions: tuple[Condition, ...]
    select: frozenset[str] | None
    raw: dict[str, Any]
    live_from: int | None = None
    """A position in the log: only what is committed after it is announced."""

    @classmethod
    def from_params(cls, subscriber: Subscriber, params: dict[str, Any]) -> Self:
        """Raises BadFilter."""
        select = params.get("select")
        return cls(
            subscriber=subscriber,
            id=binding_id(params),
            event=str(params.get("event") or "*").upper(),
            schema=str(params.get("schema") or "public"),
            table=str(params.get("table") or "*"),
            conditions=parse(str(params.get("filter") or "")),
            select=frozenset(map(str, select)) if isinstance(select, list) and select else None,
            raw=params,
        )

    def watches(self, relation: Relation) -> bool:
        return self.schema in ("*", relation.schema) and self.table in ("*", relation.name)

    def wants(self, change: Change) -> bool:
        """Of a relation it watches, by everything but the filter and the rights."""
        return self.live_from is not None and change.lsn >= self.live_from and self.event in ("*", change.kind)

    def fail(self, why: str) -> None:
        """Hear nothing any more, and tell the client once."""
        if self.live_from is not None:
            self.live_from = None
            self.subscriber.tell("error", "postgres_changes", self.unable(why))

    def unable(self, why: str) -> str:
        """What the client is told when Postgres will not have the binding."""
        return (
            "Unable to subscribe to changes with given parameters. An exception happened so please check your connect "
            f"parameters: {self}. Exception: {why}"
        )

    def __str__(self) -> str:
        return (
            f"[event: {self.event}, schema: {self.schema}, table: {self.table}, "
            f"filters: {self.raw.get('filter') or []}, select: {self.raw.get('select') or []}]"
        )
