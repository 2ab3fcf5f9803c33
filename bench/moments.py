"""How late the sketch meets moments, heard on the sound, in every genre: `python -m bench.moments [seconds]`.

Eight moments that no tempo has been chosen for, two of each kind, on a film with cuts; mastered, and measured as every track is.
"""

from __future__ import annotations

import argparse

import numpy as np

from bench.sketch import film
from worker.domain import Direction, Hit, Options, Samples, Track, Variant
from worker.engines.sketch import SketchEngine
from worker.engines.sketch.tones import RATE
from worker.pipeline.direct.vocabulary import GENRES
from worker.pipeline.finish.fit import fit

KINDS = ("accent", "drop", "stop", "downbeat")
PLACES = (0.07, 0.19, 0.33, 0.42, 0.55, 0.61, 0.78, 0.985)
"""Of the film's length."""


def moments(seconds: float, turn: int) -> tuple[Hit, ...]:
    return tuple(
        Hit(at_s=round(place * seconds, 3), kind=KINDS[(n + turn) % 4])  # type: ignore[arg-type]
        for n, place in enumerate(PLACES)
    )


def composed(genre: str, seconds: float, hits: tuple[Hit, ...]) -> Samples:
    wanted = Direction(
        title=genre, prompt=genre, description="", genre=genre, instruments=(),
        tempo_bpm=sum(GENRES[genre].tempo_bpm) / 2, key="D minor", mood="calm",
    )  # fmt: skip
    track: Track
    (track,) = SketchEngine().compose(
        film(seconds), [Variant(index=0, seed=1, direction=wanted)], Options(hits=hits), lambda: False
    )
    return track.samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", type=float, nargs="?", default=20.0)
    seconds = parser.parse_args().seconds
    errors: list[float | None] = []
    print(f"{'genre':14} milliseconds late, of accent, drop, stop and downbeat in turn")
    for turn, genre in enumerate(GENRES):
        hits = moments(seconds, turn)
        heard = fit(composed(genre, seconds, hits), RATE, film(seconds).scenes, [hit.at_s for hit in hits])
        errors += heard.hit_errors_s
        told = (
            f"{hit.kind[:4]} {'none' if late is None else f'{1000 * late:.0f}':>4}"
            for hit, late in zip(hits, heard.hit_errors_s, strict=True)
        )
        print(f"{genre:14} {'  '.join(told)}", flush=True)
    known = np.abs([late for late in errors if late is not None])
    print(
        f"\n{(known <= 0.05).sum()} of {len(errors)} within 50 ms, {(known <= 0.02).sum()} within 20 ms,"
        f" median {1000 * np.median(known):.0f} ms, {errors.count(None)} not heard"
    )


if __name__ == "__main__":
    main()
