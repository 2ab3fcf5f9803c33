"""What is asked of one finished track: a part of it made anew, and a pack of it; nobody else fills those options."""

from __future__ import annotations

from uuid import uuid4

import asyncpg
import pytest

from tests.database.test_retention import STORE, deleted, put

__all__ = ["put"]
OWNER, OTHER = uuid4(), uuid4()
PLAN = {
    "variants": [{"index": index, "seed": 70 + index, "direction": {"title": t, "prompt": t}} for index, t in enumerate(("piano", "drums"))],
    "describer": "local",
    "hits": [{"at_s": 7.3, "kind": "drop"}],
    "segments": [{"start_s": 0, "prompt": None, "energy": 0.25}],
}  # fmt: skip
TRACK = {
    "audio_url": "https://s/a.flac", "seed": 71, "duration": 12.0, "gain_db": -3.25, "engine": "sketch", "title": "drums",
}  # fmt: skip
AGAIN = "select queue.again($1, p_user => $2, p_variant => $3, p_start => $4, p_end => $5)"
PACK = "select queue.pack($1, $2, $3)"


@pytest.fixture
def made(queue):
    """Makes a job of two tracks whose second one is there; returns its id."""

    async def made(owner=None, options=None, plan=PLAN, **track):
        job_id = await queue.submit(
            p_owner=owner, p_options={"variants": 2, "seed": 5, "format": "wav"} | (options or {})
        )
        worker = await queue.worker(kinds=("generate",))
        job = await worker.claim()
        assert job["id"] == str(job_id)
        if plan:
            await worker.plan(job, plan)
        await worker.put(job, 1, **TRACK | track)
        await worker.finish(job)
        return job_id

    return made


async def test_a_part_is_made_anew_with_what_was_kept(db, queue, made):
    """The new job has the track's direction, engine, moments and segments, and the seed, gain and files of the old track."""
    row = await queue.job(await db.fetchval(AGAIN, await made(), None, 1, 2.5, 6.0))
    assert (row["engine"], row["total_count"], row["plan"], row["kind"]) == ("sketch", 1, None, "generate")
    assert row["options"] == {
        "format": "wav",
        "plan": [{"title": "drums", "prompt": "drums"}],
        "hits": [{"at": 7.3, "kind": "drop"}],
        "segments": [{"start": 0, "energy": 0.25}],
        "mend": {"start": 2.5, "end": 6.0, "seed": 71, "gain_db": -3.25, "master_url": "https://s/a.flac"},
    }


async def test_a_job_with_one_track_needs_no_variant(db, queue, made):
    """Where there are several it is named."""
    with pytest.raises(asyncpg.InvalidParameterValueError, match="this job has variants 0 to 1"):
        await db.fetchval(AGAIN, await made(), None, None, 2.5, 6.0)
    job = await queue.submit(p_options={"variants": 1})
    worker = await queue.worker()
    claimed = await worker.claim()
    await worker.put(claimed, 0, **TRACK)
    row = await queue.job(await db.fetchval(AGAIN, job, None, None, 2.5, 6.0))
    assert (row["total_count"], row["options"]["mend"]["start"]) == (1, 2.5)


@pytest.mark.parametrize(
    ("track", "master"),
    [
        ({"audio_url": "https://s/a.mp3", "master_url": "https://s/m.flac"}, "https://s/m.flac"),
        ({"audio_url": "https://s/a.wav?download="}, "https://s/a.wav?download="),
        ({"engine": "mmaudio", "latents_url": "https://s/l.safetensors"}, "https://s/a.flac"),
    ],
)
async def test_the_file_with_every_sample_is_mended(db, queue, made, track, master):
    """The master beside an mp3, else the track itself; and what the engine goes on from."""
    mend = (await queue.job(await db.fetchval(AGAIN, await made(**track), None, 1, 0.0, 6.0)))["options"]["mend"]
    assert (mend["master_url"], mend.get("latents_url")) == (master, track.get("latents_url"))


@pytest.mark.parametrize(
    ("track", "part", "why"),
    [
        ({"gain_db": None}, (2, 6), "not known by how much it was raised"),
        ({"audio_url": "https://s/a.mp3"}, (2, 6), "no file with every sample"),
        ({"audio_url": "https://s/a.m4a"}, (2, 6), "no file with every sample"),
        ({"engine": "mmaudio"}, (2, 6), "what its engine goes on from was not kept"),
        ({}, (12, 13), "it ends at 12 s"),
        ({}, (10, 12.1), "it ends at 12 s"),
    ],
)
async def test_what_cannot_be_mended_says_why(db, made, track, part, why):
    """The code of the contract stands in the hint."""
    with pytest.raises(asyncpg.PostgresError, match=why) as refusal:
        await db.fetchval(AGAIN, await made(**track), None, 1, *part)
    assert (refusal.value.sqlstate, refusal.value.hint) == ("RY409", "cannot_mend")


async def test_a_part_ends_with_its_track_at_the_latest(db, queue, made):
    """A length that was rounded up is not refused."""
    row = await queue.job(await db.fetchval(AGAIN, await made(), None, 1, 9, 12.04))
    assert row["options"]["mend"]["end"] == 12


@pytest.mark.parametrize("question", [AGAIN, PACK])
async def test_a_track_that_is_not_there_is_waited_for(db, made, question):
    """Of a job that has ended without it, too, the code is not_ready."""
    job = await made()
    with pytest.raises(asyncpg.PostgresError, match="has ended without variant 0") as refusal:
        await db.fetchval(question, job, None, 0, *((1, 2) if question == AGAIN else ()))
    assert (refusal.value.sqlstate, refusal.value.hint) == ("RY409", "not_ready")


@pytest.mark.parametrize(
    ("part", "more", "why"),
    [
        ((3, None), "", "start and end go together"),
        ((None, 3), "", "start and end go together"),
        ((4, 4), "", "start must be before end"),
        ((2, 3), ", p_engine => 'acestep'", "made anew by what made the track, sketch"),
    ],
)
async def test_a_part_that_is_none_is_refused(db, made, part, more, why):
    """One end of it, none of it, or one by another engine."""
    with pytest.raises(asyncpg.InvalidParameterValueError, match=why):
        await db.fetchval(AGAIN[:-1] + f"{more})", await made(), None, 1, *part)


async def test_another_take_of_a_mended_track_is_one_of_the_whole(db, queue, made):
    """What was mended stays with the job that did it; the moments of its plan go on."""
    mended = await db.fetchval(AGAIN, await made(), None, 1, 2.5, 6.0)
    row = await queue.job(await db.fetchval("select queue.again($1)", mended))
    assert sorted(row["options"]) == ["format", "hits", "plan", "segments"]


@pytest.mark.parametrize(
    ("kind", "options", "arguments", "why"),
    [
        ("merge", {"audio_url": "https://a"}, {"p_start": 1, "p_end": 2}, "a merge job has neither"),
        ("brief", {}, {"p_start": 1, "p_end": 2}, "a brief has neither"),
        ("brief", {}, {"p_variant": 0}, "a brief has neither"),
        ("pack", {"packs": {}, "audio_url": "https://a"}, {}, "a pack is made anew from its track"),
    ],
)
async def test_only_tracks_have_parts(db, queue, kind, options, arguments, why):
    """The other kinds are refused in a sentence, by pack as well."""
    job = await queue.insert(kind=kind, options=options)
    named = "".join(f", {name} => {value}" for name, value in arguments.items())
    with pytest.raises(asyncpg.InvalidParameterValueError, match=why):
        await db.fetchval(f"select queue.again($1{named})", job)
    with pytest.raises(asyncpg.InvalidParameterValueError, match=f"a {kind} has no tracks"):
        await db.fetchval(PACK, job, None, None)


async def test_a_brief_is_asked_for_again(db, queue):
    """The same question, with another seed where one is named."""
    job = await queue.submit("brief", p_options={"variants": 2, "seed": 5}, p_user_request="calm")
    row = await queue.job(await db.fetchval("select queue.again($1, p_seed => 9)", job))
    assert (row["kind"], row["user_request"], row["options"]) == ("brief", "calm", {"variants": 2, "seed": 9})


async def test_a_pack_has_all_it_is_made_of(db, queue, made):
    """The track as it is told, its file, its one direction, and the options of its music; callbacks and metadata stay behind."""
    told = {"callback_url": "https://hook", "events": ["job.failed"], "metadata": {"a": "b"}, "loudness_lufs": -16}
    row = await queue.job(await db.fetchval(PACK, await made(options=told), None, 1))
    assert (row["kind"], row["engine"], row["total_count"]) == ("pack", "", 1)
    assert row["plan"] == PLAN | {"variants": PLAN["variants"][1:]}
    packs = row["options"].pop("packs")
    assert row["options"] == {"format": "wav", "loudness_lufs": -16, "audio_url": "https://s/a.flac"}
    assert packs.items() >= (TRACK | {"index": 1}).items()


@pytest.mark.parametrize(("scores", "packed"), [((0.2, 0.7), 1), ((0, 0), 0), ((None, None), 0)])
async def test_without_a_variant_the_best_track_is_packed(db, queue, scores, packed):
    """The first one where none is."""
    job = await queue.submit()
    worker = await queue.worker()
    claimed = await worker.claim()
    with pytest.raises(asyncpg.PostgresError, match="variant 0 of this job is not there yet"):
        await db.fetchval(PACK, job, None, None)
    for index, score in enumerate(scores):
        await worker.put(claimed, index, fit=None if score is None else {"score": score})
    row = await queue.job(await db.fetchval(PACK, job, None, None))
    assert (row["options"]["packs"]["index"], row["plan"]) == (packed, None)


async def test_a_pack_of_a_lossy_track_begins_from_its_master(db, queue, made):
    """Else from the track itself."""
    lossy = {"audio_url": "https://s/a.mp3"}
    for track, url in ((lossy | {"master_url": "https://s/m.flac"}, "https://s/m.flac"), (lossy, "https://s/a.mp3")):
        row = await queue.job(await db.fetchval(PACK, await made(**track), None, 1))
        assert row["options"]["audio_url"] == url


async def test_parts_and_packs_are_for_who_sees_the_job(db, made):
    """For another user there is none; an unknown variant is named."""
    job = await made(owner=OWNER)
    for user in (OTHER, None):
        assert await db.fetchval(PACK, job, user, 1) is None
        assert await db.fetchval(AGAIN, job, user, 1, 2, 3) is None
    assert await db.fetchval(PACK, job, OWNER, 1)
    with pytest.raises(asyncpg.InvalidParameterValueError, match="variant 5 does not exist"):
        await db.fetchval(PACK, job, OWNER, 5)


async def test_nobody_submits_what_only_a_track_gives(queue):
    """The API's own way in takes neither a pack nor a part with addresses of somebody's choice."""
    mend = {"start": 1, "end": 2, "seed": 3, "gain_db": 0, "master_url": "https://a"}
    for kind, options in (("generate", {"mend": mend}), ("pack", {"packs": {}, "audio_url": "https://a"})):
        with pytest.raises(asyncpg.InvalidParameterValueError, match="are asked for of a job"):
            await queue.submit(kind, p_options=options)


@pytest.mark.parametrize("question", [AGAIN, PACK])
async def test_what_is_read_stays_until_it_was(db, queue, made, put, question):
    """A deleted job's files go when the part is made, or the pack; those that hold every sample and what engines go on from, too."""
    worker = await queue.worker()
    job = await made()
    names = [f"audios/{job}/{name}" for name in ("1-a.mp3", "1-m.flac", "1-l.safetensors")]
    await db.execute(
        "update public.results set audio_url = $2, master_url = $3, latents_url = $4 where job_id = $1",
        job, *(f"{STORE}/{name}" for name in names),
    )  # fmt: skip
    await put(*names)
    new = await db.fetchval(question, job, None, 1, *((1, 2) if question == AGAIN else ()))
    await db.execute("select queue.erase($1)", job)
    first = [name for _, name in await deleted(db)]
    assert first == ([] if question == AGAIN else ["1-a.mp3", "1-l.safetensors"])
    claimed = await worker.claim()
    assert claimed["id"] == str(new)
    await worker.fail(claimed, again=False)
    then = [name for _, name in await deleted(db)]
    assert sorted(first + then) == ["1-a.mp3", "1-l.safetensors", "1-m.flac"]


async def test_what_is_read_is_found_by_an_index(db):
    """However many jobs there are, and whatever is asked about."""
    await db.execute("set enable_seqscan = off")
    source = await db.fetchval("select prosrc from pg_proc where proname = 'is_needed'")
    plan = await db.fetch("explain " + source.strip().rstrip(";").replace("p_object", "'audios/a/b'"))
    await db.execute("reset enable_seqscan")
    for index in ("jobs_music", "jobs_mends", "jobs_source", "results_object"):
        assert any(index in row[0] for row in plan), plan
