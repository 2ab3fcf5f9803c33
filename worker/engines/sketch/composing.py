"""Composing: from a direction and the shape of a film to a score."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from worker.domain import Direction, Scene
from worker.engines.sketch import accompany
from worker.engines.sketch.casting import Cast, cast, genre_of
from worker.engines.sketch.drumming import drum
from worker.engines.sketch.harmony import chord, nearest_pitch, voicing
from worker.engines.sketch.measures import Measure, harmonise
from worker.engines.sketch.melody import sing
from worker.engines.sketch.patches import PATCHES
from worker.engines.sketch.score import Hit, Note, Part, Score
from worker.engines.sketch.styles import STYLES, Style
from worker.engines.sketch.timeline import ROUNDING_S, Timeline, lay_out
from worker.pipeline.direct.keys import Key, find_key
from worker.pipeline.direct.vocabulary import GENRES, MOODS, find_moods

SLOWEST, FASTEST = 40.0, 220.0


def key_of(direction: Direction) -> Key:
    """The key asked for; without one, a key that suits the mood."""
    named = find_key(direction.key)
    if named:
        return named
    moods = [MOODS[mood] for mood in find_moods(direction.mood)]
    dark = bool(moods) and float(np.mean([mood.valence for mood in moods])) < 0.45
    return Key(tonic=zlib.crc32(direction.title.encode()) % 12, mode="minor" if dark else "major")


def compose(duration_s: float, scenes: Sequence[Scene], direction: Direction, seed: int, excluded: str = "") -> Score:
    """The same clip, direction and seed give the same score, whatever else is made beside it."""
    genre = genre_of(direction)
    style = STYLES[genre]
    rng = np.random.default_rng([seed, zlib.crc32(f"{genre}|{direction.key}|{direction.tempo_bpm}".encode())])
    key = key_of(direction)
    players = cast(direction, style, excluded)
    tempo = min(FASTEST, max(SLOWEST, direction.tempo_bpm))
    timeline = lay_out(duration_s, scenes, tempo, style.beats_per_bar, _drive(genre, direction))
    measures = harmonise(timeline, key, style, rng)
    parts = _parts(measures, key, style, players, rng)
    hits = drum(measures, style, rng) if players.drums else []
    _land(parts, hits, timeline, duration_s, key, style)
    _accent(parts, hits, timeline, measures, players)
    _loosen(parts, hits, style, rng)
    return Score(
        duration_s=duration_s,
        bpm=timeline.bpm,
        parts=[part for part in parts if part.notes],
        hits=hits,
        sections=tuple((section.start_s, section.energy) for section in timeline.sections),
    )


def _drive(genre: str, direction: Direction) -> float:
    moods = [MOODS[mood].energy for mood in find_moods(direction.mood)]
    own = GENRES[genre].energy
    return 0.6 * own + 0.4 * float(np.mean(moods)) if moods else own


def _parts(measures: list[Measure], key: Key, style: Style, players: Cast, rng: np.random.Generator) -> list[Part]:
    parts: list[Part] = []
    if players.pad:
        parts.append(
            Part(
                role="pad",
                instrument=players.pad,
                notes=accompany.pad(measures, min(66, PATCHES[players.pad].centre - 5)),
            )
        )
    if players.comp:
        one_player = players.comp == players.lead
        centre = 55 if one_player else min(64, PATCHES[players.comp].centre - 7)
        parts.append(
            Part(role="comp", instrument=players.comp, notes=accompany.comp(measures, style, players.comp, centre))
        )
    if players.bass:
        low = 43 if players.bass == "cello" else PATCHES[players.bass].centre
        parts.append(Part(role="bass", instrument=players.bass, notes=accompany.bass(measures, key, style, low)))
    if players.arp:
        parts.append(Part(role="arp", instrument=players.arp, notes=accompany.arpeggio(measures, style, 71, rng)))
    if players.counter:
        parts.append(
            Part(
                role="counter",
                instrument=players.counter,
                notes=accompany.counter(measures, PATCHES[players.counter].centre - 7),
            )
        )
    if players.lead:
        parts.append(
            Part(
                role="lead",
                instrument=players.lead,
                notes=sing(measures, key, style, PATCHES[players.lead].centre, rng),
            )
        )
    return parts


def _land(parts: list[Part], hits: list[Hit], timeline: Timeline, duration_s: float, key: Key, style: Style) -> None:
    """Everybody meets on the tonic and lets it ring."""
    start, length = timeline.final_s, duration_s - timeline.final_s
    home = chord(key, "1", min(style.chord_size, 4))
    for part in parts:
        before = [note.pitch for note in part.notes[-4:]]
        centre = PATCHES[part.instrument].centre
        match part.role:
            case "pad" | "comp":
                pitches = voicing(home, 4, sorted(before) if len(before) == 4 else None, min(64, centre - 5))
            case "bass":
                pitches = (nearest_pitch(43 if part.instrument == "cello" else centre, (home.root,)),)
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


def _accent(parts: list[Part], hits: list[Hit], timeline: Timeline, measures: list[Measure], players: Cast) -> None:
    """Cuts that no bar line reaches still get a mark, and a section on a cut begins with weight."""
    on_cuts = [measure for measure in measures if measure.on_cut]
    for part in parts:
        if part.role == "comp" and not hits:
            for measure in on_cuts:
                root = nearest_pitch(PATCHES[part.instrument].centre - 24, (measure.chord.root,))
                part.notes += [
                    Note(measure.bar.start_s, 2 * measure.bar.beat_s, pitch, 0.95) for pitch in (root, root + 12)
                ]
    for time_s in timeline.accents_s:
        measure = [m for m in measures if m.bar.start_s <= time_s + ROUNDING_S][-1]
        if players.drums:
            hits += [Hit(time_s, "crash", 0.5), Hit(time_s, "kick", 0.8)]
        for part in parts:
            if part.role == "comp":
                pitches = voicing(measure.chord, 3, None, 67)
                part.notes += [Note(time_s, measure.bar.beat_s, pitch, 0.85) for pitch in pitches]


def _loosen(parts: list[Part], hits: list[Hit], style: Style, rng: np.random.Generator) -> None:
    """Nobody plays like a machine, except machines."""
    spread = style.looseness_ms / 1000 * 0.6
    for part in parts:
        late = 0.4 * spread if part.role in {"lead", "comp"} else 0.0
        moved = zip(part.notes, late + spread * rng.standard_normal(len(part.notes)), strict=True)
        part.notes = sorted(note._replace(start_s=max(0.0, note.start_s + float(shift))) for note, shift in moved)
    shifts = 0.4 * spread * rng.standard_normal(len(hits))
    hits[:] = sorted(
        hit._replace(start_s=max(0.0, hit.start_s + float(shift))) for hit, shift in zip(hits, shifts, strict=True)
    )
