"""What is there of a track of which one part is painted anew."""

from __future__ import annotations

import math
from typing import NamedTuple, Self

import numpy as np

from worker.domain import Clip, Part, Samples, Span
from worker.errors import Rejected


class Painting(NamedTuple):
    """Samples to paint between two frames (25 a second), as loud as they were composed."""

    samples: Samples  # (2, frames * samples of a frame)
    first: int
    last: int
    mended: Span

    @classmethod
    def of(cls, part: Part, clip: Clip, *, frames: int, rate: int, frame: int, loop: bool) -> Self:
        """`frames` are composed, of `frame` samples each: what is longer than the film is silent, or where it is to loop its beginning
        once more. The part grows to whole frames, and at the film's end to the end. Raises Rejected (cannot_mend).
        """
        channels, count = part.samples.shape
        found_s = count / part.sample_rate
        if wrong := (
            f"it is of {part.sample_rate} Hz instead of {rate} Hz" if part.sample_rate != rate
            else f"it has {channels} channel{'s' * (channels != 1)} instead of 2" if channels != 2
            else f"it lasts {found_s:.2f} s instead of {clip.duration_s:.2f} s" if abs(found_s - clip.duration_s) > frame / rate
            else f"it has nothing from {part.start_s:.2f} s to {part.end_s:.2f} s" if not 0 <= part.start_s < min(part.end_s, found_s)
            else ""
        ):  # fmt: skip
            raise Rejected(
                f"The track that was kept cannot be mended ({wrong}): make the whole track again", code="cannot_mend"
            )
        raw, missing = part.samples / np.float32(10 ** (part.gain_db / 20)), frames * frame - count
        raw = np.pad(raw, ((0, 0), (0, max(0, missing))), mode="wrap" if loop else "constant")[:, : frames * frame]
        first, last = math.floor(part.start_s * rate / frame), min(math.ceil(part.end_s * rate / frame), frames)
        ends = part.end_s > clip.duration_s - frame / rate
        span = Span(start_s=first * frame / rate, end_s=clip.duration_s if ends else last * frame / rate)
        return cls(raw, first, frames if ends and not loop else last, span)
