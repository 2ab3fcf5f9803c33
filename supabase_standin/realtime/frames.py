"""Frames of the Realtime protocol: JSON objects (1.0.0), JSON arrays and binary broadcasts (2.0.0); and those on their way to many."""

from __future__ import annotations

import json
import math
from typing import Any, Final, NamedTuple

V1: Final = "1.0.0"
V2: Final = "2.0.0"
PUSH: Final = 3
BROADCAST: Final = 4
BYTES: Final = 0
JSON: Final = 1
"""How a binary broadcast carries its payload."""


Data = str | bytes


class BadFrame(ValueError):
    """Not a frame of the protocol."""


class Frame(NamedTuple):
    """A message of either version."""

    join_ref: str | None
    ref: str | None
    topic: str
    event: str
    payload: Any


class Push(NamedTuple):
    """A client's binary broadcast (type 3)."""

    join_ref: str | None
    ref: str | None
    topic: str
    event: str
    encoding: int
    payload: bytes


def reply(frame: Frame | Push, status: str, response: dict[str, Any]) -> Frame:
    """The answer to a client's message."""
    return Frame(frame.join_ref, frame.ref, frame.topic, "phx_reply", {"status": status, "response": response})


def dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def loads(data: str | bytes) -> Any:
    """What comes from clients, as every receiver can read it: UTF-8, no NaN or infinity, no lone half of a surrogate pair. Raises ValueError."""
    text = data if isinstance(data, str) else data.decode()
    try:
        value = json.loads(text, parse_constant=_finite, parse_float=_finite)
        if r"\u" in text:
            dumps(value).encode()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a number of JSON")
    return number


def decode(vsn: str, data: str) -> Frame:
    """Raises BadFrame."""
    try:
        raw = loads(data)
        if vsn == V1:
            raw = raw.get("join_ref"), raw.get("ref"), raw["topic"], raw["event"], raw["payload"]
        frame = Frame(*raw)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadFrame(f"not a frame of protocol {vsn}: {data[:80]!r}") from error
    if not isinstance(frame.topic, str) or not isinstance(frame.event, str):
        raise BadFrame(f"topic and event must be strings: {data[:80]!r}")
    return frame


def encode(vsn: str, frame: Frame) -> str:
    if vsn == V2:
        return dumps(frame)
    # Clients of 1.0.0 reject a push without an explicit null ref.
    return dumps({"ref": frame.ref, "event": frame.event, "topic": frame.topic, "payload": frame.payload})


def decode_push(data: bytes) -> Push:
    """`03 | len join_ref | len ref | len topic | len event | len metadata | encoding | the five texts | payload`. Raises BadFrame."""
    try:
        if data[0] != PUSH:
            raise BadFrame(f"binary frames of type {data[0]} are not understood")
        *lengths, encoded = data[1:7]
        encoding = JSON if encoded else BYTES
        texts, at = [], 7
        for length in lengths:
            texts.append(data[at : at + length].decode())
            at += length
        join_ref, ref, topic, event, _ = texts
        payload = bytes(data[at:])
        if encoding == JSON:
            loads(payload)  # it goes out as it is: anything else would break every receiver, or forge a frame
        return Push(join_ref or None, ref or None, topic, event, encoding, payload)
    except (IndexError, ValueError) as error:
        raise BadFrame("not a binary broadcast") from error


def encode_broadcast(topic: str, event: str, metadata: str, encoding: int, payload: bytes) -> bytes | None:
    """`04 | len topic | len event | len metadata | encoding | the three texts | payload`; None when a text is over 255 bytes."""
    texts = [text.encode() for text in (topic, event, metadata)]
    if any(len(text) > 255 for text in texts):
        return None
    return bytes([BROADCAST, *map(len, texts), encoding]) + b"".join(texts) + payload


class Fanout:
    """A plain push to many sockets, encoded once for each version: presence, postgres_changes, broadcasts sent as text."""

    def __init__(self, topic: str, event: str, payload: Any) -> None:
        self._frame = Frame(None, None, topic, event, payload)
        self._encoded: dict[str, Data | None] = {}

    def data(self, vsn: str) -> Data | None:
        """What goes over the wire; None when this version cannot carry it."""
        if vsn not in self._encoded:
            self._encoded[vsn] = self._encode(vsn)
        return self._encoded[vsn]

    def _encode(self, vsn: str) -> Data | None:
        return encode(vsn, self._frame)


class UserBroadcast(Fanout):
    """A broadcast whose payload stays bytes: a binary frame for 2.0.0, JSON for 1.0.0, which cannot carry other bytes."""

    def __init__(self, topic: str, event: str, meta: dict[str, Any], encoding: int, payload: bytes) -> None:
        super().__init__(topic, "broadcast", None)
        self._event, self._meta, self._encoding, self._payload = event, meta, encoding, payload

    def _encode(self, vsn: str) -> Data | None:
        topic, meta = self._frame.topic, dumps(self._meta) if self._meta else ""
        if vsn == V2 and (frame := encode_broadcast(topic, self._event, meta, self._encoding, self._payload)):
            return frame
        if self._encoding == BYTES:
            return None
        # The payload is JSON already: it is set in as it is, not parsed and written again.
        marked = f'"meta":{meta},' if meta else ""
        body = f'{{"event":{dumps(self._event)},"type":"broadcast",{marked}"payload":{self._payload.decode()}}}'
        if vsn == V2:
            return f'[null,null,{dumps(topic)},"broadcast",{body}]'
        return f'{{"ref":null,"event":"broadcast","topic":{dumps(topic)},"payload":{body}}}'
