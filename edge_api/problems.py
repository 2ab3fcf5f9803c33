"""What the API says when it cannot do what was asked: RFC 9457 problem JSON with a stable `code` and a `detail` that says what to do."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web
from pydantic import ValidationError

from edge_api.contract import contract

CONTENT_TYPE: Final = "application/problem+json"
MAX_SHOWN: Final = 10
"""How many wrong fields one answer lists."""

PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<h1>{title}</h1>
<p>{remedy}</p>
<p>Status {status}, code <code>{code}</code>.</p>
</html>
"""
_OF_STATUS: Final = {404: "not_found", 405: "method_not_allowed", 413: "payload_too_large", 417: "expectation_failed"}

_OURS: Final = {
    "missing": "is missing",
    "model_type": "The body must be a JSON object",
    "finite_number": "should be a valid number",
    "list_type": "should be a valid array",
}
"""What pydantic says about Python, said about JSON."""


class Problem(Exception):
    """An answer that is an error. `more` are further members of the problem, `headers` go with it."""

    def __init__(self, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = more

    def response(self, origin: str = "") -> web.Response:
        """`origin` stands before the address of the page about the code."""
        about = meaning(self.code)
        body = {
            "type": f"{origin}/api/v1/problems/{self.code}",
            "title": about["title"],
            "status": about["status"],
            "detail": self.detail,
        }
        response = web.Response(
            status=about["status"],
            text=json.dumps({**body, "code": self.code, **self.more}, ensure_ascii=False),
            content_type=CONTENT_TYPE,
            headers=self.headers,
        )
        if self.code == "request_timeout":
            response.force_close()  # the rest of the body may still come
        return response


def meaning(code: str) -> Mapping[str, Any]:
    """What the contract says of a code: `title`, `status`, `remedy`. Raises KeyError."""
    about: Mapping[str, Any] = contract()["components"]["schemas"]["Code"]["x-problems"][code]
    return about


def page(code: str) -> str:
    """The same in HTML. Raises KeyError."""
    about = {name: html.escape(str(value), quote=False) for name, value in meaning(code).items()}
    return PAGE.format(code=code, **about)


def of_http(error: web.HTTPException) -> Problem:
    """aiohttp's own refusals in our words."""
    code = _OF_STATUS.get(error.status, "bad_request" if error.status < 500 else "internal")
    match error:
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return Problem(code, f"{error.method} means nothing here; this takes {allowed}", headers={"Allow": allowed})
        case web.HTTPRequestEntityTooLarge():
            return Problem(
                code, "The body is too large; a request is at most 256 kB of JSON, videos go to /api/v1/upload"
            )
    details = {
        "not_found": "There is nothing at this address; the API is described at /openapi.json",
        "expectation_failed": "The only expectation this server meets is 100-continue; leave the Expect header out",
        "bad_request": "The request is not one this server understands; the API is described at /openapi.json",
        "internal": "Something went wrong on our side; try again, and report the X-Request-Id if it stays",
    }
    return Problem(code, details[code])


def of_validation(error: ValidationError, known: list[str]) -> Problem:
    """What pydantic found, without a word of what the user sent except the names of fields."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    wrong = [{"field": _place(e["loc"]), "message": _message(e["type"], e["msg"])} for e in found[:MAX_SHOWN]]
    unknown = [_place(e["loc"]) for e in found if e["type"] == "extra_forbidden"]
    if unknown:
        names = ", ".join(unknown[:MAX_SHOWN])
        hint = "the fields are described at /openapi.json" if "." in names else f"known are {', '.join(known)}"
        return Problem("unknown_field", f"Unknown field {names}; {hint}", errors=wrong)
    detail = "; ".join(f"{w['field']}: {w['message']}" if w["field"] else w["message"] for w in wrong)
    return Problem("invalid_request", detail, errors=wrong)


def _place(loc: tuple[int | str, ...]) -> str:
    return ".".join(str(part)[:80] for part in loc)


def _message(kind: str, message: str) -> str:
    if kind in _OURS:
        return _OURS[kind]
    return re.sub(r"^(Input|String|List|Dictionary) should|^Value error, | after validation, not .*$", _short, message)


def _short(words: re.Match[str]) -> str:
    return "should" if words[1] else ""
