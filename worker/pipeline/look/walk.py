"""What the packets of one stream say of it, and its first frame. Runs in the decoder's child process only."""

from __future__ import annotations

from array import array
from fractions import Fraction

import numpy as np
from av.audio.stream import AudioStream
from av.frame import Frame
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from worker.pipeline.look.media import as_far_as_it_goes

_STUMBLE = 2
"""Frames that one without times may be off an even pace: muxers of AVI let the first one stand twice."""
_TRIES = 64
"""Packets of a stream in which a frame that can be decoded has to be."""


class Walk:
    """What the packets of one stream say."""

    def __init__(self, stream: VideoStream | AudioStream, *, untimed: bool = False) -> None:
        self.stream = stream
        self.tick = stream.time_base or Fraction(1, 1000)
        self.count = self.keys = self._unpresented = 0
        self.frame: Frame | None = None
        """The first that could be decoded."""
        self.stopped = False
        """Whether there is more of it."""
        self._untimed = untimed
        self._hidden = 0
        self._shown: tuple[int, int] | None = None
        self._decoded = array("q")
        self._usual = 0
        """Ticks of a frame that says nothing of how long it is."""
        if isinstance(stream, VideoStream):
            rates = [stream.average_rate, stream.guessed_rate, Fraction(25)]
            rate = next(
                filter(None, rates[1:] if untimed else rates)
            )  # an average counts what was left out of an AVI, too
            self._usual = max(1, round(1 / (rate * self.tick)))

    def see(self, packet: Packet[Stream]) -> None:
        """Take the next packet. Those that an edit list takes out do not count."""
        self._try(packet)
        pts, dts = packet.pts, packet.dts
        length = packet.duration or self._usual
        if packet.is_discard:
            self._hidden += length
            return
        self.count += 1
        self.keys += packet.is_keyframe
        self._unpresented += pts is None
        if pts is None and dts is None:  # no clock at all: they follow each other
            pts = dts = self._shown[1] if self._shown else 0
        if pts is not None:
            self._shown = _wider(self._shown, pts, pts + length)
        if dts is not None:
            self._decoded.append(dts)

    def behind(self, length_s: float) -> bool:
        """Whether so much has been seen, or about so much where frames carry no times."""
        return self._shown is not None and (self._shown[1] - self._shown[0]) * self.tick > length_s

    @property
    def timed(self) -> bool:
        return not self._untimed and self._unpresented * 2 <= self.count

    @property
    def pace(self) -> int:
        """Ticks from one frame to the next, where those that do not carry their times follow each other evenly; 0 where they do not."""
        usual, off = self._steps()
        return usual if off <= _STUMBLE * usual else 0

    @property
    def span(self) -> tuple[int, int]:
        """First and last moment, in ticks."""
        if self.timed or not self._decoded:
            return self._shown or (0, 0)
        first, usual = min(self._decoded), self._steps()[0]
        return first, first + self.count * self.pace if self.pace else max(self._decoded) + usual

    def _steps(self) -> tuple[int, float]:
        """How long a frame usually stands, by the times of decoding, and how much all of them are off that pace."""
        steps = np.diff(np.sort(np.array(self._decoded, np.float64)))
        usual = max(1, int(np.median(steps))) if len(steps) else self._usual
        return usual, abs(float(steps.sum()) - len(steps) * usual)

    @property
    def span_s(self) -> tuple[float, float]:
        first, end = self.span
        return float(first * self.tick), float(end * self.tick)

    @property
    def length_s(self) -> float:
        first, end = self.span
        return float((end - first) * self.tick)

    @property
    def rate(self) -> float:
        """Frames a second. Of a walk that stopped they are counted as they are decoded: some that are shown before the last one lie behind it."""
        if self.stopped and (ticks := max(self._decoded, default=0) - min(self._decoded, default=0)):
            return float((len(self._decoded) - 1) / (ticks * self.tick))
        return self.count / self.length_s

    @property
    def hidden_s(self) -> float:
        return float(self._hidden * self.tick)

    def end(self) -> None:
        """That was all."""
        self._try(None)

    def _try(self, packet: Packet[Stream] | None) -> None:
        if self.frame is not None or self.count >= _TRIES:
            return
        if packet is not None and packet.is_discard:  # the decoder would keep to itself what an edit list takes out
            packet = Packet(bytes(packet))
        with as_far_as_it_goes():
            self.frame = next(iter(self.stream.decode(packet)), None)


def _wider(span: tuple[int, int] | None, first: int, end: int) -> tuple[int, int]:
    return (first, end) if span is None else (min(span[0], first), max(span[1], end))
