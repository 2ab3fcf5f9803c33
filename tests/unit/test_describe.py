"""The describer for OpenAI-compatible endpoints, against a real endpoint on loopback that plays many characters."""

import asyncio
import base64
import json

import pytest
from aiohttp import web

from tests.unit.clips import clip
from tests.unit.endpoint import KEY, describing, item, refusal, reply
from worker.pipeline.direct.describe import OpenAIDescriber
from worker.pipeline.direct.local_describer import LocalDescriber

WISH = "something with a kazoo, please"


async def test_one_call_gives_all_directions():
    """One request with the frames, the schema and the wish as data brings every direction, titled and captioned."""
    async with describing(lambda body: reply(3)) as (endpoint, describer):
        directions, name, _ = await describer.describe(clip(8.0, (4.0,)), WISH, 3)
    assert name == "openai:ernie-4.5-vl-28b-a3b"
    assert [direction.title for direction in directions] == ["Title 0", "Title 1", "Title 2"]
    assert directions[1].prompt.startswith(
        "instrumental background music, deep house, synth lead, piano, slow tempo, calm mood"
    )
    assert directions[1].description == "Grows slowly. Follows the waves."
    assert endpoint.keys == [f"Bearer {KEY}"]
    (body,) = endpoint.bodies
    assert body["enable_thinking"] is False
    assert body["response_format"]["json_schema"]["strict"] is True
    system, user = body["messages"]
    assert "kazoo" not in system["content"]
    *images, facts = user["content"]
    assert [
        base64.b64decode(image["image_url"]["url"].removeprefix("data:image/jpeg;base64,")) for image in images
    ] == [still.jpeg for still in clip().stills]
    assert json.loads(facts["text"])["user_request"] == WISH
    assert json.loads(facts["text"])["cuts_s"] == [4.0]


async def test_a_refused_response_format_is_not_asked_for_again():
    """json_schema falls to json_object, and the next clip starts there."""

    def answer(body):
        if body.get("response_format", {}).get("type") == "json_schema":
            return refusal(400, "response_format json_schema is not supported")
        return "```json\n" + reply(2) + "\n```"

    async with describing(answer) as (endpoint, describer):
        _, name, _ = await describer.describe(clip(), "", 2)
        assert name == "openai:ernie-4.5-vl-28b-a3b"
        await describer.describe(clip(), "", 2)
    assert [body["response_format"]["type"] for body in endpoint.bodies] == [
        "json_schema",
        "json_object",
        "json_object",
    ]


async def test_the_last_rung_asks_for_plain_text():
    """An endpoint that knows no response format is asked without one, and prose around the JSON is no obstacle."""

    def answer(body):
        return (
            refusal(422, "unknown field")
            if "response_format" in body
            else f"<think>hm {{}}</think>Here you are: {reply(2)} Enjoy!"
        )

    async with describing(answer) as (endpoint, describer):
        directions, name, _ = await describer.describe(clip(), "", 2)
    assert name.startswith("openai:")
    assert len(directions) == 2
    assert len(endpoint.bodies) == 3


async def test_a_refusal_of_everything_is_not_remembered():
    """When no way of asking worked, the next clip starts from the top: it may have been the clip."""
    async with describing(lambda body: refusal(400, "no")) as (endpoint, describer):
        _, name, _ = await describer.describe(clip(), "", 2)
        assert name == "local (ernie-4.5-vl-28b-a3b answered 400)"
        await describer.describe(clip(), "", 2)
    assert [body.get("response_format", {}).get("type") for body in endpoint.bodies] == [
        "json_schema",
        "json_object",
        None,
    ] * 2


async def test_a_url_is_sent_when_asked_for():
    """With video_url the clip's address goes out instead of its frames."""
    async with describing(lambda body: reply(1), sees="video_url") as (endpoint, describer):
        await describer.describe(clip(), "", 1, video_url="https://cdn.example/clip.mp4")
        await describer.describe(clip(), "", 1)
    part = endpoint.bodies[0]["messages"][1]["content"][0]
    assert part == {"type": "video_url", "video_url": {"url": "https://cdn.example/clip.mp4", "fps": 1}}
    assert endpoint.bodies[1]["messages"][1]["content"][0]["type"] == "image_url"


async def test_an_endpoint_without_video_gets_frames_from_then_on():
    """A refusal of the video part leads straight to frames, for this clip and the next."""

    def answer(body):
        seen = body["messages"][1]["content"][0]["type"]
        return refusal(404, "No endpoints found that support video URLs") if seen == "video_url" else reply(1)

    async with describing(answer, sees="video_url") as (endpoint, describer):
        for _ in range(2):
            _, name, _ = await describer.describe(clip(), "", 1, video_url="https://cdn.example/clip.mp4")
            assert name.startswith("openai:")
    assert [body["messages"][1]["content"][0]["type"] for body in endpoint.bodies] == [
        "video_url",
        "image_url",
        "image_url",
    ]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda body: refusal(401, f"bad key {KEY}"), "does not accept API_KEY"),
        (lambda body: refusal(403, "no"), "answered 403"),
        (lambda body: "I cannot help with that.", "wrote no usable direction"),
        (lambda body: "", "answered with nothing"),
        (lambda body: web.Response(text="<html>hi</html>", content_type="text/html"), "answered with nothing"),
        (lambda body: web.json_response({"choices": None}), "answered with nothing"),
        (lambda body: web.Response(text="{not json", content_type="application/json"), "answered with something else"),
        (lambda body: '{"directions": [{"genre": 5}]}', "wrote no usable direction"),
    ],
)
async def test_trouble_gives_local_directions_and_says_why(answer, why):
    """Refused keys, web pages and garbage end in what the local describer would have written, without secrets in the name."""
    async with describing(answer) as (_, describer):
        directions, name, _ = await describer.describe(clip(), WISH, 3)
    assert name.startswith(f"local (ernie-4.5-vl-28b-a3b {why}")
    assert KEY not in name
    assert "kazoo" not in name
    assert directions == LocalDescriber().directions(clip(), WISH, 3)


async def test_a_silent_endpoint_costs_at_most_the_deadline():
    """An endpoint that never answers is given up at the deadline, and the name says so."""
    release = asyncio.Event()

    async def never(body):
        await release.wait()
        return reply(1)

    async with describing(never, timeout_s=0.2) as (_, describer):
        directions, name, _ = await describer.describe(clip(), "", 3)
        release.set()
    assert name == "local (ernie-4.5-vl-28b-a3b did not answer in 0.2 s)"
    assert len(directions) == 3


async def test_an_endpoint_that_is_away_is_said_to_be_away():
    """Nobody listens: the directions are local."""
    describer = OpenAIDescriber(api_key=KEY, base_url="http://127.0.0.1:9/v1", model="m", timeout_s=20)
    _, name, _ = await describer.describe(clip(), "", 1)
    await describer.aclose()
    assert name == "local (m cannot be reached)"


async def test_a_clip_without_frames_is_not_sent():
    """Nothing to show and no address: the endpoint is left alone, and the name says why."""
    async with describing(lambda body: reply(1)) as (endpoint, describer):
        _, name, _ = await describer.describe(clip(stills=0), "", 1)
    assert name == "local (ernie-4.5-vl-28b-a3b was not asked: the clip has no frames)"
    assert endpoint.bodies == []


async def test_repetitions_are_replaced_by_local_directions():
    """Directions that differ in less than two of genre, lead and tempo class count once; the rest is topped up, and the name says how many."""
    same = json.dumps({"directions": [item(0), item(0, title="Again", tempo_bpm=180), item(1)]})
    async with describing(lambda body: same) as (_, describer):
        directions, name, _ = await describer.describe(clip(), "", 4)
    assert name == "openai:ernie-4.5-vl-28b-a3b (2 of 4 local)"
    assert len({direction.genre for direction in directions}) == 4
    assert directions[0].title == "Title 0"


async def test_an_endpoint_of_ones_own_needs_no_key():
    """Without API_KEY the endpoint is asked all the same: many that people run themselves want none."""
    async with describing(lambda body: reply(1), api_key="") as (_, describer):
        _, name, _ = await describer.describe(clip(), "", 1)
    assert name == "openai:ernie-4.5-vl-28b-a3b"


@pytest.mark.parametrize(("wish", "keys"), [("", {"D minor", "A minor", "E minor"}), ("all in D minor", {"D minor"})])
async def test_directions_stand_in_different_keys_unless_one_was_asked_for(wish, keys):
    """A key that a model repeats moves up by fifths; a wish for a key holds for all."""
    async with describing(lambda body: reply(3)) as (_, describer):
        directions, *_ = await describer.describe(clip(), wish, 3)
    assert {direction.key for direction in directions} == keys


async def test_a_cancelled_job_cancels_the_call():
    """Cancellation is not swallowed by the fallback."""
    asked = asyncio.Event()
    release = asyncio.Event()

    async def hang(body):
        asked.set()
        await release.wait()
        return reply(1)

    async with describing(hang) as (_, describer):
        task = asyncio.create_task(describer.describe(clip(), "", 1))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        release.set()
