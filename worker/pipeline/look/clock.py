"""The clocks of transport streams, which jump and start again: recordings that were joined, broadcasts that were cut."""

from __future__ import annotations

from fractions import Fraction

from av.packet import Packet
from av.stream import Stream

_BACK, _AHEAD = Fraction(-1, 10), Fraction(10)
"""Seconds to which a packet may be early or late before it is a jump, as in the ffmpeg program."""
_OVERLAP = Fraction(-1)
"""So early it may be after a jump, where one stream of the part before was longer than another."""


class Clock:
    """Lets time go on where a stream's clock does not. Packets come in the order of the file.

    Streams jump together, one packet sooner or later: whoever comes second is moved as far as the first, so that they keep step.
    """

    def __init__(self) -> None:
        self._moves = [Fraction(0)]
        self._part: dict[int, int] = {}
        self._due: dict[int, Fraction] = {}

    @property
    def jumped(self) -> bool:
        return len(self._moves) > 1

    def mend(self, packet: Packet[Stream]) -> None:
        """Move the packet's times."""
        ticks, tick = packet.dts if packet.dts is not None else packet.pts, packet.time_base
        if ticks is None or not tick:
            return
        stream, at = packet.stream_index, ticks * tick
        part, due = self._part.get(stream, 0), self._due.get(stream)
        if due is not None and not _BACK <= at + self._moves[part] - due <= _AHEAD:
            later = range(part + 1, len(self._moves))
            part = next((i for i in later if _OVERLAP <= at + self._moves[i] - due <= _AHEAD), len(self._moves))
            if part == len(self._moves):
                self._moves.append(due - at)
            self._part[stream] = part
        move = self._moves[part]
        self._due[stream] = at + move + (packet.duration or 0) * tick
        if move:
            shift = round(move / tick)
            packet.pts = None if packet.pts is None else packet.pts + shift
            packet.dts = None if packet.dts is None else packet.dts + shift
