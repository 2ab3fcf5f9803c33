"""The moments that a director proposes: few, at cuts that are known, and only where the picture asks for them."""

import json
from dataclasses import replace

import pytest

from tests.unit.clips import clip
from tests.unit.endpoint import describing, item
from worker.domain import Hit, Span
from worker.pipeline.direct.hits import MOST, on_cuts, seen
from worker.pipeline.direct.local_describer import LocalDescriber
from worker.pipeline.direct.replies import SCHEMA, read_hits

CALM, LIVELY, STILL = 0.2, 0.8, 0.05


def film(*motions, length_s=8.0):
    cuts = [length_s * number for number in range(1, len(motions))]
    return clip(length_s * len(motions), cuts, motions=motions)


@pytest.mark.parametrize(
    ("motions", "kinds"),
    [
        ((CALM, LIVELY), {8.0: "drop"}),
        ((LIVELY, STILL), {8.0: "stop"}),
        ((CALM, LIVELY, STILL), {8.0: "drop", 16.0: "stop"}),
        ((LIVELY, CALM), {}),
        ((CALM, 0.5), {}),
        ((0.3, LIVELY - 0.15), {}),
        ((0.5, 0.5), {}),
        ((LIVELY,), {}),
    ],
)
def test_the_picture_asks_for_few_moments(motions, kinds):
    """Action that breaks out is a drop, action that comes to rest a stop, and everything else is nothing."""
    assert {hit.at_s: hit.kind for hit in seen(film(*motions))} == kinds


def test_the_strongest_two_are_kept_and_far_apart():
    """A film that goes up and down all the time has its two largest steps."""
    found = seen(film(0.3, 0.75, 0.1, 0.95, 0.05, 0.9))
    assert found == (Hit(at_s=24.0, kind="drop"), Hit(at_s=32.0, kind="stop"))
    assert seen(film(CALM, LIVELY, STILL, LIVELY, length_s=5.0)) == (Hit(at_s=10.0, kind="stop"),)


def test_there_has_to_be_room():
    """Next to the film's ends, between short scenes and under words nothing is proposed."""
    assert seen(clip(20.0, (3.5,), motions=(CALM, LIVELY))) == ()
    assert seen(clip(20.0, (16.5,), motions=(CALM, LIVELY))) == ()
    assert seen(clip(20.0, (8.5, 10.0, 11.5), motions=(CALM, CALM, LIVELY, LIVELY))) == ()
    said = replace(film(CALM, LIVELY), speech=(Span(start_s=7.0, end_s=9.0),))
    assert seen(said) == ()
    assert seen(replace(said, speech=(Span(start_s=8.5, end_s=9.0),))) != ()


def test_key_frames_alone_say_no_moment():
    """A cut that is known as well as key frames lie is none to put a stroke on, whoever names it."""
    glanced = replace(film(CALM, LIVELY), glanced=True)
    assert seen(glanced) == on_cuts([Hit(at_s=8.0)], glanced) == ()


def test_a_model_s_moments_are_the_film_s_cuts():
    """A model that sees a frame a second means the nearest cut; what is none is left out, and of six and more the first six."""
    shown = clip(40.0, (7.3333333, 7.9, 14.6, 21.9))
    named = [Hit(at_s=14.3, kind="drop"), Hit(at_s=7.5, kind="stop"), Hit(at_s=8.1), Hit(at_s=18.0), Hit(at_s=99.0)]
    assert on_cuts(named, shown) == (Hit(at_s=7.333, kind="stop"), Hit(at_s=14.6, kind="drop"))
    many = clip(60.0, tuple(map(float, range(5, 55, 5))))
    assert len(on_cuts([Hit(at_s=float(at_s)) for at_s in range(5, 55, 5)], many)) == MOST == 6
    assert on_cuts(named, clip(40.0)) == ()


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ({"at": 7.3, "kind": "drop"}, Hit(at_s=7.3, kind="drop")),
        ({"at": "7.3 s", "kind": " Stop"}, Hit(at_s=7.3, kind="stop")),
        ({"at": "1:07"}, Hit(at_s=67.0)),
        ({"at": 7, "kind": "downbeat", "why": "the door opens"}, Hit(at_s=7.0, kind="downbeat")),
        ({"at": 7.3, "kind": "drum"}, None),
        ({"at": 7.3, "kind": None}, None),
        ({"at": -1}, None),
        ({"at": None}, None),
        ({"at": [7]}, None),
        ({"at": float("nan")}, None),
        ({"at": 1e300}, None),
    ],
)
def test_moments_are_read_as_models_write_them(written, read):
    """Times in words are read, and a value that is wrong takes nothing along but its own moment."""
    good = {"at": 2.0, "kind": "accent"}
    text = f"```json\n{json.dumps({'directions': [item()], 'hits': [written, good]})}\n```"
    assert read_hits(text) == (*([read] if read else []), Hit(at_s=2.0))


def test_a_reply_without_moments_has_none():
    """Models that were told of no hits, and prose, name none."""
    assert read_hits(json.dumps({"directions": [item()]})) == read_hits("at the seaside") == ()
    assert SCHEMA["required"] == ["directions", "hits"]


async def test_a_model_s_moments_come_with_its_directions():
    """One call brings both; where the model says there are none, local rules do not add any."""
    shown = film(CALM, LIVELY, STILL)
    for hits, proposed in (([{"at": 15.8, "kind": "accent"}], (Hit(at_s=16.0),)), ([], ())):
        async with describing(lambda body, hits=hits: json.dumps({"directions": [item()], "hits": hits})) as (
            _,
            director,
        ):
            assert (await director.describe(shown, "", 1))[2] == proposed


async def test_local_directions_come_with_local_moments():
    """Where no model answers, rules look for moments, too; who asks for calm music is not startled."""
    shown = film(CALM, LIVELY)
    drop = (Hit(at_s=8.0, kind="drop"),)
    async with describing(lambda body: "no idea") as (_, director):
        assert (await director.describe(shown, "", 2))[2] == drop
        assert (await director.describe(shown, "calm piano", 2))[2] == ()
    assert (await LocalDescriber().describe(shown, "epic", 2))[2] == drop
