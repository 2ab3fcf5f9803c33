"""ZipPacker: a track, what is known of it and of its film, markers, and what it is made of, in one zip (docs/handover.md)."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Executor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import numpy as np

from worker.domain import Anatomy, Clip, Options, Packed, Plan, Samples
from worker.errors import Unavailable
from worker.pipeline.finish.audio_file import FORMATS
from worker.pipeline.finish.cues import Cues
from worker.pipeline.finish.fit_files import decoded
from worker.pipeline.finish.hearing import hear
from worker.pipeline.finish.stem_file import FULL, Steps24, write_24
from worker.ports import Stems

NO_MARKERS: Final = (
    "The pack has no markers and no MIDI: the worker that made it lacks the extra nle (pip install 'rhythmai[nle]')."
)
NO_STEMS: Final = "The pack has no stems and no MIDI: the track could not be composed again as it is stored, for it was mended or made by another version."
_LONGER_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipPacker:
    """Implements `Packer`."""

    stems: Stems
    at_work: Executor
    """Where it is made."""

    async def pack(
        self, track: Path, into: Path, clip: Clip, plan: Plan, options: Options, film: str, *, apart: bool = True
    ) -> Packed:
        told = options.packs or {}
        samples, rate = await decoded(track, float(told["duration"]) + _LONGER_S)
        cues = Cues(clip=clip, film=film, plan=plan, told=told, beats_s=(), anatomy=None)
        own = apart and told.get("engine") == self.stems.engine
        zipped = into / ("pack.zip" if apart else "small.zip")
        work = partial(_packed, self.stems if own else None, cues, options, track, samples, rate, zipped)
        try:
            return await asyncio.get_running_loop().run_in_executor(self.at_work, work)
        except BrokenExecutor as error:
            raise Unavailable(
                "the process that packs was killed, for want of memory perhaps", code="child_killed"
            ) from error


def _packed(
    stems: Stems | None, cues: Cues, options: Options, track: Path, samples: Samples, rate: int, zipped: Path
) -> Packed:
    """Write the zip."""
    notes: list[str] = []
    anatomy = None if stems is None else next(_found(stems, cues, options, samples), None)
    if stems is not None and anatomy is None:
        notes.append(NO_STEMS)
    cues = replace(cues, beats_s=hear(samples, rate).beats_s, anatomy=anatomy)
    name = f"track{_suffix(options.audio_url or '')}"
    files: dict[str, str | bytes] = {}
    try:
        from worker.pipeline.finish.markers import written

        files |= written(cues, name)
    except ModuleNotFoundError:
        notes.append(NO_MARKERS)
    if anatomy is not None and anatomy.midi is not None:
        files["music.mid"] = anatomy.midi
    with ZipFile(zipped, "w", ZIP_DEFLATED) as pack:
        pack.write(track, name, ZIP_STORED)
        parts = dict(_stored(pack, anatomy, samples, rate, cues)) if anatomy else {}
        listed = {"track": name, "stems": parts, "others": sorted(files)}
        files["cues.json"] = json.dumps(cues.json(listed), ensure_ascii=False, indent=2)
        for entry, content in files.items():
            pack.writestr(entry, content)
    return Packed(file=zipped, apart=anatomy is not None, notes=tuple(notes))


def _found(stems: Stems, cues: Cues, options: Options, samples: Samples) -> Iterator[Anatomy]:
    """The track was composed with the speech of its film, or before that had been heard."""
    for speech in dict.fromkeys((cues.clip.speech, ())):
        anatomy = stems.of(replace(cues.clip, speech=speech), cues.plan.variants[0], options, samples)
        if anatomy is not None:
            yield anatomy


def _stored(pack: ZipFile, anatomy: Anatomy, samples: Samples, rate: int, cues: Cues) -> Iterator[tuple[str, str]]:
    """Each stem and what remains: in 24 bits their sum is the track, sample by sample. Its name and its file's."""
    left: Steps24 = np.round(samples * np.float32(2**23)).astype(np.int32)
    tags = {"title": str(cues.told.get("title") or ""), "seed": str(cues.told.get("seed"))}
    for name, wave in anatomy.stems:
        steps = np.round(np.clip(wave, -1, 1) * FULL).astype(np.int32)
        left -= steps
        yield name, _stem(pack, name, steps, rate, tags)
    yield "residual", _stem(pack, "residual", left, rate, tags)


def _stem(pack: ZipFile, name: str, steps: Steps24, rate: int, tags: dict[str, str]) -> str:
    entry = f"stems/{re.sub(r'[^a-z0-9]+', '-', name.lower())}.flac"
    title = f"{tags['title']}: {name}"
    pack.writestr(entry, write_24(steps, rate, tags | {"title": title}), ZIP_STORED)
    return entry


def _suffix(url: str) -> str:
    """Of the stored file, by its address."""
    suffix = Path(urlsplit(url).path).suffix.lower()
    return suffix if suffix.removeprefix(".") in FORMATS else ".flac"
