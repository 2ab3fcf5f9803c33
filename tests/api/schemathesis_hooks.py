"""Loaded by schemathesis: what a generated request needs to make sense."""

from __future__ import annotations

from uuid import uuid4

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs) -> None:
    """A generated key is used once: with another body a second time it would rightly be refused."""
    if len(case.headers.get("Idempotency-Key") or "") >= 16 and case.headers["Idempotency-Key"].isascii():
        case.headers["Idempotency-Key"] = str(uuid4())
