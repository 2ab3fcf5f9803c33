"""Broadcasts that a slot and a look into the table may both give."""

from __future__ import annotations

from contextlib import asynccontextmanager
from types import SimpleNamespace

from supabase_standin.realtime.messages import Messages

ROW = {"id": "1", "topic": "job", "event": "a", "extension": "broadcast", "private": "t", "payload": "{}"}


class Shown:
    """A database whose table shows a row."""

    @asynccontextmanager
    async def transaction(self):
        yield self

    async def fetch(self, *_):
        return [ROW]


async def test_what_a_table_shows_before_it_is_flushed_is_sent_once():
    """With synchronous_commit off a new slot gives, a round late, what the look into the table has given."""
    sent = []
    messages = Messages(Shown(), SimpleNamespace(send=lambda _, fanout: sent.append(fanout)))
    await messages.resume()
    messages.caught_up("2:2:")  # the slot had nothing yet
    await messages.take([SimpleNamespace(kind="INSERT", new=ROW)])
    assert len(sent) == 1
