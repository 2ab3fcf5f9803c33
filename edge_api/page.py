"""What a browser sees at `/`: the built web page when there is one, else a word about what this is."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aiohttp import web

from edge_api.server import Handler

STATIC: Final = Path(__file__).with_name("static")
FOR_EVER: Final = "public, max-age=31536000, immutable"
"""Files under assets/ carry a hash of their content in their names."""
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


def add_page(app: web.Application, static: Path = STATIC) -> None:
    """Serve the files of `static`; each name is a route of its own, so nothing else on disk can be asked for."""
    index = static / "index.html"

    async def front(_: web.Request) -> web.StreamResponse:
        if not index.is_file():
            return web.Response(text=PLAIN, content_type="text/html")
        return web.FileResponse(index, headers={"Cache-Control": "no-cache"})

    app.router.add_get("/", front)
    for file in sorted(path for path in static.rglob("*") if path.is_file()):
        name = file.relative_to(static).as_posix()
        app.router.add_get("/" + name, _serve(file, FOR_EVER if name.startswith("assets/") else "no-cache"))


def _serve(file: Path, cache: str) -> Handler:
    async def serve(_: web.Request) -> web.StreamResponse:
        return web.FileResponse(file, headers={"Cache-Control": cache})

    return serve
