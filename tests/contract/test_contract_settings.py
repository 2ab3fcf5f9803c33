"""The environment of both hosts: the same words mean the same, what is not understood is refused by name and never repeated."""

from __future__ import annotations

import re
from uuid import uuid4

import pytest

from tests.conftest import FUZZ
from tests.contract.conftest import ask
from tests.contract.test_contract_calls import VIDEO


@pytest.mark.parametrize(
    ("word", "status"),
    [("T", 401), ("YES", 401), ("", 404), ("No", 404), *([("1", 401), ("on", 401), ("off", 404)] if FUZZ > 1 else [])],
)
async def test_require_auth_takes_every_word_for_yes_and_no(start, word, status):
    """A visitor is turned away by each word for yes, and by none for no."""
    async with start(REQUIRE_AUTH=word).session() as api:
        assert (await ask(api, "get", f"/api/v1/job/{uuid4()}"))[0] == status


async def test_music_that_may_not_be_used_commercially_is_refused(start, db):
    """With COMMERCIAL_ONLY a job for mmaudio is, also one like an old one, with a sentence that says which engines to ask for."""
    old = await db.fetchval(
        "insert into public.jobs (video_url, options) values ($1, $2) returning id", VIDEO, '{"engine": "mmaudio"}'
    )
    async with start(COMMERCIAL_ONLY="true").session() as api:
        for path, body in (("gen", {"video_url": VIDEO, "engine": "mmaudio"}), (f"job/{old}/again", {})):
            status, problem = await ask(api, "post", f"/api/v1/{path}", json=body)
            assert (status, problem["code"]) == (422, "invalid_request")
            assert "mmaudio may not be used commercially" in problem["detail"]
            assert "ask for auto, acestep or sketch" in problem["detail"]
        for engine in ("auto", "acestep"):
            assert (await ask(api, "post", "/api/v1/gen", json={"video_url": VIDEO, "engine": engine}))[0] == 200
        assert (await ask(api, "post", f"/api/v1/job/{old}/again", json={"engine": "sketch"}))[0] == 200


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"REQUIRE_AUTH": "maybe"}, "REQUIRE_AUTH is malformed"),
        ({"REQUIRE_AUTH": " true"}, "REQUIRE_AUTH is malformed"),
        ({"REQUIRE_AUTH": "2"}, "REQUIRE_AUTH is malformed"),
        ({"COMMERCIAL_ONLY": "perhaps"}, "COMMERCIAL_ONLY is malformed"),
        ({"CORS_ORIGINS": "example.com"}, "CORS_ORIGINS is malformed: example.com is not an origin"),
        ({"SUPABASE_URL": "ref.supabase.co"}, "SUPABASE_URL is malformed"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(start, others, said):
    """A host does not start with a setting that it would have to guess."""
    with pytest.raises(AssertionError, match=said):
        start(**others)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://postgres:se/cret@127.0.0.1:1/postgres",
        "postgresql://postgres:s3cr3t#x@127.0.0.1:1/postgres",
        "postgresql://postgres:12345#cret@127.0.0.1:1/postgres",
        "postgresql://postgres:s3cr3t%zz@127.0.0.1:1/postgres",
        "postgresql://postgres:s3cr3t@127.0.0.1:1,127.0.0.1:2/postgres",
        "s3cr3t",
    ],
)
async def test_a_malformed_database_address_is_never_repeated(start, url):
    """Whether a host refuses an odd address or takes it for a database that is away, it says nothing of what it holds."""
    try:
        host = start(SUPABASE_DB_URL=url)
    except AssertionError as error:
        said = str(error)
        assert re.search("_URL is malformed|_URL names several hosts", said)
    else:
        async with host.session() as api:
            assert (await ask(api, "get", "/healthz"))[0] == 503
        host.stop()
        said = host.output
    assert [word for word in ("s3cr3t", "cret", "12345", "%zz") if word in said.replace("SECRET", "")] == []


async def test_database_url_comes_first(start, settings):
    """Who names a database means that one: SUPABASE_DB_URL is always set on Supabase's platform."""
    nobody = "postgresql://postgres:nothing@127.0.0.1:1/postgres"
    async with start(DATABASE_URL=settings["SUPABASE_DB_URL"], SUPABASE_DB_URL=nobody).session() as api:
        assert (await ask(api, "get", "/healthz"))[0] == 200


async def test_slashes_at_the_end_of_an_origin_are_no_part_of_it(start):
    """Browsers send origins without any."""
    async with (
        start(CORS_ORIGINS="https://app.example//").session() as api,
        api.get("/api/v1/ping", headers={"Origin": "https://app.example"}) as answer,
    ):
        assert answer.headers.get("Access-Control-Allow-Origin") == "https://app.example"
