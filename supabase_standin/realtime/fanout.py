"""A message on its way to many sockets: encoded once for each version of the protocol."""

from __future__ import annotations

from typing import Any

from supabase_standin.realtime.frames import BYTES, V2, Frame, dumps, encode, encode_broadcast

Data = str | bytes


class Fanout:
    """A plain push: presence, postgres_changes, broadcasts sent as text."""

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
