"""Where clients reach this API: PUBLIC_URL, else what the request says itself, which nobody but its sender hears."""

from __future__ import annotations

import re
from typing import Final

from aiohttp import web

_HOST: Final = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")


def origin_of(request: web.BaseRequest, public_url: str) -> str:
    """What stands before `/api/v1` in the addresses of an answer; empty, so that they are relative, where a request names no host."""
    if public_url:
        return public_url
    host = request.headers.get("Host", "")
    return f"{request.scheme}://{host}" if _HOST.fullmatch(host) else ""
