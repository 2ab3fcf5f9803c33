"""Who asked to be called back: takes webhooks, checks their signature, and can be told to refuse them."""

import json

from aiohttp import web

from worker.webhooks import signature

ENDS = {"completed", "failed", "cancelled"}


class Receiver:
    """`async with Receiver(secret) as receiver:` hears of jobs at `receiver.url`; `heard` are those whose end was told in truth."""

    def __init__(self, secret):
        self.secret, self.broken, self.heard, self.forged = secret, False, set(), 0

    async def __aenter__(self):
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/", self.take)
        self.runner = web.AppRunner(app, shutdown_timeout=1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}/"
        return self

    async def __aexit__(self, *_):
        await self.runner.cleanup()

    async def take(self, request):
        if self.broken:
            return web.Response(status=500)
        body = await request.read()
        expected = signature(self.secret, int(request.headers["RhythmAI-Timestamp"]), body)
        answer = json.loads(body)
        if request.headers.get("RhythmAI-Signature") == expected and answer["status"] in ENDS:
            self.heard.add((answer["job_id"], answer["status"]))
        else:
            self.forged += 1
        return web.Response(status=204)
