"""What the fields of a request may hold: both hosts refuse the same values, by the same fields; the words are each host's own."""

from __future__ import annotations

import json

import pytest

from tests.contract.conftest import VIDEO, ask

GEN = "/api/v1/gen"
ADDRESS = "must be an http or https address with a host and without a user name"


@pytest.mark.parametrize(
    "url",
    [
        "", "x", "holiday.mp4", "/etc/passwd", "file:///etc/passwd", "ftp://example.com/a", "javascript:alert(1)",
        "http://", "http:///a", "https://?a", "https://user:word@example.com/a.mp4", "https://user@example.com/",
        "https://exa mple.com/", "https://example.com/a b", "https://example.com/a\n", " https://example.com/",
        "https://example.com/\x00", "https://example.com\\@evil.example/", "https://a\x85b/", "https://a\u202eb/",
        "https://example.com/" + "a" * 2048,
    ],
)  # fmt: skip
async def test_a_video_url_must_be_a_plain_web_address(api, url):
    """Anything but http(s) with a host, without credentials, in 2048 characters, is 422 and names the field."""
    status, problem = await ask(api, "post", GEN, json={"video_url": url})
    assert (status, problem["code"], problem["errors"][0]["field"]) == (422, "invalid_request", "video_url")


@pytest.mark.parametrize(
    "url",
    ["http://a", "HTTPS://Example.com:8443/a@b?c=d#e", "http://[::1]:80/", "https://münchen.example/grüße.mp4", "http://127.0.0.1/x"],
)  # fmt: skip
async def test_unusual_addresses_are_taken(api, url):
    """Ports, IPv6, names and paths in any script pass: where they lead is the worker's question."""
    assert (await ask(api, "post", GEN, json={"video_url": url}))[0] == 200


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"variants": 0}, "variants", "should be greater than or equal to 1"),
        ({"variants": 99}, "variants", "should be less than or equal to 8"),
        ({"variants": "3"}, "variants", "should be a valid integer"),
        ({"variants": 2.5}, "variants", "should be a valid integer"),
        ({"variants": True}, "variants", "should be a valid integer"),
        ({"seed": -1}, "seed", "should be greater than or equal to 0"),
        ({"seed": 2**32}, "seed", "should be less than or equal to 4294967295"),
        ({"seed": 10**400}, "seed", None),
        ({"duration": 0}, "duration", "should be greater than or equal to 0.64"),
        ({"loudness_lufs": -31}, "loudness_lufs", "should be greater than or equal to -30"),
        ({"duration": "8"}, "duration", "should be a valid number"),
        ({"conditioning": "magic"}, "conditioning", "should be 'full', 'text+clip' or 'text'"),
        ({"engine": "lyria"}, "engine", "should be 'auto', 'mmaudio', 'acestep' or 'sketch'"),
        ({"engine": ["sketch"]}, "engine", None),
        ({"format": "ogg"}, "format", "should be 'flac', 'wav', 'mp3' or 'm4a'"),
        ({"user_request": "x" * 2001}, "user_request", "should have at most 2000 characters"),
        ({"user_request": "x" * 100_000}, "user_request", "should have at most 2000 characters"),
        ({"user_request": "a\x00b"}, "user_request", "must not hold the character U+0000"),
        ({"user_request": ["x"]}, "user_request", "should be a valid string"),
        ({"plan": []}, "plan", None),
        ({"plan": {}}, "plan", "should be a valid array"),
        ({"plan": [{}]}, "plan.0.prompt", "is missing"),
        ({"plan": [{"prompt": "x"}] * 9}, "plan", None),
        ({"plan": [{"prompt": ""}]}, "plan.0.prompt", "should have at least 1 character"),
        ({"plan": [{"prompt": "x", "key": "H dur"}]}, "plan.0.key", None),
        ({"plan": [{"prompt": "x", "tempo_bpm": 1000}]}, "plan.0.tempo_bpm", "should be less than or equal to 300"),
        ({"plan": [{"prompt": "x", "instruments": ["a", 1]}]}, "plan.0.instruments.1", "should be a valid string"),
        ({"hits": [{"at": 1}] * 33}, "hits", None),
        ({"hits": [{}]}, "hits.0.at", "is missing"),
        ({"hits": [{"at": -1}]}, "hits.0.at", "should be greater than or equal to 0"),
        ({"hits": [{"at": 1, "kind": "bang"}]}, "hits.0.kind", "should be 'accent', 'drop', 'stop' or 'downbeat'"),
        ({"segments": [{"start": 0}] * 17}, "segments", None),
        ({"segments": [{"start": 0, "energy": 1.5}]}, "segments.0.energy", "should be less than or equal to 1"),
        ({"segments": [{"start": 0, "prompt": ""}]}, "segments.0.prompt", "should have at least 1 character"),
        ({"loop": "yes"}, "loop", "should be a valid boolean"),
        ({"callback_url": "ftp://example.com"}, "callback_url", ADDRESS),
        ({"events": []}, "events", None),
        ({"events": ["job.started"]}, "events.0", None),
        ({"events": ["job.failed"] * 5}, "events", None),
        ({"metadata": []}, "metadata", None),
        ({"metadata": {"a": 1, "b": None}}, "metadata.a", "should be a valid string"),
        ({"metadata": {"a": "xxx" * 67}}, "metadata.a", "should have at most 200 characters"),
        ({"metadata": {"a": "x\ny"}}, "metadata.a", "must be text without control characters"),
        ({"metadata": {"a b": 1, "": "x"}}, "metadata", "takes names of 1 to 40 letters, digits, ., _ and -"),
        ({"metadata": {f"k{n}": "x" for n in range(17)}}, "metadata", "should have at most 16 items"),
    ],
)
async def test_a_wrong_value_is_named(api, name, fields, field, message):
    """A value out of range or of another type is 422 and the problem names its field, not its content."""
    status, problem = await ask(api, "post", GEN, json={"video_url": VIDEO, **fields})
    assert (status, problem["code"], problem["errors"][0]["field"]) == (422, "invalid_request", field)
    assert problem["detail"].startswith(f"{field}: {problem['errors'][0]['message']}")
    assert message in {None, problem["errors"][0]["message"]} or name == "function"
    assert "xxx" not in str(problem)


async def test_text_of_2000_characters_of_any_script_is_taken(api, db):
    """The limit counts characters, not bytes or halves of them; nothing is lost or changed on the way."""
    for text in ("🎻" * 2000, "e\u0301\u200d\u202e\ufdd0\U0010ffff", "\x01\x7f\x9f\u2028"):
        status, answer = await ask(api, "post", GEN, json={"video_url": VIDEO, "user_request": text})
        assert status == 200
        assert await db.fetchval("select user_request from public.jobs where id::text = $1", answer["job_id"]) == text
        assert (await ask(api, "get", f"/api/v1/job/{answer['job_id']}"))[1]["user_request"] == text


async def test_unknown_fields_are_refused_by_name(api):
    """An unknown field is named, together with those that are known; names of JavaScript's own are no exception."""
    for path, body, detail in (
        (GEN, {"video_url": VIDEO, "colour": 1, "steps": 3}, "Unknown field colour, steps; known are video_url, user_request, "),
        (GEN, {"video_url": VIDEO, "__proto__": {"a": 1}}, "Unknown field __proto__; known are "),
        (GEN, {"video_url": VIDEO, "constructor": 1, "toString": 2}, "Unknown field constructor, toString; known are "),
        (GEN, {"video_url": VIDEO, "plan": [{"prompt": "x", "hue": 1}]}, "Unknown field plan.0.hue; the fields are described"),
        (GEN, {"video_url": VIDEO, "mend": {"start": 1, "end": 2}}, "Unknown field mend; known are "),
        ("/api/v1/merge", {"video_url": VIDEO, "audio_url": VIDEO, "volume": 1}, "Unknown field volume; known are video_url, "),
    ):  # fmt: skip
        status, problem = await ask(api, "post", path, json=body)
        assert (status, problem["code"]) == (422, "unknown_field")
        assert problem["detail"].startswith(detail)
        assert problem["errors"][0]["message"] == "Extra inputs are not permitted"


async def test_all_errors_are_listed_in_the_order_of_the_contract(api):
    """At most ten fields are named, those of the contract before unknown ones; names are cut, values never shown."""
    body = {"z" * 5000: 1, "format": 7, "seed": "x", **{f"extra{n}": n for n in range(20)}}
    _, problem = await ask(api, "post", GEN, json=body)
    fields = [error["field"] for error in problem["errors"]]
    assert fields == ["video_url", "seed", "format", "z" * 80, *(f"extra{n}" for n in range(6))]


async def test_numbers_beyond_all_bounds_are_refused(api):
    """Endless digits and exponents are a clean 4xx."""
    for number in ("1e400", "-1e400", "9" * 100_000, "0." + "1" * 100_000 + "e99999"):
        raw = f'{{"video_url": {json.dumps(VIDEO)}, "duration": {number}}}'
        status, problem = await ask(api, "post", GEN, data=raw, headers={"Content-Type": "application/json"})
        assert status in {400, 422}, number[:10]
        assert problem["code"] in {"invalid_json", "invalid_request"}
