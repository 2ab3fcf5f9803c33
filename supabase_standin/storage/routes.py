"""The HTTP face of Storage."""

from __future__ import annotations

import functools
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from supabase_standin.authentication import Identity, ProjectKeys, bearer
from supabase_standin.database import Database
from supabase_standin.storage import bodies, listing
from supabase_standin.storage.buckets import Buckets
from supabase_standin.storage.catalog import check_key, written
from supabase_standin.storage.failures import StorageFailure, bad_request, from_error, no_object
from supabase_standin.storage.files import Files
from supabase_standin.storage.objects import Objects
from supabase_standin.storage.resumable import Resumable
from supabase_standin.storage.signing import Signing
from supabase_standin.storage.unfinished import Unfinished

OBJECT = "{bucket}/{name:.+}"
_JSON = functools.partial(json.dumps, default=written)


@dataclass(frozen=True, slots=True)
class Call:
    """What a request asks."""

    request: web.Request
    keys: ProjectKeys

    @property
    def identity(self) -> Identity:
        """Raises BadToken."""
        return self.keys.identify(bearer(self.request.headers))

    @property
    def bucket(self) -> str:
        return self.request.match_info["bucket"]

    @property
    def object(self) -> tuple[str, str]:
        """Bucket and name."""
        return self.bucket, self.request.match_info["name"]

    @property
    def token(self) -> str:
        return self.request.query.get("token", "")

    @property
    def upsert(self) -> bool:
        return self.request.headers.get("x-upsert", "").lower() == "true"


Handler = Callable[[Call, Any], Awaitable[Any]]
"""Takes the call and its body; answers with a response, or with what becomes JSON."""


class StorageRoutes:
    """Reads requests and asks the right one."""

    def __init__(self, database: Database, keys: ProjectKeys, files: Files, largest: int) -> None:
        """`largest`: how many bytes an object may have anywhere in the project."""
        self._database = database
        self._keys = keys
        self._buckets = Buckets(database, files)
        self._objects = Objects(database, files, self._buckets, largest)
        self._signing = Signing(keys)
        self._resumable = Resumable(self._objects, self._signing, keys, Unfinished(files), largest)

    def add_to(self, app: web.Application) -> None:
        """The order matters: the last patterns would take the others' words for names of buckets."""
        buckets, objects, database = self._buckets, self._objects, self._database
        routes: list[tuple[str, str, type[bodies.Body] | None, Handler]] = [
            ("GET", "bucket", bodies.BucketOrder, lambda c, asked: buckets.list(c.identity, asked)),
            ("POST", "bucket", bodies.NewBucket, lambda c, body: buckets.create(c.identity, body)),
            ("GET", "bucket/{bucket}", None, lambda c, _: buckets.get(c.identity, c.bucket)),
            ("PUT", "bucket/{bucket}", bodies.BucketChange, lambda c, body: buckets.update(c.identity, c.bucket, body)),
            ("DELETE", "bucket/{bucket}", None, lambda c, _: buckets.delete(c.identity, c.bucket)),
            ("POST", "bucket/{bucket}/empty", None, lambda c, _: buckets.empty(c.identity, c.bucket)),
            ("GET", f"object/public/{OBJECT}", None, self.get_public),
            ("GET", f"object/authenticated/{OBJECT}", None, self.get),
            ("GET", f"object/sign/{OBJECT}", None, self.get_signed),
            # Images are not transformed here: the original answers.
            ("GET", f"render/image/public/{OBJECT}", None, self.get_public),
            ("GET", f"render/image/authenticated/{OBJECT}", None, self.get),
            ("GET", f"render/image/sign/{OBJECT}", None, self.get_signed),
            ("GET", f"object/info/public/{OBJECT}", None, lambda c, _: objects.info_public(*c.object)),
            ("GET", f"object/info/authenticated/{OBJECT}", None, lambda c, _: objects.info(c.identity, *c.object)),
            ("GET", f"object/info/{OBJECT}", None, lambda c, _: objects.info(c.identity, *c.object)),
            ("POST", f"object/sign/{OBJECT}", bodies.SignOne, self.sign),
            ("POST", "object/sign/{bucket}", bodies.SignMany, self.sign_many),
            ("POST", f"object/upload/sign/{OBJECT}", None, self.sign_upload),
            ("PUT", f"object/upload/sign/{OBJECT}", None, self.put_signed),
            ("*", r"upload/resumable{signed:(?:/sign)?}{id:(?:/[\w-]+)?}", None, lambda c, _: self._resumable.answer(c.request)),
            ("POST", "object/list/{bucket}", bodies.Level, lambda c, body: listing.level(database, c.identity, c.bucket, body)),
            ("POST", "object/list-v2/{bucket}", bodies.Below, lambda c, body: listing.below(database, c.identity, c.bucket, body)),
            ("POST", "object/move", bodies.Ends, lambda c, body: objects.move(c.identity, body.source, body.target)),
            ("POST", "object/copy", bodies.Ends, self.copy),
            ("GET", f"object/{OBJECT}", None, self.get),
            ("POST", f"object/{OBJECT}", None, lambda c, _: self.put(c, upsert=c.upsert)),
            ("PUT", f"object/{OBJECT}", None, lambda c, _: self.put(c, upsert=True)),
            ("DELETE", f"object/{OBJECT}", None, self.delete),
            ("DELETE", "object/{bucket}", bodies.Names, lambda c, body: objects.remove(c.identity, c.bucket, body.prefixes)),
        ]  # fmt: skip
        for method, path, kind, handler in routes:
            # `get` answers HEAD too
            add = app.router.add_get if method == "GET" else functools.partial(app.router.add_route, method)
            add(f"/storage/v1/{path}", self._answering(kind, handler))
        app.router.add_route("*", "/storage/v1/{path:.*}", _nothing_here)

    def _answering(
        self, kind: type[bodies.Body] | None, handler: Handler
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            call = Call(request, self._keys)
            try:
                answer = await handler(call, await bodies.read_body(request, kind) if kind and call.identity else None)
            except StorageFailure as failure:
                return failure.response()
            except web.RequestPayloadError as error:
                return bad_request(f"the body is broken: {error}").response()
            except Exception as error:
                if request.transport is None:
                    raise  # the client is gone, not the database
                return from_error(error).response()
            return answer if isinstance(answer, web.StreamResponse) else web.json_response(answer, dumps=_JSON)

        return answer

    async def get(self, call: Call, _: None) -> web.StreamResponse:
        return await self._objects.serve(call.request, call.identity, *call.object)

    async def get_public(self, call: Call, _: None) -> web.StreamResponse:
        return await self._objects.serve_public(call.request, *call.object)

    async def get_signed(self, call: Call, _: None) -> web.StreamResponse:
        self._signing.check(call.token, *call.object, "download")
        return await self._objects.serve(call.request, None, *call.object)

    async def sign(self, call: Call, body: bodies.SignOne) -> dict[str, str]:
        await self._objects.find(call.identity, *call.object)
        return {"signedURL": self._signing.download_url(*call.object, body.expires_in, image=bool(body.transform))}

    async def sign_many(self, call: Call, body: bodies.SignMany) -> list[dict[str, str | None]]:
        answers: list[dict[str, str | None]] = []
        for name in body.paths:
            error = url = None
            try:
                await self._objects.find(call.identity, call.bucket, name)
                url = self._signing.download_url(call.bucket, name, body.expires_in)
            except StorageFailure:
                error = "Either the object does not exist or you do not have access to it"
            answers.append({"error": error, "path": name, "signedURL": url})
        return answers

    async def sign_upload(self, call: Call, _: None) -> dict[str, str]:
        await self._objects.may_put(call.identity, *call.object, upsert=call.upsert)
        url = self._signing.upload_url(*call.object, owner=call.identity.user, upsert=call.upsert)
        return {"url": url, "token": url.partition("token=")[2]}

    async def put_signed(self, call: Call, _: None) -> dict[str, str]:
        claims = self._signing.check(call.token, *call.object, "upload")
        check_key(call.object[1])
        upsert = claims.get("upsert") is True
        return await self._objects.put(call.request, claims.get("owner"), *call.object, upsert=upsert)

    async def put(self, call: Call, *, upsert: bool) -> dict[str, str]:
        await self._objects.may_put(call.identity, *call.object, upsert=upsert)
        return await self._objects.put(call.request, call.identity.user, *call.object, upsert=upsert)

    async def delete(self, call: Call, _: None) -> dict[str, str]:
        if not await self._objects.remove(call.identity, call.bucket, [call.object[1]]):
            raise no_object()
        return {"message": "Successfully deleted"}

    async def copy(self, call: Call, body: bodies.Ends) -> dict[str, str]:
        return await self._objects.copy(call.identity, body.source, body.target, upsert=call.upsert)


async def _nothing_here(request: web.Request) -> web.Response:
    message = f"Route {request.method}:{request.path} not found"
    return web.json_response({"message": message, "error": "Not Found", "statusCode": 404}, status=404)
