"""What a job makes of what was asked for: its plan, and what of that its engine is told and ignores."""

from dataclasses import replace

import pytest

from tests.worker.seams import direction
from worker.domain import Hit, Options, Plan, Segment, Variant
from worker.pipeline.plan import derive_seed

HITS = (Hit(at_s=1.5, kind="drop"), Hit(at_s=1.75))
SEGMENTS = (Segment(start_s=0.0, prompt="harp"), Segment(start_s=1.0, energy=0.9))


async def test_options_that_the_engine_does_not_know_are_named(run, seams):
    """Of what was asked for, each result says what was of no use; what nobody asked for is not mentioned."""
    await run(options=Options(negative_prompt="drums", steps=8, guidance=3.0))
    assert {row.ignored for row in seams.rows} == {("negative_prompt", "steps")}
    seams.rows.clear()
    await run(options=Options(negative_prompt=None, seed=3))
    assert {row.ignored for row in seams.rows} == {()}


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


async def test_a_loop_is_mastered_as_one_where_the_engine_knows_of_it(run, seams):
    """An engine that ignores the option gives an ending."""
    for ignored, loops in ((frozenset(), True), (frozenset({"loop"}), False)):
        seams.ignores = ignored
        await run(options=Options(loop=True), total_count=1)
        assert seams.looped is loops


async def test_a_retry_makes_only_what_is_missing(run, seams):
    """With a saved plan and one result done, the describer is not asked and only the others are composed."""
    variants = tuple(Variant(index=i, seed=i + 40, direction=direction("kept")) for i in range(3))
    seams.plan = Plan(variants=variants, describer="vlm")
    await run(plan=seams.plan, done=frozenset({1}))
    assert seams.composed == [0, 2]
    told = {(row.index, row.seed, row.title, row.describer) for row in seams.rows}
    assert told == {(0, 40, "kept", "vlm"), (2, 42, "kept", "vlm")}


async def test_hand_written_directions_replace_the_describer(run, seams):
    """`plan` in the request is what gets composed, its captions trimmed to what the engine reads."""
    await run(asked_plan=(direction("mine"),), total_count=1)
    assert [(row.title, row.prompt, row.describer) for row in seams.rows] == [("mine", "min", "user")]


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
