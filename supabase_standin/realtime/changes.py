"""Announces changed rows to the bindings that want them, may see them, and whose filters they pass."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, Final

from supabase_standin.database import CONNECTION_ERRORS, Database
from supabase_standin.realtime.announcement import Announcement, Table
from supabase_standin.realtime.bindings import Binding, Subscriber
from supabase_standin.realtime.fanout import Fanout
from supabase_standin.realtime.filters import Condition
from supabase_standin.realtime.limits import Limits
from supabase_standin.realtime.pgoutput import Change, Relation, Row

log = logging.getLogger(__name__)

CONDITIONS: Final = 100
"""How many conditions share the time of one statement."""


class Changes:
    """The bindings of all channels."""

    def __init__(self, database: Database, limits: Limits) -> None:
        self._database = database
        self._limits = limits
        self._bindings: dict[Subscriber, tuple[Binding, ...]] = {}

    def put(self, subscriber: Subscriber, bindings: Iterable[Binding]) -> None:
        self._bindings[subscriber] = tuple(bindings)

    def drop(self, subscriber: Subscriber) -> None:
        self._bindings.pop(subscriber, None)

    def of(self, subscriber: Subscriber) -> tuple[Binding, ...]:
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
                        "realtime.change.failed: %s of %s is not announced: %s",
                        same[0].kind, same[0].relation.name, error, exc_info=True,
                    )  # fmt: skip

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
            verdicts = await self._verdicts(connection, relation.oid, rows, wanting)
            views = await self._views(connection, relation.oid, rows, wanting)
            texts = [*(change.new for change in changes), *(table.old(change) for change in changes)]
            typed = await connection.fetchval(
                "select gateway.typed($1, $2)", relation.oid, [table.nested(row) for row in texts]
            )
        for i, change in enumerate(changes):
            announcement = Announcement(change, table, typed[i], typed[len(changes) + i], self._limits.change_bytes)
            keyless = not table.key and change.kind != "DELETE"  # nobody is told more than that there is no key
            groups: dict[tuple[Subscriber, tuple[str, ...]], list[int]] = defaultdict(list)
            for binding in wanting:
                visible, columns = views[_viewer(binding)]
                passes = all(c.column in columns and verdicts[c][i] for c in binding.conditions)
                seen = visible[i] or change.kind == "DELETE"
                if binding.wants(change) and (keyless or (seen and passes)):
                    groups[binding.subscriber, table.chosen(columns, binding.select)].append(binding.id)
            for (subscriber, chosen), ids in groups.items():
                payload = {"ids": ids, "data": announcement.payload(chosen)}
                subscriber.deliver(Fanout(subscriber.wire, "postgres_changes", payload))

    def _watching(self, relation: Relation) -> list[Binding]:
        return [b for bindings in self._bindings.values() for b in bindings if b.watches(relation)]

    async def _verdicts(
        self, connection: Any, oid: int, rows: list[Row], bindings: Iterable[Binding]
    ) -> dict[Condition, list[bool]]:
        """For each condition which rows fulfil it. A condition that fails silences its own bindings, and tells them."""
        askers: dict[Condition, list[Binding]] = defaultdict(list)
        for binding in bindings:
            for condition in binding.conditions:
                askers[condition].append(binding)
        verdicts: dict[Condition, list[bool]] = {}
        left = list(askers)
        while left:
            asked = left[:CONDITIONS]
            answers = await connection.fetch(
                "select * from gateway.verdicts($1, $2, $3, $4, $5)",
                oid,
                rows,
                [condition.column for condition in asked],
                [condition.operator for condition in asked],
                [condition.value for condition in asked],
            )
            for condition, answer in zip(asked, answers, strict=False):  # it may have run out of time
                passes = answer["passes"] or [None] * len(rows)
                verdicts[condition] = [p is not None and p != condition.negated for p in passes]
                if answer["failure"]:
                    for binding in askers[condition]:
                        binding.fail(answer["failure"])
            left = left[len(answers) :]
        return verdicts

    async def _views(
        self, connection: Any, oid: int, rows: list[Row], bindings: Iterable[Binding]
    ) -> dict[tuple[str, str], tuple[list[bool], frozenset[str]]]:
        """For each role with its claims: which rows it sees now, and the columns it may read."""
        viewers = sorted({_viewer(binding) for binding in bindings})
        answers = await connection.fetch(
            "select * from gateway.sees($1, $2, $3, $4)",
            oid,
            rows,
            [role for role, _ in viewers],
            [claims for _, claims in viewers],
        )
        return {
            viewer: (answer["visible"], frozenset(answer["columns"]))
            for viewer, answer in zip(viewers, answers, strict=True)
        }


def _viewer(binding: Binding) -> tuple[str, str]:
    identity = binding.subscriber.identity
    return identity.role, identity.claims_json
