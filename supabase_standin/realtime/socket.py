"""One client's WebSocket: its channels, its limits, and the queue of what it has yet to read."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Final, TypeGuard

from aiohttp import WSCloseCode, WSMsgType, web

from supabase_standin.authentication import Identity
from supabase_standin.realtime.channel import Channel
from supabase_standin.realtime.frames import BadFrame, Data, Fanout, Frame, Push, decode, decode_push, encode, reply
from supabase_standin.realtime.join import as_dict
from supabase_standin.realtime.joining import JoinRefused, join
from supabase_standin.realtime.limits import Rate
from supabase_standin.realtime.project import Project
from supabase_standin.realtime.topics import PREFIX

log = logging.getLogger(__name__)
WAITING: Final = 100
"""Messages behind a join or a new token of their topic; the socket is not read on while there are more."""


class Socket:
    """Messages of one topic are handled one after the other, as they come; a topic that waits for the database holds up no other."""

    def __init__(
        self, project: Project, request: web.Request, ws: web.WebSocketResponse, vsn: str, identity: Identity
    ) -> None:
        self._identity = identity
        self._project = project
        self._request = request
        self._ws = ws
        self._vsn = vsn
        self._channels: dict[str, Channel] = {}
        self._waiting: dict[str, deque[Frame | Push]] = {}
        """By topic, while a task works on it."""
        self._tasks: dict[str, asyncio.Task[None]] = {}
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
            for task in (writer, *self._tasks.values()):
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            for channel in tuple(self._channels.values()):
                self.remove(channel)

    async def close(self) -> None:
        """The server goes away."""
        await self._ws.close(code=WSCloseCode.GOING_AWAY, message=b"the gateway stops")

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
        except Exception as error:  # a socket that nobody writes to any more must not stay open, and mute
            if not isinstance(error, ConnectionError):
                log.exception("realtime.socket.cut: a message cannot be written")
            self._cut()

    async def _receive(self, data: Data) -> None:
        if self._messages.exceeded():
            for joined in tuple(self._channels.values()):
                joined.fail("Too many messages per second")
            return
        message = decode(self._vsn, data) if isinstance(data, str) else decode_push(data)
        if (waiting := self._waiting.get(message.topic)) is not None:
            waiting.append(message)
            if len(waiting) > WAITING:
                await asyncio.wait([self._tasks[message.topic]])
        elif _asks(message):
            self._waiting[message.topic] = deque([message])
            self._tasks[message.topic] = asyncio.create_task(self._work_off(message.topic))
        else:
            self._handle(message)

    async def _work_off(self, topic: str) -> None:
        try:
            while self._waiting[topic]:
                message = self._waiting[topic].popleft()
                if _asks(message):
                    await self._ask(message)
                else:
                    self._handle(message)
        except Exception:
            log.exception("realtime.socket.cut: a message to %s cannot be handled", topic)
            self._cut()
        finally:
            del self._waiting[topic], self._tasks[topic]

    def _handle(self, message: Frame | Push) -> None:
        channel = self._channels.get(message.topic)
        current = channel is None or message.join_ref in (None, channel.join_ref)
        if message.topic == "phoenix" and message.event == "heartbeat":
            self.push(reply(message, "ok", {}))
        elif message.event == "phx_leave" and current:
            self.push(reply(message, "ok", {}))
            if channel:
                channel.end()
        elif channel is None:
            self.push(reply(message, "error", {"reason": "unmatched topic"}))
        elif not current:
            pass  # of a channel that was joined anew since
        elif isinstance(message, Push):
            channel.handle_push(message)
        else:
            channel.handle(message)

    async def _ask(self, frame: Frame) -> None:
        """A message that only the database can answer."""
        if frame.event == "phx_join":
            await self._join(frame)
        elif (channel := self._channels.get(frame.topic)) and frame.join_ref in (None, channel.join_ref):
            await channel.refresh(as_dict(frame.payload).get("access_token"))

    async def _join(self, frame: Frame) -> None:
        if self._joins.exceeded():
            self.push(reply(frame, "error", {"reason": "ClientJoinRateLimitReached: Too many joins per second"}))
            self._outbox.append(None)
            return
        if (old := self._channels.get(frame.topic)) is not None:
            old.end()
        if len(self._channels.keys() | self._tasks.keys()) > self._project.limits.channels_per_socket:
            self.push(reply(frame, "error", {"reason": "ChannelRateLimitReached: Too many channels"}))
            return
        try:
            self._channels[frame.topic] = await join(self._project, self, self._identity, frame)
        except JoinRefused as refusal:
            self.push(reply(frame, "error", {"reason": str(refusal)}))


def _asks(message: Frame | Push) -> TypeGuard[Frame]:
    """Whether the database is asked: such a message runs as a task, and what follows on its topic waits."""
    return isinstance(message, Frame) and (
        (message.event == "phx_join" and message.topic.startswith(PREFIX)) or message.event == "access_token"
    )
