"""Room for speech: nobody sings over who speaks, and music elsewhere is what it would have been."""

import pytest

from tests.unit.clips import clip, direction
from worker.domain import Options, Span, Variant
from worker.engines.sketch import SketchEngine
from worker.engines.sketch.composing import compose
from worker.engines.sketch.room import share

SPOKEN = (Span(start_s=8.0, end_s=11.0), Span(start_s=12.0, end_s=16.5))
FILM = clip(30.0, (7.3, 14.6, 21.9))


def score(genre, speech=()):
    return compose(30.0, FILM.scenes, direction(genre, instruments=()), 4, "", speech)


def sounding(part, start_s, end_s):
    return [note for note in part.notes if note.start_s < end_s and note.start_s + note.length_s > start_s]


@pytest.mark.parametrize("genre", ["pop", "house", "cinematic", "jazz"])
def test_soloists_rest_while_somebody_speaks(genre):
    """Lead, counter and arpeggio are silent in every span and in the breath between two; before and after they play as ever."""
    plain, roomy = score(genre), score(genre, SPOKEN)
    for before in plain.parts:
        if before.role not in {"lead", "counter", "arp"}:
            continue
        (after,) = (part for part in roomy.parts if part.role == before.role)
        assert sounding(before, 8.0, 16.5)
        assert not sounding(after, 8.0, 16.5)
        assert [note for note in after.notes if note.start_s > 16.5] == [n for n in before.notes if n.start_s > 16.5]


def test_pads_thin_out_and_chords_are_soft():
    """Under speech a pad has two voices and less of them, a comp its notes more softly; elsewhere nothing changed."""
    plain, roomy = (
        {part.role: part for part in made.parts} for made in (score("cinematic"), score("cinematic", SPOKEN))
    )
    for role in ("pad", "comp"):
        inside = [n for n in plain[role].notes if n.start_s > 12.1 and n.start_s + n.length_s < 16.0]
        left = [n for n in roomy[role].notes if n.start_s > 12.1 and n.start_s + n.length_s < 16.0]
        assert left
        assert max(n.velocity for n in left) < 0.8 * max(n.velocity for n in inside)
        assert len(left) == len(inside) if role == "comp" else len(left) < len(inside)
        assert [n for n in roomy[role].notes if n.start_s > 17] == [n for n in plain[role].notes if n.start_s > 17]


def test_sections_under_speech_are_quieter():
    """The faders follow, too: a section that is spoken over asks for a third less."""
    plain, roomy = score("pop"), score("pop", (Span(start_s=8.0, end_s=14.0),))
    energies = [(was, now) for (_, was), (_, now) in zip(plain.sections, roomy.sections, strict=True)]
    assert [now < was for was, now in energies] == [False, True, False, False]


def test_a_film_that_is_all_speech_still_ends_with_everybody():
    """Words from beginning to end leave the last chord to all, and bass and chords under them."""
    made = score("pop", (Span(start_s=0.0, end_s=30.0),))
    assert {part.role for part in made.parts} >= {"lead", "comp", "bass"}
    (lead,) = (part for part in made.parts if part.role == "lead")
    assert all(note.start_s > made.final_s - 0.2 for note in lead.notes)


def test_the_engine_hears_of_speech_from_the_clip():
    """What is known of a film's speech changes its track, and without any the track is the one of before."""
    import dataclasses

    import numpy as np

    film, wanted = clip(8.0), [Variant(index=0, seed=2, direction=direction("pop"))]
    spoken = dataclasses.replace(film, speech=(Span(start_s=1.0, end_s=7.0),))
    (plain,), (roomy,) = (SketchEngine().compose(one, wanted, Options(), lambda: False) for one in (film, spoken))
    assert not np.array_equal(plain.samples, roomy.samples)


def test_share_of_a_stretch():
    """Spans are counted where they overlap it."""
    assert share(SPOKEN, 10.0, 13.0) == pytest.approx(2 / 3)
    assert share((), 0.0, 1.0) == 0
