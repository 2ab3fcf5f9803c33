"""What the sketch engine costs and how its tracks measure: `python -m bench.sketch [seconds] [folder for FLAC files]`."""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path

import numpy as np

from worker.domain import Clip, Direction, Options, Scene, Variant
from worker.engines.sketch import SketchEngine
from worker.pipeline.direct.vocabulary import GENRES
from worker.pipeline.finish.master import master


def film(duration_s: float) -> Clip:
    """A clip with a cut about every seven seconds, calm and lively in turn."""
    edges = [*np.arange(0, max(duration_s - 3, 1), 7.3), duration_s]
    scenes = tuple(
        Scene(
            start_s=float(start), end_s=float(end), brightness=0.5, saturation=0.5, warmth=0.5, motion=(0.3, 0.8)[n % 2]
        )
        for n, (start, end) in enumerate(itertools.pairwise(edges))
    )
    return Clip(
        path=Path("film.mp4"),
        digest="",
        duration_s=duration_s,
        width=1,
        height=1,
        fps=25,
        has_audio=False,
        scenes=scenes,
        stills=(),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", type=float, nargs="?", default=12.0)
    parser.add_argument("folder", type=Path, nargs="?", help="for FLAC files")
    asked = parser.parse_args()
    duration_s, folder = asked.seconds, asked.folder
    print(
        f"{'genre':14} {'compose':>8} {'master':>8}  {'bpm':>6} {'crest':>6}  dB in 20-120, -400, -1500, -5000, -16000 Hz"
    )
    for name, genre in GENRES.items():
        wanted = Direction(
            title=name,
            prompt=name,
            description="",
            genre=name,
            instruments=(),
            tempo_bpm=sum(genre.tempo_bpm) / 2,
            key="D minor",
            mood="calm",
        )
        started = time.process_time()
        (track,) = SketchEngine().compose(
            film(duration_s), [Variant(index=0, seed=1, direction=wanted)], Options(), lambda: False
        )
        composed = time.process_time()
        recording = master(
            track, duration_s=duration_s, loudness_lufs=-14, format="flac", tags={"title": name, "engine": "sketch"}
        )
        mastered = time.process_time()
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name.replace(' ', '-')}.flac").write_bytes(recording.data)
        power = np.abs(np.fft.rfft(track.samples.mean(axis=0))) ** 2
        hz = np.fft.rfftfreq(track.samples.shape[1], 1 / track.sample_rate)
        edges = itertools.pairwise((20, 120, 400, 1500, 5000, 16000))
        levels = [10 * np.log10(power[(hz >= low) & (hz < high)].sum() / power.sum()) for low, high in edges]
        crest_db = 20 * np.log10(np.abs(track.samples).max() / track.samples.std())
        print(
            f"{name:14} {composed - started:7.2f}s {mastered - composed:7.2f}s  {track.bpm:6.1f} {crest_db:6.1f} ",
            *(f"{level:6.1f}" for level in levels),
        )


if __name__ == "__main__":
    main()
