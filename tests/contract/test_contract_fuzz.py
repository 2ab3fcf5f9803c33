"""A stateful fuzz of the whole API: two users, a visitor and a worker do what they like, and every answer is the expected one."""

from __future__ import annotations

import asyncio

import asyncpg
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.conftest import FUZZ
from tests.contract.cast import LIMIT
from tests.contract.hand import Hand
from tests.contract.world import World

STEPS = 200 if FUZZ == 1 else 400 * FUZZ
STEPS_A_RUN = 50


def test_whatever_users_do_the_contract_holds(host, database_url, record_property):
    """No sequence of calls by two users, a visitor and a worker gives an unexpected answer."""
    with asyncio.Runner() as runner:
        db = runner.run(asyncpg.connect(database_url))
        runner.run(db.execute("update private.settings set pending_per_client = $1, pending_per_owner = $1", LIMIT))
        hands = {kind: Hand(db, kind) for kind in ("generate", "merge", "brief", "pack")}
        machine = type("World", (World,), {"host": host, "db": db, "runner": runner, "hands": hands, "steps": 0})
        budget = settings(
            max_examples=max(1, STEPS // STEPS_A_RUN),
            stateful_step_count=STEPS_A_RUN,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        try:
            while machine.steps < STEPS:
                run_state_machine_as_test(machine, settings=budget)
        finally:
            runner.run(db.close())
    record_property("cases", machine.steps)
    print(f"{host.name}: {machine.steps} steps")
