"""Moments, stretches and briefs as they are typed: what the API is sent, and what is said of what cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rhythmai.answers import Brief
from rhythmai.commands.brief import lines
from rhythmai.commands.moments import hits_of, segments_of
from rhythmai.commands.plan import read_brief
from rhythmai.errors import BadInput


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        (["7.3:drop"], [{"at": 7.3, "kind": "drop"}]),
        (["12", "3:stop"], [{"at": 3.0, "kind": "stop"}, {"at": 12.0, "kind": "accent"}]),
        (["none"], []),
    ],
)
def test_moments_are_typed_in_short(typed, sent):
    """A time and a kind, in any order of times; `none` is no moment at all."""
    assert hits_of(typed) == sent


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        (["12:brass, wide:0.8"], [{"start": 12.0, "prompt": "brass, wide", "energy": 0.8}]),
        (["12:brass"], [{"start": 12.0, "prompt": "brass"}]),
        (["12::0.8"], [{"start": 12.0, "energy": 0.8}]),
        (["12:0.8"], [{"start": 12.0, "energy": 0.8}]),
        (["12:at 7:30:"], [{"start": 12.0, "prompt": "at 7:30"}]),
        (["12:tonic: low"], [{"start": 12.0, "prompt": "tonic: low"}]),
        (["8:b", "0:a"], [{"start": 0.0, "prompt": "a"}, {"start": 8.0, "prompt": "b"}]),
    ],
)
def test_stretches_are_typed_in_short(typed, sent):
    """A time, a wish and an energy; a wish may hold colons."""
    assert segments_of(typed) == sent


@pytest.mark.parametrize(
    ("read", "typed", "words"),
    [
        (hits_of, "7.3:drum", "--hit 7.3:drum: the kind is accent, drop, stop or downbeat"),
        (hits_of, "7.3:", "--hit 7.3:: the kind is accent, drop, stop or downbeat"),
        (hits_of, "drop", "--hit drop: it begins with a time in seconds, like --hit 7.3:drop"),
        (hits_of, "-1:drop", "--hit -1:drop: it begins with a time in seconds"),
        (hits_of, "nan", "--hit nan: it begins with a time in seconds"),
        (segments_of, "brass", "--segment brass says nothing of the music: write a wish, an energy, or both"),
        (segments_of, "12", "--segment 12 says nothing of the music"),
        (segments_of, "12: :", "--segment 12: : says nothing of the music"),
        (segments_of, "soon:brass", "--segment soon:brass: it begins with a time in seconds, like --segment 12:brass"),
        (segments_of, "12:brass:7", "the energy is a number from 0 to 1; where 7 belongs to the wish, write a colon behind it"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_named(read, typed, words):
    """The value is told as it was typed, and what to do."""
    with pytest.raises(BadInput) as said:
        read([typed])
    assert words in str(said.value)


BRIEF = {
    "duration": 12.0, "scenes": [{"start": 0, "end": 6, "brightness": 0.5, "saturation": 0.5, "warmth": 0.5, "motion": 0.1},
                                 {"start": 6, "end": 12, "brightness": 0.5, "saturation": 0.5, "warmth": 0.5, "motion": 0.9}],
    "cuts": [6.0], "speech": [{"start": 1.0, "end": 2.5}], "hits": [{"at": 6.0, "kind": "drop"}], "seed": 7,
    "directions": [{"prompt": "slow piano", "title": "First snow", "tempo_bpm": 72, "key": "D minor", "instruments": ["piano", "cello"]}, {"prompt": "drums"}],
}  # fmt: skip


def test_a_brief_is_read_back(tmp_path):
    """What gen takes of a file that `rhythmai brief --json` wrote; a film's address comes along, hits may have been taken out."""
    file = tmp_path / "brief.json"
    file.write_text(json.dumps({"video_url": "https://e.com/a.mp4"} | BRIEF))
    plan = {"video_url": "https://e.com/a.mp4", "hits": BRIEF["hits"], "seed": 7, "plan": BRIEF["directions"]}
    assert read_brief(file) == plan
    file.write_text("directions: [drums, loud]\nhits: []\n")
    assert read_brief(file) == {"hits": [], "plan": [{"prompt": "drums"}, {"prompt": "loud"}]}


def test_a_brief_asks_for_its_music():
    """The client's brief says which options of `submit` play it."""
    asked = Brief.model_validate(BRIEF).asks()
    assert asked["seed"] == 7
    assert asked["hits"] == BRIEF["hits"]
    assert asked["plan"] == [BRIEF["directions"][0], {"prompt": "drums", "instruments": []}]


def test_a_brief_is_told_to_people():
    """A line each of what was seen and heard, and the directions."""
    told = [" ".join(line) for line in lines(Brief.model_validate(BRIEF))]
    assert told == [
        "film 12.0 s", "cuts 6.00", "speech 1.0-2.5", "hits 6.00 drop", "motion 0.0 still, 6.0 wild", "seed 7",
        "1. First snow (D minor, 72 bpm)", " piano, cello", " slow piano", "2. Direction 2", " drums",
    ]  # fmt: skip
    none = Brief.model_validate(BRIEF | {"cuts": [], "speech": [], "hits": []})
    assert [told for name, told in lines(none) if name in {"cuts", "speech", "hits"}] == ["none"] * 3


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["submit", "--brief", "notes.json"], 1, "notes.json holds no brief: `rhythmai brief VIDEO --json` writes one"),
        (["submit", "--brief", "empty.json"], 1, "empty.json holds no list of directions"),
        (["submit", "a.mp4", "--brief", "b.json", "--plan", "p.json"], 1, "--plan and --brief both hold directions: leave one out"),
        (["submit"], 2, "VIDEO is missing"),
        (["submit", "a.mp4", "--hit", "7.3:drum"], 1, "--hit 7.3:drum: the kind is accent, drop, stop or downbeat"),
        (["again", "7d4ee0f0-6bd1-4a1e-8f1c-7f1c6d3c0a11", "--start", "4"], 1, "--start 4 without --end: name both ends"),
        (["again", "7d4ee0f0-6bd1-4a1e-8f1c-7f1c6d3c0a11", "--end", "8"], 1, "--end 8 without --start: name both ends"),
        (["again", "7d4ee0f0-6bd1-4a1e-8f1c-7f1c6d3c0a11", "--start", "8", "--end", "8"], 1, "--start 8 --end 8: the part ends where it begins"),
    ],
)  # fmt: skip
def test_commands_say_what_is_wrong(rhythmai, arguments, code, words):
    """Nobody is asked before what was typed is right."""
    Path("notes.json").write_text("[1]")
    Path("empty.json").write_text('{"directions": []}')
    said = rhythmai(*arguments)
    assert said.code == code
    assert words in said.err
