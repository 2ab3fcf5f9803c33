"""Jobs whose files are signed: what is in Storage, and what a retry makes of it."""

from __future__ import annotations

import hashlib
import json

import pytest

from tests.unit.certificates import signatory
from tests.unit.manifests import assertion, samples, signer_of, told
from tests.unit.media import write_video
from tests.worker.test_whole_jobs import fetch
from tests.worker.whole_worker import running_worker
from worker.errors import Unavailable
from worker.jobs import PostgresQueue
from worker.storage import SupabaseStorage


@pytest.fixture
async def worker(database_url, queue, gateway, tmp_path):
    """A whole worker that signs."""
    signer = signer_of(signatory(), tmp_path)
    async with running_worker(database_url, queue, gateway, tmp_path / "work", signer=signer) as worker:
        yield worker


async def test_everything_that_a_job_makes_is_signed(worker, insert, tmp_path):
    """A track, what players get of it, and a film with it: the sketch composer is an algorithm and no trained model."""
    url = await worker.upload(write_video(tmp_path / "film.mp4").read_bytes())
    (track,) = (await worker.until_ended(await insert(video_url=url, options='{"variants": 1}')))["results"]
    for address, kind in ((track["audio_url"], "audio/flac"), (track["audio_preview_url"], "audio/mp4")):
        manifest, wrong, state = told(await fetch(address), kind)
        assert (state, wrong) == ("Trusted", [])
        assert assertion(manifest, "rhythmai.origin")["seed"] == str(track["seed"])
        (action,) = assertion(manifest, "c2pa.actions.v2")["actions"]
        assert action["digitalSourceType"].endswith("/algorithmicMedia")

    options = json.dumps({"audio_url": track["audio_url"]})
    (film,) = (await worker.until_ended(await insert(kind="merge", video_url=url, options=options)))["results"]
    manifest, wrong, state = told(await fetch(film["video_url"]), "video/mp4")
    assert (state, wrong) == ("Trusted", [])
    assert [part["title"] for part in manifest["ingredients"]] == ["film", "music"]
    assert list(worker.work_dir.iterdir()) == []


async def test_a_retry_finds_what_it_has_signed_before(worker, insert, db, tmp_path, monkeypatch):
    """No two signatures are alike, and the path is by what was signed: the file that is there counts as uploaded, and stays."""
    kept, put = {}, PostgresQueue.put_result

    async def breaks(queue, lease, result):
        if not kept:
            kept[result.audio_url] = await fetch(result.audio_url)
            raise Unavailable("the row is not written")
        await put(queue, lease, result)

    monkeypatch.setattr(PostgresQueue, "put_result", breaks)
    url = await worker.upload(write_video(tmp_path / "film.mp4").read_bytes())
    job_id = await insert(video_url=url, options='{"variants": 1, "seed": 3}')
    done = await worker.until_ended(job_id)
    assert done["status"] == "completed"
    address = done["results"][0]["audio_url"]
    assert kept == {address: await fetch(address)}
    names = await db.fetch("select name from storage.objects where name like $1", f"{job_id}/0-%.flac")
    assert len(names) == 1
    assert hashlib.sha256(kept[address]).hexdigest()[:32] not in address


async def test_equal_music_has_one_path(gateway):
    """Another signature of the same file is not written over the first."""
    storage = SupabaseStorage(gateway.url, gateway.key)
    urls = [await storage.put("audios", "job/0-abc.flac", data, "audio/flac") for data in (b"first", b"second")]
    assert urls[0] == urls[1]
    assert await fetch(urls[0]) == b"first"
    await storage.close()


async def test_samples_are_what_is_promised(worker, insert, tmp_path):
    """The same job twice: the files differ, not a sample does."""
    url = await worker.upload(write_video(tmp_path / "film.mp4").read_bytes())
    files = []
    for _ in range(2):
        done = await worker.until_ended(
            await insert(video_url=url, options='{"variants": 1, "seed": 3, "format": "wav"}')
        )
        files.append(await fetch(done["results"][0]["audio_url"]))
    assert files[0] != files[1]
    assert (samples(files[0]) == samples(files[1])).all()
