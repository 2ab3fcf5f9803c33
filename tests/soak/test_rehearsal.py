import asyncio
import json
import sys
from pathlib import Path

import pytest

from bench.soak_visitors import WEIGHTS
from bench.soak_watchers import ACTIONS
from tests.conftest import FUZZ

SOAK = Path(__file__).parents[2] / "bench" / "soak.py"


@pytest.mark.slow
@pytest.mark.long
async def test_a_short_soak_loses_nothing_and_is_measured(tmp_path):
    """Some seconds of the whole mix end soundly, leave no temporary file, and are written down: figures, picture and page."""
    asked = f"--seconds {8 * FUZZ} --visitors 3 --watchers 3 --rest 0.2 --seed 5 --out {tmp_path}"
    soak = await asyncio.create_subprocess_exec(
        sys.executable, SOAK, *asked.split(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said = (await soak.communicate())[0].decode()  # the harness bounds itself
    assert (tmp_path / "soak.json").exists(), said
    seen = json.loads((tmp_path / "soak.json").read_text())
    end = {name: value for name, value in seen["end"].items() if name != "jobs"}
    assert end == dict.fromkeys(end, 0), said
    assert seen["end"]["jobs"] > 0
    assert seen["done"].keys() >= {*WEIGHTS, *ACTIONS}
    assert seen["counts"]["files.scratch"]["back"], said
    assert seen["counts"]["children.processes"]["back"], said
    assert all(value > 0 for value in seen["series"]["worker.rss_mb"])
    assert (tmp_path / "soak.svg").read_text().count("<polyline") > 10
    assert "Nothing was lost." in (tmp_path / "soak.md").read_text()
