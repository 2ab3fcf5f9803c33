"""Announces changed rows to the bindings that want them, may see them, and whose filters they pass."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from rhythmai.local.database import Database
from rhythmai.local.realtime.bindings import Binding, Subscriber
from rhythmai.local.realtime.fanout import Fanout
from rhythmai.local.realtime.filters import Condition
from rhythmai.local.realtime.frames import dumps
from rhythmai.local.realtime.limits import Limits
from rhythmai.local.realtime.pgoutput import Change, Row

SMALL: Final = 64
"""Bytes: the values that stay when a row is too large to send."""


@dataclass(frozen=True, slots=True)
class Table:
    """A relation as the catalog knows it."""

    types: dict[str, str]
    key: tuple[str, ...]
    secured: bool


class Changes:
    """The bindings of all channels."""

    def __init__(self, database: Database, limits: Limits) -> None:
        self._database = database
        self._limits = limits
        self._bindings: dict[Subscriber, tuple[Binding, ...]] = {}
        self._tables: dict[int, Table | None] = {}

    def put(self, subscriber: Subscriber, bindings: Iterable[Binding]) -> None:
        self._bindings[subscriber] = tuple(bindings)

    def drop(self, subscriber: Subscriber) -> None:
        self._bindings.pop(subscriber, None)

    def of(self, subscriber: Subscriber) -> tuple[Binding, ...]:
        return self._bindings.get(subscriber, ())

    def forget_tables(self) -> None:
        """The catalog may have changed since."""
        self._tables.clear()

    async def announce(self, change: Change) -> None:
        """Tell everybody concerned about one change. Raises the database's errors."""
        wanting = [b for bindings in self._bindings.values() for b in bindings if b.wants(change)]
        if not wanting:
            return
        async with self._database.transaction() as connection:
            table = await self._table(connection, change.relation.oid)
            if table is None:
                return  # dropped since
            passing = await self._filtered(connection, change, table, wanting)
            views = await self._views(connection, change, table, passing)
            record = await _typed(connection, change, table, change.new)
            old = await _typed(connection, change, table, _old(change, table))
        groups: dict[tuple[Subscriber, tuple[str, ...]], list[int]] = defaultdict(list)
        for binding in passing:
            visible, columns = views[_viewer(binding)]
            if visible or change.kind == "DELETE":
                chosen = tuple(c for c in columns if binding.select is None or c in binding.select or c in table.key)
                groups[binding.subscriber, chosen].append(binding.id)
        payloads: dict[tuple[str, ...], dict[str, Any]] = {}
        for (subscriber, chosen), ids in groups.items():
            if chosen not in payloads:
                payloads[chosen] = self._payload(change, table, chosen, record, old)
            subscriber.deliver(Fanout(subscriber.wire, "postgres_changes", {"ids": ids, "data": payloads[chosen]}))

    async def _table(self, connection: Any, oid: int) -> Table | None:
        if oid not in self._tables:
            row = await connection.fetchrow("select * from gateway.relation($1)", oid)
            self._tables[oid] = (
                Table(dict(zip(row["names"], row["types"], strict=True)), tuple(row["key"]), row["secured"])
                if row
                else None
            )
        return self._tables[oid]

    async def _filtered(self, connection: Any, change: Change, table: Table, bindings: list[Binding]) -> list[Binding]:
        texts = change.new or change.old
        verdicts: dict[Condition, bool] = {}
        for condition in {c for b in bindings for c in b.conditions}:
            verdicts[condition] = False
            if condition.column in texts and condition.column in table.types:
                match = await connection.fetchval(
                    "select gateway.matches($1, $2, $3, $4, $5)",
                    change.relation.oid,
                    condition.column,
                    condition.operator,
                    condition.value,
                    texts[condition.column],
                )
                verdicts[condition] = match is not None and match != condition.negated
        return [b for b in bindings if all(verdicts[c] for c in b.conditions)]

    async def _views(
        self, connection: Any, change: Change, table: Table, bindings: list[Binding]
    ) -> dict[tuple[str, str], tuple[bool, list[str]]]:
        """For each role with its claims: whether it sees the row now, and the columns it may read."""
        viewers = sorted({_viewer(binding) for binding in bindings})
        if not viewers:
            return {}
        key = {name: change.new.get(name) for name in table.key}
        rows = await connection.fetch(
            "select * from gateway.viewers($1, $2, $3, $4)",
            change.relation.oid,
            key,
            [role for role, _ in viewers],
            [claims for _, claims in viewers],
        )
        return {viewer: (row["visible"], row["columns"]) for viewer, row in zip(viewers, rows, strict=True)}

    def _payload(
        self, change: Change, table: Table, columns: tuple[str, ...], record: dict[str, Any], old: dict[str, Any]
    ) -> dict[str, Any]:
        errors = None if set(table.key) <= set(columns) and columns else ["Error 401: Unauthorized"]
        parts = {"record": record, "old_record": old}
        parts = {name: {c: part[c] for c in columns if c in part and not errors} for name, part in parts.items()}
        if len(dumps(parts).encode()) > self._limits.change_bytes:
            errors = ["Error 413: Payload Too Large"]
            parts = {
                name: {c: v for c, v in part.items() if len(dumps(v).encode()) <= SMALL} for name, part in parts.items()
            }
        shown = {"INSERT": ("record",), "UPDATE": ("record", "old_record"), "DELETE": ("old_record",)}[change.kind]
        return {
            "schema": change.relation.schema,
            "table": change.relation.name,
            "commit_timestamp": change.committed_at.strftime("%Y-%m-%dT%H:%M:%S.")
            + f"{change.committed_at.microsecond // 1000:03}Z",
            "type": change.kind,
            "columns": [{"name": name, "type": table.types[name]} for name in columns],
            **{name: parts[name] for name in shown},
            "errors": errors,
        }


def _viewer(binding: Binding) -> tuple[str, str]:
    identity = binding.subscriber.identity
    return identity.role, identity.claims_json


def _old(change: Change, table: Table) -> Row:
    """The old row as far as it may be told: with row security only its key."""
    old = change.old or {name: change.new[name] for name in table.key if name in change.new}
    return {name: value for name, value in old.items() if name in table.key} if table.secured else old


async def _typed(connection: Any, change: Change, table: Table, texts: Row) -> dict[str, Any]:
    """The texts of a row as the JSON values that Postgres gives them."""
    if not texts:
        return {}
    # A JSON text must go in as JSON: as a string it would come out as one.
    nested = {
        name: json.loads(text) if text is not None and table.types.get(name) in ("json", "jsonb") else text
        for name, text in texts.items()
    }
    typed: dict[str, Any] = await connection.fetchval("select gateway.typed($1, $2)", change.relation.oid, nested)
    return typed
