"""Loaded by schemathesis: what a generated request needs to make sense."""

from __future__ import annotations

import re
from uuid import uuid4

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs) -> None:
    """A generated key is used once and is as long as a visitor's, and a video is a visitor's: else they would rightly be refused."""
    if re.fullmatch("[!-~]{1,255}", case.headers.get("Idempotency-Key") or ""):
        case.headers["Idempotency-Key"] = str(uuid4())
    # What only a server's key may name is refused to a visitor, although the contract has its shape.
    if isinstance(case.body, dict) and str(case.body.get("video_url")).startswith("storage://"):
        case.body["video_url"] = "https://example.com/a.mp4"
