"""The HTTP face of Realtime: the WebSocket handshake and broadcasts by POST."""

from __future__ import annotations

import logging
from typing import Any

import asyncpg
from aiohttp import web

from supabase_standin.authentication import BadToken, Identity, bearer
from supabase_standin.database import CONNECTION_ERRORS
from supabase_standin.realtime.authorisation import authorise
from supabase_standin.realtime.frames import BYTES, JSON, V1, V2, Fanout, UserBroadcast, dumps, loads
from supabase_standin.realtime.join import as_bool
from supabase_standin.realtime.project import Project
from supabase_standin.realtime.socket import Socket
from supabase_standin.realtime.topics import Topic

log = logging.getLogger(__name__)


class Routes:
    """Handlers bound to one project."""

    def __init__(self, project: Project) -> None:
        self._project = project

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/realtime/v1/websocket", self.connect)
        app.router.add_post("/realtime/v1/api/broadcast", self.broadcast_many)
        app.router.add_post("/realtime/v1/api/broadcast/{topic:[^/]+}/events/{event:[^/]+}", self.broadcast_one)

    async def connect(self, request: web.Request) -> web.StreamResponse:
        token = request.headers.get("x-api-key") or request.query.get("apikey") or request.headers.get("apikey")
        if not token:
            return web.json_response({"error": "API key is missing"}, status=401)
        try:
            identity = self._project.keys.identify(token)
        except BadToken as error:
            return web.json_response({"error": str(error)}, status=401)
        limits = self._project.limits
        if len(self._project.sockets) >= limits.sockets:
            return web.json_response({"error": "Too many connected users"}, status=429)
        vsn = request.query.get("vsn") or V1
        if vsn not in (V1, V2):
            return web.json_response({"error": f"vsn {vsn} is not supported: use {V1} or {V2}"}, status=400)
        ws = web.WebSocketResponse(max_msg_size=limits.frame_bytes, receive_timeout=limits.idle_s, compress=False)
        await ws.prepare(request)
        socket = Socket(self._project, request, ws, vsn, identity)
        self._project.sockets.add(socket)
        try:
            await socket.run()
        finally:
            self._project.sockets.discard(socket)
        return ws

    async def broadcast_many(self, request: web.Request) -> web.Response:
        identity = self._identify(request)
        try:
            messages = loads(await request.read())["messages"]
        except (ValueError, TypeError, KeyError):
            return web.json_response({"errors": {"messages": ["can't be blank"]}}, status=422)
        if not isinstance(messages, list):
            return web.json_response({"errors": {"messages": ["is invalid"]}}, status=422)
        if any(problems := [_problems(message, self._project.limits.broadcast_bytes) for message in messages]):
            return web.json_response({"errors": {"messages": problems}}, status=422)
        if len(messages) > self._project.limits.messages_per_s:
            message = "Too many messages to broadcast, please reduce the batch size"
            return web.json_response({"message": message}, status=429)
        for message in messages:
            topic = Topic(message["topic"], as_bool(message.get("private")))
            payload = {"event": message["event"], "type": "broadcast", "payload": message["payload"]}
            await self._send(identity, topic, Fanout(topic.wire, "broadcast", payload))
        return web.Response(status=202)

    async def broadcast_one(self, request: web.Request) -> web.Response:
        identity = self._identify(request)
        topic = Topic(request.match_info["topic"], as_bool(request.query.get("private")))
        body = await request.read()
        if len(body) > self._project.limits.broadcast_bytes:
            return web.json_response({"message": "Payload size exceeds the limit"}, status=413)
        encoding = BYTES if request.content_type == "application/octet-stream" else JSON
        if encoding == JSON:
            try:
                loads(body)
            except ValueError:
                return web.json_response({"errors": {"payload": ["is not JSON"]}}, status=422)
        fanout = UserBroadcast(topic.wire, request.match_info["event"], {}, encoding, body)
        await self._send(identity, topic, fanout)
        return web.Response(status=202)

    async def _send(self, identity: Identity, topic: Topic, fanout: Fanout) -> None:
        """Without permission the message is dropped, and the answer does not tell."""
        if topic.private:
            try:
                policies = await authorise(self._project.database, topic.name, identity)
            except CONNECTION_ERRORS as error:
                raise web.HTTPServiceUnavailable(text="the database is away; try again") from error
            except asyncpg.PostgresError as error:
                log.warning("realtime.broadcast.dropped: a policy fails for %s: %s", topic.name, error)
                return
            if "broadcast" not in policies.may_write:
                return
        self._project.topics.send(topic, fanout)

    def _identify(self, request: web.Request) -> Identity:
        try:
            return self._project.keys.identify(bearer(request.headers))
        except BadToken as error:
            raise web.HTTPUnauthorized(text='{"message": "Unauthorized"}', content_type="application/json") from error


def _problems(message: Any, limit: int) -> dict[str, list[str]]:
    if not isinstance(message, dict):
        return {"message": ["is invalid"]}
    blank = [name for name in ("topic", "event") if not isinstance(message.get(name), str) or not message[name]]
    problems: dict[str, list[str]] = {name: ["can't be blank"] for name in blank}
    if message.get("payload") is None:
        problems["payload"] = ["can't be blank"]
    elif len(dumps(message["payload"]).encode()) > limit:
        problems["payload"] = ["Payload size exceeds tenant limit"]
    if message.get("private") not in (None, True, False, "true", "false"):
        problems["private"] = ["is invalid"]  # and not public by accident
    return problems
