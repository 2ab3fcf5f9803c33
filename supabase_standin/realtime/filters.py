"""Filters of postgres_changes: `column=operator.value`, several joined by commas."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

OPERATORS: Final = (
    "eq", "neq", "lt", "lte", "gt", "gte", "in", "like", "ilike", "is", "match", "imatch", "isdistinct",
)  # fmt: skip
PATTERNS: Final = ("like", "ilike", "match", "imatch")
"""Whose value is compiled when it meets a text, and not before."""
MAX_VALUES: Final = 100
MAX_CONDITIONS: Final = 20
MAX_LENGTH: Final = 10_000
_CONDITION: Final = re.compile(
    rf"(?P<column>[^=,]+)=(?P<negated>not\.)?(?P<operator>{'|'.join(OPERATORS)})\.(?P<value>.*)", re.DOTALL
)
_BETWEEN: Final = re.compile(rf",(?=[^=,]+=(?:not\.)?(?:{'|'.join(OPERATORS)})\.)")
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_VALUE: Final = re.compile(r'"((?:[^"\\]|\\.)*)"|([^,]*)')


class BadFilter(ValueError):
    """A filter nobody can evaluate."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison; `value` of `in` is a Postgres array literal."""

    column: str
    operator: str
    negated: bool
    value: str


def parse(text: str) -> tuple[Condition, ...]:
    """A value may stand in double quotes, with backslashes, as the clients write one that holds `,()"\\`. Raises BadFilter."""
    if len(text) > MAX_LENGTH:
        raise BadFilter(f"a filter of {len(text)} characters: at most {MAX_LENGTH}")
    parts = _split(text) if text else []
    if len(parts) > MAX_CONDITIONS:
        raise BadFilter(f"a filter of {len(parts)} conditions: at most {MAX_CONDITIONS}")
    return tuple(_condition(part) for part in parts)


def _split(text: str) -> list[str]:
    """At the commas between conditions, not at those within quotes."""
    blank = _QUOTED.sub(lambda found: "_" * len(found[0]), text)
    cuts = [found.start() for found in _BETWEEN.finditer(blank)]
    return [text[start:end] for start, end in zip([0, *(cut + 1 for cut in cuts)], [*cuts, len(text)], strict=True)]


def _condition(text: str) -> Condition:
    found = _CONDITION.fullmatch(text)
    if not found:
        raise BadFilter(f"invalid filter {text!r}: write column=operator.value with one of {', '.join(OPERATORS)}")
    operator, value = found["operator"], found["value"]
    value = _array(value) if operator == "in" else _unquoted(value)
    return Condition(found["column"].strip(), operator, bool(found["negated"]), value)


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if _QUOTED.fullmatch(value) else value


def _array(text: str) -> str:
    """`(a,"b,c")` as the array literal `{"a","b,c"}`."""
    if not (text.startswith("(") and text.endswith(")")):
        raise BadFilter(f"invalid list {text!r}: write in.(a,b)")
    values, at, inside = [], 0, text[1:-1]
    while at <= len(inside):
        found = _VALUE.match(inside, at)
        assert found is not None  # the second alternative matches anything
        values.append(re.sub(r"\\(.)", r"\1", found[1]) if found[1] is not None else found[2].strip())
        at = found.end() + 1
    if len(values) > MAX_VALUES:
        raise BadFilter(f"too many values for `in`: {len(values)}, at most {MAX_VALUES}")
    quoted = ('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values)
    return "{" + ",".join(quoted) + "}"
