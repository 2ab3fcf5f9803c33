"""Watching a job while the connection misbehaves: a small Realtime server on loopback that does as it is told."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, asynccontextmanager
from uuid import uuid4

import pytest
from aiohttp import WSCloseCode, web
from aiohttp.test_utils import TestServer

from rhythmai import Client
from rhythmai.errors import Refused, Unreachable
from rhythmai.events import JobChanged, JobDeleted, ResultReady

JOB = uuid4()
TOPIC = f"realtime:job:{JOB}"


class Project:
    """One job behind REST, and the phoenix protocol 1.0.0 as far as one private channel needs it."""

    def __init__(self):
        self.status = "processing"
        self.stage = "fetching"
        self.results = []
        self.rest_works = True
        self.deleted = False
        self.joins = []
        self.sockets = []
        self.joined = asyncio.Event()
        self.asked = asyncio.Event()
        self.refuse_joins = 0

    async def job(self, request):
        self.asked.set()
        if self.deleted:
            return await self.missing(request)
        if not self.rest_works:
            return web.json_response({"detail": "away"}, status=503)
        return web.json_response({
            "job_id": str(JOB), "status": self.status, "stage": self.stage, "completed_count": len(self.results),
            "total_count": 3, "results": self.results, "error": None,
        })  # fmt: skip

    async def missing(self, request):
        return web.json_response({"code": "not_found", "detail": "There is no such job"}, status=404)

    async def socket(self, request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        async for frame in socket:
            message = json.loads(frame.data)
            if message["event"] == "phx_join":
                self.joins.append(message)
                refused = len(self.joins) <= self.refuse_joins
                response = {"reason": "Unauthorized"} if refused else {"postgres_changes": []}
                payload = {"status": "error" if refused else "ok", "response": response}
                reply = {"topic": TOPIC, "event": "phx_reply", "ref": message["ref"], "payload": payload}
                await socket.send_json(reply)
                if not refused:
                    self.joined.set()
        return socket

    async def push(self, event, payload):
        message = {"type": "broadcast", "event": event, "payload": payload}
        frame = {"topic": TOPIC, "event": "broadcast", "ref": None, "payload": message}
        await self.sockets[-1].send_json(frame)

    def result(self, index):
        return {"index": index, "title": f"t{index}", "prompt": "p", "audio_url": f"u{index}"}


@asynccontextmanager
async def watching(project, **options):
    app = web.Application()
    app.router.add_get(f"/api/v1/job/{JOB}", project.job)
    app.router.add_get("/api/v1/job/{other}", project.missing)
    app.router.add_get("/realtime/v1/websocket", project.socket)
    async with TestServer(app, shutdown_timeout=0.1) as server:
        url = str(server.make_url("")).rstrip("/")
        async with Client(url, url, "sb_publishable_x", **options) as client:
            yield client


@asynccontextmanager
async def joined(project, **options):
    """A watch whose topic is joined, and its second event, which is waited for."""
    async with watching(project, **options) as client, aclosing(client.watch(JOB)) as events:
        await anext(events)
        waiting = asyncio.ensure_future(anext(events))
        await project.joined.wait()
        yield events, waiting


async def test_results_are_pushed():
    """Results and stages come from Realtime while REST stands still, and the end comes last, after all results."""
    project = Project()
    async with watching(project) as client:
        events = client.watch(JOB)
        assert (await anext(events)).stage == "fetching"
        waiting = asyncio.ensure_future(anext(events))
        await project.joined.wait()
        await project.push(
            "job", {"status": "processing", "stage": "composing", "completed_count": 0, "total_count": 3}
        )
        changed = await waiting
        assert (changed.stage, changed.via) == ("composing", "realtime")
        project.stage = "composing"
        await project.push("result", {**project.result(0), "job_id": str(JOB), "id": "x"})
        first = await anext(events)
        assert (first.result.title, first.via) == ("t0", "realtime")
        project.results = [project.result(0), project.result(1)]
        project.status, project.stage = "completed", None
        await project.push("job", {"status": "completed", "stage": None, "completed_count": 2, "total_count": 3})
        rest = [event async for event in events]
    assert isinstance(rest[0], ResultReady)
    assert rest[0].result.index == 1
    assert isinstance(rest[1], JobChanged)
    assert rest[1].ended
    assert len(rest) == 2
    assert project.joins[0]["payload"]["config"]["private"] is True


async def test_a_lost_connection_costs_nothing():
    """After a lost connection the topic is joined again, and what happened meanwhile is found by REST, once."""
    project = Project()
    async with joined(project) as (events, waiting):
        await project.push("result", project.result(0))
        await waiting
        project.results = [project.result(0), project.result(1)]
        project.joined.clear()
        await project.sockets[-1].close(code=WSCloseCode.GOING_AWAY)
        missed = await anext(events)
        assert (missed.result.index, missed.via) == (1, "rest")
        next_one = asyncio.ensure_future(anext(events))
        await project.joined.wait()
        await project.push("result", project.result(2))
        assert (await next_one).via == "realtime"


async def test_a_refused_join_is_tried_again():
    """A join that is refused is tried again by a new connection."""
    project = Project()
    project.refuse_joins = 1
    async with joined(project) as (_, waiting):
        await project.push("result", project.result(0))
        assert (await waiting).result.index == 0
    assert len(project.joins) == 2


async def test_the_users_token_joins():
    """A signed-in user joins with the user's own token."""
    project = Project()
    async with joined(project, user_token="user.jwt") as (_, waiting):
        waiting.cancel()
        await asyncio.wait([waiting])
    assert project.joins[0]["payload"]["access_token"] == "user.jwt"


async def test_rest_may_be_away_for_a_while():
    """A watch that has begun outlives a REST API in trouble."""
    project = Project()
    async with watching(project) as client:
        events = client.watch(JOB)
        await anext(events)
        project.rest_works = False
        project.asked.clear()
        waiting = asyncio.ensure_future(anext(events))
        await project.asked.wait()
        project.rest_works, project.status, project.stage = True, "failed", None
        await project.push("job", {"status": "failed"})
        assert (await waiting).status == "failed"
        await events.aclose()


async def test_nobody_is_waited_for_without_end():
    """A watch tells of the trouble while it waits, of its end, and gives up once its patience is over."""
    project, told = Project(), []
    app = web.Application()
    app.router.add_get(f"/api/v1/job/{JOB}", project.job)
    async with TestServer(app) as server, Client(str(server.make_url(""))) as client:
        events = client.watch(JOB, trouble=told.append)
        await anext(events)
        project.rest_works = False
        project.asked.clear()
        waiting = asyncio.ensure_future(anext(events))
        await project.asked.wait()
        project.rest_works, project.stage = True, "composing"
        assert (await waiting).stage == "composing"
        assert [type(word) for word in told if word] == [Unreachable]
        assert told[-1] is None
        await events.aclose()

        impatient = client.watch(JOB, patience_s=0)
        await anext(impatient)
        project.rest_works = False
        with pytest.raises(Unreachable, match="away"):
            await anext(impatient)


async def test_an_unknown_job_is_refused():
    """Watching a job that is not there raises Refused."""
    async with watching(Project()) as client:
        with pytest.raises(Refused, match="no such job"):
            await anext(client.watch(uuid4()))


@pytest.mark.parametrize("told", ["deleted", "job"])
async def test_a_deleted_job_ends_its_watch(told):
    """That a job is gone is the last that is told of it, whichever push led there."""
    project = Project()
    async with joined(project) as (events, waiting):
        project.deleted = True
        await project.push(told, {"job_id": str(JOB), "status": "cancelled"})
        assert await waiting == JobDeleted(job_id=JOB)
        assert await anext(events, None) is None


async def test_without_realtime_rest_is_enough():
    """Without a Realtime address the whole story is told by REST."""
    project = Project()
    project.results, project.status, project.stage = [project.result(0)], "completed", None
    app = web.Application()
    app.router.add_get(f"/api/v1/job/{JOB}", project.job)
    async with TestServer(app) as server, Client(str(server.make_url(""))) as client:
        told = [type(event) async for event in client.watch(JOB)]
    assert told == [ResultReady, JobChanged]
