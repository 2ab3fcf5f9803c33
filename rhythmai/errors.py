"""Errors of the client and of the console script; `str()` is one line for the person who can act.

RhythmAIError
 ├── Refused      the API answered 4xx: the request has to change
 ├── Unreachable  the API or Storage could not be reached, or answered 5xx: the same request may work later
 ├── JobFailed    the job ended without what was asked for
 ├── NoStack      no local stack runs, or none can be started
 └── BadInput     a file or an argument cannot be used
"""

from __future__ import annotations


class RhythmAIError(Exception):
    """Base of all errors this package raises on purpose."""


class Refused(RhythmAIError):
    """The API refused the request."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        """The HTTP status."""
        self.code = code
        """The stable code of the problem, e.g. "job_not_found"."""


class Unreachable(RhythmAIError):
    """Nobody answered, or the other side is in trouble."""

    def __init__(self, text: str, remedy: str = "") -> None:
        super().__init__(f"{text}. {remedy}" if remedy else text)
        self.text = text
        self.remedy = remedy
        """What to do, where that is known."""


class JobFailed(RhythmAIError):
    """The job ended, but not well."""


class NoStack(RhythmAIError):
    """There is no local stack where one is needed."""


class BadInput(RhythmAIError):
    """What was given cannot be used."""
