"""Runs sections of `gpu.py` one after the other in this process and tells each one's facts through a pipe, as JSON lines.

After a section that failed the next one goes on, unless the device answers no more: then this process ends, and `gpu.py`
starts another for the rest.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

ABSENT = ("av", "torchcodec", "open_clip", "pydantic", "pydantic_settings", "structlog", "asyncpg", "openai")
"""What a GPU machine lacks; in a rehearsal it is lacking too."""


class Kept(logging.Handler):
    """Warnings of a section: a fallback to a slower form says so there."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage()[:500])


def functions() -> dict[str, Callable]:
    """Every section takes the stand, notes its facts there, and returns whether all was well and a line for the table."""
    import gpu_device
    import gpu_exact
    import gpu_kernels
    import gpu_shapes
    import gpu_speed
    import gpu_strain

    return {
        "device": gpu_device.device,
        "parity": gpu_exact.parity,
        "kernels": gpu_kernels.kernels,
        "bench": gpu_speed.bench,
        "distances": gpu_exact.distances,
        "films": gpu_shapes.films,
        "capture": gpu_shapes.capture,
        "alternating": gpu_strain.alternating,
        "oom_cancel": gpu_strain.oom_cancel,
        "profile": gpu_speed.profile,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rehearse", action="store_true")
    parser.add_argument("--pipe", type=int, required=True)
    parser.add_argument("out", type=Path)
    parser.add_argument("sections", nargs="+")
    asked = parser.parse_args()
    if asked.rehearse:
        sys.modules.update(dict.fromkeys(ABSENT))

    def say(**words: object) -> None:
        os.write(asked.pipe, json.dumps(words, default=str).encode() + b"\n")

    from gpu import LOADED
    from gpu_stand import REAL, REHEARSAL, Stand

    stand = Stand(REHEARSAL if asked.rehearse else REAL, asked.out, lambda facts: say(note=facts))
    kept = Kept()
    logging.basicConfig(level=logging.INFO)
    logging.getLogger().addHandler(kept)
    known, loaded = functions(), False

    def carried_out(name: str, run: Callable[[Stand], tuple[bool, str]]) -> bool:
        """Whether the section did not raise."""
        kept.lines.clear()
        say(began=name)
        print(f"=== {name} {time.strftime('%H:%M:%S')}", flush=True)
        try:
            ok, line = run(stand)
        except Exception as error:  # noqa: BLE001
            traceback.print_exc()
            where = traceback.extract_tb(error.__traceback__)[-1]
            line = f"{type(error).__name__}: {error}".splitlines()[0][:300]
            say(ended="failed", line=f"{line} ({Path(where.filename).name}:{where.lineno})", warnings=kept.lines)
            return False
        say(ended="ok" if ok else "not ok", line=line, warnings=kept.lines)
        return True

    for name in asked.sections:
        if name in LOADED and not loaded:
            loaded = carried_out("load", Stand.load)
            if not loaded:
                return 1
        if not carried_out(name, known[name]) and not stand.answers():
            return 1
        gc.collect()
    return 0


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
