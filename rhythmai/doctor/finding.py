"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

KEY: Final = "Check SUPABASE_KEY: it must be the secret key"
PROJECT: Final = "Check SUPABASE_URL and SUPABASE_KEY, and that the project is not paused"


class Verdict(StrEnum):
    """How bad it is."""

    OK = "ok"
    NOTE = "note"
    """Worth knowing; nothing that was asked for is missing."""
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line for the person who can act."""

    check: str
    verdict: Verdict
    text: str
    remedy: str = ""
    """What to do, when something is to be done."""


def ok(check: str, text: str) -> Finding:
    return Finding(check, Verdict.OK, text)


def note(check: str, text: str, remedy: str = "") -> Finding:
    return Finding(check, Verdict.NOTE, text, remedy)


def fail(check: str, text: str, remedy: str) -> Finding:
    return Finding(check, Verdict.FAIL, text, remedy)
