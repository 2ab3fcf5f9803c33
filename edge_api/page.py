"""What a browser sees at `/`: the built web page of studio/ when there is one, else a word about what this is."""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from edge_api.database import Database
from edge_api.problems import Problem
from edge_api.server import Handler
from edge_api.settings import Settings

STATIC: Final = Path(__file__).with_name("static")
FOR_EVER: Final = "public, max-age=31536000, immutable"
"""Files under assets/ carry a hash of their content in their names."""
COMPRESSED: Final = (".gz", ".br")
"""Of the file beside them, which is sent so to whoever takes it."""
NONCE: Final = "NONCE"
"""What the built page has where each answer has its own: the waveforms bring a style sheet of their own."""
PLAIN: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>RhythmAI</title>
<h1>RhythmAI</h1>
<p>Background music for a video: post its address to <code>/api/v1/gen</code>, and tracks appear one by one.</p>
<p>The API is described in <a href="/openapi.json">/openapi.json</a>.</p>
</html>
"""


def add_page(app: web.Application, settings: Settings, database: Database, static: Path = STATIC) -> None:
    """Serve the files of `static`; each name is a route of its own, so nothing else on disk can be asked for."""
    index = static / "index.html"
    files = sorted(path for path in static.rglob("*") if path.is_file() and path.suffix not in COMPRESSED)
    text = PLAIN
    if index in files:
        files.remove(index)  # by its own name it would come without its rules
        text = index.read_text()
    origins = _origins(settings.origin)

    async def front(_: web.Request) -> web.StreamResponse:
        nonce = secrets.token_urlsafe(16)
        headers = {"Content-Security-Policy": _policy(origins, nonce), "X-Robots-Tag": "none"}
        return web.Response(text=text.replace(NONCE, nonce), content_type="text/html", headers=headers)

    async def engines() -> list[str]:
        try:
            living = (await database.health())["engines"]
            # The rule is private.enter's: a page shall not offer what is refused.
            return [one for one in living if not (settings.commercial_only and one == "mmaudio")]
        except Problem:  # the page says by itself that the database is away
            return []

    async def config(_: web.Request) -> web.Response:
        told = {
            "engines": await engines(),
            "project_url": settings.origin,
            "publishable_key": settings.supabase_publishable_key,
            "sign_in": settings.studio_sign_in,
            "retention_days": settings.retention_days,
            "sample": (static / "sample.mp4") in files,
        }
        return web.json_response(told)

    app.router.add_get("/", front)
    app.router.add_get("/config.json", config)
    for file in files:
        name = file.relative_to(static).as_posix()
        app.router.add_get("/" + name, _serve(file, FOR_EVER if name.startswith("assets/") else "no-cache"))


def _origins(project_url: str) -> tuple[str, str]:
    """What the page may call, and where its films and tracks come from: the project, and on a hosted one its Storage's own host."""
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(project_url))
    storage = re.sub(r"^(https://[a-z0-9]+)\.supabase\.(co|red|green)$", r"\1.storage.supabase.\2", origin)
    media = " ".join(dict.fromkeys((origin, storage)))
    return f"{media} {re.sub('^http', 'ws', origin)}", media


def _policy(origins: tuple[str, str], nonce: str) -> str:
    calls, media = origins
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; "
        f"connect-src 'self' blob: {calls}; media-src 'self' blob: {media}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _serve(file: Path, cache: str) -> Handler:
    async def serve(_: web.Request) -> web.StreamResponse:
        return web.FileResponse(file, headers={"Cache-Control": cache})

    return serve
