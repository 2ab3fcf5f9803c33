"""A brief: what the director sees and hears in a film, written down so that music of it is the same every time."""

import json
from dataclasses import replace

import pytest

from tests.unit.clips import clip
from tests.worker.seams import CLIP, SPOKEN
from worker.domain import Hit, Kind, Options, Span, Speech
from worker.engines.sketch import SketchEngine
from worker.errors import Rejected
from worker.pipeline.direct.local_describer import LocalDescriber
from worker.pipeline.direct.prompts import fit
from worker.pipeline.finish.master import master
from worker.pipeline.rack import Rack
from worker.rows import JobRow

FILM = clip(12.0, (6.0,), motions=(0.2, 0.9))


@pytest.fixture
def brief(run, seams):
    """Run one and return what it told."""

    async def brief(**changes):
        seams.brief = None
        await run(**{"kind": Kind.BRIEF, "total_count": 0} | changes)
        return seams.brief

    return brief


async def test_a_brief_says_what_the_director_knows(brief, seams):
    """Length, scenes, cuts, speech, moments, seed and directions are there, and no music."""
    seams.clip, seams.proposed = replace(FILM, duration_s=12.00049), (Hit(at_s=6.0, kind="drop"),)
    told = await brief(options=Options(seed=7, variants=2))
    levels = {"brightness": 0.5, "saturation": 0.5, "warmth": 0.5}
    assert told == {
        "duration": 12.0,
        "scenes": [{"start": 0.0, "end": 6.0, **levels, "motion": 0.2}, {"start": 6.0, "end": 12.0, **levels, "motion": 0.9}],
        "cuts": [6.0],
        "speech": [{"start": 0.5, "end": 1.0}],
        "hits": [{"at": 6.0, "kind": "drop"}],
        "seed": 7,
        "directions": [
            {"title": name, "prompt": name, "description": "", "genre": "", "instruments": [], "tempo_bpm": 90, "key": "C major", "mood": ""}
            for name in ("d0", "d1")
        ],
    }  # fmt: skip
    assert json.loads(json.dumps(told)) == told
    assert (seams.rows, seams.objects, seams.composed, seams.plan) == ([], {}, [], None)
    assert seams.stages == ["fetching", "hearing", "describing"]


async def test_the_director_of_a_brief_knows_who_speaks(brief, seams):
    """The film is heard before it is described, once: what was heard is there for the jobs that follow."""
    await brief()
    assert seams.directed == SPOKEN
    assert [heard.whole for heard in seams.speech] == [True]


async def test_speech_that_is_known_is_not_heard_again(brief, seams, pipeline):
    """Another job of the film has heard it; a stretch of it is told as far as the film is set to music."""
    pipeline.ear, seams.known = (
        None,
        Speech(spans=(Span(start_s=1.5, end_s=9), Span(start_s=20, end_s=21)), heard_s=30, film_s=30),
    )
    assert (await brief())["speech"] == [{"start": 1.5, "end": 2}]
    assert seams.stages == ["fetching", "describing"]


async def test_a_brief_looks_to_the_last_frame(brief, seams):
    """A film that was glanced at first is told by the longer look, and so is the director."""
    directed = []

    async def look(path, duration_s, views=None):
        assert (duration_s, views) == (3, None)
        yield replace(CLIP, glanced=True)
        yield FILM

    async def describe(shown, *asked):
        directed.append(shown.glanced)
        return await type(seams).describe(seams, shown, *asked)

    seams.look, seams.describe = look, describe
    assert (await brief(options=Options(duration_s=3)))["cuts"] == [6.0]
    assert directed == [False]


async def test_a_film_that_is_mostly_speech_has_a_sparse_brief(brief, seams, pipeline):
    """Captions say so within what an encoder sees, as those of tracks do."""
    pipeline.fit = str
    seams.known = Speech(spans=(Span(start_s=0.2, end_s=1.9),), heard_s=2, film_s=2)
    assert [direction["prompt"] for direction in (await brief())["directions"]] == [
        "sparse d0",
        "sparse d1",
        "sparse d2",
    ]


async def test_a_worker_without_an_engine_writes_briefs(brief, pipeline):
    """No device is needed for what plays no music; without a seed one is drawn."""
    pipeline.rack = None
    first, second = await brief(), await brief()
    assert len(first["directions"]) == 3
    assert first["seed"] != second["seed"]


async def test_a_film_that_cannot_be_read_fails_its_brief(brief, seams):
    """What is wrong with it is the job's error, and nobody goes on hearing."""

    async def look(path, duration_s, views=None):
        raise Rejected("this is no video")
        yield

    seams.look = look
    with pytest.raises(Rejected, match="this is no video"):
        await brief()


async def test_a_private_film_stays_private(brief, seams):
    """A director that watches addresses is given none of the project's own Storage."""
    given = []

    async def describe(shown, wish, count, url):
        given.append(url)
        return await type(seams).describe(seams, shown, wish, count, url)

    seams.describe = describe
    await brief(video_url="storage://films/a.mp4")
    await brief(video_url="https://example.com/a.mp4")
    assert given == [None, "https://example.com/a.mp4"]


SPEECHES = {
    "little": (Span(start_s=0.5, end_s=1.2),),
    "most": (Span(start_s=0.2, end_s=4.7), Span(start_s=5.7, end_s=9.0)),
}


@pytest.mark.parametrize("said", SPEECHES)
async def test_music_of_a_brief_is_the_same_every_time(run, brief, seams, pipeline, said):
    """On the sketch two jobs with a brief's plan, moments and seed make the same files, and so does one that asks the director itself."""
    pipeline.describer, pipeline.rack = LocalDescriber(), Rack.of(SketchEngine())
    pipeline.master, pipeline.fit = master, fit
    seams.clip = clip(9.0, (4.5,), motions=(0.2, 0.9))
    seams.known = Speech(spans=SPEECHES[said], heard_s=9, film_s=9)
    told = await brief(user_request="epic", options=Options(seed=7, variants=2))
    assert bool(told["hits"]) == (said == "little")
    assert [direction["prompt"].startswith("sparse") for direction in told["directions"]] == [said == "most"] * 2

    async def music(**asked):
        seams.plan, seams.rows, seams.objects = None, [], {}
        await run(total_count=2, **asked)
        return [
            (row.index, row.prompt, md5_of(seams.objects[row.audio_url.removeprefix("https://storage/")]))
            for row in seams.rows
        ]

    asked = asked_of(told)
    directed = await music(user_request="epic", options=Options(seed=7))
    assert len({digest for _, _, digest in directed}) == 2
    assert await music(**asked) == await music(**asked) == directed


def md5_of(flac):
    """Of all samples, as the file's first block has it; its tags name the job."""
    assert flac[:4] == b"fLaC"
    return flac[26:42]


def asked_of(brief):
    """A job as the database tells it of which `gen` was given a brief's plan, moments and seed."""
    row = {
        "id": "7d4ee0f0-6bd1-4a1e-8f1c-7f1c6d3c0a11", "attempt": 1, "worker_id": 1, "kind": "generate", "lane": "interactive", "video_url": "https://example.com/a.mp4",
        "user_request": "", "options": {"plan": brief["directions"], "hits": brief["hits"], "seed": brief["seed"]}, "plan": None, "total_count": 2,
        "traceparent": "", "created_at": "2026-01-01T00:00:00Z", "claimed_at": "2026-01-01T00:00:00Z", "done": [],
    }  # fmt: skip
    job = JobRow.model_validate_json(json.dumps(row)).job()
    return {"options": job.options, "asked_plan": job.asked_plan}
