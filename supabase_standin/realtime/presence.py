"""Presence: who is here, as each member says of itself."""

from __future__ import annotations

import secrets
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from supabase_standin.realtime.frames import Fanout
from supabase_standin.realtime.topics import Member, Topic, Topics

State = dict[str, dict[str, list[dict[str, Any]]]]


@dataclass(frozen=True, slots=True)
class Tracked:
    """What one member tracks; the reference changes with every update."""

    key: str
    payload: dict[str, Any]
    ref: str = field(default_factory=lambda: secrets.token_urlsafe(12))

    def meta(self, previous: Tracked | None = None) -> dict[str, Any]:
        chain = {"phx_ref_prev": previous.ref} if previous else {}
        return {**self.payload, "phx_ref": self.ref, **chain}


class Presence:
    """The presence states of all topics."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._tracked: dict[Topic, dict[Member, Tracked]] = defaultdict(dict)

    def track(self, member: Member, key: str, payload: dict[str, Any]) -> None:
        """Put or replace what the member tracks and tell the topic; saying the same again tells nobody."""
        previous = self._tracked[member.topic].get(member)
        if previous and previous.payload == payload:
            return
        now = Tracked(key, payload)
        self._tracked[member.topic][member] = now
        leaves = {key: {"metas": [previous.meta()]}} if previous else {}
        self._tell(member.topic, joins={key: {"metas": [now.meta(previous)]}}, leaves=leaves)

    def untrack(self, member: Member) -> None:
        """Forget the member and tell the topic, if it tracked anything."""
        members = self._tracked.get(member.topic, {})
        gone = members.pop(member, None)
        if not members:
            self._tracked.pop(member.topic, None)
        if gone:
            self._tell(member.topic, joins={}, leaves={gone.key: {"metas": [gone.meta()]}})

    def state(self, topic: Topic) -> State:
        state: State = {}
        for tracked in self._tracked.get(topic, {}).values():
            state.setdefault(tracked.key, {"metas": []})["metas"].append(tracked.meta())
        return state

    def _tell(self, topic: Topic, *, joins: State, leaves: State) -> None:
        fanout = Fanout(topic.wire, "presence_diff", {"joins": joins, "leaves": leaves})
        self._topics.send(topic, fanout, presence=True)
