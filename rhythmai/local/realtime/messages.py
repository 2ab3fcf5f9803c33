"""Broadcasts out of the database: rows of realtime.messages, as the slot hands them over."""

from __future__ import annotations

from rhythmai.local.realtime.fanout import UserBroadcast
from rhythmai.local.realtime.frames import BYTES, JSON
from rhythmai.local.realtime.pgoutput import Change
from rhythmai.local.realtime.topics import Topic, Topics


def is_message(change: Change) -> bool:
    """Whether the change belongs to realtime.messages, by its own name or a partition's."""
    return change.relation.schema == "realtime" and change.relation.name.startswith("messages")


def send_message(change: Change, topics: Topics) -> None:
    """Broadcast an inserted message to its topic."""
    row = change.new
    name = row.get("topic")
    if change.kind != "INSERT" or row.get("extension") != "broadcast" or name is None:
        return
    topic = Topic(name, row.get("private") == "t")
    payload, binary = row.get("payload"), row.get("binary_payload")
    if payload is not None:
        encoding, data = JSON, payload.encode()
    elif binary is not None:
        encoding, data = BYTES, bytes.fromhex(binary.removeprefix("\\x"))
    else:
        return
    topics.send(topic, UserBroadcast(topic.wire, row.get("event") or "", {"id": row["id"]}, encoding, data))
