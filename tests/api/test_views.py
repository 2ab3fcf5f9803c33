"""How looks at jobs share questions to the database."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from edge_api.views import MOST, Views


class Desk:
    """Answers when told to."""

    def __init__(self) -> None:
        self.questions: list[list] = []
        self.answers: list[asyncio.Future] = []

    async def ask(self, asked):
        self.questions.append(list(asked))
        self.answers.append(asyncio.get_running_loop().create_future())
        await self.answers[-1]
        return [f"{job} for {user}" for job, user in asked]


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
