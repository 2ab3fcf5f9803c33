"""How the sketch engine's music is made: dynamics, voices and tone of sixteen pieces on the bench's film, one a genre.

`python -m bench.sketch_music [seconds]`. Loudness range (EBU Tech 3342) is that of the mastered file. The score tells the rest:
between two different chords, in how many a pair of voices (of one player and the bass) goes from a fifth or octave into the next in
one direction, how many basses are not the root, how many notes of a strike begin together. Power chords are one voice.
`python -m bench.sketch_music --before DIR`: processor time of composing against the code in DIR, in turns.
"""

from __future__ import annotations

import argparse
import io
import itertools
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import numpy as np
from scipy.io import wavfile

from bench.sketch import film
from worker.domain import Direction, Track
from worker.engines.sketch import composing, effects
from worker.engines.sketch.composing import compose
from worker.engines.sketch.measures import Measure, harmonise
from worker.engines.sketch.mixing import mix
from worker.engines.sketch.score import Note, Score
from worker.engines.sketch.styles import Style
from worker.pipeline.direct.vocabulary import GENRES
from worker.pipeline.finish.master import master

KEYS = ("D minor", "Eb major", "A minor", "F# major")
STRIKE_S = 0.027
"""Notes this close are of one strike, strummed or loose."""
_SPEED = """
import time
from bench.sketch import film
from worker.domain import Direction, Options, Variant
from worker.engines.sketch import SketchEngine
from worker.pipeline.direct.vocabulary import GENRES
def once():
    for name, genre in GENRES.items():
        wanted = Direction(title=name, prompt=name, description="", genre=name, instruments=(), tempo_bpm=sum(genre.tempo_bpm) / 2, key="D minor", mood="calm")
        for track in SketchEngine().compose(film(SECONDS), [Variant(index=n, seed=n, direction=wanted) for n in range(2)], Options(), lambda: False): pass
once()
started = time.process_time(); once(); print(time.process_time() - started)
"""


def direction(genre: str, key: str) -> Direction:
    return Direction(
        title=genre, prompt=genre, description="", genre=genre, instruments=(),
        tempo_bpm=sum(GENRES[genre].tempo_bpm) / 2, key=key, mood="calm",
    )  # fmt: skip


def composed(genre: str, key: str, seconds: float, seed: int) -> tuple[Score, list[Measure]]:
    kept: list[list[Measure]] = []

    def watched(*asked: object) -> list[Measure]:
        kept.append(harmonise(*asked))  # type: ignore[arg-type]
        return kept[-1]

    clip = film(seconds)
    with patch.object(composing, "harmonise", watched):
        score = compose(seconds, clip.scenes, direction(genre, key), seed)
    return score, kept[0]


def strikes(notes: list[Note]) -> list[list[Note]]:
    """Notes that belong together: each begins within a moment of the one before."""
    groups: list[list[Note]] = []
    for note in sorted(notes):
        if groups and note.start_s - groups[-1][-1].start_s < STRIKE_S:
            groups[-1].append(note)
        else:
            groups.append([note])
    return groups


def chord_of(notes: list[Note]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The voices at the beginning and at the end of a bar: its first and last full strike, or all that was broken into notes."""
    full = [sorted({note.pitch for note in group}) for group in strikes(notes)]
    full = [pitches for pitches in full if len(pitches) > 2] or [sorted({note.pitch for note in notes})]
    return tuple(full[0]), tuple(full[-1])


def parallel(before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    """Whether two voices are a fifth or an octave apart before and after, and both went the same way."""
    pairs = itertools.combinations(zip(before, after, strict=True), 2)
    return any(
        (high - low) % 12 == (then_high - then_low) % 12
        and (high - low) % 12 in {0, 7}
        and (then_low - low) * (then_high - high) > 0
        for (low, then_low), (high, then_high) in pairs
    )


def voices(score: Score, measures: list[Measure]) -> tuple[int, int, int, int]:
    """Chord changes, those with parallels, basses and those that are not the root."""
    late = 0.5 * 60 / score.bpm / 4  # who is a little early still plays in this bar
    bars = [(measure.bar.start_s - late, measure.bar.end_s - late) for measure in measures]
    inside = {part.role: [[n for n in part.notes if a <= n.start_s < b] for a, b in bars] for part in score.parts}
    lows = [min(notes).pitch if notes else None for notes in inside.get("bass", [[]] * len(bars))]
    changes = bad = 0
    for role in ("pad", "comp"):
        if role not in inside or (role == "comp" and "power" in score.style.comping):
            continue
        for number, (one, other) in enumerate(itertools.pairwise(measures)):
            first, second = inside[role][number], inside[role][number + 1]
            if one.chord == other.chord or not first or not second:
                continue
            low, then = lows[number], lows[number + 1]
            pair = chord_of(first)[1], chord_of(second)[0]
            if len(pair[0]) == len(pair[1]):
                changes += 1
                before, after = pair if low is None or then is None else ((low, *pair[0]), (then, *pair[1]))
                bad += parallel(before, after)
    played = [(low, measure) for low, measure in zip(lows, measures, strict=True) if low is not None]
    return changes, bad, len(played), sum(low % 12 != measure.chord.root for low, measure in played)


def apart_ms(score: Score) -> float:
    """How far the notes of a pad's or comp's strike are apart, the median."""
    spans = [
        group[-1].start_s - group[0].start_s
        for part in score.parts
        if part.role in {"pad", "comp"}
        for group in strikes(part.notes)
        if len(group) > 2
    ]
    return 1000 * float(np.median(spans)) if spans else 0.0


def loudness_range(samples: np.ndarray, rate: int) -> float:
    import pyloudnorm

    return float(pyloudnorm.Meter(rate).loudness_range(samples.T))


def tone(samples: np.ndarray, style: Style) -> np.ndarray:
    """How far the octaves from 62 Hz to 8 kHz are from the genre's goal, dB, (8,)."""
    power = np.abs(np.fft.rfft(samples.mean(axis=0))) ** 2
    edges = np.searchsorted(np.fft.rfftfreq(samples.shape[1], 1 / 44_100), effects.CENTRES_HZ[1:] / 2**0.5)
    octaves = 10 * np.log10(np.add.reduceat(power, edges)[:-1] + 1e-12)
    off = octaves - effects.goal_db(style.tilt_db, style.low_db)[1:-1]
    return np.asarray(off - off.mean())


def music(seconds: float, seeds: int) -> None:
    print(
        f"{'genre':14} {'LRA':>5} {'parallels':>9} {'changes':>7} {'inverted':>8} {'apart ms':>8}  tone: mean and worst octave, dB"
    )
    total = np.zeros(4, int)
    for number, genre in enumerate(GENRES):
        key = KEYS[number % len(KEYS)]
        counts = np.zeros(4, int)
        for seed in range(1, seeds + 1):
            score, measures = composed(genre, key, seconds, seed)
            counts += voices(score, measures)
        score, _ = composed(genre, key, seconds, 1)
        track = Track(index=0, samples=mix(score, lambda: None), sample_rate=44_100)
        heard = io.BytesIO(master(track, duration_s=seconds, loudness_lufs=-14, format="wav", tags={}).data)
        rate, samples = wavfile.read(heard)
        samples = samples.T.astype(np.float64) / np.iinfo(samples.dtype).max
        off = tone(samples, score.style)
        total += counts
        changes, bad, played, inverted = counts
        print(
            f"{genre:14} {loudness_range(samples, rate):5.1f} {bad:9} {changes:7} {100 * inverted / max(1, played):7.0f}% {apart_ms(score):8.1f}"
            f"  {np.abs(off).mean():4.1f} {off[np.abs(off).argmax()]:5.1f} at {effects.CENTRES_HZ[1 + np.abs(off).argmax()]:.0f} Hz",
            flush=True,
        )
    changes, bad, played, inverted = total
    print(
        f"parallels in {bad} of {changes} chord changes; {100 * inverted / played:.0f} % of the basses are not the root"
    )


def speed(before: Path, seconds: float, rounds: int) -> None:
    """Median of the ratios of processor times, ours to theirs; who begins changes from round to round."""
    ratios = []
    for number in range(rounds):
        took: dict[Path, float] = {}
        for tree in (before, Path.cwd())[:: 1 if number % 2 else -1]:
            environment = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
            code = _SPEED.replace("SECONDS", str(seconds))
            done = subprocess.run(
                [sys.executable, "-c", code], cwd=tree, env=environment, check=True, capture_output=True
            )
            took[tree] = float(done.stdout)
        ratios.append(took[Path.cwd()] / took[before])
        print(f"ours {took[Path.cwd()]:.2f} s, before {took[before]:.2f} s, ratio {ratios[-1]:.2f}", flush=True)
    print(f"median ratio {np.median(ratios):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seconds", type=float, nargs="?", default=30.0)
    parser.add_argument("--seeds", type=int, default=3, help="pieces a genre whose scores are read")
    parser.add_argument("--before", type=Path, help="compare speed with the code in this folder, and nothing else")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    if asked.before:
        speed(asked.before.resolve(), asked.seconds, asked.rounds)
    else:
        music(asked.seconds, asked.seeds)


if __name__ == "__main__":
    main()
