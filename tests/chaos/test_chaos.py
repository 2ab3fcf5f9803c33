import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

HARNESS = Path(__file__).with_name("harness.py")
OPTIONS = os.environ.get("CHAOS", "--jobs 10 --seconds 16 --workers 2 --seed 7")


@pytest.mark.slow
async def test_nothing_is_lost_doubled_or_written_by_zombies():
    """Workers are killed, stopped, hung and drained, jobs cancelled, Postgres, gateway, Storage and callbacks break, and every job still ends exactly once."""
    chaos = await asyncio.create_subprocess_exec(
        sys.executable, HARNESS, *OPTIONS.split(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said = (await chaos.communicate())[0].decode()  # the harness bounds itself
    assert chaos.returncode == 0, said
    last = said.splitlines()[-1]
    assert re.fullmatch(
        r"chaos: jobs=\d+ completed=\d+ failed=\d+ lost=0 duplicated=0 zombie_writes=0 max_recovery_s=.*", last
    )
