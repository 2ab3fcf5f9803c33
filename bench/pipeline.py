"""The pipeline under load: a real database and a real pipeline, an engine that only waits, a VLM that answers after three seconds.

    python -m bench.pipeline [--films 12s-360p 12s-1080p ...] [--loaded ...] [--jobs 4] [--slots 4] [--no-seed]

Prints JSON, then tables. Beside it, in the same run, the sequential way of the seed. bench/pipeline.md says what the figures mean.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import sys
from typing import Any

import structlog

from bench.pipeline_box import ran
from bench.pipeline_engine import OF_S, music, takes_s
from bench.pipeline_films import FILMS
from bench.pipeline_seed import one_job
from bench.pipeline_world import ANSWER_S, World, world

STAGES = ("look", "master", "rest")
BUSY = 0.9
SEED_S = 12
"""The longest film that is also made in the seed's way."""
CORES = 2
"""Of the simulation with a stretched engine."""


async def alone(world: World, name: str) -> dict[str, Any]:
    """One job with nothing beside it."""
    run, _ = await ran(world, [FILMS[name].file()], slots=1)
    cpu_s, engine_s = sum(run.cpu_s.values()), takes_s(FILMS[name].seconds)
    return {
        "film": name,
        "first_s": run.mean("first"),
        "last_s": run.mean("last"),
        "look_s": run.mean("looked") - run.mean("claimed"),
        "engine_s": engine_s,
        "overhead_s": run.mean("last") - ANSWER_S - engine_s,
        "cpu_s": cpu_s,
        "cpu_by_stage_s": {stage: run.cpu_s[stage] for stage in STAGES},
        "cores_for_one_gpu": BUSY * cpu_s / engine_s,
    }


async def loaded(world: World, name: str, *, jobs: int, slots: int, stretch: float = 1.0) -> dict[str, Any]:
    """Many jobs at once."""
    run, meter = await ran(world, [FILMS[name].file()] * jobs, slots=slots, stretch=stretch)
    waits = run.unexplained_s(meter.urls)
    return {
        "film": name, "jobs": jobs, "slots": slots, "stretch": stretch, "jobs_a_minute": 60 * jobs / run.seconds,
        "first_s": run.mean("first") - run.mean("claimed"), "last_s": run.mean("last") - run.mean("claimed"),
        "engine_busy": run.busy, "cpu_s_a_job": sum(run.cpu_s.values()) / jobs,
        "cores_had": sum(run.cpu_s.values()) / run.seconds,
        "ready_and_kept_waiting_s": {"median": waits[len(waits) // 2], "most": waits[-1]},
    }  # fmt: skip


async def seed(world: World, name: str) -> dict[str, Any]:
    """The sequential way, one job: under load the next one begins when this one ends."""
    seconds = await one_job(world, await world.upload(FILMS[name].file()))
    return {"film": name, "first_s": seconds, "last_s": seconds, "jobs_a_minute": 60 / seconds}


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", nargs="+", choices=FILMS, default=["12s-360p", "12s-1080p", "60s-1080p"])
    parser.add_argument("--loaded", nargs="*", choices=FILMS, default=["12s-360p", "12s-1080p"])
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--no-seed", action="store_true")
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    for name in asked.films:
        music(FILMS[name].seconds)
    told: dict[str, Any] = {"cores": os.cpu_count(), "alone": [], "seed": [], "loaded": [], "stretched": []}
    async with world() as place:
        await alone(place, "12s-360p")  # what is loaded once is loaded now
        for name in asked.films:
            note(told["alone"], await alone(place, name))
            if not asked.no_seed and FILMS[name].seconds <= SEED_S:
                note(told["seed"], await seed(place, name))
        for name in asked.loaded:
            note(told["loaded"], await loaded(place, name, jobs=asked.jobs, slots=asked.slots))
            one = next(figures for figures in told["alone"] if figures["film"] == name)
            stretch = round(max(1.0, one["cores_for_one_gpu"] / CORES), 1)
            slots = 2 + math.ceil((one["last_s"] - one["engine_s"]) / (one["engine_s"] * stretch))
            note(
                told["stretched"],
                await loaded(place, name, jobs=asked.jobs + 2, slots=max(asked.slots, slots), stretch=stretch),
            )
    print(json.dumps(rounded(told), indent=1))
    print(tables(told))


def note(figures: list[dict[str, Any]], new: dict[str, Any]) -> None:
    figures.append(new)
    print(json.dumps(rounded(new)), file=sys.stderr, flush=True)


def rounded(value: Any) -> Any:
    match value:
        case float():
            return round(value, 3)
        case dict():
            return {name: rounded(one) for name, one in value.items()}
        case list():
            return [rounded(one) for one in value]
        case _:
            return value


def tables(told: dict[str, Any]) -> str:
    lines = [
        f"engine: {0.45:.2f} s of GPU for {OF_S:g} s of film; VLM: {ANSWER_S:g} s; {told['cores']} cores, shared",
        "",
        "| one job alone | first result | last result | look | overhead | CPU s | look | frames | master | rest | cores for a GPU 90 % busy |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in told["alone"]:
        stages = " | ".join(f"{one['cpu_by_stage_s'][stage]:.2f}" for stage in STAGES)
        lines.append(
            f"| {one['film']} | {one['first_s']:.2f} s | {one['last_s']:.2f} s | {one['look_s']:.2f} s | {one['overhead_s']:.2f} s "
            f"| {one['cpu_s']:.2f} | {stages} | {one['cores_for_one_gpu']:.1f} |"
        )
    lines += [
        "",
        "| under load | jobs a minute | first result | last result | engine busy | cores had | ready and kept waiting, median and most |",
        "|---|---|---|---|---|---|---|",
    ]
    for many in told["loaded"] + told["stretched"]:
        waits = many["ready_and_kept_waiting_s"]
        lines.append(
            f"| {many['film']}, {many['jobs']} jobs, {many['slots']} slots, engine x {many['stretch']:g} | {many['jobs_a_minute']:.1f} "
            f"| {many['first_s']:.2f} s | {many['last_s']:.2f} s | {many['engine_busy']:.0%} | {many['cores_had']:.1f} | {waits['median']:.2f} s, {waits['most']:.2f} s |"
        )
    lines += [
        f"| {one['film']}, the seed's way | {one['jobs_a_minute']:.1f} | {one['first_s']:.2f} s | {one['last_s']:.2f} s | | | |"
        for one in told["seed"]
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    asyncio.run(main())
