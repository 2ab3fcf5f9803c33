"""The judge of `make soak` sees what grows and what is kept, and is not taken in by noise."""

import math
import random

import pytest

from bench.soak_verdict import last_two_thirds, line, returned

TIMES = [10.0 * n for n in range(180)]


def noisy(mean, *, rise=0.0, noise=3.0, seed=1):
    """Values of 30 minutes, each a little like the one before."""
    dice, rest, values = random.Random(seed), 0.0, []
    for time in TIMES:
        rest = 0.6 * rest + dice.gauss(0, noise)
        values.append(mean + rise * time / TIMES[-1] + rest)
    return values


@pytest.mark.parametrize("seed", range(20))
def test_noise_does_not_grow(seed):
    """A level with noise that resembles itself is never taken for growth."""
    assert last_two_thirds(TIMES, noisy(300, seed=seed)).word != "grows"


def test_a_leak_grows():
    """60 MB in half an hour on 300 MB, under the same noise."""
    found = last_two_thirds(TIMES, noisy(300, rise=60))
    assert found.word == "grows"
    assert found.per_hour == pytest.approx(120, rel=0.2)


def test_a_small_leak_of_a_small_program_drifts():
    """6 MB in half an hour are within the bounds, and told."""
    assert last_two_thirds(TIMES, noisy(60, rise=6, noise=0.2)).word == "drifts"


def test_a_level_that_sways_is_unsteady():
    """What rises beyond the bounds in one slow wave may be chance: it is told, and is no growth."""
    values = [300 + 40 * math.sin(time / 286 - 5) for time in TIMES]
    assert last_two_thirds(TIMES, values).word == "unsteady"


def test_a_first_rise_is_not_growth():
    """Memory that is taken in the first third and kept counts as flat: only the last two thirds are judged."""
    values = [300 + min(time, 500) / 10 for time in TIMES]
    assert line(TIMES, values).rise > 30
    assert last_two_thirds(TIMES, values).word == "flat"


@pytest.mark.parametrize(("slope", "t"), [(0.0, 0.0), (-1.0, -math.inf)])
def test_what_falls_or_stays_is_flat(slope, t):
    """A straight line needs no noise to be sure of."""
    found = line(TIMES, [5000 + slope * time for time in TIMES])
    assert (found.word, found.t) == ("flat", t)


def test_a_descriptor_that_is_kept_is_not_back():
    """One more than before is one too many; fewer are welcome."""
    assert not returned([20, 18], [25, 30, 26], [22, 19]).back
    assert returned([20, 18], [25, 30, 26], [22, 18]).back
    assert returned([20, 18], [25, 30, 26], [17]).under_load == 26


def test_a_pool_may_keep_what_it_began():
    """Threads stay up to the size of their pool, and no further."""
    assert returned([7], [9], [8], kept=10).back
    assert not returned([7], [12], [11], kept=10).back
