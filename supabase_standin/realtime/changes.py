"""Announces changed rows to the bindings that want them, may see them, and whose filters they pass."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from supabase_standin.database import CONNECTION_ERRORS, Database
from supabase_standin.realtime.announcement import Announcement, Table
from supabase_standin.realtime.bindings import Binding, Condition
from supabase_standin.realtime.frames import Fanout
from supabase_standin.realtime.limits import Limits
from supabase_standin.realtime.pgoutput import Change, Relation, Row
from supabase_standin.realtime.topics import Member

log = logging.getLogger(__name__)


class Changes:
    """The bindings of all channels."""

    def __init__(self, database: Database, limits: Limits) -> None:
        self._database = database
        self._limits = limits
        self._bindings: dict[Member, tuple[Binding, ...]] = {}

    def put(self, subscriber: Member, bindings: Iterable[Binding]) -> None:
        self._bindings[subscriber] = tuple(bindings)

    def drop(self, subscriber: Member) -> None:
        self._bindings.pop(subscriber, None)

    def of(self, subscriber: Member) -> tuple[Binding, ...]:
        return self._bindings.get(subscriber, ())

    @property
    def busy(self) -> bool:
        """Whether anybody has bindings."""
        return bool(self._bindings)

    def want(self, relation: Relation) -> bool:
        return bool(self._watching(relation))

    async def announce(self, changes: Sequence[Change]) -> None:
        """Tell everybody concerned, in order. Raises CONNECTION_ERRORS; a change that cannot be told is logged."""
        for _, group in groupby(changes, key=lambda change: change.relation.oid):
            same = tuple(group)
            try:
                await self._tell(same)
            except CONNECTION_ERRORS:
                raise
            except Exception as error:
                if len(same) > 1:
                    for change in same:  # one of them is to blame, or it is too much at once
                        await self.announce((change,))
                else:
                    log.warning(
                        "realtime.change.failed: a row of %s is not told: %s",
                        same[0].relation.name,
                        error,
                        exc_info=True,
                    )

    async def _tell(self, changes: Sequence[Change]) -> None:
        """Changes of one relation, with few questions to Postgres however many they are."""
        relation = changes[0].relation
        wanting = [b for b in self._watching(relation) if any(b.wants(change) for change in changes)]
        if not wanting:
            return
        async with self._database.transaction() as connection:
            row = await connection.fetchrow("select * from gateway.relation($1)", relation.oid)
            if row is None:
                return  # dropped since
            table = Table.from_row(row)
            rows = [change.new or table.old(change) for change in changes]
            matches = await self._matches(connection, relation.oid, rows, wanting)
            views = await self._views(connection, relation.oid, rows, wanting)
            texts = [*(change.new for change in changes), *(table.old(change) for change in changes)]
            typed = await connection.fetchval(
                "select gateway.typed($1, $2)", relation.oid, [table.nested(row) for row in texts]
            )
        for i, change in enumerate(changes):
            announcement = Announcement(change, table, typed[i], typed[len(changes) + i], self._limits.change_bytes)
            keyless = not table.key and change.kind != "DELETE"  # nobody is told more than that there is no key
            groups: dict[tuple[Member, tuple[str, ...]], list[int]] = defaultdict(list)
            for binding in wanting:
                visible, columns = views[_viewer(binding)]
                passes = all(c.column in columns and matches[c][i] for c in binding.conditions)
                seen = visible[i] or change.kind == "DELETE"
                if binding.wants(change) and (keyless or (seen and passes)):
                    groups[binding.subscriber, columns].append(binding.id)
            for (subscriber, columns), ids in groups.items():
                payload = {"ids": ids, "data": announcement.payload(columns)}
                subscriber.deliver(Fanout(subscriber.topic.wire, "postgres_changes", payload))

    def _watching(self, relation: Relation) -> list[Binding]:
        return [b for bindings in self._bindings.values() for b in bindings if b.watches(relation)]

    async def _matches(
        self, connection: Any, oid: int, rows: list[Row], bindings: Iterable[Binding]
    ) -> dict[Condition, list[bool | None]]:
        """For each condition which rows fulfil it. A condition that fails silences its own bindings, and tells them."""
        askers: dict[Condition, list[Binding]] = defaultdict(list)
        for binding in bindings:
            for condition in binding.conditions:
                askers[condition].append(binding)
        found: dict[Condition, list[bool | None]] = {}
        for condition, answer in zip(askers, await matches(connection, oid, rows, askers), strict=True):
            found[condition] = answer["matches"] or [None] * len(rows)
            if answer["failure"]:
                for binding in askers[condition]:
                    binding.fail(answer["failure"])
        return found

    async def _views(
        self, connection: Any, oid: int, rows: list[Row], bindings: Iterable[Binding]
    ) -> dict[tuple[str, str], tuple[list[bool], tuple[str, ...]]]:
        """For each role with its claims: which rows it sees now, and the columns it may read."""
        viewers = sorted({_viewer(binding) for binding in bindings})
        answers = await views(connection, oid, rows, viewers)
        return {viewer: (row["visible"], tuple(row["columns"])) for viewer, row in zip(viewers, answers, strict=True)}


async def matches(connection: Any, oid: int, rows: list[Row], conditions: Iterable[Condition]) -> list[Any]:
    """`matches` and `failure` of each condition."""
    asked = [[c.column for c in conditions], [c.operator for c in conditions], [c.value for c in conditions]]
    found: list[Any] = await connection.fetch("select * from gateway.matches($1, $2, $3, $4, $5)", oid, rows, *asked)
    return found


async def views(connection: Any, oid: int, rows: list[Row], viewers: Sequence[tuple[str, str]]) -> list[Any]:
    """`visible` rows and `columns` for each role with its claims."""
    roles, claims = [role for role, _ in viewers], [claims for _, claims in viewers]
    found: list[Any] = await connection.fetch("select * from gateway.sees($1, $2, $3, $4)", oid, rows, roles, claims)
    return found


def _viewer(binding: Binding) -> tuple[str, str]:
    identity = binding.subscriber.identity
    return identity.role, identity.claims_json
