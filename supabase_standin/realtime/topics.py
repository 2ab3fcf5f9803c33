"""Who is joined where. A private and a public channel of one name are separate worlds."""

from __future__ import annotations

from collections import defaultdict
from typing import Final, NamedTuple, Protocol

from supabase_standin.authentication import Identity
from supabase_standin.realtime.frames import Fanout

PREFIX: Final = "realtime:"


class Topic(NamedTuple):
    """A channel's name, without the prefix that frames carry, and its world."""

    name: str
    private: bool

    @property
    def wire(self) -> str:
        return PREFIX + self.name


class Member(Protocol):
    """A joined channel, as the project sees it."""

    @property
    def topic(self) -> Topic: ...

    @property
    def identity(self) -> Identity: ...

    @property
    def hears_presence(self) -> bool: ...

    def deliver(self, fanout: Fanout) -> None:
        """Queue the message for the socket; never waits."""

    def tell(self, status: str, extension: str, message: str) -> None:
        """Push a `system` message."""


class Topics:
    """The joined channels by topic."""

    def __init__(self) -> None:
        self._members: dict[Topic, dict[Member, None]] = defaultdict(dict)

    def join(self, member: Member) -> None:
        self._members[member.topic][member] = None

    def leave(self, member: Member) -> None:
        members = self._members.get(member.topic, {})
        members.pop(member, None)
        if not members:
            self._members.pop(member.topic, None)

    def send(self, topic: Topic, fanout: Fanout, *, skip: Member | None = None, presence: bool = False) -> None:
        """Deliver to everybody who is joined, except `skip`; presence to those who asked for it and may read it."""
        for member in tuple(self._members.get(topic, ())):
            if member is not skip and (member.hears_presence or not presence):
                member.deliver(fanout)

    @property
    def busy(self) -> bool:
        """Whether anybody is joined anywhere."""
        return bool(self._members)
