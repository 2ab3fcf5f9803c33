"""One rule for every door: what POST /api/v1/gen and /merge refuse, a signed-in user's own insert refuses, and no more."""

import json

import asyncpg
import pytest
from pydantic import ValidationError

from edge_api import models
from tests.database.matrix import may
from tests.database.roles import ALICES, SERVICE

ADDRESSES = (
    "https://example.com/a.mp4", "HTTP://EXAMPLE.com", "https://münchen.example/ä?b#c", "https://[::1]:443/", "http://a", "https://a/\u00e4",
    "ftp://example.com", "file:///etc/passwd", "javascript:alert(1)", "https://", "https:///a", "https://user:pass@example.com/", "//example.com",
    "https://a b", "https://a\u200b.com", "https://a/\u202e", "https://a/\n", "https://a\\b", "https://a/\ufeff", "https://a\u3000", "https://a\x7f",
    "https://a/" + "x" * 2038, "https://a/" + "x" * 2039, "", 3, True, ["https://a"],
)  # fmt: skip
NUMBERS = (
    -61, -60, -1, 0, 0.5, 0.63, 0.64, 1, 1.5, 3.0, 8, 9, 20, 21, 100, 300, 301, 86400, 86401, 2**32 - 1, 2**32, 1e300,
    "3", True, [], {},
)  # fmt: skip
TEXTS = ("", "calm", "x" * 200, "x" * 201, "x" * 1000, "x" * 1001, "x" * 2000, "x" * 2001, 3, ["calm"], {})
KEYS = ("D minor", "F# major", "Bb lydian", "H minor", "d minor", "D", "D minor\n", "", "Db  major", 3)
DIRECTIONS = (
    {}, {"title": "x"}, {"prompt": None}, {"prompt": "harp", "tempo": 3}, {"prompt": "harp", "seed": 3}, "harp", None, ["harp"],
    *({"prompt": text} for text in TEXTS),
    *({"prompt": "harp", name: text} for name in ("title", "description", "genre", "mood") for text in (*TEXTS, None)),
    *({"prompt": "harp", "key": key} for key in (*KEYS, None)),
    *({"prompt": "harp", "tempo_bpm": number} for number in (*NUMBERS, None)),
    *({"prompt": "harp", "instruments": listed} for listed in ([], ["harp"] * 16, ["harp"] * 17, ["x" * 200], ["x" * 201], [3], "harp", None)),
)  # fmt: skip
TOLD = (
    *({"events": events} for events in ([], ["job.failed"], ["job.failed", "result.ready"], ["job.started"], [["job.failed"]], "job.failed", {}, None)),
    *({"metadata": metadata} for metadata in (
        {}, [], "x", None, {"a": ""}, {"a": "x" * 200}, {"a": "x" * 201}, {"a": None}, {"a": 3}, {"a": {}}, {"a": "ä 😀\x7f"}, {"a": "\x1f"}, {"a": "\n"},
        {"a b": "x"}, {"": "x"}, {"A-z_0.9": "x"}, {"a\n": "x"}, {"x" * 40: "x"}, {"x" * 41: "x"}, {str(n): "" for n in range(16)}, {str(n): "" for n in range(17)},
    )),
)  # fmt: skip
GEN = (
    {}, {"steps": 25}, {"guidance": 4.5}, {"steps": None}, {"audio_url": "https://example.com"}, {"lane": "interactive"}, {"varants": 3},
    *({name: number} for name in ("variants", "seed", "duration") for number in (*NUMBERS, None)),
    *({name: text} for name in ("negative_prompt", "user_request") for text in TEXTS),
    *({"conditioning": word} for word in ("full", "text+clip", "text", "loud", "", 3, None)),
    *({"loudness_lufs": number} for number in (-30, -9, -14.5, -30.1, -8.9, "-14", None)),
    *({"format": word} for word in ("flac", "wav", "mp3", "m4a", "ogg", 3, None)),
    *({name: address} for name in ("video_url", "callback_url") for address in ADDRESSES), *TOLD,
    {"plan": []}, {"plan": "x"}, {"plan": {}}, {"plan": None}, {"plan": [{"prompt": "harp"}] * 8}, {"plan": [{"prompt": "harp"}] * 9},
    *({"plan": [{"prompt": "a"}, direction]} for direction in DIRECTIONS),
    *({name: listed} for name in ("hits", "segments") for listed in ([], "x", {}, None, [3], [None], [{}])),
    *({"hits": [{"at": 1}] * count} for count in (32, 33)), *({"segments": [{"start": n} for n in range(count)]} for count in (16, 17)),
    *({"hits": [{"at": number}]} for number in (*NUMBERS, None)), *({"segments": [{"start": number}]} for number in (*NUMBERS, None)),
    *({"hits": [{"at": 1, "kind": kind}]} for kind in ("accent", "drop", "stop", "downbeat", "bang", "", 3, None)),
    *({"segments": [{"start": 1, "prompt": text}]} for text in (*TEXTS, None)), {"segments": [{"start": 1, "end": 2}]},
    *({"segments": [{"start": 1, "energy": number}]} for number in (*NUMBERS, None)), *({"loop": flag} for flag in (True, False, None, "yes", 1)),
    {"mend": None}, {"mend": {"start": 1, "end": 2, "seed": 3, "gain_db": 0, "master_url": "https://a"}}, {"hits": [{"at": 1, "at_s": 1}]},
)  # fmt: skip
MERGE = (
    {"audio_url": None}, {"seed": 1}, {"steps": 1}, {"mode": "mix"}, {"mode": "swap"}, {"mode": None},
    *({name: number} for name in ("music_gain_db", "duck_db") for number in (*NUMBERS, -10)), *({"duck": flag} for flag in (True, False, None, "yes", 1)),
    *({name: address} for name in ("audio_url", "callback_url") for address in ADDRESSES), *TOLD,
)  # fmt: skip
INSERT = "insert into public.jobs (video_url, user_request, options) values ($1, $2, $3)"


def takes(model, body):
    try:
        model.model_validate_json(json.dumps(body))
    except ValidationError:
        return False
    return True


async def differing(model, bodies, refused_by_sql):
    """The bodies about which the two doors do not agree: there are none."""
    return [body for body in bodies if takes(model, body) == await refused_by_sql(body)]


async def test_a_user_inserts_what_the_api_takes(db):
    """Operators' options, keys, directions, addresses, lengths and ranges: the API and a direct insert agree on each of them."""
    bodies = [{"video_url": "https://example.com/a.mp4"} | body for body in GEN]

    async def refused(body):
        options = {name: value for name, value in body.items() if name not in {"video_url", "user_request"}}
        text = [body["video_url"], body.get("user_request", "")]
        return not all(isinstance(one, str) for one in text) or not await may(db, ALICES, INSERT, *text, options)

    assert await differing(models.Gen, bodies, refused) == []
    assert sum(takes(models.Gen, body) for body in bodies) > 80


async def test_a_merge_s_options_are_those_of_the_api(db):
    """The options of a merge, too."""
    bodies = [
        {"video_url": "https://example.com/a.mp4", "audio_url": "https://example.com/a.flac"} | body for body in MERGE
    ]

    async def refused(body):
        options = {name: value for name, value in body.items() if name != "video_url"}
        return await db.fetchval("select private.options_error('merge', $1, false)", options) is not None

    assert await differing(models.Merge, bodies, refused) == []
    assert sum(takes(models.Merge, body) for body in bodies) > 20


async def test_a_brief_s_options_are_those_of_the_api(db):
    """It takes some of gen's, and no others."""
    bodies = [
        {"video_url": "https://example.com/a.mp4"} | body
        for body in GEN
        if "user_request" not in body and "video_url" not in body
    ]

    async def refused(body):
        options = {name: value for name, value in body.items() if name != "video_url"}
        return await db.fetchval("select private.options_error('brief', $1, false)", options) is not None

    assert await differing(models.Brief, bodies, refused) == []
    assert sum(takes(models.Brief, body) for body in bodies) > 20


MEND = {"start": 1, "end": 2, "seed": 3, "gain_db": 0, "master_url": "https://a"}


@pytest.mark.parametrize("option", [{"steps": 100}, {"guidance": 20}, {"mend": MEND}])
async def test_operators_options_are_theirs(db, option):
    """Steps and guidance cost GPU time, and a part names addresses to read: a user's insert is refused by their name, the service's is taken."""
    with pytest.raises(asyncpg.InvalidParameterValueError, match=f"unknown field {next(iter(option))}"):
        async with ALICES.acts(db):
            await db.execute(INSERT, "https://example.com/a.mp4", "", option)
    assert await may(db, SERVICE, INSERT, "https://example.com/a.mp4", "", option)


async def test_a_described_direction_may_be_asked_for_again(queue, db):
    """A describer that named no key leaves it empty: the plan's direction is taken once more."""
    job = await queue.submit(p_options={"steps": 25})
    direction = {
        "title": "t",
        "prompt": "harp",
        "description": "",
        "genre": "",
        "instruments": [],
        "tempo_bpm": 61.5,
        "key": "",
        "mood": "",
    }
    worker = await queue.worker()
    await worker.plan(await worker.claim(), {"variants": [{"index": 0, "seed": 1, "direction": direction}]})
    again = await db.fetchval("select queue.again($1)", job)
    assert (await queue.job(again))["options"]["plan"] == [direction]
