"""How looks at jobs share questions to the database."""

from __future__ import annotations

import asyncio
import json
from uuid import uuid4

import pytest

from edge_api import views as views_of
from edge_api.views import MOST, Views


class Desk:
    """Answers when told to."""

    def __init__(self) -> None:
        self.questions: list[list] = []
        self.answers: list[asyncio.Future] = []

    async def ask(self, asked, seen):
        self.questions.append(list(asked))
        self.answers.append(asyncio.get_running_loop().create_future())
        await self.answers[-1]
        return [("", "", f"{job} for {user}") for job, user in asked]


async def asked(views, count):
    """So many looks, each at a job of its own, begun."""
    jobs = [(uuid4(), uuid4()) for _ in range(count)]
    looks = [asyncio.create_task(views.of(*job)) for job in jobs]
    for _ in range(4):
        await asyncio.sleep(0)
    return jobs, looks


async def test_who_comes_while_others_are_answered_is_asked_for_with_all_who_do():
    """The first two go alone and at once, the others together, and everybody hears of the own job for the own user."""
    desk = Desk()
    views = Views(desk.ask)
    first, alone = await asked(views, 1)
    second, alone_too = await asked(views, 1)
    crowd, waiting = await asked(views, MOST + 3)
    assert desk.questions == [first, second]
    desk.answers[1].set_result(None)
    assert await alone_too[0] == "{} for {}".format(*second[0])
    await asyncio.sleep(0)
    assert desk.questions[2:] == [crowd[:MOST]]
    desk.answers[0].set_result(None)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert desk.questions[3:] == [crowd[MOST:]]
    for answer in desk.answers[2:]:
        answer.set_result(None)
    assert await asyncio.gather(*alone, *waiting) == ["{} for {}".format(*job) for job in first + crowd]


async def test_what_goes_wrong_is_told_to_all_and_the_next_question_is_asked():
    """An error ends one question, not those who come after it; a client who has gone is no trouble."""
    desk = Desk()
    views = Views(desk.ask)
    _, busy = await asked(views, 1)
    _, more = await asked(views, 1)
    _, (gone, waits) = await asked(views, 2)
    gone.cancel()
    desk.answers[0].set_exception(ConnectionError("away"))
    with pytest.raises(ConnectionError):
        await busy[0]
    await asyncio.sleep(0)
    desk.answers[2].set_result(None)
    assert "for" in await waits
    desk.answers[1].set_result(None)
    await more[0]
    assert gone.cancelled()


async def test_who_comes_as_the_last_answers_are_told_is_asked_for():
    """A look that begins in the very moment in which both questions end does not wait for somebody else's."""
    desk = Desk()
    views = Views(desk.ask)

    async def twice(job):
        return [await views.of(job, None), await views.of(job, None)]

    looks = asyncio.create_task(twice(uuid4()))
    await asyncio.sleep(0)
    await asked(views, 1)
    for answer in desk.answers:
        answer.set_result(None)
    for _ in range(8):
        await asyncio.sleep(0)
    assert len(desk.answers) == 3
    desk.answers[2].set_result(None)
    assert len(await looks) == 2


class Moving:
    """A database in which all jobs are at a version that moves when told to."""

    def __init__(self) -> None:
        self.version, self.progress, self.told = "1", "", []

    async def ask(self, asked, seen):
        self.told += [version != self.version for version in seen]
        return [
            (self.version, self.progress, "" if version == self.version else f'{{"{job}": {self.version}}}')
            for (job, _), version in zip(asked, seen, strict=True)
        ]


async def test_an_ended_job_is_told_once_a_version():
    """The second look is answered from memory, once the database has said that nothing moved; what moved is told anew."""
    database, job = Moving(), uuid4()
    views = Views(database.ask)
    assert [await views.of(job, None) for _ in range(2)] == [f'{{"{job}": 1}}'] * 2
    database.version = "2"
    assert [await views.of(job, uuid4()) for _ in range(2)] == [f'{{"{job}": 2}}'] * 2
    assert database.told == [True, False, True, False]


async def test_a_running_job_is_remembered_but_for_its_progress():
    """What moves with time is told each time, and put into what is known of the job."""
    database, job = Moving(), uuid4()
    views = Views(database.ask)
    for progress in (3, 4):
        database.progress = f'{{"progress": {progress}, "eta_s": 20}}'
        assert json.loads(await views.of(job, None)) == {str(job): 1, "progress": progress, "eta_s": 20}
    assert database.told == [True, False]


async def test_only_so_much_is_remembered(monkeypatch):
    """The jobs that were looked at last, and no answer that is large."""
    monkeypatch.setattr(views_of, "REMEMBERED", 2)
    database = Moving()
    views = Views(database.ask)
    old, kept, new = uuid4(), uuid4(), uuid4()
    for job in (old, kept, new, kept, new, old):
        await views.of(job, None)
    assert database.told == [True, True, True, False, False, True]
    monkeypatch.setattr(views_of, "LONGEST", 3)
    for _ in range(2):
        await views.of(large := uuid4(), None)
    assert large not in views._known
