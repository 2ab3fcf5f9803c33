"""What ACE-Step is told: the caption, the key, and the film's form."""

import pytest

from tests.unit.clips import clip, direction
from worker.domain import Hit, Options, Segment
from worker.engines.acestep.form import form
from worker.engines.acestep.wording import keyscale_of, worded

USUAL = Options()


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


def test_a_loop_says_so_behind_its_lead_instrument():
    """Whatever else has no room."""
    wanted = direction("jazz", instruments=("harp",), prompt=" ".join(f"w{n}" for n in range(300)))
    assert worded(wanted, fits_in(8), loop=True).caption.split()[:4] == ["harp,", "seamless", "loop", "w0"]


def tags(film, options=USUAL):
    return form(film, options).split("\n\n")


def test_sections_of_the_film_become_structure_tags():
    """It opens, rises, drops where it is liveliest, calms down, and ends."""
    film = clip(60.0, (10.0, 20.0, 30.0, 40.0, 50.0), motions=(0.2, 0.5, 0.9, 0.3, 0.3, 0.2))
    assert tags(film) == ["[Intro]", "[Build]", "[Drop]", "[Breakdown]", "[Instrumental]", "[Outro]"]


def test_short_scenes_make_no_form():
    """Cuts a second apart are one section, and a film of one section is an instrumental that ends."""
    assert tags(clip(20.0, (1.0, 2.0, 3.0, 4.0))) == ["[Instrumental]", "[Outro]"]
    assert tags(clip(20.0)) == ["[Instrumental]", "[Outro]"]
    assert tags(clip(20.0, (10.0, 19.5))) == ["[Intro]", "[Outro]"]


def test_an_ending_that_would_be_cut_off_is_not_asked_for():
    """A film of under ten seconds has the beginning of ten."""
    assert tags(clip(8.0)) == ["[Instrumental]"]
    assert tags(clip(9.5, (6.2,), motions=(0.5, 0.5))) == ["[Intro]", "[Instrumental]"]


def test_a_loop_neither_opens_nor_ends():
    """Its end is to meet its beginning."""
    loop = Options(loop=True)
    assert tags(clip(20.0), loop) == ["[Instrumental]"]
    assert tags(clip(30.0, (10.0, 20.0), motions=(0.2, 0.9, 0.2)), loop) == ["[Instrumental]", "[Drop]", "[Breakdown]"]


def test_segments_go_before_scenes():
    """Each is a section with its words in its tag, livelier or calmer by its energy; what comes before the first opens the piece."""
    segments = (
        Segment(start_s=5.0, energy=0.3, prompt="soft  piano"),
        Segment(start_s=15.0, energy=0.9, prompt="heavy drums"),
        Segment(start_s=25.0, energy=0.2),
    )
    film = clip(40.0, (10.0, 20.0), motions=(0.9, 0.1, 0.9))
    assert tags(film, Options(segments=segments)) == [
        "[Intro]", "[Breakdown - soft piano]", "[Drop - heavy drums]", "[Breakdown - low energy]", "[Outro]",
    ]  # fmt: skip


def test_a_segment_without_energy_is_as_lively_as_its_pictures():
    """And one that starts behind the film is none."""
    segments = (Segment(start_s=0.0), Segment(start_s=10.0, prompt="bells"), Segment(start_s=50.0))
    film = clip(30.0, (10.0,), motions=(0.2, 0.9))
    assert tags(film, Options(segments=segments)) == ["[Intro]", "[Drop - bells]", "[Outro]"]


def test_a_tag_stays_a_tag():
    """Brackets, lines and long sentences in a segment's words would be sung."""
    words = "lo-fi] la la\n[Verse - " + "very " * 30
    (tag, _) = tags(clip(30.0), Options(segments=(Segment(start_s=0.0, prompt=words),)))
    assert tag == "[Instrumental - lo-fi la la Verse very very very very]"


def test_a_drop_has_a_build_before_it():
    """A hit that is a drop begins a section of its own, or is the beginning of one that is near; other hits have no tag."""
    film = clip(40.0, (10.0, 20.0), motions=(0.5, 0.5, 0.5))
    assert tags(film) == ["[Intro]", "[Instrumental]", "[Outro]"]
    near = Options(hits=(Hit(at_s=11.0, kind="drop"), Hit(at_s=30.0)))
    assert tags(film, near) == ["[Build]", "[Drop]", "[Outro]"]
    between = Options(hits=(Hit(at_s=15.0, kind="drop"),))
    assert tags(film, between) == ["[Intro]", "[Build]", "[Drop]", "[Outro]"]
    late = Options(hits=(Hit(at_s=35.0, kind="drop"),))
    assert tags(film, late) == ["[Intro]", "[Instrumental]", "[Build]", "[Drop]", "[Outro]"]
    with_words = Options(segments=(Segment(start_s=0.0, prompt="drums"),), hits=(Hit(at_s=20.0, kind="drop"),))
    assert tags(film, with_words) == ["[Build - drums]", "[Drop - drums]", "[Outro]"]
