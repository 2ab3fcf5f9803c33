"""The describer learns how an endpoint wants to be asked: from what a refusal names, once, for all clips."""

import json

import pytest
from aiohttp import web

from tests.unit.clips import clip
from tests.unit.endpoint import describing, refusal, reply

OPENAI = {
    "max_tokens": "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
}
FILM = clip(12.0, stills=16)


def images(body):
    return [part for part in body["messages"][-1]["content"] if part["type"] == "image_url"]


async def asked(answer, *, clips=1, **options):
    """What the endpoint was asked until it answered for every clip; the model has to have written all directions."""
    async with describing(answer, **({"model": "gpt-6"} | options)) as (endpoint, describer):
        for _ in range(clips):
            directions, name, _ = await describer.describe(FILM, "", 3)
            assert name == f"openai:{options.get('model', 'gpt-6')}"
            assert len(directions) == 3
    return endpoint.bodies


async def test_a_parameter_that_is_named_is_left_out_or_replaced():
    """max_tokens becomes max_completion_tokens and the temperature goes, one refusal after the other; the next clip is asked right away."""

    def answer(body):
        if "max_tokens" in body:
            return refusal(400, OPENAI["max_tokens"])
        if "temperature" in body:
            return refusal(
                400,
                "Unsupported value: 'temperature' does not support 0.9 with this model. Only the default (1) value is supported.",
            )
        return reply(3)

    bodies = await asked(answer, clips=2)
    assert len(bodies) == 4
    assert bodies[2] == bodies[3]
    assert bodies[3]["max_completion_tokens"] == bodies[0]["max_tokens"]
    assert bodies[3]["response_format"] == bodies[0]["response_format"]


@pytest.mark.parametrize("name", ["temperature", "max_tokens", "enable_thinking", "response_format"])
@pytest.mark.parametrize(
    "told",
    [
        lambda name: refusal(400, f"Unknown parameter: '{name}'"),
        lambda name: refusal(500, f"got an unexpected keyword argument '{name}'"),
        lambda name: web.json_response(
            {"detail": [{"loc": ["body", name], "msg": "Extra inputs are not permitted"}]}, status=422
        ),
        lambda name: web.json_response({"error": {"message": f"{name} is not supported", "code": "invalid"}}),
    ],
)
async def test_any_parameter_may_be_refused_in_any_words(name, told):
    """Errors of OpenAI, of FastAPI and those that come with status 200 name the parameter somewhere; only that one changes."""
    bodies = await asked(lambda body: told(name) if name in body else reply(3), model="ernie-5")
    gone = set(bodies[0]) - set(bodies[-1])
    assert gone == {name}


async def test_a_limit_that_is_too_high_is_left_to_the_endpoint():
    """Where fewer tokens may be asked for than we ask, the endpoint's own limit holds; no still is given up for it."""

    def answer(body):
        asked = body.get("max_tokens") or body.get("max_completion_tokens") or 0
        said = f"max_tokens is too large: {asked}. This model supports at most 1000 completion tokens."
        return refusal(400, said) if asked > 1000 else reply(3)

    bodies = await asked(answer, clips=2)
    assert len(bodies) == 4
    assert len(images(bodies[-1])) == 16
    assert set(bodies[-1]) == set(bodies[0]) - {"max_tokens"}


@pytest.mark.parametrize(
    ("message", "most"),
    [
        ("At most 5 image(s) may be provided in one request.", 5),
        ("Too many images provided: 16 images. This model supports up to 5 images", 5),
        ("The number of images must not exceed 8", 8),
        ("You sent 16 images but the maximum is 2 images per request", 2),
        ("too many images", 5),
    ],
)
async def test_fewer_stills_are_sent_where_an_endpoint_counts_them(message, most):
    """The number in the message is kept to, spread over the film; without a number there are half as many until it is enough."""
    bodies = await asked(lambda body: refusal(400, message) if len(images(body)) > most else reply(3), clips=2)
    assert 1 <= len(images(bodies[-1])) <= most
    assert images(bodies[-1]) == images(bodies[-2])
    told = json.loads(bodies[-1]["messages"][-1]["content"][-1]["text"])
    assert len(told["frame_times_s"]) == len(images(bodies[-1]))


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (413, "<html>413 Request Entity Too Large</html>"),
        (
            400,
            "This model's maximum context length is 4096 tokens. However, you requested 9000 tokens. Please reduce the length of the messages.",
        ),
        (400, "Request payload size exceeds the limit"),
    ],
)
async def test_a_request_that_is_too_large_gets_smaller(status, message):
    """A limit of bytes or tokens is met by fewer stills, and nothing else is given up."""
    bodies = await asked(lambda body: refusal(status, message) if len(images(body)) > 3 else reply(3), clips=2)
    assert [len(images(body)) for body in bodies[:-1]] == [16, 8, 4, 2]
    assert set(bodies[-1]) == set(bodies[0])
    assert bodies[-1] == bodies[-2]


@pytest.mark.parametrize(
    "message",
    [
        "System role not supported",
        "Only user and assistant roles are supported!",
        "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
        "Conversation roles must alternate user/assistant/user/assistant/...",
        "Developer instruction is not enabled for models/gemma-3-27b-it",
    ],
)
async def test_without_a_system_role_the_user_says_it_all(message):
    """Instructions move in front of the stills."""

    def answer(body):
        return refusal(400, message) if body["messages"][0]["role"] == "system" else reply(3)

    bodies = await asked(answer, clips=2)
    (user,) = bodies[-1]["messages"]
    assert user["content"][0] == {"type": "text", "text": bodies[0]["messages"][0]["content"]}
    assert user["content"][1:] == bodies[0]["messages"][1]["content"]
    assert len(bodies) == 3


@pytest.mark.parametrize(
    "message",
    [
        "This model only support stream mode, please enable the stream parameter to access the model.",
        "parameter.enable_thinking must be set to false for non-streaming calls",
        "Streaming is required for this model",
    ],
)
async def test_an_endpoint_that_only_streams_is_streamed_from(message):
    """The pieces are put together, thoughts beside them are not."""

    async def stream(body):
        deltas = [{"role": "assistant", "content": None, "reasoning_content": "hm"}]
        deltas += [{"content": piece} for piece in reply(3).partition('"genre"')]
        chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        events = [chunk | {"choices": [{"index": 0, "delta": delta}]} for delta in deltas] + [chunk | {"choices": []}]
        text = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
        return web.Response(text=text, content_type="text/event-stream")

    bodies = await asked(lambda body: stream(body) if body.get("stream") else refusal(400, message), clips=2)
    assert [body.get("stream", False) for body in bodies] == [False, True, True]


async def test_all_of_it_at_once():
    """An endpoint may want everything otherwise."""

    def answer(body):
        if body["messages"][0]["role"] == "system":
            return refusal(400, "System role not supported")
        if len(images(body)) > 4:
            return refusal(413, "too large")
        for name in ("response_format", "max_tokens", "max_completion_tokens", "temperature"):
            if name in body:
                return refusal(400, f"{name}: Extra inputs are not permitted")
        return reply(3)

    bodies = await asked(answer, clips=2)
    assert set(bodies[-1]) == {"model", "messages"}
    assert bodies[-1] == bodies[-2]


@pytest.mark.parametrize(
    "error",
    [
        {"error": {"code": 429, "message": "Rate limit exceeded"}},
        {"error": {"code": "429", "message": "slow down"}, "choices": []},
        {"error": {"message": "Rate limit reached for requests", "type": "rate_limit_error", "code": None}},
        {"object": "error", "code": 503, "message": "overloaded"},
    ],
)
async def test_an_error_inside_a_200_is_that_error(error):
    """It is tried again like one that came with its status, and told by its status when it stays."""
    answers = [web.json_response(error), reply(3)]
    assert len(await asked(lambda body: answers.pop(0))) == 2
    async with describing(lambda body: web.json_response(error), model="m") as (endpoint, describer):
        _, name, _ = await describer.describe(FILM, "", 3)
    assert name in {"local (m answered 429)", "local (m answered 503)"}
    assert len(endpoint.bodies) == 2


async def test_a_key_that_is_refused_inside_a_200_is_named():
    """The remedy is the same as for a 401."""
    async with describing(lambda body: web.json_response({"error": {"code": 401}}), model="m") as (_, describer):
        _, name, _ = await describer.describe(FILM, "", 3)
    assert name == "local (m does not accept API_KEY)"


@pytest.mark.parametrize(
    "content",
    [
        [
            {"type": "thinking", "thinking": [{"type": "text", "text": '{"genre": "polka"}'}]},
            {"type": "text", "text": reply(3)},
        ],
        [{"type": "text", "text": reply(3)[:50]}, {"type": "text", "text": reply(3)[50:]}],
        [{"type": "reasoning", "text": reply(2, genre="polka")}, {"type": "output_text", "text": reply(3)}],
    ],
)
async def test_content_in_parts_is_read(content):
    """Text parts are the answer, put together; parts of thoughts are not."""
    await asked(lambda body: content)


async def test_a_stream_that_breaks_off_costs_nobody_the_job():
    """Local directions stand in when the connection ends in the middle of an answer."""

    async def broken(body):
        text = 'data: {"choices": [{"delta": {"content": "{"}}]}\n\ndata: {"cho'
        response = web.Response(text=text, content_type="text/event-stream", headers={"Content-Length": "9999"})
        response.force_close()
        return response

    def answer(body):
        return broken(body) if body.get("stream") else refusal(400, "only streaming is supported")

    async with describing(answer, model="m") as (_, describer):
        directions, name, _ = await describer.describe(FILM, "", 3)
    assert len(directions) == 3
    assert name.startswith("local (m ")


async def test_a_shape_of_json_that_is_none_costs_nobody_the_job():
    """Answers and pieces of answers without choices, messages or words are nothing, not a crash."""
    for body in ({}, {"choices": [{}]}, {"choices": [{"message": {"content": [1, None, {"type": "text"}]}}]}, []):
        async with describing(lambda _, body=body: web.json_response(body), model="m") as (_, describer):
            _, name, _ = await describer.describe(FILM, "", 1)
        assert name == "local (m answered with nothing)"
