"""What subscribers are told about one changed row: the payload of `postgres_changes`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from supabase_standin.realtime.frames import dumps
from supabase_standin.realtime.pgoutput import Change, Row

SMALL: Final = 64
"""Bytes: the values that stay when a row is too large to send."""


@dataclass(frozen=True, slots=True)
class Table:
    """A relation as the catalog knows it."""

    types: dict[str, str]
    """By column, in their order."""
    key: tuple[str, ...]
    secured: bool

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        return cls(dict(zip(row["names"], row["types"], strict=True)), tuple(row["key"]), row["secured"])

    def old(self, change: Change) -> Row:
        """The old row as far as it may be told, and filtered by: with row security only its key."""
        old = change.old or {name: change.new[name] for name in self.key if name in change.new}
        return {name: value for name, value in old.items() if name in self.key} if self.secured else old

    def nested(self, row: Row) -> dict[str, Any]:
        """Texts with the JSON among them parsed: as a string it would come out as one."""
        return {
            name: json.loads(text) if text is not None and self.types.get(name) in ("json", "jsonb") else text
            for name, text in row.items()
        }


class Announcement:
    """One change; its payload is made once for each choice of columns."""

    def __init__(self, change: Change, table: Table, record: dict[str, Any], old: dict[str, Any], limit: int) -> None:
        self._change = change
        self._table = table
        self._parts = {"record": record, "old_record": old}
        self._limit = limit
        self._payloads: dict[tuple[str, ...], dict[str, Any]] = {}

    def payload(self, columns: tuple[str, ...]) -> dict[str, Any]:
        if columns not in self._payloads:
            self._payloads[columns] = self._make(columns)
        return self._payloads[columns]

    def _make(self, columns: tuple[str, ...]) -> dict[str, Any]:
        change, table = self._change, self._table
        errors = None
        if not table.key and change.kind != "DELETE":
            errors = ["Error 400: Bad Request, no primary key"]
        elif not columns or not set(table.key) <= set(columns):
            errors = ["Error 401: Unauthorized"]
        # What the log leaves out, as some generated columns, is not listed either.
        told = () if errors else tuple(name for name in columns if name in change.relation.columns)
        parts = {name: {c: part[c] for c in told if c in part} for name, part in self._parts.items()}
        if len(dumps(parts).encode()) > self._limit:
            errors = ["Error 413: Payload Too Large"]
            parts = {
                name: {c: v for c, v in part.items() if len(dumps(v).encode()) <= SMALL} for name, part in parts.items()
            }
        shown = {"INSERT": ("record",), "UPDATE": ("record", "old_record"), "DELETE": ("old_record",)}[change.kind]
        return {
            "schema": change.relation.schema,
            "table": change.relation.name,
            "commit_timestamp": change.committed_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "type": change.kind,
            "columns": [{"name": name, "type": table.types[name]} for name in told],
            **{name: parts[name] for name in shown},
            "errors": errors,
        }
