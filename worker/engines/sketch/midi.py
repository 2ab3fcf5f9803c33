"""A score as a MIDI file: a tempo map with the music's own bar lines, and a track a player."""

import io
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise

import mido

from worker.domain import TONICS
from worker.engines.sketch.bars import ROUNDING_S, Bar
from worker.engines.sketch.score import Hit, Note, Part, Score

BEAT = 960
"""Ticks in one."""
DRUMS = 9
"""The channel that General MIDI has for them, counted from 0."""
_CHANNELS = [channel for channel in range(16) if channel != DRUMS]
PROGRAMS = {
    "piano": 0, "electric piano": 4, "bells": 14, "vibraphone": 11, "marimba": 12, "kalimba": 108, "organ": 16,
    "nylon guitar": 24, "acoustic guitar": 25, "ukulele": 24, "electric guitar clean": 27, "electric guitar": 29,
    "upright bass": 32, "bass guitar": 33, "synth bass": 38, "sub bass": 39, "violin": 40, "cello": 42, "harp": 46,
    "strings": 48, "choir": 52, "trumpet": 56, "brass": 61, "saxophone": 65, "clarinet": 71, "flute": 73,
    "synth lead": 81, "synth pluck": 84, "synth pad": 88,
}  # fmt: skip
"""Of General MIDI, counted from 0, for each patch."""
KEYS = {
    "kick": 36, "snare": 38, "gated": 40, "clap": 39, "rim": 37, "hat": 42, "open": 46, "pedal": 44, "ride": 51, "crash": 49,
    "tom": 47, "floor tom": 41, "conga": 63, "shaker": 70, "brush": 69, "taiko": 35, "rise": 55,
}  # fmt: skip
"""Of General MIDI's drums."""
_STROKE = BEAT // 8
Event = tuple[int, mido.Message | mido.MetaMessage]
"""Ticks from the beginning, and what is then."""


def midi(score: Score, title: str) -> bytes:
    """The whole file: as many quarter notes in each bar as it has beats, and each as long as there."""
    clock = Clock(score.bars, score.bpm)
    file = mido.MidiFile(type=1, ticks_per_beat=BEAT, charset="utf-8")
    file.tracks.append(_track(title, _tempi(clock, score)))
    for number, part in enumerate(score.parts):
        channel = _CHANNELS[number % len(_CHANNELS)]  # some share one where segments have many players
        file.tracks.append(_track(f"{part.role} {part.instrument}", _notes(part, channel, clock)))
    if score.hits:
        file.tracks.append(_track("drums", _strokes(score.hits, clock)))
    written = io.BytesIO()
    file.save(file=written)
    return written.getvalue()


class Clock:
    """Seconds as ticks, by the beats there are and as the last one of them goes on.

    A beat ends where the next one begins, also where the music breathes between two bars; what is before the first bar has beats, too.
    """

    def __init__(self, bars: Sequence[Bar], bpm: float) -> None:
        bars = bars or (Bar(start_s=0.0, beats=4, beat_s=60 / bpm),)
        lead = round(bars[0].start_s / bars[0].beat_s) or int(bars[0].start_s > ROUNDING_S)
        self.sizes = [*[lead] * (lead > 0), *(bar.beats for bar in bars)]
        """Beats of each bar."""
        self.starts_s = [number * bars[0].start_s / lead for number in range(lead)]
        self.starts_s += [bar.at(beat) for bar in bars for beat in range(bar.beats)]
        self.lengths_s = [after - start for start, after in pairwise([*self.starts_s, bars[-1].end_s])]

    def ticks(self, time_s: float) -> int:
        number = max(0, bisect_right(self.starts_s, time_s + ROUNDING_S) - 1)
        return max(0, round((number + (time_s - self.starts_s[number]) / self.lengths_s[number]) * BEAT))


def _tempi(clock: Clock, score: Score) -> Iterator[Event]:
    yield 0, mido.MetaMessage("key_signature", key=TONICS[score.key.tonic] + "m" * score.key.is_dark)
    before = 0
    for beats, end in zip(clock.sizes, accumulate(clock.sizes), strict=True):
        if beats != before:
            before = beats
            yield (end - beats) * BEAT, mido.MetaMessage("time_signature", numerator=beats, denominator=4)
    tempo = 0
    for number, length_s in enumerate(clock.lengths_s):
        if abs(round(1e6 * length_s) - tempo) > 1:  # one microsecond is how sums are rounded
            tempo = round(1e6 * length_s)
            yield number * BEAT, mido.MetaMessage("set_tempo", tempo=tempo)


def _notes(part: Part, channel: int, clock: Clock) -> Iterator[Event]:
    yield 0, mido.Message("program_change", channel=channel, program=PROGRAMS[part.instrument])
    ends = (clock.ticks(note.start_s + note.length_s) for note in part.notes)
    yield from _played(
        [(clock.ticks(note.start_s), note.pitch, end, note) for note, end in zip(part.notes, ends, strict=True)],
        channel,
    )


def _strokes(hits: Sequence[Hit], clock: Clock) -> Iterator[Event]:
    firsts = [clock.ticks(hit.start_s) for hit in hits]
    yield from _played(
        [(first, KEYS[hit.sound], first + _STROKE, hit) for first, hit in zip(firsts, hits, strict=True)], DRUMS
    )


def _played(notes: list[tuple[int, int, int, Note | Hit]], channel: int) -> Iterator[Event]:
    """First tick, pitch and last tick of each: a key is struck anew only after it was let go, and once at a time."""
    following: dict[int, int] = {}
    for first, pitch, last, note in sorted(notes, reverse=True):
        end = min(max(first + 1, last), following.get(pitch, 2**28))
        if end > first:
            following[pitch] = first
            yield first, mido.Message("note_on", channel=channel, note=pitch, velocity=_velocity(note))
            yield end, mido.Message("note_off", channel=channel, note=pitch)


def _velocity(note: Note | Hit) -> int:
    return max(1, min(127, round(127 * note.velocity)))


def _track(name: str, events: Iterable[Event]) -> mido.MidiTrack:
    """In order; at one tick what ends is before what begins."""
    track = mido.MidiTrack([mido.MetaMessage("track_name", name=name)])
    before = 0
    for ticks, message in sorted(events, key=lambda event: (event[0], event[1].type == "note_on")):
        track.append(message.copy(time=ticks - before))
        before = ticks
    return track
