"""A small API on loopback that answers what the contract says, and its client."""

import json

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from rhythmai import Client


class Api:
    """Answers with what was laid out for a route, last one again and again; remembers what it was asked."""

    def __init__(self):
        self.asked = []
        self.laid = {}

    def lay(self, route: str, *answers: tuple[int, object]):
        self.laid[route] = list(answers)

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        route = f"{request.method} {request.path.removeprefix('/api/v1')}"
        self.asked.append((route, request.headers, body))
        answers = self.laid[route]
        status, content = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(content, bytes):
            return web.Response(status=status, body=content)
        return web.json_response(content, status=status)

    def body(self, index: int = -1):
        return json.loads(self.asked[index][2])


@pytest.fixture
async def api():
    api = Api()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.handle)
    async with TestServer(app) as server:
        api.url = str(server.make_url("")).rstrip("/")
        yield api


@pytest.fixture
async def client(api):
    async with Client(api.url) as client:
        yield client
