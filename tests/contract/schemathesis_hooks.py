"""Loaded by schemathesis: what a generated request needs to make sense."""

from __future__ import annotations

import os
import re
from uuid import uuid4

import requests
import schemathesis

OTHER = requests.Session()
SAID: set[tuple[str, str]] = set()


@schemathesis.hook
def filter_case(context, case) -> bool:
    """Of the cases made to cover the schema that differ in a value alone, such as wrong types of a field or unknown methods, a usual run has the first."""
    about = case.meta.phase.data
    if os.environ.get("FUZZ", "1") != "1" or not hasattr(about, "scenario"):
        return True
    said = case.operation.label, about.description if about.location else about.scenario
    if said in SAID:
        return False
    SAID.add(said)
    return True


@schemathesis.hook
def before_call(context, case, kwargs) -> None:
    """A generated key is used once and is as long as a visitor's, and a video is a visitor's: else they would rightly be refused."""
    if re.fullmatch("[!-~]{1,255}", case.headers.get("Idempotency-Key") or ""):
        case.headers["Idempotency-Key"] = str(uuid4())
    if not isinstance(case.body, dict):
        return
    # What only a server's key may name is refused to a visitor, although the contract has its shape.
    if str(case.body.get("video_url")).startswith("storage://"):
        case.body["video_url"] = "https://example.com/a.mp4"
    # What goes together only so: no schema says it.
    if case.body.get("format") in ("mp3", "m4a") and case.body.get("loop") is True:
        case.body["loop"] = False
    segments = case.body.get("segments")
    if isinstance(segments, list) and all(isinstance(one, dict) for one in segments):
        for place, segment in enumerate(segments):
            if isinstance(segment.get("start"), int | float):
                segment["start"] = place


@schemathesis.check
def the_other_host_keeps_the_contract_too(ctx, response, case) -> None:
    """What is made for one host is sent to the other, whose answer has to pass the same checks."""
    answer = case.call(base_url=os.environ["OTHER_HOST"], session=OTHER)
    case.validate_response(answer, excluded_checks=[the_other_host_keeps_the_contract_too])
