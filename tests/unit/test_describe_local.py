"""The local describer: several different, plausible directions from the picture and plain English."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.clips import clip
from worker.pipeline.direct.keys import Key, find_key
from worker.pipeline.direct.local_describer import LocalDescriber
from worker.pipeline.direct.prompts import BUDGET, estimate_tokens
from worker.pipeline.direct.replies import without_twins
from worker.pipeline.direct.vocabulary import GENRES, INSTRUMENTS, MOODS, PERCUSSION, find_genres, find_instruments
from worker.pipeline.direct.wish import read_wish


def directions(request="", count=3, film=None):
    return LocalDescriber().directions(film or clip(12.0, (4.0, 8.0)), request, count)


@pytest.mark.parametrize("count", range(1, 9))
@pytest.mark.parametrize(
    "request_", ["", "slow sad piano", "jazz", "happy ukulele at 120 bpm", "no drums please", "solo cello in F# minor"]
)
def test_directions_really_differ(count, request_):
    """Each of one to eight directions has a title of its own and differs from all others in genre, lead or tempo class."""
    made = directions(request_, count)
    assert len(made) == count
    assert len({direction.title for direction in made}) == count
    assert (
        len({(direction.genre, direction.instruments, direction.tempo_bpm, direction.key) for direction in made})
        == count
    )


def test_without_a_wish_everything_differs():
    """Eight directions for a clip alone: eight genres, and keys and tempi that repeat at most by chance."""
    made = directions(count=8)
    assert len({find_genres(direction.genre)[0] for direction in made}) == 8
    assert len({direction.key for direction in made}) == 8
    assert len({direction.tempo_bpm for direction in made}) >= 7
    assert len({direction.instruments[0] for direction in made}) >= 6
    assert len(without_twins(made)) == 8


def test_slow_sad_piano_is_honoured_by_all():
    """A wish for tempo, mood and instrument binds every direction; genre and key still differ."""
    made = directions("slow sad piano", 4)
    for direction in made:
        assert direction.instruments[0] == "piano"
        assert direction.tempo_bpm <= 84
        assert direction.mood == "sad"
        assert not direction.key.endswith(("major", "lydian", "mixolydian"))
    assert len({direction.genre for direction in made}) == 4
    assert len({direction.key for direction in made}) == 4


def test_numbers_and_keys_are_honoured_exactly():
    """A BPM and a key are taken by the letter, and a named genre by all."""
    for direction in directions("Jazz at 133.5 BPM in Eb major", 3):
        assert (direction.tempo_bpm, direction.key) == (133.5, "Eb major")
        assert find_genres(direction.genre) == ("jazz",)


def test_what_is_not_wanted_does_not_play():
    """Drums that are refused are in no direction, and the description says so."""
    for direction in directions("epic, but no drums and without choir", 5):
        assert not PERCUSSION & set(direction.instruments)
        assert "choir" not in direction.instruments
        assert "ithout drums" in direction.description


def test_a_solo_is_played_alone():
    """Somebody who asks for one instrument only gets it."""
    assert {direction.instruments for direction in directions("solo cello only", 3)} == {("cello",)}


def test_the_picture_decides_when_nobody_asks():
    """A dark still clip gets slower, darker music than a bright and busy one."""
    calm = directions(count=4, film=clip(20.0, brightness=0.1, saturation=0.1, warmth=0.2, motions=(0.02,)))
    busy = directions(
        count=4, film=clip(20.0, range(2, 20, 2), brightness=0.9, saturation=0.9, warmth=0.6, motions=(0.9,))
    )
    assert max(direction.tempo_bpm for direction in calm) < max(direction.tempo_bpm for direction in busy)
    assert sum(direction.tempo_bpm for direction in calm) + 80 < sum(direction.tempo_bpm for direction in busy)


async def test_the_same_clip_and_wish_give_the_same_directions():
    """Nothing is left to chance between two runs, and another wish or clip gives others."""
    film = clip(12.0, (4.0,))
    first, name, _ = await LocalDescriber().describe(film, "calm", 3)
    again, *_ = await LocalDescriber().describe(film, "calm", 3)
    assert name == "local"
    assert first == again
    assert first != directions("calm ", 3, clip(12.0, (4.0,), brightness=0.9))


@pytest.mark.parametrize("request_", ["", "80s synth at night, fast", "wedding video"])
def test_captions_fit_and_name_what_plays(request_):
    """A caption names genre, lead, tempo and mood within the budget, and the sentence tells the same to people."""
    for direction in directions(request_, 8):
        assert estimate_tokens(direction.prompt) <= BUDGET
        assert direction.genre in direction.prompt
        assert direction.instruments[0] in direction.prompt
        assert direction.mood in direction.prompt
        assert (
            "BPM" not in direction.description
        )  # the composer bends the tempo to the cuts; the result tells the real one
        assert f"{direction.mood} {direction.mood}" not in direction.description
        assert direction.description.endswith(".")
        assert find_key(direction.key) is not None


@settings(deadline=None, max_examples=60)
@given(
    request=st.text(max_size=700)
    | st.lists(
        st.sampled_from([*GENRES, *INSTRUMENTS, *MOODS, "no", "slow", "fast", "90 bpm", "in A minor", "only"]),
        max_size=12,
    ).map(" ".join),
    count=st.integers(1, 8),
)
def test_no_wish_is_too_strange(request, count):
    """Any text gives the number of directions asked for, all with instruments, a playable tempo and a key."""
    made = directions(request, count)
    assert len(made) == count
    for direction in made:
        assert direction.instruments
        assert 40 <= direction.tempo_bpm <= 220
        assert find_key(direction.key)


def test_a_clip_without_scenes_is_described_too():
    """Nothing to see is no reason for no music."""
    assert len(directions(count=3, film=replace(clip(3.0, stills=0), scenes=()))) == 3


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("in D minor", Key(tonic=2, mode="minor")),
        ("F# major", Key(tonic=6, mode="major")),
        ("Bb dorian", Key(tonic=10, mode="dorian")),
        ("c sharp minor", Key(tonic=1, mode="minor")),
        ("A flat major", Key(tonic=8, mode="major")),
        ("Em", Key(tonic=4, mode="minor")),
        ("G♭ maj", Key(tonic=6, mode="major")),
        ("I'm in a minor panic", Key(tonic=9, mode="minor")),
        ("H major", None),
        ("", None),
    ],
)
def test_keys_are_read_as_people_write_them(text, key):
    """Sharps, flats, words and abbreviations name the same keys."""
    assert find_key(text) == key


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("something jazzy with a sax", {"genres": ("jazz",), "instruments": ("saxophone",)}),
        ("Lo-Fi beats, Rhodes", {"genres": ("lo-fi", "hip hop"), "instruments": ("electric piano",)}),
        ("a minor problem at the office, funny", {"key": None, "moods": ("playful",)}),
        ("I'm happy", {"key": None, "moods": ("happy",)}),
        ("in A minor", {"key": Key(tonic=9, mode="minor")}),
        ("upbeat 128bpm", {"tempo_bpm": 128.0, "moods": ("happy",)}),
        ("not sad, not slow, fast!", {"moods": (), "tempo_range": (122.0, 164.0)}),
        ("no drums, calm piano", {"unwanted": PERCUSSION, "instruments": ("piano",), "moods": ("calm",)}),
        ("violin but without drums", {"instruments": ("violin",), "unwanted": PERCUSSION}),
        ("a classical guitar", {"instruments": ("nylon guitar",)}),
        ("10 bpm", {"tempo_bpm": 40.0}),
        ("basset hounds at the beach", {"instruments": ()}),
    ],
)
def test_wishes_are_read(text, expected):
    """Synonyms are understood, refusals are not wishes, and words inside other words are left alone."""
    wish = read_wish(text)
    assert {name: getattr(wish, name) for name in expected} == expected


def test_every_instrument_and_flavour_is_found_by_its_own_name():
    """The vocabulary agrees with itself: whatever a direction says, an engine finds it again."""
    for name in INSTRUMENTS:
        assert find_instruments(name) == (name,)
    for name, genre in GENRES.items():
        for word in (name, *genre.aliases, *genre.flavours):
            assert find_genres(word)[0] == name, word
        assert set(genre.leads) | set(genre.supports) <= set(INSTRUMENTS)
    seen = list(itertools.chain.from_iterable(INSTRUMENTS.values()))
    assert len(seen) == len(set(seen))
