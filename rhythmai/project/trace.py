"""The trace of a job, from the request through its row and its worker to the webhook: W3C trace context.

A traceparent is `00-<trace id>-<parent id>-<flags>`, in 32, 16 and 2 hexadecimal digits. It is a header of requests and
webhooks and a column of jobs, with OpenTelemetry and without. Its trace id stands in every log line as `trace_id`.

`Tracer` is the seam: `untraced` records nothing and only hands the traceparent on, `rhythmai.project.telemetry` makes spans of it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final, Literal, Protocol

HEADER: Final = "traceparent"
SHAPE: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
"""As the check on jobs.traceparent says it."""

Kind = Literal["internal", "server", "client", "consumer"]
Attributes = Mapping[str, str | int]


class Span(Protocol):
    """Something that began and will end."""

    @property
    def traceparent(self) -> str:
        """What to hand on: this span is the parent of whoever takes it."""

    def called(self, name: str) -> None:
        """Its name, when that is known only later."""

    def tell(self, attributes: Attributes) -> None:
        """Add what is known about it by now."""

    def fail(self, code: str) -> None:
        """It went wrong; a code, never a message, which may hold a user's words."""


class Tracer(Protocol):
    """Begins a span under `parent`, or under the one that surrounds it; it is left when it ends."""

    def __call__(
        self, name: str, *, parent: str | None = None, kind: Kind = "internal", attributes: Attributes | None = None
    ) -> AbstractContextManager[Span]: ...


@dataclass(frozen=True, slots=True)
class Unseen:
    """A span that nobody records."""

    traceparent: str

    def called(self, name: str) -> None: ...

    def tell(self, attributes: Attributes) -> None: ...

    def fail(self, code: str) -> None: ...


@contextmanager
def untraced(
    name: str, *, parent: str | None = None, kind: Kind = "internal", attributes: Attributes | None = None
) -> Iterator[Unseen]:
    """A `Tracer` that records nothing; a trace that nobody began begins here, marked as sampled."""
    yield Unseen(parent or f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01")


def taken(header: str) -> str | None:
    """The traceparent of a caller; None where the header has not the shape."""
    return header if SHAPE.fullmatch(header) else None


def trace_id(traceparent: str) -> str:
    """32 hexadecimal digits."""
    return traceparent[3:35]


def function_of(sql: str) -> str:
    """The function of schema queue that a statement calls: the name of its span."""
    found = re.search(r"queue\.\w+", sql)
    return found[0] if found else "sql"
