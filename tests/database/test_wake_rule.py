"""Whatever comes to however many workers: each job is claimed within a second unless all are busy, and few look for it."""

import random

import pytest

from tests.conftest import FUZZ
from tests.database.fleets import Fleet, idle

SECONDS = 4.0
SEEDS = range(FUZZ)


def one_job(sim):
    sim.at(1, lambda: sim.come(1))


def ten_a_second(sim):
    for number in range(30):
        sim.at(0.5 + number / 10 + random.uniform(-0.03, 0.03), lambda: sim.come(1))


def as_many_as_workers_at_once(sim):
    sim.at(0.5, lambda: sim.come(len(sim.workers)))


def many_one_by_one(sim):
    for number in range(1 + len(sim.workers) // 4):
        sim.at(0.5 + number / 1000, lambda: sim.come(1))


def few_have_room(sim):
    """All but three have become busy since the fleet was counted."""
    sim.at(0.1, lambda: sim.fills(list(sim.workers)[:-3]))
    for number in range(3):
        sim.at(0.2 + number, lambda: sim.come(1))


def for_a_rare_engine(sim):
    for number in range(8):
        sim.at(0.5 + number / 4, lambda: sim.come(1, engine="acestep"))
        sim.at(0.55 + number / 4, lambda: sim.come(1, engine="sketch"))


ARRIVALS = (one_job, ten_a_second, as_many_as_workers_at_once, many_one_by_one, few_have_room, for_a_rare_engine)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("arrivals", ARRIVALS)
@pytest.mark.parametrize("workers", [1, 150] if FUZZ == 1 else [1, 60, 400])
async def test_each_job_is_claimed_within_a_second(db, clock, workers, arrivals, seed):
    """A simulation without any poll: no job waits for a second while somebody has room for it, however few those are, and a job costs no more than some looks."""
    random.seed(seed)
    rare = await idle(db, max(1, workers // 100), engine="acestep", slots=2)
    common = await idle(db, workers, slots=2)
    sim = Fleet(
        db, clock, dict.fromkeys(rare, "acestep") | dict.fromkeys(common, "sketch"), 2, lambda: random.uniform(1, 60)
    )
    arrivals(sim)
    await sim.live(SECONDS)
    assert max(sim.waited_s.values()) < 1
    assert sim.looks < 50 * len(sim.waited_s)
