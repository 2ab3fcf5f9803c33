"""A finished track of the sketch engine is taken apart: into its players' sounds, and into their notes."""

import io
from functools import cache

import mido
import numpy as np
import pytest

from tests.unit.clips import clip, direction
from tests.unit.test_master import decoded
from worker.domain import Hit, Options, Segment, Track, Variant
from worker.engines.sketch.bars import Bar
from worker.engines.sketch.effects import glued
from worker.engines.sketch.engine import score_of
from worker.engines.sketch.kit import SOUNDS
from worker.engines.sketch.midi import BEAT, DRUMS, KEYS, PROGRAMS, midi
from worker.engines.sketch.mixing import mix
from worker.engines.sketch.patches import PATCHES
from worker.engines.sketch.stems import Different, measured, stems
from worker.engines.sketch.tones import RATE
from worker.pipeline.finish.master import master

FILM = clip(5.5, (2.6, 4.0))
USUAL = Options()


def scored(genre="house", seed=5, film=FILM, options=USUAL, **wanted):
    return score_of(film, Variant(index=0, seed=seed, direction=direction(genre, **wanted)), options)


def stored(score):
    """What is in the file of the track, (2, samples)."""
    raw = Track(index=0, samples=mix(score, lambda: None), sample_rate=RATE, bpm=score.bpm, key=score.key)
    made = master(raw, duration_s=score.duration_s, loudness_lufs=-14, format="flac", tags={})
    return decoded(made)[0]


@cache
def track_of(genre="house", seed=5):
    return stored(scored(genre, seed))


def level_db(wave, of):
    return 10 * np.log10(np.square(wave).mean() / np.square(of).mean())


@pytest.mark.parametrize("genre", ["ambient", "lo-fi", "house", "neoclassical"])
def test_the_stems_of_a_track_are_the_track(genre):
    """Their sum is more than 30 dB nearer to it than silence: with a pump, with dust, with and without drums."""
    score, track = scored(genre), track_of(genre)
    made = dict(stems(score, track))
    assert level_db(track - sum(made.values()), track) < -33
    assert list(made)[: len(score.parts)] == [f"{part.role} {part.instrument}" for part in score.parts]
    assert list(made)[len(score.parts) :] == ["drums"] * bool(score.hits) + ["dust"] * score.style.dust
    assert all(wave.shape == track.shape and level_db(wave, track) > -40 for wave in made.values())


@pytest.mark.parametrize(
    "options",
    [
        Options(loop=True),
        Options(
            hits=(Hit(at_s=2.9, kind="stop"), Hit(at_s=4.3, kind="drop")),
            segments=(Segment(start_s=0, energy=0.2), Segment(start_s=3.4, prompt="flute and drums", energy=1.0)),
        ),
    ],
    ids=["loop", "moments"],
)
def test_loops_and_moments_are_taken_apart_too(options):
    """What rings beyond the end of a loop is in its stems' beginnings; a stop's rest and a segment's own players are in theirs."""
    score = scored("lo-fi", options=options)
    track = stored(score)
    assert level_db(track - sum(wave for _, wave in stems(score, track)), track) < -30


def test_a_stem_has_one_player():
    """Where only the bass has a note, the stems of the others are as good as silent."""
    score = scored("pop")
    bass = next(part for part in score.parts if part.role == "bass")
    for part in score.parts:
        part.notes = [note for note in part.notes if (part is bass) == (note.start_s < 2.5)]
    score.hits.clear()
    track = stored(score)
    made = dict(stems(score, track))
    early = {name: float(np.abs(wave[:, : 2 * RATE]).max()) for name, wave in made.items()}
    assert early.pop(f"bass {bass.instrument}") > 0.2
    assert max(early.values()) < 0.003


def test_what_is_no_gain_remains():
    """The soft knee bends waves, and no gain of a third of a millisecond does so: what remains is not nothing."""
    wave = np.random.default_rng(1).standard_normal((2, RATE)).astype(np.float32)
    bent = glued(wave)
    assert -45 < level_db(bent - wave * measured(bent, wave), bent) < -20


@pytest.mark.parametrize("change", ["seed", "shape", "silence"])
def test_other_music_is_not_taken_apart(change):
    """A track of another seed, of another length or with a hole is not what is composed, and has no stems."""
    score, track = scored(), track_of(seed=6 if change == "seed" else 5).copy()
    if change == "shape":
        track = track[:, 1:]
    elif change == "silence":
        track[:, RATE : 2 * RATE] = np.roll(track, 999)[:, RATE : 2 * RATE]
    with pytest.raises(Different):
        stems(score, track)


def times_of(file, track):
    """Seconds of each note's begin and end with pitch and velocity, by the file's own tempo map."""
    whole = mido.MidiFile(file=io.BytesIO(file), charset="utf-8")
    whole.tracks = [whole.tracks[0], whole.tracks[track]]
    told, clock, sounding = [], 0.0, {}
    for message in whole:
        clock += message.time
        if message.type == "note_on":
            sounding[message.note] = clock, message.velocity
        elif message.type == "note_off":
            begin, velocity = sounding.pop(message.note)
            told.append((begin, clock, message.note, velocity))
    return told


def test_the_notes_are_where_they_sound():
    """Each player's notes begin within a millisecond of where they are heard, with their pitch and strength, by the file's tempo map."""
    score = scored("pop", film=clip(14.0, (4.1, 9.3)))
    made = midi(score, "Tïtle")
    whole = mido.MidiFile(file=io.BytesIO(made), charset="utf-8")
    assert [track.name for track in whole.tracks] == [
        "Tïtle", *(f"{part.role} {part.instrument}" for part in score.parts), "drums",
    ]  # fmt: skip
    for number, part in enumerate(score.parts, start=1):
        told = sorted(times_of(made, number), key=lambda note: (note[2], note[0]))
        for note, (begin_s, end_s, pitch, velocity) in zip(
            sorted(part.notes, key=lambda note: (note.pitch, note.start_s)), told, strict=True
        ):
            assert pitch == note.pitch
            assert abs(begin_s - note.start_s) < 0.001
            assert end_s <= note.start_s + note.length_s + 0.001
            assert velocity == pytest.approx(127 * note.velocity, abs=1)
        channels = {message.channel for message in whole.tracks[number] if not message.is_meta}
        assert len(channels) == 1
        assert not channels & {DRUMS}
        programs = [message.program for message in whole.tracks[number] if message.type == "program_change"]
        assert programs == [PROGRAMS[part.instrument]]


def test_drums_are_on_channel_ten():
    """Every stroke is there, on the channel that General MIDI has for drums, with its key."""
    score = scored("house")
    made = midi(score, "Drums")
    drums = mido.MidiFile(file=io.BytesIO(made)).tracks[-1]
    assert {message.channel + 1 for message in drums if not message.is_meta} == {10}
    told = {(key, round(begin_s / 0.004)) for begin_s, _, key, _ in times_of(made, -1)}
    wanted = {(KEYS[hit.sound], round(hit.start_s / 0.004)) for hit in score.hits}
    near = {(key, place + by) for key, place in told for by in (-1, 0, 1)}
    assert wanted <= near
    assert len(told) > 0.9 * len(wanted)


def bar_lines(file):
    """Seconds at which bars begin, by tempo and time signature alone, as long as there are tempo changes and two bars on."""
    track = mido.MidiFile(file=io.BytesIO(file)).tracks[0]
    changes, ticks = {}, 0
    for message in track:
        ticks += message.time
        changes.setdefault(ticks, []).append(message)
    at = beats = tempo = 0
    clock_s, lines = 0.0, []
    while at <= max(changes) + 8 * BEAT:
        lines.append(clock_s)
        beats = next((message.numerator for message in changes.get(at, ()) if message.type == "time_signature"), beats)
        for _ in range(beats):
            tempo = next((message.tempo for message in changes.get(at, ()) if message.type == "set_tempo"), tempo)
            at, clock_s = at + BEAT, clock_s + tempo / 1e6
    return lines


def test_bar_lines_stand_where_the_music_has_them():
    """By tempo and time signature alone each bar begins within a millisecond of the composer's, also where the tempo bends to a cut."""
    score = scored("cinematic", film=clip(24.0, (5.3, 11.9, 17.2)), tempo_bpm=92)
    assert len({round(bar.beat_s, 6) for bar in score.bars}) > 1
    lines = bar_lines(midi(score, "Bars"))
    both = min(len(lines), len(score.bars))
    assert both > 4
    assert lines[:both] == pytest.approx([bar.start_s for bar in score.bars[:both]], abs=0.001)


def test_a_breath_and_a_late_beginning_are_in_the_tempo_map():
    """Where a bar begins later than the one before ends, its last beat is longer; what is before the first bar is a bar of its own."""
    score = scored("pop")
    score.bars = (
        Bar(start_s=0.7, beats=4, beat_s=0.6), Bar(start_s=3.4, beats=3, beat_s=0.6), Bar(start_s=5.2, beats=4, beat_s=0.5),
    )  # fmt: skip
    made = midi(score, "Bars")
    assert bar_lines(made)[:4] == pytest.approx([0, 0.7, 3.4, 5.2], abs=0.001)
    told = sorted(begin_s for begin_s, *_ in times_of(made, 1))
    assert told == pytest.approx(sorted(note.start_s for note in score.parts[0].notes), abs=0.001)


def test_every_sound_has_a_midi_number():
    """Each instrument has a program and each drum a key."""
    assert set(PROGRAMS) == set(PATCHES)
    assert set(KEYS) == set(SOUNDS)
