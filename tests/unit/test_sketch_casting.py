"""Casting: what a direction says decides who plays."""

import pytest

from tests.unit.clips import direction
from worker.engines.sketch.casting import cast, genre_of
from worker.engines.sketch.kit import KITS, SOUNDS
from worker.engines.sketch.patches import PATCHES
from worker.engines.sketch.patterns import BASS_LINES, COMPING, DRUMS, MOTIFS
from worker.engines.sketch.styles import STYLES
from worker.pipeline.direct.vocabulary import GENRES, INSTRUMENTS, PERCUSSION


def playing(genre, *instruments, excluded="", description=""):
    wanted = direction(genre, instruments=instruments, description=description)
    return cast(wanted, genre_of(wanted), excluded)


@pytest.mark.parametrize(
    ("genre", "style"),
    [
        ("Dusty Lo-Fi Hip-Hop", "lo-fi"),
        ("orchestral trailer", "cinematic"),
        ("melodic techno", "house"),
        ("Indie Folk / Americana", "folk"),
        ("shoegaze rock", "rock"),
        ("syntwave", "synthwave"),
        ("post-bebop", "jazz"),
        ("zzz", "cinematic"),
    ],
)
def test_unknown_genres_become_the_nearest(genre, style):
    """Subgenres, misspellings and strangers are played in the style closest to them."""
    assert genre_of(direction(genre, tempo_bpm=100)) == style


def test_a_stranger_is_played_by_tempo():
    """A genre nobody knows falls to what people expect of its tempo."""
    assert genre_of(direction("qqq", tempo_bpm=140, mood="odd")) == "house"
    assert genre_of(direction("qqq", tempo_bpm=60, mood="calm")) == "ambient"


def test_every_instrument_named_gets_a_part():
    """The first one leads; the others accompany according to what they can do."""
    players = playing("neoclassical", "solo violin", "grand piano", "string quartet", "double bass")
    assert (players.lead, players.comp, players.pad, players.bass) == ("violin", "piano", "strings", "upright bass")
    assert not players.drums


def test_unknown_instruments_become_the_nearest():
    """Misspellings and cousins are understood."""
    assert playing("folk", "mandolin", "vilolin").lead == "acoustic guitar"
    assert playing("world", "sitar").lead == "harp"
    assert playing("jazz", "saxophne").lead == "saxophone"


def test_a_solo_is_played_alone():
    """One instrument and the word "solo": nobody joins in, on two hands or in several voices."""
    piano = playing("neoclassical", "piano", description="A piece for piano solo.")
    assert {piano.lead, piano.comp, piano.pad, piano.bass, piano.arp, piano.counter} == {"piano", ""}
    cello = playing("cinematic", "cello", description="Solo.")
    assert (cello.lead, cello.pad, cello.comp, cello.bass, cello.drums) == ("cello", "cello", "", "", False)


@pytest.mark.parametrize("description", ["Without drums.", "A drumless piece", "no big drums here"])
def test_refused_drums_do_not_play(description):
    """Drums refused in the description stay out of a genre that lives on them."""
    assert playing("house", "synth lead").drums
    assert not playing("house", "synth lead", description=description).drums


def test_a_negative_prompt_takes_instruments_out():
    """What must not be heard is not cast."""
    players = playing("pop", "piano", "strings", excluded="piano, drums, bass")
    assert "piano" not in {players.lead, players.counter, players.pad}
    assert players.bass == ""
    assert not players.drums


def test_tables_agree_with_each_other():
    """Every name a table uses exists in the table it names."""
    assert STYLES.keys() == GENRES.keys()
    assert INSTRUMENTS.keys() - PERCUSSION <= PATCHES.keys()
    for style in STYLES.values():
        assert {style.lead, style.comp, style.bass} <= PATCHES.keys()
        assert {style.pad, style.arp} - {""} <= PATCHES.keys()
        assert set(style.comping) <= COMPING.keys()
        assert set(style.basses) <= BASS_LINES.keys()
        assert len(style.comping) == len(style.basses) == 2
        assert style.motif in MOTIFS
        assert (style.kit or "hands") in KITS
    for light, full in DRUMS.values():
        for sound, line in {**light, **full}.items():
            assert sound in SOUNDS
            assert len(line) == 16
