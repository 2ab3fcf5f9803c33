"""What a fleet and its watchers cost the one Postgres: this tree against an older one, side by side on one server. Prints the figures of
bench/fleet.md.

    python bench/fleet.py --before DIR PART...        parts: streams, backfill, beats, workers, answers

DIR holds the older code: `git archive 8e0073d | tar x -C DIR`. Each tree has a database with its own migrations, and programs of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.fleet_tree import ROOT, Tree, server

PARTS = ("streams", "backfill", "beats", "workers", "answers")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("parts", nargs="+", choices=PARTS, metavar="PART")
    asked = parser.parse_args()
    with server() as running:
        for part in asked.parts:
            trees = [Tree("before", asked.before.resolve(), running), Tree("now", ROOT, running)]
            await import_module(f"bench.fleet_{part}").measure(trees)
            print("load average", *(f"{load:.1f}" for load in os.getloadavg()), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
