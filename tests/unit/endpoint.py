"""An endpoint for chat completions on loopback that plays many characters."""

import asyncio
import json
from contextlib import asynccontextmanager

from aiohttp import web

from worker.pipeline.direct.describe import OpenAIDescriber

KEY = "sk-very-secret"


def item(number=0, **changes):
    genres = ("ambient", "deep house", "acoustic folk", "jazz", "rock", "synthwave", "waltz", "dub")
    leads = ("synth pad", "synth lead", "ukulele", "saxophone", "electric guitar", "bells", "cello", "organ")
    return {
        "title": f"Title {number}",
        "genre": genres[number],
        "instruments": [leads[number], "piano"],
        "tempo_bpm": 70 + 12 * number,
        "dynamics": "grows slowly",
        "mood": "calm",
        "key": "D minor",
        "placement": "Follows the waves.",
        "caption": "slow warm pads",
    } | changes


def reply(count, **changes):
    return json.dumps({"directions": [item(number, **changes) for number in range(count)]})


class Endpoint:
    """Answers each request with what `answer(body)` returns: text of the model, or a response of its own."""

    def __init__(self, answer):
        self.answer = answer
        self.bodies = []
        self.keys = []

    async def complete(self, request):
        body = await request.json()
        self.bodies.append(body)
        self.keys.append(request.headers["Authorization"])
        answer = self.answer(body)
        if asyncio.iscoroutine(answer):
            answer = await answer
        if isinstance(answer, web.Response):
            return answer
        message = {"role": "assistant", "content": answer}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return web.json_response(
            {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        )


@asynccontextmanager
async def describing(answer, **options):
    """An endpoint that answers so, and a describer that talks to it."""
    endpoint = Endpoint(answer)
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/chat/completions", endpoint.complete)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    options = {"api_key": KEY, "model": "ernie-4.5-vl-28b-a3b"} | options
    describer = OpenAIDescriber(base_url=f"http://127.0.0.1:{port}/v1", **options)
    try:
        yield endpoint, describer
    finally:
        await describer.aclose()
        await runner.cleanup()


def refusal(status, message):
    return web.json_response({"error": {"message": message}}, status=status)
