"""The HTTP face of Storage."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from supabase_standin.authentication import BadToken, Identity, ProjectKeys
from supabase_standin.database import Database
from supabase_standin.storage.bodies import (
    Below,
    BucketChange,
    Ends,
    Level,
    Names,
    NewBucket,
    SignMany,
    SignOne,
    read_body,
)
from supabase_standin.storage.buckets import Buckets
from supabase_standin.storage.catalog import check_key
from supabase_standin.storage.failures import (
    StorageFailure,
    bad_request,
    from_error,
    jwt_complaint,
    no_object,
    unauthorized,
)
from supabase_standin.storage.files import Files
from supabase_standin.storage.listing import Listing
from supabase_standin.storage.objects import Objects
from supabase_standin.storage.signing import Signing

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
OBJECT = "{bucket}/{name:.+}"


class StorageRoutes:
    """Reads requests, asks the right one, and answers with JSON."""

    def __init__(self, database: Database, keys: ProjectKeys, files: Files) -> None:
        self._keys = keys
        self._buckets = Buckets(database, files)
        self._objects = Objects(database, files, self._buckets)
        self._listing = Listing(database)
        self._signing = Signing(keys)

    def add_to(self, app: web.Application) -> None:
        """The order matters: the last patterns would take the others' words for names of buckets."""
        routes: list[tuple[str, str, Handler]] = [
            ("GET", "bucket", self.list_buckets),
            ("POST", "bucket", self.create_bucket),
            ("GET", "bucket/{bucket}", self.get_bucket),
            ("PUT", "bucket/{bucket}", self.update_bucket),
            ("DELETE", "bucket/{bucket}", self.delete_bucket),
            ("POST", "bucket/{bucket}/empty", self.empty_bucket),
            ("GET", f"object/public/{OBJECT}", self.get_public),
            ("GET", f"object/authenticated/{OBJECT}", self.get_object),
            ("GET", f"object/sign/{OBJECT}", self.get_signed),
            # Images are not transformed here: the original answers.
            ("GET", f"render/image/public/{OBJECT}", self.get_public),
            ("GET", f"render/image/authenticated/{OBJECT}", self.get_object),
            ("GET", f"render/image/sign/{OBJECT}", self.get_signed),
            ("GET", f"object/info/public/{OBJECT}", self.info_public),
            ("GET", f"object/info/authenticated/{OBJECT}", self.info),
            ("GET", f"object/info/{OBJECT}", self.info),
            ("POST", f"object/sign/{OBJECT}", self.sign),
            ("POST", "object/sign/{bucket}", self.sign_many),
            ("POST", f"object/upload/sign/{OBJECT}", self.sign_upload),
            ("PUT", f"object/upload/sign/{OBJECT}", self.put_signed),
            ("POST", "object/list/{bucket}", self.list_level),
            ("POST", "object/list-v2/{bucket}", self.list_below),
            ("POST", "object/move", self.move),
            ("POST", "object/copy", self.copy),
            ("GET", f"object/{OBJECT}", self.get_object),
            ("POST", f"object/{OBJECT}", self.post_object),
            ("PUT", f"object/{OBJECT}", self.put_object),
            ("DELETE", f"object/{OBJECT}", self.delete_object),
            ("DELETE", "object/{bucket}", self.delete_objects),
        ]
        for method, path, handler in routes:
            guarded = _guard(handler)
            if method == "GET":
                app.router.add_get(f"/storage/v1/{path}", guarded)  # answers HEAD too
            else:
                app.router.add_route(method, f"/storage/v1/{path}", guarded)
        app.router.add_route("*", "/storage/v1/{path:.*}", _guard(_nothing_here))

    async def list_buckets(self, request: web.Request) -> web.Response:
        return web.json_response(await self._buckets.list(self._identify(request)))

    async def create_bucket(self, request: web.Request) -> web.Response:
        identity, body = self._identify(request), await read_body(request, NewBucket)
        return web.json_response(await self._buckets.create(identity, body))

    async def get_bucket(self, request: web.Request) -> web.Response:
        return web.json_response(await self._buckets.get(self._identify(request), _bucket(request)))

    async def update_bucket(self, request: web.Request) -> web.Response:
        identity, body = self._identify(request), await read_body(request, BucketChange)
        return web.json_response(await self._buckets.update(identity, _bucket(request), body))

    async def delete_bucket(self, request: web.Request) -> web.Response:
        return web.json_response(await self._buckets.delete(self._identify(request), _bucket(request)))

    async def empty_bucket(self, request: web.Request) -> web.Response:
        return web.json_response(await self._buckets.empty(self._identify(request), _bucket(request)))

    async def get_public(self, request: web.Request) -> web.StreamResponse:
        return await self._objects.serve_public(request, *_object(request))

    async def get_object(self, request: web.Request) -> web.StreamResponse:
        return await self._objects.serve(request, self._identify(request), *_object(request))

    async def get_signed(self, request: web.Request) -> web.StreamResponse:
        self._signing.check(request.query.get("token", ""), *_object(request), "download")
        return await self._objects.serve(request, None, *_object(request))

    async def info(self, request: web.Request) -> web.Response:
        return web.json_response(await self._objects.info(self._identify(request), *_object(request)))

    async def info_public(self, request: web.Request) -> web.Response:
        bucket, name = _object(request)
        if not (await self._buckets.find(bucket))["public"]:
            raise no_object()
        return web.json_response(await self._objects.info(None, bucket, name))

    async def sign(self, request: web.Request) -> web.Response:
        identity, body, (bucket, name) = self._identify(request), await read_body(request, SignOne), _object(request)
        await self._objects.find(identity, bucket, name)
        url = self._signing.download_url(bucket, name, body.expires_in, image=bool(body.transform))
        return web.json_response({"signedURL": url})

    async def sign_many(self, request: web.Request) -> web.Response:
        identity, body, bucket = self._identify(request), await read_body(request, SignMany), _bucket(request)
        answers: list[dict[str, str | None]] = []
        for name in body.paths:
            try:
                await self._objects.find(identity, bucket, name)
            except StorageFailure:
                error = "Either the object does not exist or you do not have access to it"
                answers.append({"error": error, "path": name, "signedURL": None})
            else:
                url = self._signing.download_url(bucket, name, body.expires_in)
                answers.append({"error": None, "path": name, "signedURL": url})
        return web.json_response(answers)

    async def sign_upload(self, request: web.Request) -> web.Response:
        identity, (bucket, name), upsert = self._identify(request), _object(request), _upsert(request)
        await self._objects.may_put(identity, bucket, name, upsert=upsert)
        url = self._signing.upload_url(bucket, name, owner=identity.user, upsert=upsert)
        return web.json_response({"url": url, "token": url.partition("token=")[2]})

    async def put_signed(self, request: web.Request) -> web.Response:
        bucket, name = _object(request)
        claims = self._signing.check(request.query.get("token", ""), bucket, name, "upload")
        upsert = claims.get("upsert") is True
        answer = await self._objects.put(request, claims.get("owner"), bucket, check_key(name), upsert=upsert)
        return web.json_response(answer)

    async def post_object(self, request: web.Request) -> web.Response:
        return await self._put(request, upsert=_upsert(request))

    async def put_object(self, request: web.Request) -> web.Response:
        return await self._put(request, upsert=True)

    async def _put(self, request: web.Request, *, upsert: bool) -> web.Response:
        identity, (bucket, name) = self._identify(request), _object(request)
        await self._objects.may_put(identity, bucket, name, upsert=upsert)
        return web.json_response(await self._objects.put(request, identity.user, bucket, name, upsert=upsert))

    async def delete_object(self, request: web.Request) -> web.Response:
        identity, (bucket, name) = self._identify(request), _object(request)
        if not await self._objects.remove(identity, bucket, [name]):
            raise no_object()
        return web.json_response({"message": "Successfully deleted"})

    async def delete_objects(self, request: web.Request) -> web.Response:
        identity, body = self._identify(request), await read_body(request, Names)
        return web.json_response(await self._objects.remove(identity, _bucket(request), body.prefixes))

    async def list_level(self, request: web.Request) -> web.Response:
        identity, body = self._identify(request), await read_body(request, Level)
        return web.json_response(await self._listing.level(identity, _bucket(request), body))

    async def list_below(self, request: web.Request) -> web.Response:
        identity, body = self._identify(request), await read_body(request, Below)
        return web.json_response(await self._listing.below(identity, _bucket(request), body))

    async def move(self, request: web.Request) -> web.Response:
        identity, body = self._identify(request), await read_body(request, Ends)
        return web.json_response(await self._objects.move(identity, body.source, body.target))

    async def copy(self, request: web.Request) -> web.Response:
        identity, body = self._identify(request), await read_body(request, Ends)
        return web.json_response(await self._objects.copy(identity, body.source, body.target, upsert=_upsert(request)))

    def _identify(self, request: web.Request) -> Identity:
        """A user's token wins; an opaque key may stand in either header. Raises StorageFailure."""
        scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
        token = (bearer.strip() if scheme.lower() == "bearer" else scheme) or request.headers.get("apikey", "")
        try:
            return self._keys.identify(token)
        except BadToken as error:
            raise unauthorized(jwt_complaint(error)) from error
        except UnicodeError as error:
            raise unauthorized("Invalid Compact JWS") from error


def _guard(handler: Handler) -> Handler:
    async def guarded(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except StorageFailure as failure:
            return failure.response()
        except web.RequestPayloadError as error:
            return bad_request(f"the body is broken: {error}").response()
        except Exception as error:
            if request.transport is None:
                raise  # the client is gone, not the database
            return from_error(error).response()

    return guarded


async def _nothing_here(request: web.Request) -> web.Response:
    message = f"Route {request.method}:{request.path} not found"
    return web.json_response({"message": message, "error": "Not Found", "statusCode": 404}, status=404)


def _bucket(request: web.Request) -> str:
    return request.match_info["bucket"]


def _object(request: web.Request) -> tuple[str, str]:
    return request.match_info["bucket"], request.match_info["name"]


def _upsert(request: web.Request) -> bool:
    return request.headers.get("x-upsert", "").lower() == "true"
