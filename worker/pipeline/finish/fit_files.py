"""The fit of any track to any film, from their files: both are opened in confined children alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from worker.domain import Clip, Fit, Samples
from worker.pipeline.finish.decoding import LONGEST_S, decode, listen
from worker.pipeline.finish.sound import RATE_HZ
from worker.pipeline.look.look import ChildLooker
from worker.together import together

_SLOWEST_HZ = 16_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesFit:
    fit: Fit
    film_s: float
    track_s: float


async def fit_files(film: Path, track: Path, hits_s: Sequence[float] = ()) -> FilesFit:
    """Raises Rejected (what `ChildLooker.look` raises, not_audio, too_long) and Unavailable."""
    from worker.pipeline.finish.fit import fit  # brings scipy's filters, which decoding needs not

    clip, (samples, rate) = await together(_seen(film), decoded(track))
    found = await asyncio.to_thread(fit, samples, rate, clip.scenes, hits_s)
    return FilesFit(fit=found, film_s=clip.duration_s, track_s=samples.shape[1] / rate)


async def _seen(film: Path) -> Clip:
    """The film, looked at for as long as it takes."""
    async with aclosing(ChildLooker(max_duration_s=LONGEST_S).look(film, None)) as looks:
        clips = [look async for look in looks if isinstance(look, Clip)]
    return clips[-1]


async def decoded(track: Path, longest_s: float = LONGEST_S) -> tuple[Samples, int]:
    """The sound of a track, (1 or 2, samples), and its rate; of 16 bits each sample is what it is in the file.

    Raises Rejected (not_audio, too_long), Unavailable.
    """
    sound = await listen(track, longest_s)
    rate = sound.rate_hz if _SLOWEST_HZ <= sound.rate_hz <= RATE_HZ and sound.channels <= 2 else RATE_HZ
    channels = min(2, sound.channels)
    raw = await decode(track, sound, "f32le", rate, channels, longest_s)
    return np.nan_to_num(np.frombuffer(raw, "<f4").reshape(-1, channels).T), rate
