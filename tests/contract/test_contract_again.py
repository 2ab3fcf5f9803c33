"""Another take of a job, on both hosts."""

from __future__ import annotations

import json
from uuid import UUID, uuid4

import asyncpg

from tests.contract.conftest import VIDEO, ask


async def repeated(api, db, job, key="", **wish) -> tuple[dict, asyncpg.Record]:
    """Another take of a job: its options and its row."""
    headers = {"Idempotency-Key": key} if key else {}
    status, answer = await ask(api, "post", f"/api/v1/job/{job}/again", json=wish, headers=headers)
    assert status == 200, answer
    row = await db.fetchrow("select * from public.jobs where id = $1", UUID(answer["job_id"]))
    return json.loads(row["options"]), row


async def test_again_plays_the_old_directions(api, gen, hand, db):
    """A new take keeps video, wish, options and directions and drops the old seed; `variant` and `seed` pick one."""
    job = await gen(seed=5, variants=3, format="wav", user_request="calm")
    await hand.claim(job)
    await hand.plan("piano", "strings", "drums")
    directions = [{"title": name, "prompt": name} for name in ("piano", "strings", "drums")]
    options, row = await repeated(api, db, job)
    assert options == {"format": "wav", "plan": directions}
    assert (row["video_url"], row["user_request"], row["total_count"], row["plan"]) == (VIDEO, "calm", 3, None)
    options, row = await repeated(api, db, job, variant=1, seed=42)
    assert (options, row["total_count"]) == ({"format": "wav", "plan": directions[1:2], "seed": 42}, 1)


async def test_again_before_there_is_a_plan_copies_the_request(api, gen, db):
    """Without a plan the options are copied; a hand-written plan counts as one."""
    options, _ = await repeated(api, db, await gen(variants=4, negative_prompt="vocals"))
    assert options == {"variants": 4, "negative_prompt": "vocals"}
    options, _ = await repeated(api, db, await gen(plan=[{"prompt": "one"}, {"prompt": "two"}]), variant=1)
    assert options == {"plan": [{"prompt": "two"}]}


async def test_again_leaves_out_what_only_operators_may_ask_for(api, gen, db):
    """Another take of a job that an operator gave more steps to is an ordinary one."""
    job = await gen(format="wav")
    await db.execute(
        'update public.jobs set options = options || \'{"steps": 100, "guidance": 20}\' where id = $1', UUID(job)
    )
    options, _ = await repeated(api, db, job)
    assert options == {"format": "wav"}


async def test_again_is_idempotent_by_its_key(api, gen, hand, db):
    """A repeated `again` is one job, also when the plan was written in between."""
    job, key = await gen(), uuid4().hex
    _, first = await repeated(api, db, job, key)
    await hand.claim(job)
    await hand.plan("piano", "strings", "drums")
    assert await repeated(api, db, job, key) == ({}, first)


async def test_again_refuses_what_is_not_there(api, gen):
    """An unknown job is 404, a variant beyond the last is 422 and says which there are."""
    assert (await ask(api, "post", f"/api/v1/job/{uuid4()}/again"))[0] == 404
    status, problem = await ask(api, "post", f"/api/v1/job/{await gen()}/again", json={"variant": 3})
    assert (status, problem["detail"]) == (
        422,
        "variant 3 does not exist; this job has variants 0 to 2, which are its tracks 1 to 3",
    )


async def test_again_keeps_the_engine_unless_it_is_told_otherwise(api, gen, db):
    """Another take is made by what made the first, or by what the body names."""
    job = await gen(engine="acestep")
    for wish, engine in (({}, "acestep"), ({"engine": "sketch"}, "sketch"), ({"engine": "auto"}, "")):
        options, row = await repeated(api, db, job, **wish)
        assert (row["engine"], options) == (engine, {})
    status, problem = await ask(api, "post", f"/api/v1/job/{job}/again", json={"engine": "lyria"})
    assert (status, problem["errors"][0]["field"]) == (422, "engine")
