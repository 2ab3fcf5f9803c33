"""The way of a pack: a track that is there, with its film, becomes a zip."""

import io
from dataclasses import replace
from zipfile import ZipFile

import pytest

from tests.worker.seams import SPOKEN, direction
from worker.domain import Hit, Kind, Options, Plan, Segment, Speech, Variant
from worker.errors import Rejected, ServiceAway

PLAN = Plan(
    variants=(Variant(index=2, seed=7, direction=direction("asked")),), describer="local", hits=(Hit(at_s=1.0),),
    segments=(Segment(start_s=0.0, energy=0.5),),
)  # fmt: skip
TOLD = {"engine": "sketch", "seed": 9, "prompt": "sparse asked", "duration": 2.0}
ASKED = {
    "kind": Kind.PACK, "total_count": 1, "plan": PLAN, "video_url": "https://example.com/a.mp4?token=secret#t",
    "options": Options(audio_url="https://storage/audios/a.flac", packs=TOLD, negative_prompt="drums"),
}  # fmt: skip


def within(data):
    with ZipFile(io.BytesIO(data)) as pack:
        return {name: pack.read(name) for name in pack.namelist()}


async def test_a_pack_becomes_one_result(run, seams):
    """The zip is uploaded under its content's hash, and its address is the one result, in stages."""
    job = await run(**ASKED)
    assert seams.stages == ["fetching", "packing"]
    (path,) = seams.objects
    assert path.startswith(f"audios/{job.lease.job_id}/")
    assert path.endswith(".zip")
    assert within(seams.objects[path]) == {
        "track.flac": b"x",
        "cues.json": b"cues.json ",
        "stems/drums.flac": b"stem.flac ",
    }
    (row,) = seams.rows
    assert (row.index, row.pack_url, row.audio_url) == (0, f"https://storage/{path}", None)
    assert not seams.folder.exists()


async def test_the_track_is_told_as_it_was_composed(run, seams):
    """By the caption and the seed of its row, the moments of its plan, the options of its job, and what is known of its film."""
    seams.known = Speech(spans=SPOKEN, heard_s=2, film_s=2)
    await run(**ASKED)
    ((clip, plan, options, film),) = seams.packs
    assert clip == replace(seams.clip, speech=SPOKEN)
    (variant,) = plan.variants
    assert (variant.index, variant.seed, variant.direction.prompt) == (2, 9, "sparse asked")
    assert (options.hits, options.segments, options.negative_prompt) == (PLAN.hits, PLAN.segments, "drums")
    assert film == "https://example.com/a.mp4"


async def test_what_a_pack_lacks_is_told(run, seams):
    """Sentences of the packer become notes of the job."""
    seams.packs_notes = ("No stems.", "No markers.")
    await run(**ASKED)
    assert seams.notes == ["No stems.", "No markers."]


async def test_a_pack_that_is_too_large_comes_without_stems(run, seams):
    """Where Storage refuses the whole, the rest is uploaded, and a note says what is missing; where there are none, the job fails."""
    put = seams.put

    async def small(bucket, path, data, content_type):
        if "-small" not in path:
            raise Rejected("too large", code="storage_refused")
        return await put(bucket, path, data, content_type)

    seams.put = small
    await run(**ASKED)
    (data,) = seams.objects.values()
    assert sorted(within(data)) == ["cues.json", "track.flac"]
    assert seams.notes == ["The pack has no stems: with them it would be too large (too large)."]
    with pytest.raises(Rejected, match="too large"):
        await run(**ASKED | {"options": replace(ASKED["options"], packs=TOLD | {"engine": "mmaudio"})})


async def test_stems_are_signed(run, pipeline, seams):
    """Where there is a signer each stem is signed as what the track is, and the zip's path is that of the unsigned; where signing fails
    nothing goes out. The track is signed already."""

    class Signer:
        async def sign(self, file, into, *, content_type, title, facts, parts):
            signed = into / file.name
            signed.write_bytes(file.read_bytes() + f"{content_type} {title} {facts['engine']}".encode())
            return signed

    await run(**ASKED)
    pipeline.signer = Signer()
    await run(**ASKED)
    plain, signed = ((path.rpartition("/")[2], within(data)) for path, data in seams.objects.items())
    assert plain[0] == signed[0]
    assert signed[1] == plain[1] | {"stems/drums.flac": b"stem.flac audio/flac drums fake"}

    async def sealed(*_, **__):
        raise ServiceAway("the vault is sealed")

    pipeline.signer.sign = sealed
    with pytest.raises(ServiceAway):
        await run(**ASKED)
    assert (len(seams.objects), len(seams.rows)) == (2, 2)


async def test_a_retry_finds_the_zip_of_the_first_try(run, seams):
    """What is packed twice is the same, byte by byte."""
    await run(**ASKED)
    await run(**ASKED)
    first, second = seams.objects.items()
    assert first[0].rpartition("/")[2] == second[0].rpartition("/")[2]
    assert first[1] == second[1]


async def test_a_pack_is_made_once(run, seams):
    """A retry that finds the result does nothing; Storage that is away is asked again later."""
    await run(**ASKED, done=frozenset({0}))
    assert (seams.rows, seams.stages) == ([], [])

    async def away(*_):
        raise ServiceAway("away")

    seams.put = away
    with pytest.raises(ServiceAway):
        await run(**ASKED)


@pytest.mark.parametrize("lacks", ["plan", "packs", "audio_url"])
async def test_a_pack_of_nothing_is_refused(run, lacks):
    """A job that does not say what it packs fails for good, with a sentence."""
    changed = {"plan": None} if lacks == "plan" else {"options": replace(ASKED["options"], **{lacks: None})}
    with pytest.raises(Rejected, match="does not say which track"):
        await run(**ASKED | changed)


async def test_a_worker_without_an_engine_packs(run, pipeline, seams):
    """No engine is asked for."""
    pipeline.rack = None
    await run(**ASKED)
    assert len(seams.rows) == 1
