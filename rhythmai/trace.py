"""The trace of a job, from the request through its row and its worker to the webhook: W3C trace context.

A traceparent is `00-<trace id>-<parent id>-<flags>`, in 32, 16 and 2 hexadecimal digits. It is a header of requests and
webhooks and a column of jobs, with OpenTelemetry and without. Its trace id stands in every log line as `trace_id`.
"""

from __future__ import annotations

import re
import secrets
from typing import Final

HEADER: Final = "traceparent"
SHAPE: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
"""As the check on jobs.traceparent says it."""


def continued(header: str) -> str:
    """The traceparent of a caller; a new one, marked as sampled, where the header has not the shape."""
    return header if SHAPE.fullmatch(header) else f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def trace_id(traceparent: str) -> str:
    """32 hexadecimal digits."""
    return traceparent[3:35]
