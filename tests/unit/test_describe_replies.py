"""Replies of models come in many dresses; what is inside is checked."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.pipeline.direct.replies import read_hits, read_reply

ITEM = {
    "title": "Slow Tide",
    "genre": "ambient",
    "instruments": ["piano"],
    "tempo_bpm": 70,
    "mood": "calm",
    "key": "d minor",
    "placement": "It follows the sea",
}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"directions": [ITEM]}),
        json.dumps([ITEM]),
        json.dumps(ITEM),
        json.dumps({"answer": {"music": [ITEM]}}),
        f"```json\n{json.dumps({'directions': [ITEM]}, indent=2)}\n```",
        f'<think>{{"genre": "no"}} maybe</think>\n{json.dumps([ITEM])}',
        '{"directions": [' + json.dumps(ITEM) + ', {"title": "Cut o',
        '{"directions": [' + json.dumps(ITEM) + ",]}",
    ],
)
def test_a_direction_is_found_in_any_wrapping(text):
    """Fences, thoughts, wrappers, trailing commas and a cut-off end do not hide a good direction."""
    (direction,) = read_reply(text, 3)
    assert (direction.title, direction.genre, direction.instruments, direction.key) == (
        "Slow Tide",
        "ambient",
        ("piano",),
        "D minor",
    )
    assert direction.description == "It follows the sea."


@pytest.mark.parametrize(
    ("written", "read"), [("about 80 BPM", 80), ("70-90", 80), (99.96, 100.0), ("120 bpm (half-time)", 120)]
)
def test_a_tempo_in_words_is_read(written, read):
    """Models write tempi as numbers, ranges and phrases."""
    assert read_reply(json.dumps(ITEM | {"tempo_bpm": written}), 1)[0].tempo_bpm == read


@pytest.mark.parametrize(
    "changes",
    [{"title": ""}, {"genre": None}, {"instruments": []}, {"tempo_bpm": "allegro"}, {"tempo_bpm": 999}, {"mood": ""}],
)
def test_an_incomplete_direction_is_dropped(changes):
    """Without title, genre, instruments, tempo or mood there is nothing to compose."""
    assert read_reply(json.dumps([ITEM | changes, ITEM | {"title": "Good", "genre": "folk"}]), 3)[0].title == "Good"


def test_what_is_shown_is_one_clean_line():
    """Addresses, markup, control characters and halves of characters of a reply never reach a page, and long texts are cut."""
    raw = ITEM | {
        "title": '"See \ud83d<b>https://evil.example/x</b>\n\u202enow"',
        "placement": "x" * 999,
        "key": "H major",
    }
    (direction,) = read_reply(json.dumps(raw), 1)
    assert direction.title == "See b now"
    assert len(direction.description) < 300
    assert direction.key == ""


def test_instruments_may_come_as_a_phrase():
    """A comma-separated phrase is a list too."""
    assert read_reply(json.dumps(ITEM | {"instruments": "piano, cello and harp"}), 1)[0].instruments == (
        "piano",
        "cello",
        "harp",
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*ITEM, "directions", "x"]), inner, max_size=6)
    ),
    max_leaves=20,
)


@settings(deadline=None)
@given(json_values.map(json.dumps) | st.text(max_size=200))
def test_no_reply_raises(text):
    """Any JSON and any text is read without an exception."""
    assert len(read_reply(text, 3)) <= 3
    assert all(hit.at_s >= 0 for hit in read_hits(text))


def test_deep_nesting_is_survived():
    """A reply of a hundred thousand brackets is nothing."""
    assert read_reply('{"a":' * 100_000, 3) == read_hits('{"at":' * 100_000) == ()


THREE = json.dumps(
    {
        "directions": [
            ITEM,
            ITEM | {"genre": "deep house", "instruments": ["bells"]},
            ITEM | {"genre": "rock", "instruments": ["organ"]},
        ]
    },
    indent=1,
)
DRAFT = json.dumps({"directions": [ITEM | {"genre": "polka", "instruments": ["tuba"], "tempo_bpm": 200}]})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"<think>{DRAFT}</think>", ""),
        (f"drafts {DRAFT}</think>\n", ""),
        (f"<think>a {DRAFT} <think> b</think> {DRAFT} </think>\n", ""),
        (f"<THINKING>{DRAFT}</THINKING>\n", ""),
        (f"<reasoning>\n{DRAFT}</reasoning>\n<response>", "</response>"),
        (f"<thought>{DRAFT}</thought>", ""),
        (f"<seed:think>{DRAFT}</seed:think>", ""),
        (f"[THINK]{DRAFT}[/THINK]", ""),
        (f"◁think▷{DRAFT}◁/think▷", ""),
        (f"<|begin_of_thought|>{DRAFT}<|end_of_thought|><|begin_of_solution|>", "<|end_of_solution|>"),
        (f"<|START_THINKING|>{DRAFT}<|END_THINKING|><|START_RESPONSE|>", "<|END_RESPONSE|>"),
        (f"<|channel|>analysis<|message|>{DRAFT}<|end|><|start|>assistant<|channel|>final<|message|>", "<|return|>"),
        (f"<|channel>thought\n{DRAFT}<channel|>", ""),
        (f"analysisLet us see {DRAFT}assistantfinal", ""),
        ("", f"<think>{DRAFT}</think>"),
        (f"{DRAFT}</think>", f"<think>{DRAFT}"),
    ],
)
def test_thoughts_are_not_the_answer(before, after):
    """Drafts that a model thinks aloud never become directions, in whatever marks it thinks, and with the first of them missing."""
    found = read_reply(before + THREE + after, 8)
    assert [direction.genre for direction in found] == ["ambient", "deep house", "rock"]


def test_thoughts_without_an_end_are_no_answer():
    """A model that was cut off while it thought has not answered."""
    assert read_reply(f"<think>{DRAFT}", 3) == ()
    assert read_reply(f"<|channel|>analysis<|message|>{DRAFT}", 3) == ()


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('"It follows the sea"', '"It follows\nthe sea"'),
        ('"It follows the sea"', '"It follows\tthe sea"'),
        ('"It follows the sea"', '"It "follows" the sea"'),
        ('"It follows the sea"', "'It follows the sea'"),
        ('"It follows the sea"', r'"It\'s follows the sea \d"'),
        ('"It follows the sea"', '"It follows the sea'),
        ('"calm",', '"calm"'),
        ('"calm",', '"calm", // really\n'),
        ('"mood"', "mood"),
        ('"mood"', "“mood”"),
        ("70,", "70 bpm,"),
        ("70,", "+70,"),
        ('["piano"]', '["piano",]'),
        ('["piano"]', '["piano"'),
        ('"title"', '/* one */ "title"'),
        ("},", "}"),
        ("},", ","),
        ("}]}", "}"),
    ],
)
def test_json_a_hair_off_loses_no_direction(right, wrong):
    """Newlines and quotation marks inside strings, missing or needless commas, comments and words without quotes are mended."""
    three = json.dumps(json.loads(THREE))
    broken = three.replace(right, wrong)
    assert broken != three
    found = read_reply(broken, 3)
    assert [direction.genre for direction in found] == ["ambient", "deep house", "rock"]
    assert {direction.tempo_bpm for direction in found} == {70}


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("D Minor", "D minor"),
        ("F# Major", "F# major"),
        ("F# MAJOR", "F# major"),
        ("BB MINOR", "Bb minor"),
        ("d MINOR", "D minor"),
        ("E♭ Major", "Eb major"),
        ("G♯ minor", "Ab minor"),
        ("Key of C Sharp Minor", "C# minor"),
        ("A Flat Major", "Ab major"),
        ("D Dorian", "D dorian"),
        ("B natural minor", "B minor"),
        ("E Aeolian", "E minor"),
        ("Bbm", "Bb minor"),
        ("C Maj", "C major"),
        ("d-Moll", "D minor"),
        ("Fis-Dur", "F# major"),
        ("la mineur", "A minor"),
        ({"tonic": "D", "mode": "Minor"}, "D minor"),
        ("H major", ""),
        ("none", ""),
    ],
)
def test_keys_are_read_in_any_case(written, key):
    """Models write keys in capitals, with signs of music, and in the words of other languages."""
    (direction,) = read_reply(json.dumps([ITEM | {"key": written}]), 1)
    assert direction.key == key
