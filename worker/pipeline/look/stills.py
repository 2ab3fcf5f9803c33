"""Choosing and encoding the stills a describer sees: 12 to 16, spread over the clip, one in every scene if there are few."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from worker.domain import Scene, Still
from worker.pipeline.look.small_picture import small_picture

SPREAD = 12
MOST = 16
LONGEST_SIDE = 512
_MOST_EXTRA = 64
SETTLED_S = 0.2
"""How long after a possible cut its still is taken: the first frame of a scene is often blurred, unless it is a key frame."""


class StillPicker:
    """Keeps stills while frames go by once: an even spread, and one after everything that may turn out to be a cut."""

    def __init__(self, duration_s: float, *, pixel_aspect: float = 1.0, settled_s: float = SETTLED_S) -> None:
        self._pixel_aspect = pixel_aspect
        self._settled_s = settled_s
        self._due = [duration_s * (i + 0.5) / SPREAD for i in range(SPREAD)]
        self._extra_at: float | None = None
        self._extra = 0
        self._stills: list[Still] = []

    def see(self, at_s: float, frame: VideoFrame, *, maybe_cut: bool) -> None:
        """Look at the next frame and keep it if it is wanted."""
        if maybe_cut and self._extra < _MOST_EXTRA:
            self._extra_at = at_s + self._settled_s
        wanted = not self._stills
        if self._extra_at is not None and at_s >= self._extra_at:
            wanted, self._extra_at, self._extra = True, None, self._extra + 1
        while self._due and at_s >= self._due[0]:
            wanted = True
            self._due.pop(0)
        if wanted:
            self._stills.append(Still(time_s=at_s, jpeg=to_jpeg(frame, self._pixel_aspect)))

    def choose(self, scenes: Sequence[Scene]) -> tuple[Still, ...]:
        """Return at most 16: crowded stills go first, the only one of a scene goes last."""
        kept = list(self._stills)
        while len(kept) > MOST:
            homes = [sum(still.time_s >= scene.start_s for scene in scenes) for still in kept]
            gaps = [min(abs(still.time_s - other.time_s) for other in kept if other is not still) for still in kept]
            del kept[min(range(len(kept)), key=lambda i: (homes.count(homes[i]) == 1, gaps[i]))]
        return tuple(kept)


def to_jpeg(frame: VideoFrame, pixel_aspect: float = 1.0) -> bytes:
    """Encode upright, with square pixels, at most 512 pixels long, at about JPEG quality 80."""
    width = frame.width * pixel_aspect
    scale = min(1.0, LONGEST_SIDE / max(width, frame.height))
    small = small_picture(VideoReformatter(), frame, max(2, int(width * scale)), max(2, int(frame.height * scale)))
    upright = np.ascontiguousarray(np.rot90(small, round(frame.rotation / 90)))
    picture = VideoFrame.from_ndarray(upright, format="rgb24").reformat(format="yuvj420p")
    encoder = VideoCodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = picture.width, picture.height, "yuvj420p"
    encoder.time_base = Fraction(1, 25)
    encoder.options = {"qmin": "4", "qmax": "4"}
    return b"".join(bytes(packet) for packet in [*encoder.encode(picture), *encoder.encode(None)])
