"""The calls of the contract: check the request, call an SQL function, answer."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

from aiohttp import web

from edge_api import events, models
from edge_api.addresses import Clients
from edge_api.auth import UUID_TEXT, Authenticator, unauthorized
from edge_api.body import read, read_if_any
from edge_api.database import Database, View
from edge_api.problems import Problem, page
from edge_api.server import ORIGIN, TRACEPARENT
from edge_api.settings import Network
from edge_api.uploads import Uploads
from edge_api.watch import Watches, not_found

_KEY: Final = re.compile(r"[!-~]{1,255}")
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\["\\])+)"')
"""A key as an RFC 9651 string."""


class Routes:
    """Every handler of /api/v1, and /healthz."""

    def __init__(
        self,
        database: Database,
        watches: Watches,
        uploads: Uploads,
        authenticator: Authenticator,
        *,
        trusted: tuple[Network, ...],
        merge_wait_s: float,
    ) -> None:
        self._database = database
        self._watches = watches
        self._uploads = uploads
        self._authenticator = authenticator
        self._clients = Clients(trusted)
        self._merge_wait_s = merge_wait_s

    def add_to(self, app: web.Application) -> None:
        app.router.add_post("/api/v1/gen", self.gen)
        app.router.add_post("/api/v1/brief", self.brief)
        app.router.add_post("/api/v1/merge", self.merge)
        app.router.add_post("/api/v1/upload", self.upload)
        app.router.add_get("/api/v1/jobs", self.jobs)
        app.router.add_get("/api/v1/job/{job_id}", self.view)
        app.router.add_delete("/api/v1/job/{job_id}", self.delete)
        app.router.add_post("/api/v1/job/{job_id}/again", self.again)
        app.router.add_post("/api/v1/job/{job_id}/pack", self.pack)
        app.router.add_get("/api/v1/job/{job_id}/events", self.events, allow_head=False)
        app.router.add_get("/api/v1/problems/{code}", self.problem)
        app.router.add_get("/api/v1/ping", self.ping)
        app.router.add_get("/healthz", self.healthz)

    async def gen(self, request: web.Request) -> web.Response:
        user = await self._user(request)
        body = await read(request, models.Gen)
        return _made(request, await self._submit(request, "generate", user, body))

    async def brief(self, request: web.Request) -> web.Response:
        user = await self._user(request)
        body = await read(request, models.Brief)
        return _made(request, await self._submit(request, "brief", user, body))

    async def merge(self, request: web.Request) -> web.Response:
        user = await self._user(request)
        body = await read(request, models.Merge)
        job = await self._submit(request, "merge", user, body)
        at_once = _prefers_async(request)
        view = None if at_once else await self._watches.end(job, user, self._clients.of(request), self._merge_wait_s)
        if view is None:
            return _made(request, job, status=202, headers={"Preference-Applied": "respond-async"} if at_once else {})
        return web.json_response(await self._merged(view))

    async def _merged(self, view: View) -> dict[str, Any]:
        """The video of a merge that has ended, and what it has otherwise than asked. Raises Problem: merge_failed, merge_unavailable, merge_cancelled."""
        job = {"job_id": view["job_id"]}
        if view["status"] == "cancelled":
            raise Problem(
                "merge_cancelled", "The merge was cancelled while it ran; post it again if you want it", **job
            )
        if view["status"] == "failed":
            code = "merge_unavailable" if await self._database.may_pass(view["error_code"]) else "merge_failed"
            raise Problem(code, f"The merge failed: {view['error']}", error_code=view["error_code"], **job)
        (film,) = view["results"]
        made = {"video_url": film["video_url"], "licence": film["licence"], "notes": view["notes"]}
        return {name: value for name, value in made.items() if value}

    async def upload(self, request: web.Request) -> web.Response:
        user = await self._user(request)
        body = await read(request, models.Upload)
        if body.size > models.MAX_UPLOAD_BYTES:
            limit = models.MAX_UPLOAD_BYTES // 2**20
            raise Problem("payload_too_large", f"A video may have at most {limit} MB; send a shorter or smaller one")
        signed = await self._uploads.sign(body.content_type, body.size, owner=user, client=self._clients.of(request))
        return web.json_response(signed)

    async def jobs(self, request: web.Request) -> web.Response:
        user = await self._user(request)
        if user is None:
            raise unauthorized(
                "A list is of a signed-in user's jobs, or of a key's: send Authorization: Bearer <access token>"
            )
        # Quoted, because Postgres takes no U+0000; what is right has nothing to quote.
        status, cursor, limit = (
            quote(request.query[name], errors="replace") if name in request.query else None
            for name in ("status", "cursor", "limit")
        )
        text = await self._database.page(user, status, cursor, limit)
        return web.Response(text=text, content_type="application/json")

    async def view(self, request: web.Request) -> web.Response:
        return _found(await self._database.view(_job(request), await self._user(request)), request)

    async def delete(self, request: web.Request) -> web.Response:
        job, user = _job(request), await self._user(request)
        match request.query.getall("files", ["false"]):
            case ["false"]:
                return _found(await self._database.cancel(job, user))
            case ["true"]:
                return _found(await self._database.erase(job, user), status=202)
        raise Problem("invalid_request", "files: must be true or false")

    async def again(self, request: web.Request) -> web.Response:
        user = await self._user(request)
        body = await read_if_any(request, models.Again)
        job = await self._database.again(
            _job(request),
            seed=body.seed,
            variant=body.variant,
            engine=body.engine,
            part=(body.start, body.end),
            owner=user,
            client=self._clients.of(request),
            key=_idempotency_key(request),
            traceparent=request[TRACEPARENT],
        )
        if job is None:
            raise not_found()
        return _made(request, job)

    async def pack(self, request: web.Request) -> web.Response:
        user = await self._user(request)
        body = await read_if_any(request, models.Pack)
        job = await self._database.pack(
            _job(request),
            variant=body.variant,
            owner=user,
            client=self._clients.of(request),
            key=_idempotency_key(request),
            traceparent=request[TRACEPARENT],
        )
        if job is None:
            raise not_found()
        return _made(request, job)

    async def events(self, request: web.Request) -> web.StreamResponse:
        user = await self._user(request)
        return await events.stream(request, self._watches, _job(request), user, self._clients.of(request))

    async def problem(self, request: web.Request) -> web.Response:
        try:
            return web.Response(text=page(request.match_info["code"]), content_type="text/html")
        except KeyError:
            raise Problem("not_found", "No problem has this code; all of them are listed at /openapi.json") from None

    async def ping(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "message": "RhythmAI API is running"})

    async def healthz(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "database": "ok", **await self._database.health()})

    async def _user(self, request: web.Request) -> UUID | None:
        return await self._authenticator.user(_whole_header(request, "Authorization"))

    async def _submit(
        self, request: web.Request, kind: str, user: UUID | None, body: models.Gen | models.Brief | models.Merge
    ) -> UUID:
        return await self._database.submit(
            kind,
            body.video_url,
            "" if isinstance(body, models.Merge) else body.user_request or "",
            body.model_dump(exclude={"video_url", "user_request"}, exclude_none=True),
            owner=user,
            client=self._clients.of(request),
            key=_idempotency_key(request),
            traceparent=request[TRACEPARENT],
        )


def _made(
    request: web.Request, job: UUID, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """A new job, and where it goes on from here."""
    url = f"{request[ORIGIN]}/api/v1/job/{job}"
    body = {"job_id": str(job), "urls": {"job": url, "events": f"{url}/events", "cancel": url}}
    return web.json_response(body, status=status, headers={"Location": url, **(headers or {})})


def _job(request: web.Request) -> UUID:
    text = request.match_info["job_id"]
    if not UUID_TEXT.fullmatch(text):
        raise Problem("not_found", "A job id is a UUID, as POST /api/v1/gen answered it")
    return UUID(text)


def _whole_header(request: web.Request, name: str) -> str | None:
    """Also when it is sent twice, which no token and no key survives: proxies would differ about which of them counts."""
    return ", ".join(request.headers.getall(name)) if name in request.headers else None


def _idempotency_key(request: web.Request) -> str | None:
    key = _whole_header(request, "Idempotency-Key")
    if key is not None and (quoted := _QUOTED.fullmatch(key)):
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    if key is not None and not _KEY.fullmatch(key):
        raise Problem("invalid_request", "The Idempotency-Key must be 1 to 255 visible ASCII characters")
    return key


def _prefers_async(request: web.Request) -> bool:
    preferences = ",".join(request.headers.getall("Prefer", [])).split(",")
    return any(preference.partition(";")[0].strip().lower() == "respond-async" for preference in preferences)


def _found(view: str | None, request: web.Request | None = None, *, status: int = 200) -> web.Response:
    """The job; where a request may have seen it already, with a mark that it can come back with."""
    if view is None:
        raise not_found()
    response = web.Response(text=view, status=status, content_type="application/json")
    if request is not None:
        mark = hashlib.sha256(view.encode()).hexdigest()[:32]
        if any(seen.value in (mark, "*") for seen in request.if_none_match or ()):
            response = web.Response(status=304)
        response.etag = mark
        response.headers["Cache-Control"] = "private, no-cache"
    return response
