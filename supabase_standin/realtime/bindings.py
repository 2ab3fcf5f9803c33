"""What a channel wants to hear of tables: one binding for each `postgres_changes` entry of its join."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import Any, Final, Self

from supabase_standin.realtime.frames import dumps
from supabase_standin.realtime.pgoutput import Change, Relation
from supabase_standin.realtime.topics import Member

OPERATORS: Final = "eq|neq|lt|lte|gt|gte|in"
MAX_VALUES: Final = 100
MAX_LENGTH: Final = 10_000
_QUOTED: Final = r'"(?:[^"\\]|\\.)*"'
r"""As the clients write a value that holds `,()"\`."""
_NEXT: Final = r",(?=[^=,]+=[a-z]+\.)"
_CONDITION: Final = re.compile(
    rf'([^=,]+)=({OPERATORS})\.({_QUOTED}|\((?:{_QUOTED}|[^")])*\)|.*?)(?:{_NEXT}|\Z)', re.DOTALL
)


class BadFilter(ValueError):
    """A filter nobody can evaluate."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison of a filter; the value of `in` is a Postgres array literal."""

    column: str
    operator: str
    value: str


def conditions(text: str) -> tuple[Condition, ...]:
    """Of a filter, `column=operator.value`, several joined by commas. Raises BadFilter."""
    if len(text) > MAX_LENGTH:
        raise BadFilter(f"a filter of {len(text)} characters: at most {MAX_LENGTH}")
    found = tuple(_CONDITION.finditer(text))
    if "".join(one[0] for one in found) != text:
        raise BadFilter(f"invalid filter {text!r}: write column=operator.value, with one of {OPERATORS}")
    return tuple(
        Condition(column.strip(), operator, _array(value) if operator == "in" else _plain(value))
        for column, operator, value in (one.groups() for one in found)
    )


def _plain(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if re.fullmatch(_QUOTED, value, re.DOTALL) else value


def _array(text: str) -> str:
    """`(a,"b,c")` as the array literal `{"a","b,c"}`."""
    if not (text.startswith("(") and text.endswith(")")):
        raise BadFilter(f"invalid list {text!r}: write in.(a,b)")
    values = [_plain(value.strip()) for value in re.findall(rf"(?:^|,)({_QUOTED}|[^,]*)", text[1:-1])]
    if len(values) > MAX_VALUES:
        raise BadFilter(f"too many values for `in`: {len(values)}, at most {MAX_VALUES}")
    return "{" + ",".join('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values) + "}"


def binding_id(params: dict[str, Any]) -> int:
    """The same parameters give the same number; never 0, which clients take for none."""
    return zlib.crc32(dumps(sorted(params.items())).encode()) % (2**27 - 1) + 1


@dataclass(slots=True, kw_only=True, eq=False)
class Binding:
    """One entry; it hears nothing before `live_from` is set."""

    subscriber: Member
    id: int
    event: str
    schema: str
    table: str
    filter: str
    conditions: tuple[Condition, ...]
    live_from: int | None = None
    """A position in the log: only what is committed after it is announced."""

    @classmethod
    def from_params(cls, subscriber: Member, params: dict[str, Any]) -> Self:
        """Raises BadFilter."""
        return cls(
            subscriber=subscriber,
            id=binding_id(params),
            event=str(params.get("event") or "*").upper(),
            schema=str(params.get("schema") or "public"),
            table=str(params.get("table") or "*"),
            filter=(text := str(params.get("filter") or "")),
            conditions=conditions(text),
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
        return f"[event: {self.event}, schema: {self.schema}, table: {self.table}, filter: {self.filter}]"
