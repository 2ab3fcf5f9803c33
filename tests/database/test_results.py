"""Results: written whole and once, small, of this job, with the licence of their music and the best of them named."""

import asyncpg
import pytest

NEWEST_ONLY = True
FIT = {
    "cuts": 5, "on_beat": 4, "chance": 0.24, "luck": 0.013, "curve": 0.41, "lra_lu": 4.2, "score": 0.74, "hits": [0.012, None],
}  # fmt: skip


async def test_a_result_is_written_whole(db, queue):
    """Every field of a result arrives; the attempt that made it is on record."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    result = {
        "prompt": "warm strings", "title": "Dawn", "description": "calm", "audio_url": "https://s/a.flac",
        "seed": 2**32 - 1, "duration": 12.5, "engine": "sketch", "model": "1", "describer": "local", "bpm": 92.5,
        "key": "D minor", "peaks": "AID/", "loudness_lufs": -15.5, "true_peak_db": -1.25, "ignored": ["negative_prompt"],
        "audio_preview_url": "https://s/a.m4a", "licence": {"name": "MIT", "commercial": True, "url": "https://s/mit"}, "fit": FIT,
        "gain_db": -3.25, "mended": {"start_s": 1.5, "end_s": 4.0}, "master_url": "https://s/m.flac", "latents_url": "https://s/l.safetensors",
    }  # fmt: skip
    assert await worker.put(job, 2, **result) == "ok"
    row = await db.fetchrow("select * from public.results")
    assert {name: row[name] for name in result} == result
    assert (row["index"], row["attempt"]) == (2, 1)
    (told,) = (await db.fetchval("select queue.answer($1)", job["id"]))["results"]
    assert (told["gain_db"], told["mended"], told["fit"]) == (-3.25, {"start": 1.5, "end": 4.0}, FIT)
    assert not told.keys() & {"master_url", "latents_url", "pack_url"}


async def test_a_pack_has_one_address(db, queue):
    """Its only result is the zip file, and nothing of a track is told."""
    await queue.insert(kind="pack", options={"packs": {}, "audio_url": "https://s/a.flac"})
    worker = await queue.worker()
    job = await worker.claim()
    assert await worker.put(job, 0, audio_url=None, pack_url="https://s/a.zip") == "ok"
    await worker.finish(job)
    answer = await db.fetchval("select queue.answer($1)", job["id"])
    assert (answer["status"], answer["total_count"]) == ("completed", 1)
    assert answer["results"] == [{"index": 0, "pack_url": "https://s/a.zip"}]


async def test_a_result_is_never_overwritten(db, queue):
    """The same index again is accepted and changes nothing: no user sees a track change."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    await worker.put(job, 0, title="first")
    assert await worker.put(job, 0, title="second") == "ok"
    assert await db.fetchval("select title from public.results") == "first"


@pytest.mark.parametrize(
    ("address", "known"),
    [
        ("https://s/audios/{job}/1-2c26.flac", True),
        ("https://s/audios/{job}/1-2c26.flac?download=", True),
        ("https://s/audios/{job}/1-7d86.m4a", True),
        ("https://elsewhere/audios/{job}/1-2c26.flac", False),
        ("https://s/audios/{job}/0-2c26.flac", False),
        ("https://s/song.flac", False),
    ],
)
async def test_a_merge_knows_the_licence_of_its_music(db, queue, address, known):
    """A track of ours keeps its licence, by the address of its file or of its players' one; of other music nothing is known."""
    worker = await queue.worker()
    await queue.submit()
    job, licence = await worker.claim(), {"name": "MIT", "commercial": True, "url": "https://s/mit"}
    ours = {
        "audio_url": f"https://s/audios/{job['id']}/1-2c26.flac",
        "audio_preview_url": f"https://s/audios/{job['id']}/1-7d86.m4a",
    }
    await worker.put(job, 1, **ours, licence=licence)
    merge = await queue.submit("merge", p_options={"audio_url": address.format(job=job["id"])})
    assert await db.fetchval("select queue.music_licence($1)", merge) == (licence if known else None)


@pytest.mark.parametrize("index", [-1, 3, None])
async def test_a_result_must_be_one_of_the_job_s(queue, index):
    """A job of three takes the indices 0, 1 and 2."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    with pytest.raises(asyncpg.DataError, match="not one of this job's 3"):
        await worker.put(job, index)


async def test_a_retry_makes_only_what_is_missing(queue):
    """After a crash between two variants the next worker learns which are done."""
    await queue.insert()
    one, other = await queue.worker(), await queue.worker()
    job = await one.claim()
    await one.put(job, 0)
    await one.put(job, 2)
    await one.crash()
    assert (await other.claim())["done"] == [0, 2]


async def test_a_result_is_small(db, queue):
    """A result with a waveform and a long caption takes less than 1,000 bytes in an answer and in an event; the addresses of its players'
    file and of its licence, how it fits its film and what it is mended by take less than 350 more."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    await worker.put(
        job, 0, prompt="slow cinematic piano, soft strings that open with the picture, " * 2, title="Tender Clearing",
        description="A quiet piano over strings, growing with the second scene.", engine="mmaudio", model="large_44k_v2",
        describer="openai:ernie-4.5-vl-28b-a3b", key="D minor", bpm=72, seed=2**32 - 1, duration=175.04, peaks="A" * 216,
        audio_url=f"https://abcdefghijklmnopqrst.supabase.co/storage/v1/object/public/audios/{job['id']}/0-2c26b46b68ffc68f.flac",
        loudness_lufs=-14.01, true_peak_db=-1.13, fit=FIT, gain_db=-12.34,
        licence={"name": "CC-BY-NC-4.0", "commercial": False, "url": "https://creativecommons.org/licenses/by-nc/4.0/"},
        audio_preview_url=f"https://abcdefghijklmnopqrst.supabase.co/storage/v1/object/public/audios/{job['id']}/0-7d865e95.m4a",
    )  # fmt: skip
    whole, without = await db.fetchrow(
        "select octet_length(j::text), octet_length((j - 'audio_preview_url' - 'fit' - 'gain_db' - 'mended' #- '{licence,url}')::text) "
        "from public.results r, cast(private.result_json(r, 'generate') as jsonb) j"
    )
    assert (without < 1000, whole < 1350) == (True, True)


@pytest.mark.parametrize(
    ("scores", "best"),
    [((0.2, 0.74, 0.3), 1), ((0.5, 0.5), 0), ((0, 0), None), ((0.9,), None), ((None, 0.1), 1), ((None, None), None)],
)
async def test_the_best_of_several_tracks_is_named(db, queue, scores, best):
    """The one that fits the film most beyond chance, the first of equals; none where no fit is known, none does, or it is alone."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    for index, score in enumerate(scores):
        await worker.put(job, index, fit=None if score is None else FIT | {"score": score})
    answer = await db.fetchval("select queue.answer($1)", job["id"])
    assert answer["best"] == best
    assert [result["index"] for result in answer["results"]] == list(range(len(scores)))
    assert await db.fetchval("select count(*) from public.results where fit is null") == scores.count(None)


@pytest.mark.parametrize("fit", [[1], "much", FIT | {"beats": [0.5] * 200}])
async def test_a_fit_is_small(db, queue, fit):
    """What is no object, or a long one, is refused."""
    await queue.insert()
    worker = await queue.worker()
    job = await worker.claim()
    with pytest.raises(asyncpg.CheckViolationError, match="results_fit"):
        await worker.put(job, 0, fit=fit)


async def test_a_fit_has_room_for_every_hit(queue):
    """Thirty-two of them, to the millisecond."""
    await queue.insert()
    worker = await queue.worker()
    assert await worker.put(await worker.claim(), 0, fit=FIT | {"hits": [-0.123] * 32}) == "ok"
