"""What ACE-Step is told: the caption, the key, and the film's form."""

import pytest

from tests.unit.clips import clip, direction
from worker.engines.acestep.wording import form, keyscale_of, worded


def fits_in(words):
    return lambda wording: len(wording.caption.split()) <= words


def test_the_lead_instrument_opens_the_caption():
    """It stands first and once, the words of the direction follow, then what else is known of it."""
    wanted = direction(
        "jazz", instruments=("muted trumpet", "upright bass"), tempo_bpm=99.6, key="D dorian", mood="calm"
    )
    wording = worded(wanted, fits_in(256))
    assert wording.caption.startswith("muted trumpet, ")
    assert wording.caption.count("muted trumpet") == 1
    assert all(part in wording.caption for part in ("upright bass", "calm", "jazz"))
    assert (wording.bpm, wording.keyscale) == (100, "D minor")


def test_a_caption_takes_what_fits_and_cuts_no_tempo_off():
    """What does not fit leaves from the end; of the user's own words the last ones."""
    wanted = direction("jazz", instruments=("harp",), prompt=" ".join(f"w{n}" for n in range(300)))
    assert worded(wanted, fits_in(8)).caption.split() == ["harp", *(f"w{n}" for n in range(7))]
    short = direction("jazz", instruments=("harp", "a very long instrument name"), prompt="soft music", mood="calm")
    assert worded(short, fits_in(5)).caption == "harp, soft music, jazz, calm"


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("C# major", "C# major"), ("Bb minor", "Bb minor"), ("D dorian", "D minor"), ("E phrygian", "E minor"),
        ("F lydian", "F major"), ("G mixolydian", "G major"), ("no key", ""),
    ],
)  # fmt: skip
def test_modes_become_major_or_minor(key, told):
    """By their third; what is no key is not told."""
    assert keyscale_of(key) == told


def test_sections_of_the_film_become_structure_tags():
    """It opens, rises, drops where it is liveliest, calms down, and ends."""
    film = clip(60.0, (10.0, 20.0, 30.0, 40.0, 50.0), motions=(0.2, 0.5, 0.9, 0.3, 0.3, 0.2))
    assert form(film).split("\n\n") == ["[Intro]", "[Build]", "[Drop]", "[Breakdown]", "[Instrumental]", "[Outro]"]


def test_short_scenes_make_no_form():
    """Cuts a second apart are one section, and a film of one section is an instrumental."""
    assert form(clip(8.0, (1.0, 2.0, 3.0, 4.0))) == "[Instrumental]"
    assert form(clip(20.0)) == "[Instrumental]"
    assert form(clip(20.0, (10.0, 19.5))) == "[Intro]\n\n[Outro]"
