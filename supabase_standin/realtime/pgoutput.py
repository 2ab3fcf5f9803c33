"""Postgres's own logical replication format (protocol version 1), decoded message by message.

https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
Kind = Literal["INSERT", "UPDATE", "DELETE"]
Row = dict[str, str | None]
"""Column texts, as the types' output functions write them; a value that was left out of the log is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """A table as the log describes it."""

    oid: int
    schema: str
    name: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One changed row, with the end of the transaction it was committed in."""

    relation: Relation
    kind: Kind
    new: Row
    """Empty for a DELETE."""
    old: Row
    """The old key if it changed or the row is gone; the whole old row with replica identity full; else empty."""
    lsn: int
    committed_at: datetime


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, length: int) -> bytes:
        piece = self._data[self._at : self._at + length]
        self._at += length
        return piece

    def number(self, form: str) -> int:
        value: int = struct.unpack_from(">" + form, self._data, self._at)[0]
        self._at += struct.calcsize(">" + form)
        return value

    def text(self) -> str:
        end = self._data.index(b"\0", self._at)
        piece = self._data[self._at : end].decode()
        self._at = end + 1
        return piece

    def row(self, columns: tuple[str, ...]) -> Row:
        row: Row = {}
        self.number("h")
        for column in columns:
            kind = self.take(1)
            if kind == b"n":
                row[column] = None
            elif kind == b"t":
                row[column] = self.take(self.number("i")).decode()
            # b"u": a large value that the update did not touch is not in the log
        return row


class Decoder:
    """Feed it the messages of a slot in order; it remembers the relations and the open transaction."""

    def __init__(self, wants: Callable[[Relation], bool]) -> None:
        """Changes of relations that nobody wants are passed over."""
        self._wants = wants
        self._relations: dict[int, Relation | None] = {}
        self._lsn = 0
        self._committed_at = EPOCH

    def feed(self, message: bytes) -> Iterator[Change]:
        """Yield the change the message holds, if it holds one."""
        reader = _Reader(message)
        tag = reader.take(1)
        if tag == b"B":
            self._lsn = reader.number("Q")
            self._committed_at = EPOCH + timedelta(microseconds=reader.number("q"))
        elif tag == b"R":
            relation = self._relation(reader)
            self._relations[relation.oid] = relation if self._wants(relation) else None
        elif tag in b"IUD" and (known := self._relations[reader.number("I")]):
            yield self._change(tag, known, reader)

    def _relation(self, reader: _Reader) -> Relation:
        oid, schema, name = reader.number("I"), reader.text(), reader.text()
        reader.take(1)  # replica identity
        columns = []
        for _ in range(reader.number("h")):
            reader.take(1)  # flags
            columns.append(reader.text())
            reader.take(8)  # type and modifier
        return Relation(oid=oid, schema=schema, name=name, columns=tuple(columns))

    def _change(self, tag: bytes, relation: Relation, reader: _Reader) -> Change:
        old: Row = {}
        new: Row = {}
        part = reader.take(1)
        if part in b"KO":
            # A key tuple has the columns outside the key as nulls; they are unknown, not null.
            old = reader.row(relation.columns)
            if part == b"K":
                old = {name: value for name, value in old.items() if value is not None}
            part = reader.take(1)
        if part == b"N":
            new = reader.row(relation.columns)
        kinds: dict[bytes, Kind] = {b"I": "INSERT", b"U": "UPDATE", b"D": "DELETE"}
        return Change(
            relation=relation, kind=kinds[tag], new=new, old=old, lsn=self._lsn, committed_at=self._committed_at
        )
