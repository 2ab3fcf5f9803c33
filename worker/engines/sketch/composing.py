"""Composing: from a direction and the shape of a film to a score."""

import zlib
from collections.abc import Iterator, Sequence

import numpy as np

from worker.domain import Direction, Scene, Span
from worker.engines.sketch import accompany
from worker.engines.sketch.bars import ROUNDING_S
from worker.engines.sketch.casting import Cast, cast, genre_of
from worker.engines.sketch.drumming import drum
from worker.engines.sketch.harmony import Chord, chord, ground, nearest_pitch, voicing
from worker.engines.sketch.laying import Wishes
from worker.engines.sketch.measures import Measure, harmonise
from worker.engines.sketch.melody import sing
from worker.engines.sketch.moments import meet
from worker.engines.sketch.patches import PATCHES
from worker.engines.sketch.room import leave_room, share
from worker.engines.sketch.score import Hit, Note, Part, Score
from worker.engines.sketch.styles import STYLES, Style
from worker.engines.sketch.timeline import Timeline, lay_out
from worker.pipeline.direct.keys import Key, find_key
from worker.pipeline.direct.vocabulary import GENRES, MOODS, Mood, find_moods

SLOWEST, FASTEST = 40.0, 220.0
_HAND_S = 0.016
"""Notes of one chord follow each other by no more than a strum does."""


def compose(
    duration_s: float, scenes: Sequence[Scene], direction: Direction, seed: int, excluded: str = "",
    speech: Sequence[Span] = (), wishes: Wishes | None = None,
) -> Score:  # fmt: skip
    """The same clip, direction, wishes and seed give the same score, whatever else is made beside it; it leaves room for `speech`."""
    genre = genre_of(direction)
    style = STYLES[genre]
    moods = [MOODS[mood] for mood in find_moods(direction.mood)]
    rng = np.random.default_rng([seed, zlib.crc32(f"{genre}|{direction.key}|{direction.tempo_bpm}".encode())])
    key = _key_of(direction, moods)
    players = cast(direction, genre, excluded)
    tempo = min(FASTEST, max(SLOWEST, direction.tempo_bpm))
    timeline = lay_out(duration_s, scenes, tempo, 4, _drive(genre, moods), wishes)
    measures = harmonise(timeline, key, style, rng)
    home = chord(key, "1", min(style.chord_size, 4))
    steady = [not style.inverts or measure.place == 0 or measure is measures[-1] for measure in measures]
    chords = [*(measure.chord for measure in measures), home]
    low = ground(chords, [not must for must in (*steady, True)], _low(players.bass or "upright bass"))
    parts = _parts(measures, key, style, players, low, rng)
    hits = drum(measures, style, rng) if players.drums else []
    _land(parts, hits, timeline, duration_s, home, style, (low[-2:][0], low[-1]))
    _accent(parts, hits, timeline, measures, players.drums)
    _loosen(parts, hits, style, 960 / timeline.bpm, rng)
    if timeline.hits:
        meet(parts, hits, timeline, lambda at_s: _sounding(measures, at_s, timeline.final_s, home), drums=players.drums)
    leave_room(parts, speech, timeline.final_s)
    return Score(
        duration_s=duration_s,
        bpm=timeline.bpm,
        bars=timeline.bars,
        parts=[part for part in parts if part.notes],
        hits=hits,
        sections=tuple(_levels(measures, timeline, speech)),
        rests=timeline.rests,
        final_s=timeline.final_s,
        key=key,
        style=style,
        kit=players.kit,
    )


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


def _low(instrument: str) -> int:
    """Where an instrument plays a bass; the cello usually sings above that."""
    return 43 if instrument == "cello" else PATCHES[instrument].centre


def _parts(
    measures: list[Measure], key: Key, style: Style, players: Cast, low: list[int], rng: np.random.Generator
) -> list[Part]:
    parts: list[Part] = []
    if pad := players.pad:
        parts.append(Part("pad", pad, accompany.pad(measures, style, min(66, PATCHES[pad].centre - 5), low)))
    if comp := players.comp:
        centre = 55 if comp == players.lead else min(64, PATCHES[comp].centre - 7)  # one player's left hand
        parts.append(Part("comp", comp, accompany.comp(measures, style, comp, centre, low)))
    if bass := players.bass:
        parts.append(Part("bass", bass, accompany.bass(measures, key, style, _low(bass), low)))
    if arp := players.arp:
        parts.append(Part("arp", arp, accompany.arpeggio(measures, style, rng, low)))
    if counter := players.counter:
        parts.append(Part("counter", counter, accompany.counter(measures, PATCHES[counter].centre - 7)))
    if lead := players.lead:
        parts.append(Part("lead", lead, sing(measures, key, style, PATCHES[lead].centre, rng)))
    return parts


def _land(
    parts: list[Part],
    hits: list[Hit],
    timeline: Timeline,
    duration_s: float,
    home: Chord,
    style: Style,
    low: tuple[int, int],
) -> None:
    """Everybody meets on the tonic and lets it ring."""
    start, length = timeline.final_s, duration_s - timeline.final_s
    for part in parts:
        before = [note.pitch for note in part.notes[-4:]]
        centre = PATCHES[part.instrument].centre
        match part.role:
            case "pad" | "comp":
                pitches = voicing(
                    home, 4, tuple(sorted(before)) if len(before) == 4 else None, min(64, centre - 5), low
                )
            case "bass":
                pitches = (low[1],)
            case "arp":
                continue
            case _:
                pitches = (nearest_pitch(before[-1] if before else centre, sorted(home.triad)),)
        lag = 0.02 if part.role == "comp" else 0.0
        part.notes += [
            Note(start + number * lag, length - number * lag, pitch, 0.75) for number, pitch in enumerate(pitches)
        ]
    if hits:
        hits += [Hit(start, "crash", 0.6), Hit(start, "taiko" if style.drums in {"epic", "tribal"} else "kick", 0.85)]


def _accent(parts: list[Part], hits: list[Hit], timeline: Timeline, measures: list[Measure], drums: bool) -> None:
    """Cuts that no bar line reaches still get a mark, and a section on a cut begins with weight."""
    comp = next((part for part in parts if part.role == "comp"), None)
    for measure in measures:
        if measure.on_cut and comp and not hits:
            bar = measure.bar
            root = nearest_pitch(PATCHES[comp.instrument].centre - 24, (measure.chord.root,))
            comp.notes += [Note(bar.start_s, 2 * bar.beat_s, pitch, 0.95) for pitch in (root, root + 12)]
    for time_s in timeline.accents_s:
        measure = [m for m in measures if m.bar.start_s <= time_s + ROUNDING_S][-1]
        if drums:
            hits += [Hit(time_s, "crash", 0.5), Hit(time_s, "kick", 0.8)]
        if comp:
            chord_of_three = voicing(measure.chord, 3, None, 67)
            comp.notes += [Note(time_s, measure.bar.beat_s, pitch, 0.85) for pitch in chord_of_three]


def _loosen(parts: list[Part], hits: list[Hit], style: Style, phrase_s: float, rng: np.random.Generator) -> None:
    """Nobody plays like a machine, except machines. A chord is one hand's: its notes move together, and phrases rise and fall."""
    spread = style.looseness_ms / 1000 * 0.6
    for part in parts:
        late = 0.4 * spread if part.role in {"lead", "comp"} else 0.0
        played: list[Note] = []
        before_s, hand_s, touch = -1.0, 0.0, 1.0
        for note in sorted(part.notes):
            if note.start_s - before_s > _HAND_S:
                hand_s = late + spread * rng.standard_normal()
                touch = 1 + 0.04 * rng.standard_normal() - 0.1 * np.cos(2 * np.pi * note.start_s / phrase_s)
            before_s = note.start_s
            start_s = note.start_s + hand_s + 0.1 * spread * rng.standard_normal()
            loud = min(1.0, max(0.05, note.velocity * touch))
            played.append(note._replace(start_s=max(0.0, float(start_s)), velocity=float(loud)))
        part.notes = sorted(played)
    shifts = 0.4 * spread * rng.standard_normal(len(hits))
    hits[:] = sorted(
        hit._replace(start_s=max(0.0, hit.start_s + float(shift))) for hit, shift in zip(hits, shifts, strict=True)
    )
