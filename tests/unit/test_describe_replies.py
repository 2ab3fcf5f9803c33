"""Replies of models come in many dresses; what is inside is checked."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.pipeline.direct.replies import read_reply

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


def test_deep_nesting_is_survived():
    """A reply of a hundred thousand brackets is nothing."""
    assert read_reply('{"a":' * 100_000, 3) == ()
