import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import harness


@pytest.mark.slow
async def test_nothing_is_lost_doubled_or_written_by_zombies():
    """Workers are killed, stopped and drained, Postgres, gateway and Storage break, and every job still ends exactly once."""
    verdict = await harness.run(jobs=12, seconds=25, workers=2, seed=7)
    assert verdict.clean, str(verdict)
