"""schemathesis tries the one openapi.yaml against both hosts: examples, limits, random data and sequences of calls, with all checks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import FUZZ, ROOT
from tests.contract.conftest import silent
from tests.contract.hosts import HOSTS, Host
from tests.contract.keys import spoken

EXAMPLES = 4 if FUZZ == 1 else 20 * FUZZ
TOLD = Path(__file__).parent


async def test_the_contract_holds_whatever_is_sent(settings, db, tmp_path, record_property):
    """Every answer of either host to good and bad requests has a described status, media type, headers and body."""
    given = {**settings, "MERGE_WAIT_S": "0"}
    with Host(HOSTS[0], tmp_path, **given) as one, Host(HOSTS[1], tmp_path, **given) as other:
        told = {
            "SCHEMATHESIS_HOOKS": str(TOLD / "schemathesis_hooks.py"), "OTHER_HOST": other.url,
            "HYPOTHESIS_STORAGE_DIRECTORY": str(ROOT / ".hypothesis"),  # what it knows of Unicode, which takes seconds
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "schemathesis.cli", "--config-file", TOLD / "schemathesis.toml", "run",
             ROOT / "edge_api" / "openapi.yaml", "--url", one.url,
             "--checks", "all", "--exclude-checks", "use_after_free",  # DELETE cancels a job, which stays to be seen
             "--max-examples", str(EXAMPLES), "--seed", "1", "--workers", "1", "--no-color"],
            cwd=tmp_path, env=os.environ | told, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout
    record_property("cases", len(HOSTS) * int(re.search(r"(\d+) generated", done.stdout)[1]))
    assert spoken(done.stdout) == set()
    for host in (one, other):
        silent(host)
