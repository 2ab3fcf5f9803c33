"""The road between the workers and the gateway: an HTTP and WebSocket relay that can be told to answer 500.

It remembers what was put into Storage, and knows in the end whether it is still the same.
"""

import asyncio
import hashlib

import aiohttp
from aiohttp import web

HOP = {"host", "connection", "transfer-encoding", "keep-alive", "upgrade", "content-encoding", "content-length"}


class Road:
    """`async with Road(upstream) as road:` relays `road.url` to the upstream; `road.broken` makes Storage answer 500."""

    def __init__(self, upstream):
        self.upstream, self.broken, self.refused, self.put = upstream, False, 0, {}

    async def __aenter__(self):
        self.session = aiohttp.ClientSession(auto_decompress=False, timeout=aiohttp.ClientTimeout(total=60))
        app = web.Application(client_max_size=2**28)
        app.router.add_route("*", "/{path:.*}", self.relay)
        self.runner = web.AppRunner(app, shutdown_timeout=1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_):
        await self.runner.cleanup()
        await self.session.close()

    async def relay(self, request):
        if self.broken and request.path.startswith("/storage/"):
            self.refused += 1
            return web.json_response(
                {"statusCode": "500", "error": "internal", "message": "Internal Server Error", "code": "InternalError"},
                status=500,
            )
        url = self.upstream + str(request.rel_url)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP}
        try:
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await self.relay_socket(request, url)
            async with self.session.request(
                request.method, url, headers=headers, data=await request.read(), allow_redirects=False
            ) as answer:
                content = await answer.read()
                if answer.ok and request.method in {"POST", "PUT"} and request.path.startswith("/storage/v1/object/"):
                    await self.remember(request.path.replace("/object/", "/object/public/", 1))
                kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP}
                return web.Response(status=answer.status, headers=kept, body=content)
        except (aiohttp.ClientError, OSError):
            return web.Response(status=502, text="the gateway is away")

    async def digest(self, path):
        """The SHA-256 of an object, or why there is none."""
        async with self.session.get(self.upstream + path) as answer:
            return hashlib.sha256(await answer.read()).hexdigest() if answer.ok else f"status {answer.status}"

    async def remember(self, path):
        """How an object was when it was put first; a worker may be told so twice."""
        if path not in self.put:
            self.put[path] = await self.digest(path)

    async def changed(self, urls):
        """The objects of results that are gone, or not what their name says, or not what was put first."""
        found = []
        for path in sorted(
            {url.removeprefix(self.url) for url in urls} | {path for path in self.put if "/audios/" in path}
        ):
            while True:
                try:
                    now = await self.digest(path)
                    break
                except (aiohttp.ClientError, OSError):  # the gateway starts
                    await asyncio.sleep(0.1)
            named = path.rpartition("-")[2].partition(".")[0]
            if not now.startswith(named) or now != self.put.get(path, now):
                found.append(path)
        return found

    async def relay_socket(self, request, url):
        async with self.session.ws_connect(url) as far:
            near = web.WebSocketResponse()
            await near.prepare(request)

            async def pump(source, sink):
                async for message in source:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        await sink.send_str(message.data)
                    elif message.type is aiohttp.WSMsgType.BINARY:
                        await sink.send_bytes(message.data)
                await sink.close()

            pumps = [asyncio.create_task(pump(near, far)), asyncio.create_task(pump(far, near))]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for task in pumps:
                task.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            return near
