"""Clips, directions and a track of each genre for tests: plain values, no files."""

import itertools
from functools import cache
from pathlib import Path

from worker.domain import TONICS, Clip, Direction, Options, Scene, Still, Variant
from worker.engines.sketch import SketchEngine
from worker.pipeline.direct.vocabulary import GENRES

MOTIONS = (0.3, 0.8, 0.45, 0.95)


def clip(duration_s=12.0, cuts_s=(), *, brightness=0.5, saturation=0.5, warmth=0.5, motions=MOTIONS, stills=3):
    edges = [0.0, *cuts_s, duration_s]
    return Clip(
        path=Path("clip.mp4"),
        digest="00" * 32,
        duration_s=duration_s,
        width=320,
        height=180,
        fps=25.0,
        has_audio=False,
        scenes=tuple(
            Scene(
                start_s=start,
                end_s=end,
                brightness=brightness,
                saturation=saturation,
                warmth=warmth,
                motion=motions[n % len(motions)],
            )
            for n, (start, end) in enumerate(itertools.pairwise(edges))
        ),
        stills=tuple(Still(time_s=float(n), jpeg=b"\xff\xd8jpeg%d" % n) for n in range(stills)),
    )


def direction(
    genre="cinematic",
    *,
    instruments=(),
    tempo_bpm=100.0,
    key="D minor",
    mood="calm",
    description="",
    prompt="",
    title="Test",
):
    return Direction(
        title=title,
        prompt=prompt,
        description=description,
        genre=genre,
        instruments=tuple(instruments),
        tempo_bpm=tempo_bpm,
        key=key,
        mood=mood,
    )


@cache
def track_of(genre):
    """Twelve seconds by the sketch engine, each genre in a key of its own."""
    number, tempo_bpm = list(GENRES).index(genre), sum(GENRES[genre].tempo_bpm) / 2
    wanted = direction(genre, tempo_bpm=tempo_bpm, key=f"{TONICS[5 * number % 12]} {('major', 'minor')[number % 2]}")
    (made,) = SketchEngine().compose(
        clip(12.0, (5.5,)), [Variant(index=0, seed=1, direction=wanted)], Options(), lambda: False
    )
    return made
