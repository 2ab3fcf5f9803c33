"""The body of a request: JSON within limits, as the contract describes it. The twin of supabase/functions/_shared/body.ts."""

from __future__ import annotations

import asyncio
import json
import math
import re
from typing import Any, Final, Never, TypeVar

from aiohttp import web
from pydantic import ValidationError

from edge_api import models
from edge_api.problems import Problem, of_validation

Body = TypeVar("Body", bound=models.Body)

MAX_BODY_BYTES: Final = 256 * 1024
BODY_S: Final = 15
"""How long a client may take to send its body."""
MAX_DEPTH: Final = 100
"""Deeper than any request means to be."""


async def read(request: web.Request, model: type[Body], *, within_s: float = BODY_S) -> Body:
    """The body as `model`. Raises Problem: unsupported_media_type, request_timeout, payload_too_large, bad_request,
    invalid_json, unknown_field, invalid_request."""
    _must_be_json(request)
    return _checked(await _bytes(request, within_s), model)


async def read_if_any(request: web.Request, model: type[Body]) -> Body:
    """The same where no body at all means `{}`; gateways do not always keep `Content-Length: 0`."""
    raw = await _bytes(request, BODY_S)
    if not raw:
        return model()
    _must_be_json(request)
    return _checked(raw, model)


def _must_be_json(request: web.Request) -> None:
    if "Content-Type" in request.headers and not re.fullmatch(r"application/([\w.-]+\+)?json", request.content_type):
        raise Problem("unsupported_media_type", "The body must be JSON; send it with Content-Type: application/json")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Problem("unsupported_media_type", "The body must not be compressed; send it without Content-Encoding")


async def _bytes(request: web.Request, within_s: float) -> bytes:
    try:
        async with asyncio.timeout(within_s):
            return await request.read()
    except TimeoutError as error:
        raise Problem("request_timeout", f"The body did not arrive within {within_s:g} s; send it again") from error
    except web.RequestPayloadError as error:
        raise Problem(
            "bad_request", "The body is not what its headers say (Content-Length, Transfer-Encoding)"
        ) from error


def _checked(raw: bytes, model: type[Body]) -> Body:
    try:
        return model.model_validate(_parse(raw))
    except ValidationError as error:
        raise of_validation(error, list(model.model_fields)) from error


def _parse(raw: bytes) -> Any:
    try:
        value = json.loads(raw.decode(), parse_int=_whole, parse_constant=_refuse)
        _must_be_sane(value)
    except (ValueError, RecursionError) as error:
        raise Problem("invalid_json", "The body is not JSON we can read: send one object, in UTF-8") from error
    return value


def _whole(digits: str) -> float:
    # Endless digits are infinite, as they are to JavaScript, instead of an error of Python's.
    number = float(digits)
    return int(digits) if math.isfinite(number) else number


def _refuse(constant: str) -> Never:
    raise ValueError(f"{constant} is not JSON")


def _must_be_sane(value: object, depth: int = 0) -> None:
    """Half a surrogate pair is no text, and a tower of brackets no request. Raises ValueError."""
    if depth > MAX_DEPTH:
        raise ValueError("too deep")
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, dict):
        for key, part in value.items():
            key.encode()
            _must_be_sane(part, depth + 1)
    elif isinstance(value, list):
        for part in value:
            _must_be_sane(part, depth + 1)
