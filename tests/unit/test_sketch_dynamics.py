"""The sketch's dynamics: pieces breathe as wide as their genre does, and hands are hands."""

import io

import numpy as np
import pyloudnorm
import pytest
from scipy.io import wavfile

from tests.unit.clips import clip, direction
from worker.domain import Options, Variant
from worker.engines.sketch import SketchEngine
from worker.engines.sketch.composing import compose
from worker.engines.sketch.performing import play
from worker.engines.sketch.score import Note, Part
from worker.engines.sketch.tones import RATE
from worker.pipeline.finish.master import master


@pytest.mark.parametrize("genre", ["ambient", "cinematic", "neoclassical", "lo-fi"])
def test_quiet_genres_have_a_range_of_five_units(genre):
    """Mastered, half a minute of them has 5 LU of loudness range (EBU Tech 3342) at least, even where the film is one even scene."""
    variant = Variant(index=0, seed=3, direction=direction(genre, tempo_bpm=80))
    (made,) = SketchEngine().compose(clip(30.0, motions=(0.5,)), [variant], Options(), lambda: False)
    recording = master(made, duration_s=30.0, loudness_lufs=-14, format="wav", tags={})
    rate, samples = wavfile.read(io.BytesIO(recording.data))
    assert pyloudnorm.Meter(rate).loudness_range(samples / np.iinfo(samples.dtype).max) >= 5.0


def test_the_notes_of_a_chord_move_together():
    """A pianist is early or late with a hand, not with each finger: a chord's notes begin within 5 ms, chords off the beat by more."""
    score = compose(20.0, clip(20.0).scenes, direction("lo-fi", tempo_bpm=80), 2)
    (comp,) = (part for part in score.parts if part.role == "comp")
    starts = np.array([note.start_s for note in comp.notes if note.start_s < 17])  # the last chord is rolled
    gaps = np.diff(starts)
    assert (gaps[gaps < 0.05] < 0.005).mean() > 0.95
    assert len({round(note.velocity, 3) for note in comp.notes}) > 20


def test_equal_notes_of_two_players_and_in_turns_differ():
    """Nobody sings with another's voice, nor twice in the same way; the third time is the first again."""
    notes = [Note(float(n), 0.4, 69, 0.7) for n in range(3)]
    one, other = (play(Part(role, "strings", notes), 3 * RATE, lambda: None) for role in ("pad", "lead"))
    assert not np.allclose(one, other, atol=0.01)
    first, second, third = (one[:, n * RATE : n * RATE + RATE // 2] for n in range(3))
    assert not np.allclose(first, second, atol=0.01)
    assert np.corrcoef(first[0, :4000], third[0, :4000])[0, 1] > 0.99
