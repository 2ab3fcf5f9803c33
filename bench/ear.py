"""Our hearing beside two oracles, essentia and librosa, on tracks of the sketch engine whose beats and keys are known.

`pip install essentia librosa` first, in an environment of its own: both are large, and essentia has no wheel for every Python.
`python -m bench.ear [seconds]`
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

from bench.sketch import film
from worker.domain import TONICS, Direction, Options, Samples, Variant
from worker.engines.sketch import SketchEngine, composing
from worker.engines.sketch.timeline import Timeline, lay_out
from worker.pipeline.direct.vocabulary import GENRES
from worker.pipeline.finish.hearing import hear

RATE = 44_100
NEAR_S, ON_CUT_S = 0.07, 0.1
KEYS = ("D minor", "Eb major", "A minor", "F# major")
Ear = Callable[[Samples], tuple[float, npt.NDArray[np.floating], str]]
"""Tempo, seconds of the beats and key of (2, n)."""


def ours(samples: Samples) -> tuple[float, npt.NDArray[np.floating], str]:
    heard = hear(samples, RATE)
    return heard.bpm or 0.0, np.array(heard.beats_s), heard.key or ""


def essentias() -> Ear:
    import essentia  # type: ignore[import-not-found]

    essentia.log.infoActive = False
    from essentia import standard  # type: ignore[import-not-found]

    rhythm, tune = standard.RhythmExtractor2013(method="multifeature"), standard.KeyExtractor()

    def ear(samples: Samples) -> tuple[float, npt.NDArray[np.floating], str]:
        mono = samples.mean(axis=0)
        bpm, beats_s, *_ = rhythm(mono)
        tonic, mode, _ = tune(mono)
        return bpm, beats_s, f"{tonic} {mode}"

    return ear


def librosas() -> Ear:
    import librosa  # type: ignore[import-not-found]

    def ear(samples: Samples) -> tuple[float, npt.NDArray[np.floating], str]:
        bpm, beats_s = librosa.beat.beat_track(y=samples.mean(axis=0), sr=RATE, units="time")
        return float(np.ravel(bpm)[0]), beats_s, ""

    return ear


def composed(genre: str, seconds: float, key: str) -> tuple[Samples, npt.NDArray[np.floating]]:
    """A track, (2, n), and the seconds of its beats."""
    laid: list[Timeline] = []

    def watched(*asked: object) -> Timeline:
        laid.append(lay_out(*asked))  # type: ignore[arg-type]
        return laid[-1]

    wanted = Direction(
        title=genre, prompt=genre, description="", genre=genre, instruments=(),
        tempo_bpm=sum(GENRES[genre].tempo_bpm) / 2, key=key, mood="calm",
    )  # fmt: skip
    with patch.object(composing, "lay_out", watched):
        variant = Variant(index=0, seed=1, direction=wanted)
        (track,) = SketchEngine().compose(film(seconds), [variant], Options(), lambda: False)
    beats_s = [bar.at(beat) for bar in laid[0].bars for beat in range(bar.beats)]
    return track.samples, np.array([*beats_s, laid[0].final_s])


def alike(heard: str, key: str) -> str:
    """same, relative (the same notes) or other."""
    (tonic, mode), (heard_tonic, heard_mode) = key.split(), heard.split()
    sharps = dict(zip(("G#", "A#", "D#"), ("Ab", "Bb", "Eb"), strict=True))
    step = (TONICS.index(sharps.get(heard_tonic, heard_tonic)) - TONICS.index(tonic)) % 12
    if (step, heard_mode) == (0, mode):
        return "same"
    return "relative" if (step, heard_mode) == ((3, "major") if mode == "minor" else (9, "minor")) else "other"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", type=float, nargs="?", default=30.0)
    asked = parser.parse_args()
    ears: dict[str, Ear] = {"ours": ours, "essentia": essentias(), "librosa": librosas()}
    noise = np.random.default_rng(0).standard_normal((2, 4 * RATE)).astype(np.float32)
    for ear in ears.values():
        ear(noise)  # what is loaded and compiled at the first call is not counted
    cuts_s = np.array(film(asked.seconds).cuts_s)
    rows: dict[str, list[tuple[bool, float, float, int, str, float]]] = {name: [] for name in ears}
    print(f"{'genre':14} {'ear':9} {'bpm':>6} {'of mean':>7} {'on beats':>8} {'of beats':>8} {'cuts':>4}  key, seconds")
    for number, genre in enumerate(GENRES):
        key = KEYS[number % len(KEYS)]
        samples, true_s = composed(genre, asked.seconds, key)
        mean_bpm = 60 / np.polyfit(np.arange(len(true_s)), true_s, 1)[0]
        for name, ear in ears.items():
            started = time.process_time()
            bpm, beats_s, heard = ear(samples)
            took_s = time.process_time() - started
            off = np.abs(np.subtract.outer(beats_s, true_s))  # (heard, true)
            exact, whole = ((off.min(axis=axis) < NEAR_S).mean() if off.size else 0.0 for axis in (1, 0))
            cuts = int((np.abs(np.subtract.outer(cuts_s, beats_s)).min(axis=1) < ON_CUT_S).sum()) if off.size else 0
            octave = bool(bpm) and min(abs(bpm * times / mean_bpm - 1) for times in (0.5, 1, 2)) < 0.04
            rows[name].append((octave, exact, whole, cuts, alike(heard, key) if heard else "none", took_s))
            print(
                f"{genre:14} {name:9} {bpm:6.1f} {mean_bpm:7.1f} {exact:8.2f} {whole:8.2f} {cuts:4}  {heard:9} {took_s:.2f}",
                flush=True,
            )
    print(f"\n{'ear':9} tempo or octave, heard beats on beats, beats heard, cuts met, key (relative), seconds a track")
    for name, figures in rows.items():
        octaves, exact, whole, cuts, keys, took = zip(*figures, strict=True)
        print(
            f"{name:9} {sum(octaves)} of {len(octaves)}, {np.mean(exact):.2f}, {np.mean(whole):.2f},"
            f" {sum(cuts)} of {len(cuts_s) * len(GENRES)}, {keys.count('same')} ({keys.count('relative')}),"
            f" {np.median(took):.2f}"
        )


if __name__ == "__main__":
    main()
