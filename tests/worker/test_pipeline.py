"""The way of one job, with small fakes at the seams: which objects and rows it leaves."""

import hashlib
import os
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy

from worker.domain import Kind, Options
from worker.errors import Rejected, ServiceAway
from worker.pipeline.plan import derive_seed


async def test_a_job_makes_one_row_for_each_variant(run, seams):
    """Three variants become three objects and three rows, in stages, with derived seeds."""
    await run(options=Options(seed=5))
    assert [row.index for row in seams.rows] == [0, 1, 2]
    assert [row.seed for row in seams.rows] == [derive_seed(5, i) for i in range(3)]
    assert seams.rows[0].seed == 5
    assert seams.rows[0].fit == {
        "cuts": 1, "on_beat": 1, "chance": 0.05, "luck": 0.05, "curve": 0.31, "lra_lu": 3.0, "score": 1.05,
    }  # fmt: skip
    assert (seams.rows[0].loudness_lufs, seams.rows[0].true_peak_db) == (-14.0, -1.1)
    assert seams.stages == ["fetching", "describing", "composing"]
    assert len(seams.objects) == 3
    assert not seams.folder.exists()


async def test_each_result_says_under_which_licence_it_stands(run, seams):
    """Its row and its file name the licence of the engine's weights, and a merge the track's."""
    await run()
    assert {row.licence for row in seams.rows} == {seams.licence}
    said = "CC-BY-NC-4.0, no commercial use: https://creativecommons.org/licenses/by-nc/4.0/"
    assert {tags["copyright"] for tags in seams.tags} == {said}
    seams.rows.clear()
    await run(kind=Kind.MERGE, options=Options(audio_url="https://example.com/a.flac"), total_count=1)
    assert (seams.rows[0].licence, seams.merged_under) == (seams.licence, seams.licence)


async def test_an_object_is_named_by_its_content(run, seams):
    """Guards the hash in a Storage path: a zombie's other track, or another merge, gets another path and overwrites nothing."""
    await run()
    await run(kind=Kind.MERGE, options=Options(audio_url="https://example.com/a.flac"), total_count=1)
    assert len(seams.objects) == 4
    for path, data in seams.objects.items():
        assert hashlib.sha256(data).hexdigest()[:32] in path


async def test_what_mending_needs_is_kept_beside_the_track(run, seams):
    """A FLAC where the track's file does not hold every sample, the engine's latents where it has some, and the gain."""
    await run(total_count=1)
    seams.latents, seams.kept_master = np.arange(6, dtype=np.float16).reshape(2, 3), b"every sample"
    await run(total_count=1)
    nothing, kept = seams.rows
    assert (nothing.gain_db, nothing.master_url, nothing.latents_url, nothing.mended) == (2.5, None, None, None)
    objects = {f"https://storage/{path}": data for path, data in seams.objects.items()}
    assert kept.master_url.endswith(".flac")
    assert objects[kept.master_url] == b"every sample"
    assert kept.latents_url.endswith(".safetensors")
    assert safetensors.numpy.load(objects[kept.latents_url])["latents"].tolist() == [[0, 1, 2], [3, 4, 5]]


class Signs:
    """No two signatures are alike."""

    async def sign(self, file, into, *, content_type, title, facts, parts):
        signed = into / f"signed-{file.name}"
        signed.write_bytes(file.read_bytes() + os.urandom(4) + " ".join(parts).encode())
        return signed


async def test_a_signed_object_is_named_by_what_was_signed(run, pipeline, seams):
    """Of a retry with another signature the path is the same, for tracks, for what players get of them, and for films."""
    pipeline.signer, pipeline.for_players = Signs(), lambda recording, tags: b"small"
    made = []
    for _ in range(2):
        seams.objects = {}
        await run(total_count=1)
        await run(kind=Kind.MERGE, options=Options(audio_url="https://example.com/a.flac"), total_count=1)
        made.append({path.split("/")[-1]: data for path, data in seams.objects.items()})
    names = [hashlib.sha256(data).hexdigest() for data in (b"\0", b"small", b"merged")]
    assert sorted(made[0]) == sorted([f"0-{names[0][:32]}.flac", f"0-{names[1][:8]}.m4a", f"{names[2][:32]}.mp4"])
    assert made[0].keys() == made[1].keys()
    assert all(made[0][name] != made[1][name] for name in made[0])
    assert made[0][f"{names[2][:32]}.mp4"].endswith(b"film music")


@pytest.mark.parametrize("kind", [Kind.GENERATE, Kind.MERGE])
async def test_nothing_goes_out_unsigned(run, pipeline, seams, kind):
    """Where signing was asked for and fails there is no object and no row, and the job is tried again."""

    class Sealed:
        async def sign(self, *arguments, **options):
            raise ServiceAway("the vault is sealed")

    pipeline.signer = Sealed()
    with pytest.raises(ServiceAway):
        await run(kind=kind, options=Options(audio_url="https://example.com/a.flac"), total_count=1)
    assert seams.objects == {}
    assert seams.rows == []


async def test_a_merge_puts_one_video(run, seams):
    """A merge job fetches both, merges, uploads under its content's hash and writes result 0."""
    await run(kind=Kind.MERGE, options=Options(audio_url="https://example.com/a.flac"), total_count=1)
    assert [(row.index, row.audio_url) for row in seams.rows] == [(0, None)]
    assert seams.rows[0].video_url.startswith("https://storage/videos/")
    assert seams.stages == ["fetching", "merging"]
    assert seams.notes == ["One sound was left out."]


@pytest.mark.parametrize("kind", [Kind.GENERATE, Kind.MERGE])
async def test_an_upload_that_came_after_its_job_is_no_larger_than_announced(run, seams, kind):
    """Of the announced size it is taken; with a byte more the job is rejected before anybody looks at it."""
    options = Options(audio_url="https://example.com/a.flac")
    await run(kind=kind, options=options, announced_bytes=1)
    seams.stages.clear()
    with pytest.raises(Rejected, match="the upload has 1 bytes and was announced with 0") as caught:
        await run(kind=kind, options=options, announced_bytes=0)
    assert (caught.value.code, seams.stages) == ("too_large", ["fetching"])
    assert [file for file in seams.folder.rglob("*") if file.is_file() and file.parent.name != "audio"] == []


async def test_a_film_that_was_only_glanced_at_has_no_fit(run, seams):
    """Where its cuts are known no better than its key frames lie, nothing is said of them."""
    seams.clip = replace(seams.clip, glanced=True)
    await run()
    assert {row.fit is None for row in seams.rows} == {True}
