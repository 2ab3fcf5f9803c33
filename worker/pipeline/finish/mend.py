"""A part that is made anew, in a finished track of which all else stays as it is: sample by sample in what is kept of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from worker.domain import Hit, Kept, Latents, Mending, Recording, Samples, Scene, Span, Track
from worker.errors import Rejected, WorkerError
from worker.pipeline.finish.audio_file import dithered
from worker.pipeline.finish.crossfade import alike, crossfade
from worker.pipeline.finish.ends import shaped
from worker.pipeline.finish.fit_files import decoded
from worker.pipeline.finish.loudness import integrated_lufs, limiting, peak_curve, true_peak, turned
from worker.pipeline.finish.master import SILENCE, Loud, ceiling_db, recorded

_SHORT_S, _LONG_S = 0.020, 0.300
"""Of a crossfade: where the new part goes on from the old music, and where it has nothing to do with it (with 0.1 s the seam meter hears that)."""
_AROUND = 64
"""Samples beside a crossfade that have a say in what peaks between its own."""
_HAIR = 10 ** (0.1 / 20)
"""From the ceiling of what is mastered to what is promised."""


class FfmpegMender:
    """Implements `worker.ports.Mender`."""

    async def read(self, master: Path, latents: Path | None) -> Kept:
        """Raises Rejected (not_audio, too_long, cannot_mend) and Unavailable."""
        samples, rate, _ = await decoded(master)
        steps = np.round(samples * 32768).astype(np.int16)  # as libav divided them
        return Kept(steps=steps, sample_rate=rate, latents=_latents(latents) if latents else None)

    def mend(
        self,
        track: Track,
        kept: Kept,
        mending: Mending,
        *,
        format: str,
        tags: dict[str, str],
        scenes: Sequence[Scene] = (),
        hits: Sequence[Hit] = (),
        loop: bool = False,
    ) -> Recording:
        """In the processes that master. Raises WorkerError for what an engine should not give."""
        rate, (channels, count) = kept.sample_rate, kept.steps.shape
        raised = shaped(track, count, loop=loop) * np.float32(10 ** (mending.gain_db / 20))
        if track.sample_rate != rate or len(raised) not in {1, channels}:
            raise WorkerError(
                f"A part with {len(raised)} channels at {track.sample_rate} Hz goes into no track with {channels} at {rate} Hz; "
                "the engine that made it is at fault.",
                code="bad_audio",
            )
        span = track.mended or Span(start_s=mending.start_s, end_s=mending.end_s)
        first, end = max(0, round(span.start_s * rate)), min(count, round(span.end_s * rate))
        ceiling = 10 ** (ceiling_db(format) / 20)
        new = turned(raised, limiting(peak_curve(raised, rate), ceiling), rate)
        new *= np.float32(min(1.0, ceiling / max(true_peak(new, rate), SILENCE)))
        old, mixed, new = kept.samples, kept.samples, np.broadcast_to(new, kept.steps.shape)
        mixed[:, first:end] = new[:, first:end]
        for place, way in ((first, 1), (end, -1)):
            if loop or 0 < place < count:
                _join(mixed, old, new, place, way, (end - first) // 2, rate, ceiling * _HAIR)
        steps = kept.steps.copy()
        steps[:, first:end] = dithered(mixed[:, first:end])
        made = replace(kept, steps=steps).samples
        loud = Loud(made, integrated_lufs(made, rate), true_peak(made, rate), mending.gain_db)
        return recorded(loud, steps, track, format, tags, scenes, hits)


def _join(mixed: Samples, old: Samples, new: Samples, place: int, way: int, room: int, rate: int, most: float) -> None:
    """Lead over from the old into the new samples where the part begins (`way` is 1), or back before it ends (-1); no peak is to pass `most`.

    An engine that leads in and out has the old music beside the part, too, and goes on from it: a moment is enough. What has nothing
    to do with the old music takes its time.
    """
    long, short = (min(room, round(seconds * rate)) for seconds in (_LONG_S, _SHORT_S))
    beside = (place - (way > 0) - way * np.arange(long)) % old.shape[1]  # what loops goes on at its other end
    length = round(long + alike(old[:, beside], new[:, beside]) * (short - long))
    fade = slice(place, place + length) if way > 0 else slice(place - length, place)
    before, after = (old[:, fade], new[:, fade])[::way]
    same, around = alike(before, after), slice(max(0, fade.start - _AROUND), fade.stop + _AROUND)
    for sameness in (same, (1 + same) / 2, 1.0):  # the last adds nothing to either's peaks
        mixed[:, fade] = crossfade(before, after, sameness)
        if true_peak(mixed[:, around], rate) <= most:
            break


def _latents(file: Path) -> Latents:
    from safetensors import SafetensorError  # an engine that wants latents has brought it
    from safetensors.numpy import load_file

    try:
        return np.asarray(load_file(file)["latents"], np.float16)
    except (SafetensorError, KeyError, ValueError) as error:
        raise Rejected(
            f"The track cannot be mended: what its engine has to know of it cannot be read ({error}); make it again as a whole",
            code="cannot_mend",
        ) from None
