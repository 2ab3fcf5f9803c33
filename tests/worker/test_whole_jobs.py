"""Whole jobs through a whole worker: music that comes out, bad input that is told apart, a worker that lives on."""

import asyncio
import json

import aiohttp
import av
import pytest

from rhythmai.sample import make_sample
from tests.unit.films import film
from tests.unit.voices import film_of, said, voice
from tests.worker.whole_worker import MAX_BYTES, MAX_DURATION_S
from worker.tidying import Tidying


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    file = tmp_path_factory.mktemp("video") / "video.mp4"
    make_sample(file, seconds=2)
    return file.read_bytes()


async def fetch(url):
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return await answer.read()


async def test_a_video_becomes_tracks_and_then_a_film(worker, insert, db, video, tmp_path):
    """A plain SQL insert becomes three tracks of exactly the video's length; a merge job puts one of them under it."""
    url = await worker.upload(video)
    done = await worker.until_ended(await insert(video_url=url))
    assert (done["status"], done["completed_count"], done["error"]) == ("completed", 3, None)
    assert len({(r["title"], r["key"], r["bpm"]) for r in done["results"]}) == 3
    (tmp_path / "a.flac").write_bytes(await fetch(done["results"][0]["audio_url"]))
    with av.open(tmp_path / "a.flac") as track:
        rate = track.streams.audio[0].rate
        assert sum(frame.samples for frame in track.decode(audio=0)) == 2 * rate

    options = json.dumps({"audio_url": done["results"][0]["audio_url"]})
    merged = await worker.until_ended(await insert(kind="merge", video_url=url, options=options))
    (tmp_path / "m.mp4").write_bytes(await fetch(merged["results"][0]["video_url"]))
    with av.open(tmp_path / "m.mp4") as film:
        assert [s.codec.name for s in film.streams] == ["h264", "aac"]
        assert film.metadata["copyright"] == "MIT, commercial use allowed: https://opensource.org/license/mit"
    ours = {"name": "MIT", "commercial": True, "url": "https://opensource.org/license/mit"}
    assert [one["licence"] for one in (*done["results"], *merged["results"])] == [ours] * 4
    assert list(worker.work_dir.iterdir()) == []


async def test_an_odd_film_gets_a_preview_and_everything_can_be_deleted(worker, insert, db, tmp_path):
    """A film that browsers do not play has one when its job ends, and its tracks an M4A; after a deletion nothing is left of it in Storage."""
    odd = film(tmp_path / "odd.mkv", "-c:v", "mpeg4", shape="353x203")
    url = await worker.upload(odd.read_bytes())
    job_id = await insert(video_url=url, options='{"variants": 1}')
    done = await worker.until_ended(job_id)
    assert (done["status"], done["notes"]) == ("completed", [])
    for name, address in (("p.mp4", done["preview_url"]), ("a.m4a", done["results"][0]["audio_preview_url"])):
        (tmp_path / name).write_bytes(await fetch(address))
    with av.open(tmp_path / "p.mp4") as preview, av.open(tmp_path / "a.m4a") as track:
        assert [s.codec.name for s in preview.streams] == ["h264", "aac"]
        assert [s.codec.name for s in track.streams] == ["aac"]

    left = "select array_agg(bucket_id order by bucket_id) from storage.objects where name like any ($1)"
    places = [f"{job_id}/%", f"{url.split('/')[-2]}/%"]
    assert await db.fetchval(left, places) == ["audios", "audios", "uploads", "videos"]
    await db.execute("select queue.erase($1)", job_id)
    await db.execute("select setval('private.tidied_ms', 1)")
    await Tidying(queue=worker.queue, storage=worker.storage).once()
    assert await db.fetchval(left, places) is None
    async with aiohttp.ClientSession() as session, session.get(done["preview_url"]) as answer:
        assert answer.status in {400, 404}


async def test_a_job_says_where_somebody_speaks_and_its_merge_goes_by_that(worker, insert, db, tmp_path):
    """Heard once, within the part that is set to music, for the whole film; a merge before which no job has heard it listens itself."""
    words = voice("Hello there. Is anybody at home?")
    film = film_of(tmp_path / "talk.mp4", said(8, (1, words), (5, words)))
    url = await worker.upload(film.read_bytes())
    music = await worker.upload(film.read_bytes(), "music.mp4")
    options = json.dumps({"audio_url": music, "mode": "mix", "duck": True})
    alone = await worker.until_ended(await insert(kind="merge", video_url=url, options=options))
    assert [span["start"] for span in alone["speech"]] == pytest.approx([1, 5], abs=0.15)

    done = await worker.until_ended(await insert(video_url=url, options='{"variants": 1, "duration": 2}'))
    assert (done["status"], done["notes"]) == ("completed", [])
    (span,) = done["speech"]
    assert (span["start"], span["end"]) == pytest.approx((1, 2), abs=0.15)
    after = await worker.until_ended(await insert(kind="merge", video_url=url, options=options))
    assert after["speech"] == alone["speech"]
    stages = await db.fetch("select took_s ? 'hearing' as heard from public.jobs where kind = 'merge' order by seq")
    assert [row["heard"] for row in stages] == [True, False]


async def test_a_brief_makes_the_same_music_every_time(worker, insert, db, tmp_path):
    """A film in which somebody speaks is briefed; jobs with its plan, moments and seed have the same samples as one that asks the director."""
    words = voice()
    url = await worker.upload(film_of(tmp_path / "talk.mp4", said(4, (1, words))).read_bytes())
    asked = {"duration": 2, "seed": 7, "variants": 2}
    brief = await worker.until_ended(await insert(kind="brief", video_url=url, options=json.dumps(asked)))
    assert (brief["status"], brief["error"], brief["results"]) == ("completed", None, [])
    told = brief["brief"]
    assert (told["duration"], told["seed"], len(told["directions"])) == (2, 7, 2)
    assert told["speech"] == brief["speech"] != []

    plan = {"duration": 2, "plan": told["directions"], "hits": told["hits"], "seed": told["seed"]}
    music = []
    for options in (plan, plan, asked):
        job = await worker.until_ended(await insert(video_url=url, options=json.dumps(options)))
        assert (job["status"], job["hits"]) == ("completed", told["hits"])
        files = [await fetch(result["audio_url"]) for result in job["results"]]
        music.append([(result["prompt"], flac[26:42]) for result, flac in zip(job["results"], files, strict=True)])
    assert music[0] == music[1] == music[2]
    assert len(set(music[0])) == 2


async def test_a_running_job_is_cancelled_and_leaves_nothing_behind(worker, insert, db, video):
    """Cancelling while the job runs stops it: no further rows, no temporary files."""
    url = await worker.upload(video)
    job_id = await insert(video_url=url, options='{"variants": 8}')
    async with asyncio.timeout(120):
        while not await db.fetchval("select count(*) from public.results"):
            await asyncio.sleep(0.01)
    await db.fetchval("select queue.cancel($1)", job_id)
    answer = await worker.until_ended(job_id)
    assert answer["status"] == "cancelled"
    assert 1 <= answer["completed_count"] < 8
    assert list(worker.work_dir.iterdir()) == []


def playlist(secret):
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile://{secret}\n#EXT-X-ENDLIST\n".encode()


def script(secret):
    return f"ffconcat version 1.0\nfile 'file:{secret}'\n".encode()


async def test_files_that_are_no_video_fail_once_with_a_reason(worker, insert, db, video, tmp_path):
    """Text, nothing, sound alone, playlists and scripts that point at a local file, too long, too large: one attempt, a clear error."""
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(video)
    long_video = tmp_path / "long.mp4"
    await asyncio.to_thread(make_sample, long_video, MAX_DURATION_S + 2)
    files = {
        "not_a_video": [b"this is a text file\n" * 50, playlist(secret), script(secret)],
        "empty_file": [b""],
        "too_long": [long_video.read_bytes()],
        "too_large": [video + bytes(MAX_BYTES)],
    }
    for code, contents in files.items():
        for content in contents:
            answer = await worker.until_ended(await insert(video_url=await worker.upload(content)))
            assert (answer["status"], answer["error_code"]) == ("failed", code), answer
            assert len(answer["error"]) > 20
    assert await db.fetchval("select max(attempt) from public.jobs") == 1


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("file:///etc/passwd", "bad_url"),
        ("http://169.254.169.254/latest/meta-data/", "forbidden_address"),
        ("http://localhost:5432/", "forbidden_address"),
        ("http://[::ffff:10.0.0.1]/a.mp4", "forbidden_address"),
        ("not a url", "bad_url"),
    ],
)
async def test_addresses_nobody_may_fetch_fail_once(worker, insert, db, url, code):
    """Local files and private addresses are refused before anything is asked of them."""
    answer = await worker.until_ended(await insert(video_url=url))
    assert (answer["status"], answer["error_code"]) == ("failed", code)
    assert await db.fetchval("select attempt from public.jobs") == 1


async def test_a_host_that_cannot_be_reached_is_tried_again(worker, insert, db):
    """What may work later goes back to the queue with backoff and its reason in the row."""
    await insert(video_url="http://does-not-exist.invalid/a.mp4")
    async with asyncio.timeout(120):
        while not await db.fetchval("select run_at is not null from public.jobs"):
            await asyncio.sleep(0.02)
    row = await db.fetchrow("select status, error_code, error from public.jobs")
    assert (row["status"], row["error_code"]) == ("pending", "unreachable")
    assert "does-not-exist.invalid" in row["error"]


async def test_a_missing_object_is_not_tried_again(worker, insert, gateway):
    """404 ends the job at once."""
    url = f"{gateway.url}/storage/v1/object/public/uploads/nobody/has/this.mp4"
    answer = await worker.until_ended(await insert(video_url=url))
    assert (answer["status"], answer["error_code"]) == ("failed", "not_found")
