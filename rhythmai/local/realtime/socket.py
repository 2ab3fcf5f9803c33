"""One client's WebSocket: its channels, its limits, and the queue of what it has yet to read."""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from aiohttp import WSCloseCode, WSMsgType, web

from rhythmai.local.keys import Identity
from rhythmai.local.realtime.channel import Channel
from rhythmai.local.realtime.fanout import Data, Fanout
from rhythmai.local.realtime.frames import BadFrame, Frame, decode, decode_push, encode
from rhythmai.local.realtime.joining import JoinRefused, join, reply
from rhythmai.local.realtime.limits import Rate
from rhythmai.local.realtime.project import Project
from rhythmai.local.realtime.topics import PREFIX

log = logging.getLogger(__name__)


class Socket:
    """Messages are handled one after the other, as they come."""

    def __init__(
        self, project: Project, request: web.Request, ws: web.WebSocketResponse, vsn: str, identity: Identity
    ) -> None:
        self.identity = identity
        self._project = project
        self._request = request
        self._ws = ws
        self._vsn = vsn
        self._channels: dict[str, Channel] = {}
        self._outbox: deque[Data | None] = deque()
        """None closes the socket once everything before it is sent."""
        self._pending_bytes = 0
        self._wake = asyncio.Event()
        self._joins = Rate(project.limits.joins_per_s)
        self._messages = Rate(project.limits.messages_per_s)

    async def run(self) -> None:
        """Until the client goes, or is cut off."""
        writer = asyncio.create_task(self._write())
        try:
            async for message in self._ws:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    await self._receive(message.data)
        except BadFrame as error:
            await self._ws.close(code=WSCloseCode.UNSUPPORTED_DATA, message=str(error).encode()[:120])
        except TimeoutError:
            await self._ws.close(code=WSCloseCode.GOING_AWAY, message=b"no heartbeat")
        finally:
            writer.cancel()
            for channel in tuple(self._channels.values()):
                self.remove(channel)

    async def close(self) -> None:
        """The server goes away."""
        await self._ws.close(code=WSCloseCode.GOING_AWAY, message=b"the gateway stops")

    def add(self, channel: Channel) -> None:
        self._channels[channel.wire] = channel

    def remove(self, channel: Channel) -> None:
        if self._channels.get(channel.wire) is channel:
            del self._channels[channel.wire]
        channel.close()

    def push(self, frame: Frame) -> None:
        self._send(encode(self._vsn, frame))

    def deliver(self, fanout: Fanout) -> None:
        if (data := fanout.data(self._vsn)) is not None:
            self._send(data)

    def _send(self, data: Data) -> None:
        self._pending_bytes += len(data)
        if self._pending_bytes > self._project.limits.pending_bytes:
            log.warning("realtime.socket.cut: a client does not read; %d bytes waited for it", self._pending_bytes)
            self._outbox.clear()
            self._cut()
            return
        self._outbox.append(data)
        self._wake.set()

    def _cut(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()

    async def _write(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._outbox:
                    data = self._outbox.popleft()
                    if data is None:
                        await self._ws.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"Too many joins per second")
                        return
                    if isinstance(data, str):
                        await self._ws.send_str(data)
                    else:
                        await self._ws.send_bytes(data)
                    self._pending_bytes -= len(data)
        except Exception as error:
            if not isinstance(error, ConnectionError):
                log.exception("realtime.socket.cut: a message cannot be written")
            self._cut()

    async def _receive(self, data: Data) -> None:
        if self._messages.exceeded():
            for joined in tuple(self._channels.values()):
                joined.fail("Too many messages per second")
            return
        if isinstance(data, str):
            await self._handle(decode(self._vsn, data))
            return
        push = decode_push(data)
        channel = self._channels.get(push.topic)
        if channel is None:
            frame = Frame(push.join_ref, push.ref, push.topic, "broadcast", None)
            self.push(reply(frame, "error", {"reason": "unmatched topic"}))
        elif push.join_ref in (None, channel.join_ref):
            channel.handle_push(push)

    async def _handle(self, frame: Frame) -> None:
        channel = self._channels.get(frame.topic)
        if frame.topic == "phoenix" and frame.event == "heartbeat":
            self.push(reply(frame, "ok", {}))
        elif frame.event == "phx_join" and frame.topic.startswith(PREFIX):
            await self._join(frame)
        elif frame.event == "phx_leave" and (channel is None or frame.join_ref in (None, channel.join_ref)):
            self.push(reply(frame, "ok", {}))
            if channel:
                channel.end()
        elif channel is None:
            self.push(reply(frame, "error", {"reason": "unmatched topic"}))
        elif frame.join_ref in (None, channel.join_ref):
            await channel.handle(frame)
        # else: a message of a channel that was joined anew since; it is stale

    async def _join(self, frame: Frame) -> None:
        if self._joins.exceeded():
            self.push(reply(frame, "error", {"reason": "ClientJoinRateLimitReached: Too many joins per second"}))
            self._outbox.append(None)
            return
        if (old := self._channels.get(frame.topic)) is not None:
            old.end()
        if len(self._channels) >= self._project.limits.channels_per_socket:
            self.push(reply(frame, "error", {"reason": "ChannelRateLimitReached: Too many channels"}))
            return
        try:
            await join(self._project, self, frame)
        except JoinRefused as refusal:
            self.push(reply(frame, "error", {"reason": str(refusal)}))
