"""What a long film costs: seconds and peak memory of one track by its length: `python bench/engine_lengths.py [SECONDS ...]`.

The tiny model on a CPU, text alone, five steps; each length in a process of its own, whose memory is the most it ever
took, loading included. Prints a table.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # also from a checkout that is not installed

from tests.engine import tiny
from worker.domain import Clip, Direction, Options, Variant
from worker.engines.mmaudio.engine import MMAudioEngine

DIRECTION = Direction(
    title="", prompt="calm piano", description="", genre="", instruments=(), tempo_bpm=80.0, key="", mood=""
)


def compose(engine: MMAudioEngine, duration_s: float, steps: int) -> float:
    """Seconds for one track."""
    clip = Clip(
        path=Path(), digest="", duration_s=duration_s, width=1, height=1, fps=1, has_audio=False, scenes=(), stills=()
    )
    started = time.perf_counter()
    variant = Variant(index=0, seed=1, direction=DIRECTION)
    list(engine.compose(clip, [variant], Options(conditioning="text", steps=steps), lambda: False))
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", type=float, nargs="*", default=[8.0, 15.0, 30.0, 60.0, 120.0, 180.0])
    parser.add_argument("--one", action="store_true", help="measure in this process")
    asked = parser.parse_args()
    if asked.one:
        engine = MMAudioEngine(tiny.runtime())
        compose(engine, asked.seconds[0], 1)
        took_s = min(compose(engine, asked.seconds[0], 5) for _ in range(2))
        memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        print(f"| {asked.seconds[0]:g} s | {took_s:.1f} s | {memory_mb:.0f} MB |")
        return
    print("| film | one track | peak memory |\n|---|---|---|", flush=True)
    for length in asked.seconds:
        subprocess.run([sys.executable, __file__, "--one", str(length)], check=True)


if __name__ == "__main__":
    main()
