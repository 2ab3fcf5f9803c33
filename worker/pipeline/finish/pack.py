"""TrackPacker: a track, what is known of it and of its film, markers, and what it is made of (docs/handover.md)."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import numpy as np

from worker.domain import Anatomy, Clip, Facts, Options, Packed, Plan, Samples
from worker.errors import Unavailable
from worker.pipeline.finish.audio_file import FORMATS
from worker.pipeline.finish.cues import Cues
from worker.pipeline.finish.fit_files import decoded
from worker.pipeline.finish.stem_file import FULL, Steps24, write_24
from worker.ports import Stems

NO_MARKERS: Final = (
    "The pack has no markers and no MIDI: the worker that made it lacks the extra nle (pip install 'rhythmai[nle]')."
)
NO_STEMS: Final = (
    "The pack has no stems and no MIDI: the track could not be composed again as it is stored, for a part of it was played anew, or "
    "another version made it."
)
_LONGER_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackPacker:
    """Implements `Packer`."""

    stems: Callable[[], Stems]
    at_work: Executor
    """Where it is made, and where libraries for it are loaded."""

    async def pack(self, track: Path, into: Path, clip: Clip, plan: Plan, options: Options, film: str) -> Packed:
        told = options.packs or {}
        samples, rate, facts = await decoded(track, float(told["duration"]) + _LONGER_S)
        cues = Cues(clip=clip, film=film, plan=plan, told=told, beats_s=(), anatomy=None)
        work = partial(_packed, self.stems, cues, options, track, into, samples, rate, facts)
        try:
            return await asyncio.get_running_loop().run_in_executor(self.at_work, work)
        except BrokenExecutor as error:
            raise Unavailable(
                "the process that packs was killed, for want of memory perhaps", code="child_killed"
            ) from error


def _packed(
    load: Callable[[], Stems],
    cues: Cues,
    options: Options,
    track: Path,
    into: Path,
    samples: Samples,
    rate: int,
    facts: Facts,
) -> Packed:
    from worker.pipeline.finish.hearing import hear

    notes: list[str] = []
    anatomy: Anatomy | None = None
    if (stems := load()).engine == cues.told.get("engine"):
        anatomy = next(_found(stems, cues, options, samples), None)
        notes += [] if anatomy else [NO_STEMS]
    cues = replace(cues, beats_s=hear(samples, rate).beats_s, anatomy=anatomy)
    name = f"track{_suffix(options.audio_url or '')}"
    contents: dict[str, str | bytes] = {}
    try:
        from worker.pipeline.finish.markers import written

        contents |= written(cues, name)
    except ModuleNotFoundError:
        notes.append(NO_MARKERS)
    if anatomy is not None and anatomy.midi is not None:
        contents["music.mid"] = anatomy.midi
    parts = dict(_stored(into, anatomy, samples, rate, facts)) if anatomy else {}
    contents["cues.json"] = json.dumps(cues.json(), ensure_ascii=False, indent=2)
    files = {name: track}
    for entry, content in contents.items():
        files[entry] = into / entry
        files[entry].write_bytes(content if isinstance(content, bytes) else content.encode())
    return Packed(files=files, stems=parts, facts=facts, notes=tuple(notes))


def _found(stems: Stems, cues: Cues, options: Options, samples: Samples) -> Iterator[Anatomy]:
    """The track was composed with the speech of its film, or before that had been heard."""
    for speech in dict.fromkeys((cues.clip.speech, ())):
        anatomy = stems.of(replace(cues.clip, speech=speech), cues.plan.variants[0], options, samples)
        if anatomy is not None:
            yield anatomy


def _stored(into: Path, anatomy: Anatomy, samples: Samples, rate: int, facts: Facts) -> Iterator[tuple[str, Path]]:
    """Each stem and what remains: in 24 bits their sum is the track, sample by sample."""
    left: Steps24 = np.round(samples * np.float32(2**23)).astype(np.int32)

    def stored(name: str, steps: Steps24) -> tuple[str, Path]:
        stem = re.sub(r"[^a-z0-9]+", "-", name.lower())
        file = into / f"stem-{stem}.flac"
        file.write_bytes(write_24(steps, rate, {**facts, "title": name}))
        return f"stems/{stem}.flac", file

    for name, wave in anatomy.stems:
        steps = np.round(np.clip(wave, -1, 1) * FULL).astype(np.int32)
        left -= steps
        yield stored(name, steps)
    yield stored("residual", left)


def _suffix(url: str) -> str:
    """Of the stored file, by its address."""
    suffix = Path(urlsplit(url).path).suffix.lower()
    return suffix if suffix.removeprefix(".") in FORMATS else ".flac"
