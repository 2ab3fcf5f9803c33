"""Composing: from a direction and the shape of a film to a score."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from worker.domain import Direction, Scene, Segment, Span
from worker.engines.sketch.bars import ROUNDING_S
from worker.engines.sketch.casting import cast, genre_of, recast
from worker.engines.sketch.harmony import Chord
from worker.engines.sketch.laying import Wishes
from worker.engines.sketch.measures import Measure, harmonise
from worker.engines.sketch.mending import remade, touched
from worker.engines.sketch.moments import meet
from worker.engines.sketch.room import leave_room, share
from worker.engines.sketch.score import Part, Score
from worker.engines.sketch.styles import STYLES
from worker.engines.sketch.take import Frame, Take, take
from worker.engines.sketch.timeline import Timeline, lay_out, segment_at
from worker.pipeline.direct.keys import Key, find_key
from worker.pipeline.direct.vocabulary import GENRES, MOODS, Mood, find_instruments, find_moods

SLOWEST, FASTEST = 40.0, 220.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """A part that is to be made anew, of what another seed made."""

    part: Span
    seed: int


def compose(
    duration_s: float, scenes: Sequence[Scene], direction: Direction, seed: int, excluded: str = "",
    speech: Sequence[Span] = (), wishes: Wishes | None = None, again: Again | None = None,
) -> Score:  # fmt: skip
    """The same clip, direction, wishes and seed give the same score, whatever else is made beside it; it leaves room for `speech`.

    With `again` the seed is that of a part alone, and the rest is as another made it.
    """
    genre = genre_of(direction)
    style = STYLES[genre]
    moods = [MOODS[mood] for mood in find_moods(direction.mood)]
    tempo = min(FASTEST, max(SLOWEST, direction.tempo_bpm))
    wishes = wishes or Wishes()
    wishes = replace(wishes, segments=tuple(_felt(segment) for segment in wishes.segments))
    timeline = lay_out(duration_s, scenes, tempo, 4, _drive(genre, moods), wishes)
    told = [segment_at(wishes.segments, middle_s) for middle_s in timeline.middles_s]
    players = cast(direction, genre, excluded)
    frame = Frame(
        duration_s=duration_s,
        timeline=timeline,
        key=_key_of(direction, moods),
        style=style,
        casts=tuple(
            recast(players, direction, genre, excluded, segment.prompt) if segment and segment.prompt else players
            for segment in told or [None]
        ),
        words=f"{genre}|{direction.key}|{direction.tempo_bpm}",
    )
    rng = frame.dice(again.seed if again else seed)
    made = take(frame, harmonise(timeline, frame.key, style, rng, [_shade(segment) for segment in told]), rng)
    window = touched(timeline, again.part, duration_s) if again else None
    if window:
        made = remade(frame, made, window, seed)
    parts = _parts(made)
    strokes = sorted(stroke for _, stroke in made.strokes)
    if timeline.hits:
        meet(parts, strokes, timeline, lambda at_s: _sounding(made.measures, at_s, timeline.final_s, frame.home), frame)
    leave_room(parts, speech, timeline.final_s)
    return Score(
        duration_s=duration_s,
        bpm=timeline.bpm,
        bars=timeline.bars,
        parts=[part for part in parts if part.notes],
        hits=strokes,
        sections=tuple(_levels(made.measures, timeline, speech)),
        rests=timeline.rests,
        final_s=timeline.final_s,
        key=frame.key,
        style=style,
        kit=players.kit,
        loops=timeline.loops,
        mended=window,
    )


def _parts(made: Take) -> list[Part]:
    """What each instrument plays in a role, whoever's cast it is of."""
    parts: dict[tuple[str, str], Part] = {}
    for voice in made.voices:
        part = parts.setdefault((voice.role, voice.instrument), Part(voice.role, voice.instrument, []))
        part.notes = sorted([*part.notes, *(note for _, note in voice.notes)])
    return list(parts.values())


def _felt(segment: Segment) -> Segment:
    """The segment with its words' energy, where none is asked for: a player who is named is heard."""
    moods = find_moods(segment.prompt or "")
    if segment.energy is not None or not moods:
        return segment
    energy = float(np.mean([MOODS[mood].energy for mood in moods]))
    return replace(segment, energy=max(energy, 0.4) if find_instruments(segment.prompt or "") else energy)


def _shade(segment: Segment | None) -> bool | None:
    """Whether a segment's words are dark; None: they say nothing of it."""
    moods = find_moods(segment.prompt or "") if segment else ()
    return float(np.mean([MOODS[mood].valence for mood in moods])) < 0.45 if moods else None


def _key_of(direction: Direction, moods: Sequence[Mood]) -> Key:
    """The key asked for; without one, a key that suits the mood."""
    dark = bool(moods) and float(np.mean([mood.valence for mood in moods])) < 0.45
    tonic = zlib.crc32(direction.title.encode()) % 12
    return find_key(direction.key) or Key(tonic=tonic, mode="minor" if dark else "major")


def _sounding(measures: Sequence[Measure], at_s: float, final_s: float, home: Chord) -> Chord:
    before = [measure.chord for measure in measures if measure.bar.start_s <= at_s + ROUNDING_S]
    return before[-1] if before and at_s < final_s - ROUNDING_S else home


def _levels(measures: Sequence[Measure], timeline: Timeline, speech: Sequence[Span]) -> Iterator[tuple[float, float]]:
    """Where each stretch of one loudness begins and how loud it is to be: a third less under speech. A rest is as loud as what it ends."""
    heads = [
        (measure.bar.start_s, measure.energy)
        for before, measure in zip([None, *measures], measures, strict=False)
        if before is None or (measure.mark != "stop" and (measure.place == 0 or measure.energy != before.energy))
    ]
    ends = [*(start_s for start_s, _ in heads[1:]), timeline.final_s]
    for (start_s, energy), end_s in zip(heads, ends, strict=False):
        yield start_s, energy * (1 - share(speech, start_s, end_s) / 3)


def _drive(genre: str, moods: Sequence[Mood]) -> float:
    own = GENRES[genre].energy
    return 0.6 * own + 0.4 * float(np.mean([mood.energy for mood in moods])) if moods else own
