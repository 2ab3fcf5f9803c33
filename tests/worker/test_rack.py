"""A rack of several engines: what is loaded when, and what is let go where memory is short."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from worker.errors import Misconfigured, NoMemory, NoRoom, Unavailable
from worker.pipeline.rack import Rack

MODELS = {"mmaudio": "large", "acestep": "turbo", "sketch": "sketch-1"}


class Named:
    def __init__(self, name: str) -> None:
        self.name, self.model, self.rests = name, MODELS[name], 0

    def rest(self, busy):
        self.rests += 1


class Device:
    """Has room for so many engines; `told` is what happened."""

    def __init__(self, room: int) -> None:
        self.room, self.here, self.told = room, [], []
        self.rack = Rack(models=MODELS, load=self.load, emptied=self.emptied).open()

    def load(self, name):
        if len(self.here) >= self.room:
            raise NoRoom(f"{name} does not fit")
        self.here.append(name)
        self.told.append(f"+{name}")
        return Named(name)

    def emptied(self):
        (gone,) = set(self.here) - {engine.name for engine in self.rack.loaded}
        self.here.remove(gone)
        self.told.append(f"-{gone}")

    async def play(self, *names):
        for name in names:
            async with self.rack.held(name) as engine:
                assert engine.name == (name or "mmaudio")


async def test_engines_are_loaded_when_a_job_wants_them():
    """The first at the start, another with its first job, and none twice; a job that names none gets the first."""
    device = Device(room=3)
    assert device.told == ["+mmaudio"]
    await device.play("", "acestep", "mmaudio", "acestep", "")
    assert device.told == ["+mmaudio", "+acestep"]
    assert device.rack.label(device.rack.taken_for("")) == "mmaudio large"


async def test_the_one_that_was_longest_of_no_use_is_let_go():
    """Where the device has no room for a third, the least recently used goes, and comes again when it is wanted."""
    device = Device(room=2)
    await device.play("acestep", "mmaudio", "sketch", "mmaudio", "acestep")
    assert device.told == ["+mmaudio", "+acestep", "-acestep", "+sketch", "-sketch", "+acestep"]


async def test_an_engine_that_a_job_holds_stays():
    """Who wants another waits for the job to end, and who comes later waits behind."""
    device, order = Device(room=1), []

    async def job(name):
        async with device.rack.held(name):
            order.append(name)

    async with device.rack.held("mmaudio"):
        jobs = [asyncio.create_task(job(name)) for name in ("acestep", "mmaudio")]
        for _ in range(20):
            await asyncio.sleep(0.01)
        assert order == []
        assert device.told == ["+mmaudio"]
    async with asyncio.timeout(20):
        await asyncio.gather(*jobs)
    assert order == ["acestep", "mmaudio"]


async def test_two_jobs_hold_one_engine_and_two_engines_at_once():
    """Nobody waits where everything is there already."""
    device = Device(room=2)
    async with AsyncExitStack() as stack, asyncio.timeout(20):
        for name in ("mmaudio", "acestep", "mmaudio", "acestep"):
            await stack.enter_async_context(device.rack.held(name))


async def test_an_engine_that_fits_nowhere_is_told():
    """Not even alone: the job is tried elsewhere, and the others are loaded anew."""
    device = Device(room=1)
    device.room = 0
    with pytest.raises(Unavailable, match="acestep does not fit"):
        await device.play("acestep")
    device.room = 1
    await device.play("mmaudio")
    assert device.told == ["+mmaudio", "-mmaudio", "+mmaudio"]


async def test_an_engine_that_is_not_installed_fails_its_own_jobs_alone():
    """Weights that are missing are no reason to end the others' work."""
    device = Device(room=3)

    def refuse(name):
        raise Misconfigured("there are no weights")

    device.rack.load = refuse
    with pytest.raises(Unavailable, match="this worker cannot load acestep: there are no weights"):
        await device.play("acestep")
    await device.play("mmaudio")


async def test_a_job_that_runs_out_of_memory_has_the_device_for_its_next_try():
    """The engines that nobody holds are let go."""
    device = Device(room=3)
    await device.play("acestep", "sketch")
    with pytest.raises(NoMemory):
        async with device.rack.held("sketch"):
            raise NoMemory("the GPU is out of memory")
    assert device.here == ["sketch"]


async def test_each_has_its_quiet_moment():
    """All that are there rest."""
    device = Device(room=3)
    await device.play("acestep")
    device.rack.rest(lambda: False)
    assert [engine.rests for engine in device.rack.loaded] == [1, 1]
    device.rack.rest(lambda: True)
    assert [engine.rests for engine in device.rack.loaded] == [1, 1]


async def test_a_pipeline_composes_with_the_engine_of_the_job(pipeline, run, seams):
    """What was asked for makes it, and the row and the database's clock say so."""

    class Other(type(seams)):
        name, model = "acestep", "turbo"

    other = Other()
    pipeline.rack = Rack(
        models={"fake": "1", "acestep": "turbo"}, load=lambda name: other if name == "acestep" else seams
    ).open()
    await run()
    await run(engine="acestep")
    assert [(row.engine, row.model) for row in seams.rows] == [("fake", "1")] * 3 + [("acestep", "turbo")] * 3
    assert seams.made_with == ["fake 1", "acestep turbo"]
