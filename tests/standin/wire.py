"""A Realtime socket without a client library in between."""

from __future__ import annotations

import asyncio
import json

import aiohttp


class Wire:
    """One socket of either protocol version."""

    def __init__(self, ws, vsn):
        self.ws = ws
        self.vsn = vsn

    async def send(self, topic, event, payload, *, ref="1", join_ref="1"):
        if self.vsn == "2.0.0":
            await self.ws.send_json([join_ref, ref, topic, event, payload])
        else:
            await self.ws.send_json(
                {"topic": topic, "event": event, "payload": payload, "ref": ref, "join_ref": join_ref}
            )

    async def get(self):
        message = await asyncio.wait_for(self.ws.receive(), 30)
        return json.loads(message.data) if message.type is aiohttp.WSMsgType.TEXT else message

    async def join(self, topic, *, ref="1", token=None, **config):
        payload = {"config": config, **({"access_token": token} if token else {})}
        await self.send(f"realtime:{topic}", "phx_join", payload, ref=ref, join_ref=ref)
        return await self.get()


def reply(topic, status, response, *, ref="1", join_ref="1"):
    """A phx_reply of 2.0.0."""
    return [join_ref, ref, topic, "phx_reply", {"status": status, "response": response}]
