"""The clocks of transport streams, which jump and start again: recordings that were joined, broadcasts that were cut.

All times are in ticks of 90 kHz, which every stream of a transport stream counts.
"""

from __future__ import annotations

from av.packet import Packet
from av.stream import Stream

_BACK, _AHEAD = -9_000, 900_000
"""How early or late a packet may be before it is a jump, as in the ffmpeg program: a tenth of a second, ten seconds."""
_OVERLAP = -90_000
"""So early it may be after a jump, where one stream of the part before was longer than another."""


class TransportClock:
    """Lets time go on where a stream's clock does not. Packets come in the order of the file.

    Streams jump together, one packet sooner or later: whoever comes second is moved as far as the first, so that they keep step.
    """

    def __init__(self) -> None:
        self._moves = [0]
        self._part: dict[int, int] = {}
        self._due: dict[int, int] = {}

    @property
    def jumped(self) -> bool:
        return len(self._moves) > 1

    def mend(self, packet: Packet[Stream]) -> None:
        """Move the packet's times."""
        at = packet.dts if packet.dts is not None else packet.pts
        if at is None:
            return
        stream = packet.stream_index
        part = self._part.setdefault(stream, len(self._moves) - 1)
        due = self._due.get(stream, at + self._moves[part])
        if not _BACK <= at + self._moves[part] - due <= _AHEAD:
            later = range(part + 1, len(self._moves))
            part = next((i for i in later if _OVERLAP <= at + self._moves[i] - due <= _AHEAD), len(self._moves))
            if part == len(self._moves):
                self._moves.append(due - at)
            self._part[stream] = part
        move = self._moves[part]
        self._due[stream] = at + move + (packet.duration or 0)
        if move:
            packet.pts = None if packet.pts is None else packet.pts + move
            packet.dts = None if packet.dts is None else packet.dts + move
