"""The way of one job, with small fakes at the seams: what is made, what is kept, what a stop leaves behind."""

import asyncio
import hashlib
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import numpy as np
import pytest
import safetensors.numpy

from tests.worker.seams import direction
from worker.domain import Hit, Kind, Options, Plan, Segment, Variant
from worker.errors import LeaseLost, QueueUnavailable, Rejected, ServiceAway, Unavailable, Yielded
from worker.pipeline.generate_job import MAKES_ROOM
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


async def test_options_that_the_engine_does_not_know_are_named(run, seams):
    """Of what was asked for, each result says what was of no use; what nobody asked for is not mentioned."""
    await run(options=Options(negative_prompt="drums", steps=8, guidance=3.0))
    assert {row.ignored for row in seams.rows} == {("negative_prompt", "steps")}
    seams.rows.clear()
    await run(options=Options(negative_prompt=None, seed=3))
    assert {row.ignored for row in seams.rows} == {()}


HITS = (Hit(at_s=1.5, kind="drop"), Hit(at_s=1.75))
SEGMENTS = (Segment(start_s=0.0, prompt="harp"), Segment(start_s=1.0, energy=0.9))


async def test_asked_moments_and_segments_are_planned_played_and_heard(run, seams):
    """They stand in the saved plan; the engine gets them, and whoever hears the finished track, too."""
    await run(options=Options(hits=HITS, segments=SEGMENTS), asked_plan=(direction("mine"),), total_count=1)
    assert (seams.plan.hits, seams.plan.segments) == (HITS, SEGMENTS)
    assert (seams.options.hits, seams.options.segments) == (HITS, SEGMENTS)
    assert seams.heard_hits == HITS


async def test_what_a_film_is_too_short_for_is_noted(run, seams):
    """Hits and segments behind the end of what is set to music are named once each; what lies before it is not."""
    hits = tuple(Hit(at_s=at_s) for at_s in (1.0, 2.0, 30.5, 30.5))
    await run(options=Options(hits=hits, segments=(Segment(start_s=0.0, energy=1.0), Segment(start_s=4.0, energy=0.1))))
    assert seams.notes == [
        "The music ends at 2 s: it leaves out the hit at 2 s, the hit at 30.5 s, the segment at 4 s."
    ]


@pytest.mark.parametrize(
    ("asked", "written", "holds"),
    [
        (None, False, HITS[:1]),
        ((), False, ()),
        (HITS[1:], False, HITS[1:]),
        (None, True, ()),
        (HITS[1:], True, HITS[1:]),
    ],
)
async def test_which_moments_hold(run, seams, asked, written, holds):
    """Those asked for, also where they are none; else what the director proposes, who does not speak where directions are hand-written."""
    seams.proposed = HITS[:1]
    await run(options=Options(hits=asked), asked_plan=(direction("mine"),) if written else (), total_count=1)
    assert (seams.plan.hits, seams.options.hits, seams.heard_hits) == (holds, holds, holds)


async def test_a_retry_plays_what_was_planned(run, seams):
    """The saved plan holds: a director that is asked again might say otherwise."""
    variants = (Variant(index=0, seed=1, direction=direction("kept")),)
    plan = Plan(variants=variants, describer="vlm", hits=HITS, segments=SEGMENTS)
    await run(plan=plan, total_count=1)
    assert (seams.options.hits, seams.options.segments, seams.heard_hits) == (HITS, SEGMENTS, HITS)


async def test_only_moments_that_were_asked_for_can_be_ignored(run, seams):
    """An engine without moments has not ignored anything where the user wants none."""
    seams.ignores = frozenset({"hits", "segments", "loop"})
    for asked in (None, ()):
        await run(options=Options(hits=asked), total_count=1)
    await run(options=Options(hits=HITS, segments=SEGMENTS, loop=True), total_count=1)
    assert [row.ignored for row in seams.rows] == [(), (), ("hits", "loop", "segments")]


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


async def test_a_loop_is_mastered_as_one_where_the_engine_knows_of_it(run, seams):
    """An engine that ignores the option gives an ending."""
    for ignored, loops in ((frozenset(), True), (frozenset({"loop"}), False)):
        seams.ignores = ignored
        await run(options=Options(loop=True), total_count=1)
        assert seams.looped is loops


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


async def test_a_retry_makes_only_what_is_missing(run, seams):
    """With a saved plan and one result done, the describer is not asked and only the others are composed."""
    plan = Plan(
        variants=tuple(Variant(index=i, seed=i + 40, direction=direction("kept")) for i in range(3)), describer="vlm"
    )
    seams.plan = plan
    await run(plan=plan, done=frozenset({1}))
    assert seams.composed == [0, 2]
    assert {(row.index, row.seed, row.title, row.describer) for row in seams.rows} == {
        (0, 40, "kept", "vlm"),
        (2, 42, "kept", "vlm"),
    }


async def test_hand_written_directions_replace_the_describer(run, seams):
    """`plan` in the request is what gets composed, its captions trimmed to what the engine reads."""
    await run(asked_plan=(direction("mine"),), total_count=1)
    assert [(row.title, row.prompt, row.describer) for row in seams.rows] == [("mine", "min", "user")]


async def test_one_bad_variant_does_not_take_its_siblings_along(run, seams):
    """A variant that cannot be mastered is reported after the others have their rows."""
    seams.fail_on = {1: Rejected("variant 1 is noise")}
    with pytest.raises(Rejected):
        await run()
    assert [row.index for row in seams.rows] == [0, 2]


async def test_an_engine_that_breaks_keeps_what_was_ready(run, seams):
    """What was composed before the engine failed is still mastered and written."""
    compose = seams.compose

    def breaks(clip, variants, options, cancelled):
        yield next(compose(clip, variants, options, cancelled))
        raise Unavailable("out of memory")

    seams.compose = breaks
    with pytest.raises(Unavailable):
        await run()
    assert [row.index for row in seams.rows] == [0]


async def test_a_row_carries_the_seed_that_was_used(run, pipeline, seams):
    """Where the engine had to take another seed, row and tags say which."""
    compose, master, tags = seams.compose, seams.master, []

    def composes(*arguments):
        for track in compose(*arguments):
            yield replace(track, seed=99) if track.index == 1 else track

    def masters(track, **options):
        tags.append(options["tags"]["seed"])
        return master(track, **options)

    seams.compose, pipeline.master = composes, masters
    await run(options=Options(seed=5, loudness_lufs=-20))
    assert {row.loudness_lufs for row in seams.rows} == {-20}
    seeds = [derive_seed(5, 0), 99, derive_seed(5, 2)]
    assert [row.seed for row in sorted(seams.rows, key=lambda row: row.index)] == seeds
    assert sorted(tags) == sorted(map(str, seeds))


async def test_a_batch_job_makes_room_before_it_is_composed(run, seams):
    """A batch job hands itself back when interactive work waits, before the engine has begun with it: nothing that was made is thrown away."""
    seams.waiting = True
    with pytest.raises(Yielded, match="interactive"):
        await run(lane="batch")
    assert seams.composed == seams.rows == []


@pytest.mark.parametrize("drains", [False, True])
async def test_what_is_begun_is_finished(run, seams, drains):
    """Interactive work or a drain that comes after the first track changes nothing any more: the engine makes all variants at once,
    and three tracks cost what three tracks cost."""
    draining, put = [], seams.put_result

    async def putting(lease, result):
        seams.waiting = not drains
        draining.append(drains)
        await put(lease, result)

    seams.put_result = putting
    await run(lane="batch", draining=lambda: any(draining))
    assert seams.composed == [0, 1, 2]
    assert len(seams.rows) == 3


async def test_a_batch_job_does_not_make_room_for_ever(run, seams):
    """While there is always interactive work it is composed after some claims nevertheless."""
    seams.waiting = True
    await run(lane="batch", attempt=MAKES_ROOM + 1)
    assert len(seams.rows) == 3


async def test_a_lease_that_a_result_finds_lost_stops_the_engine(run, seams):
    """The engine stops at its next step, and not when all tracks are made for nobody."""

    async def lost(lease, result):
        raise LeaseLost("somebody else's")

    seams.put_result, seams.fail_on = lost, {"hang": {1}}
    with pytest.raises(LeaseLost):
        await run()
    assert seams.composed == [0, 1]


async def test_a_database_that_is_away_does_not_throw_tracks_away(run, seams):
    """Whether somebody waits is not worth the tracks that are composed already."""

    async def away():
        raise QueueUnavailable("away")

    seams.interactive_waiting = away
    await run(lane="batch")
    assert len(seams.rows) == 3


async def test_a_merge_that_lacks_one_half_stops_fetching_the_other(run, seams):
    """The download beside the one that failed ends with it: it would go on into a folder that is gone, for a job that is over."""
    other = asyncio.Event()

    async def fetch(url, into):
        if url.endswith(".flac"):
            raise Rejected("no music", code="not_found")
        try:
            await asyncio.Event().wait()
        finally:
            other.set()

    seams.fetch = fetch
    with pytest.raises(Rejected, match="no music"):
        await run(kind=Kind.MERGE, options=Options(audio_url="https://example.com/a.flac"), total_count=1)
    assert other.is_set()


async def test_an_interactive_job_does_not_yield(run, seams):
    """Interactive jobs run to their end whatever waits."""
    seams.waiting = True
    await run(lane="interactive")
    assert len(seams.rows) == 3


async def test_a_draining_worker_begins_nothing(run, seams):
    """Draining hands a job back before it is composed."""
    with pytest.raises(Yielded, match="drains"):
        await run(draining=lambda: True)
    assert seams.composed == []


async def test_cancelling_reaches_the_engines_step_loop(run, seams):
    """Cancelling the run stops an engine that is in the middle of a step, and the temporary files are gone."""
    seams.fail_on = {"hang": {1}}
    task = asyncio.create_task(run())
    while 1 not in seams.composed:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seams.closed.is_set()
    assert not seams.folder.exists()


async def test_a_mastering_process_that_is_killed_fails_no_job_for_good(run, pipeline, seams):
    """The job is to be tried again, with words about the box and not about the file."""
    pipeline.mastering = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
    pipeline.master = _killed
    with pipeline.mastering, pytest.raises(Unavailable, match="process that masters was killed") as caught:
        await run()
    assert caught.value.code == "child_killed"


def _killed(track, **_):
    os._exit(9)


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
