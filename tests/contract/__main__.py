"""`make contract`: the whole suite over both hosts; the last line is the tally."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.contract.hosts import HOSTS


class Tally:
    """Counts what was tried on which host: a test is one case, unless it tells how many it made."""

    def __init__(self) -> None:
        self.cases = 0
        self.failures = 0
        self.hosts: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failures += report.failed
        if report.when == "call":
            self.cases += dict(report.user_properties).get("cases", 1)
            self.hosts |= {host for host in HOSTS if f"[{host}" in report.nodeid}

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self.failures += report.failed


def main() -> int:
    """Zero when nothing failed and both hosts were there."""
    tally = Tally()
    code = pytest.main([str(Path(__file__).parent), "-q", *sys.argv[1:]], plugins=[tally])
    print(f"contract: hosts={len(tally.hosts)} cases={tally.cases} failures={tally.failures}", flush=True)
    return int(code) or int(tally.failures > 0 or len(tally.hosts) < len(HOSTS))


if __name__ == "__main__":
    sys.exit(main())
