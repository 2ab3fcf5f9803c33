"""Who asked to be called back: takes webhooks, checks their signature, and can be told to refuse them."""

from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

ENDS = {"job.completed", "job.failed", "job.cancelled"}


class Receiver:
    """`async with Receiver(secret) as receiver:` hears of jobs at `receiver.url`; `heard` are those whose end was told in truth."""

    def __init__(self, secret):
        self.webhook, self.broken, self.heard, self.forged = Webhook(secret), False, set(), 0

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
        try:
            told = self.webhook.verify(await request.read(), dict(request.headers))
        except WebhookVerificationError:
            told = {"type": "forged"}
        if told["type"] in ENDS:
            self.heard.add((told["data"]["job_id"], told["data"]["status"]))
        else:
            self.forged += 1
        return web.Response(status=204)
