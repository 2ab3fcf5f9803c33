"""One joined channel of one socket."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Any, Protocol

import asyncpg

from supabase_standin.authentication import BadToken, Identity
from supabase_standin.database import CONNECTION_ERRORS
from supabase_standin.realtime.authorisation import Policies, authorise
from supabase_standin.realtime.frames import Fanout, Frame, Push, UserBroadcast, dumps
from supabase_standin.realtime.join import Join, as_dict
from supabase_standin.realtime.limits import Rate
from supabase_standin.realtime.project import Project
from supabase_standin.realtime.topics import Topic


class Outlet(Protocol):
    """The way to the client."""

    def push(self, frame: Frame) -> None: ...

    def deliver(self, fanout: Fanout) -> None: ...

    def remove(self, channel: Channel) -> None:
        """Close it, and know it no more."""


class Channel:
    """Between `open` and `close` it is a member of its topic."""

    def __init__(
        self, project: Project, outlet: Outlet, topic: Topic, frame: Frame, join: Join, identity: Identity, policies: Policies
    ) -> None:  # fmt: skip
        self.topic = topic
        self.join_ref = frame.join_ref or frame.ref
        self.identity = identity
        self._project = project
        self._outlet = outlet
        self._join = join
        self._policies = policies
        self._wants_presence = join.presence
        self._presence_key = join.presence_key or str(uuid.uuid4())
        self._presence_rate = Rate(project.limits.presence_calls, project.limits.presence_window_s)
        self._expiry: asyncio.TimerHandle | None = None

    @property
    def wire(self) -> str:
        return self.topic.wire

    @property
    def hears_presence(self) -> bool:
        return self._wants_presence and "presence" in self._policies.may_read

    def open(self) -> None:
        self._project.topics.join(self)
        self._watch_expiry()

    def close(self) -> None:
        """Leave everything; safe to call twice. Nothing is sent to the client."""
        if self._expiry:
            self._expiry.cancel()
        self._project.subscriptions.stop(self)
        self._project.topics.leave(self)
        self._project.presence.untrack(self)

    def deliver(self, fanout: Fanout) -> None:
        self._outlet.deliver(fanout)

    def push(self, event: str, payload: Any) -> None:
        """A message of this channel alone."""
        self._outlet.push(Frame(self.join_ref, None, self.wire, event, payload))

    def tell(self, status: str, extension: str, message: str) -> None:
        self.push("system", {"message": message, "status": status, "extension": extension, "channel": self.topic.name})

    def push_presence_state(self) -> None:
        if self.hears_presence:
            self.push("presence_state", self._project.presence.state(self.topic))

    def handle(self, frame: Frame) -> None:
        """A message from the client, other than join, leave and a new token."""
        if frame.event == "broadcast":
            size = len(dumps(frame.payload).encode())
            self._broadcast(frame.ref, size, Fanout(self.wire, "broadcast", frame.payload))
        elif frame.event == "presence":
            self._handle_presence(frame)

    def handle_push(self, push: Push) -> None:
        """A binary broadcast from the client."""
        fanout = UserBroadcast(self.wire, push.event, {}, push.encoding, push.payload)
        self._broadcast(push.ref, len(push.payload), fanout)

    def _broadcast(self, ref: str | None, size: int, fanout: Fanout) -> None:
        if "broadcast" not in self._policies.may_write:
            return  # denied in silence, as on a hosted project
        fits = size <= self._project.limits.broadcast_bytes
        if fits:
            self._project.topics.send(self.topic, fanout, skip=None if self._join.echo else self)
        if self._join.ack:
            self._reply(ref, "ok" if fits else "error", {} if fits else {"error": "payload_size_exceeded"})

    def _handle_presence(self, frame: Frame) -> None:
        payload = as_dict(frame.payload)
        action = str(payload.get("event", "")).lower()
        if self._presence_rate.exceeded():
            self.fail("Client presence rate limit exceeded")
            return
        tracked = payload.get("payload", {})
        if action == "untrack":
            self._project.presence.untrack(self)
        elif action == "track" and "presence" in self._policies.may_write and isinstance(tracked, dict):
            if len(dumps(tracked).encode()) > self._project.limits.broadcast_bytes:
                self.fail("Track message size exceeded")
                return
            if not self._wants_presence:  # who says that it is here wants to know who else is
                self._wants_presence = True
                self.push_presence_state()
            self._project.presence.track(self, self._presence_key, tracked)
        else:
            self._reply(frame.ref, "error", {})
            return
        self._reply(frame.ref, "ok", {})

    async def refresh(self, token: Any) -> None:
        """Go on with another token, or end for want of a right."""
        if not isinstance(token, str) or token.startswith("sb_"):
            return
        try:
            identity = self._project.keys.identify(token)
        except BadToken as error:
            self.fail(str(error))
            return
        if identity == self.identity:
            return
        self.identity = identity
        if self.topic.private:
            try:
                self._policies = await authorise(self._project.database, self.topic.name, identity)
            except (asyncpg.PostgresError, *CONNECTION_ERRORS) as error:
                self.fail(f"The policies on realtime.messages could not be asked: {error}")
                return
            if "broadcast" not in self._policies.may_read:
                self.fail(f"You no longer have permission to read from this Channel topic: {self.topic.name}")
                return
        self._watch_expiry()

    def _watch_expiry(self) -> None:
        if self._expiry:
            self._expiry.cancel()
        if (expires_at := self.identity.expires_at) is not None:
            loop = asyncio.get_running_loop()
            # Timers beyond some weeks overflow the clock; such tokens outlive the session.
            delay_s = min(max(expires_at - time.time(), 0.0), 30 * 86_400.0)
            self._expiry = loop.call_later(delay_s, self._expired, expires_at)

    def _expired(self, expires_at: float) -> None:
        self.fail(f"Token has expired {max(int(time.time() - expires_at), 0)} seconds ago")

    def fail(self, message: str) -> None:
        """Tell the client why, and close the channel."""
        self.tell("error", "system", message)
        self.end()

    def end(self) -> None:
        """Close the channel and tell the client."""
        self._outlet.remove(self)
        self._outlet.push(Frame(self.join_ref, self.join_ref, self.wire, "phx_close", {}))

    def _reply(self, ref: str | None, status: str, response: dict[str, Any]) -> None:
        self._outlet.push(Frame(self.join_ref, ref, self.wire, "phx_reply", {"status": status, "response": response}))
