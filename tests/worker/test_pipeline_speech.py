"""How a job listens to its film: beside everything else, and never to its harm."""

import asyncio
from datetime import timedelta

import pytest

from tests.worker.seams import SPOKEN
from worker.domain import Kind, Options, Span, Speech
from worker.errors import LeaseLost, Rejected, Unavailable

DUCK = Options(audio_url="https://example.com/a.flac", mode="mix", duck=True)
HOUR_S = 3600.0


class Ear:
    """Hears so many minutes of a film, each when it may; then the whole, or what breaks it."""

    def __init__(self, film_s=2.0, error=None, minutes=0):
        self.film_s, self.error, self.minutes, self.may, self.closed = (
            film_s,
            error,
            minutes,
            asyncio.Event(),
            asyncio.Event(),
        )

    async def hear(self, path):
        assert path.exists()
        try:
            for minute in range(1 + self.minutes):
                yield Speech(spans=(), heard_s=60.0 * minute, film_s=self.film_s)
            await self.may.wait()
            if self.error:
                raise self.error
            yield Speech(spans=SPOKEN, heard_s=self.film_s, film_s=self.film_s)
        finally:
            self.closed.set()


async def test_speech_is_there_when_the_job_ends(run, seams):
    """What was heard is written once, and takes no stage of its own."""
    await run()
    assert [(heard.spans, heard.whole) for heard in seams.speech] == [(SPOKEN, True)]
    assert seams.stages == ["fetching", "describing", "composing"]
    assert seams.notes == []


async def test_no_track_waits_for_the_ear(run, seams, pipeline):
    """The tracks are there while the film is still listened to; the job then waits for that."""
    ear = pipeline.ear = Ear()
    put = seams.put_result

    async def puts(lease, result):
        await put(lease, result)
        if len(seams.rows) == 3:
            assert seams.speech == []
            ear.may.set()

    seams.put_result = puts
    await run()
    assert [heard.spans for heard in seams.speech] == [SPOKEN]


async def test_another_take_leaves_room_for_what_is_known_to_be_said(run, seams, pipeline):
    """Where a job has heard the film to its end, director and engine are told, its row knows too, and nobody listens again."""
    pipeline.ear = None
    seams.known = Speech(spans=(Span(start_s=0.2, end_s=0.9),), heard_s=2, film_s=2)
    await run()
    assert seams.directed == seams.played == seams.known.spans
    assert seams.speech == [seams.known]
    assert [row.prompt for row in sorted(seams.rows, key=lambda row: row.index)] == ["d0", "d1", "d2"]


async def test_a_film_that_is_mostly_speech_asks_for_sparse_music(run, seams, pipeline):
    """Engines that go by a caption are told, and the rows say what they were told; a user's own caption stays as it is."""
    pipeline.fit = str
    seams.known = Speech(spans=(Span(start_s=0.2, end_s=1.9),), heard_s=2, film_s=2)
    await run()
    assert sorted(row.prompt for row in seams.rows) == ["sparse d0", "sparse d1", "sparse d2"]
    assert [variant.direction.prompt for variant in seams.plan.variants] == ["d0", "d1", "d2"]


async def test_what_was_heard_by_then_is_left_room_for(run, seams, pipeline):
    """A first take knows of speech where its film was heard before the directions were there; else it does without."""
    describe = seams.describe

    async def slowly(*asked):
        while not seams.speech:
            await asyncio.sleep(0)
        return await describe(*asked)

    seams.describe = slowly
    await run()
    assert (seams.directed, seams.played) == ((), SPOKEN)


@pytest.mark.parametrize("kind", [Kind.GENERATE, Kind.MERGE, Kind.BRIEF])
@pytest.mark.parametrize("error", [Rejected("it is damaged"), Unavailable("it was killed")])
async def test_an_ear_that_fails_is_a_note(run, seams, pipeline, error, kind):
    """The job completes, and a merge does without ducking."""
    ear = pipeline.ear = Ear(error=error)
    ear.may.set()
    await run(kind=kind, options=DUCK if kind is Kind.MERGE else Options())
    assert seams.rows or seams.brief
    assert seams.notes[0] == f"Where somebody speaks in the video could not be found out ({error})."
    assert seams.speech == []
    assert not seams.ducked


async def test_a_job_that_fails_stops_listening(run, seams, pipeline):
    """Nobody hears on for a job that is over."""
    ear = pipeline.ear = Ear()
    seams.fail_on = {0: Rejected("noise")}
    with pytest.raises(Rejected, match="noise"):
        await run()
    assert ear.closed.is_set()


async def test_a_lease_that_the_ear_finds_lost_ends_the_job(run, seams):
    """Speech is written like everything else: by the holder alone."""

    async def lost(lease, speech):
        raise LeaseLost("somebody else has it")

    seams.put_speech = lost
    with pytest.raises(LeaseLost):
        await run()


async def test_the_rest_of_a_long_film_is_not_waited_for(run, seams, pipeline):
    """What is set to music has been heard; the rest has a while, and what is known of it by then is told."""
    pipeline.listens_on = timedelta(0)
    ear = pipeline.ear = Ear(film_s=HOUR_S, minutes=2)
    await run(options=Options(duration_s=30))
    assert [heard.heard_s for heard in seams.speech] == [0, 60, 120]
    assert ear.closed.is_set()
    assert len(seams.rows) == 3


async def test_a_merge_that_ducks_hears_its_film(run, seams, pipeline):
    """In a stage of its own, with progress where the film is long; its row knows what was heard, too."""
    ear = pipeline.ear = Ear(film_s=HOUR_S, minutes=2)
    ear.may.set()
    await run(kind=Kind.MERGE, options=DUCK, total_count=1)
    assert seams.stages == ["fetching", "hearing", "merging"]
    assert [heard.heard_s for heard in seams.speech] == [0, 60, 120, HOUR_S]
    assert seams.ducked == SPOKEN


async def test_a_merge_takes_what_another_job_has_heard(run, seams, pipeline):
    """The film is not listened to again."""
    pipeline.ear = None
    seams.known = Speech(spans=(Span(start_s=1, end_s=2),), heard_s=9, film_s=9)
    await run(kind=Kind.MERGE, options=DUCK, total_count=1)
    assert seams.stages == ["fetching", "merging"]
    assert seams.ducked == seams.known.spans
    assert seams.speech == [seams.known]


@pytest.mark.parametrize("changes", [{"mode": "replace"}, {"duck": False}])
async def test_a_merge_that_does_not_duck_does_not_listen(run, seams, pipeline, changes):
    """Nor does it say that nobody speaks."""
    pipeline.ear = None
    asked = {"audio_url": "https://example.com/a.flac", "mode": "mix", "duck": True} | changes
    await run(kind=Kind.MERGE, options=Options(**asked), total_count=1)
    assert (seams.stages, seams.speech, seams.ducked) == (["fetching", "merging"], [], ())
