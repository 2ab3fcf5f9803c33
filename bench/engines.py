"""What each engine costs side by side, for whoever has its weights: seconds until the first and the last track, and memory.

`python -m bench.engines sketch acestep:tiny-random [--seconds 30] [--variants 3]`; mmaudio:large_44k_v2 and acestep:xl-turbo want
a GPU and their weights in MODELS_DIR (`rhythmai models pull`). Text alone conditions MMAudio here: there is no film to watch.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time

from bench.sketch import film
from worker.domain import Direction, Options, Variant
from worker.loading import load_engine
from worker.pipeline.direct.vocabulary import GENRES
from worker.settings import Settings

MODEL = {"mmaudio": "mmaudio_model", "acestep": "acestep_model"}
NOBODY = {
    "supabase_url": "http://127.0.0.1:1",
    "supabase_key": "none",
    "database_url": "postgresql://nobody@127.0.0.1/none",
}


def one(asked: str, seconds: float, variants: int) -> None:
    """Load and compose twice, in a process of its own; the second time is what a worker takes that runs."""
    name, _, model = asked.partition(":")
    started = time.perf_counter()
    engine = load_engine(Settings(engine=name, **NOBODY, **({MODEL[name]: model} if model else {})), name)  # type: ignore[arg-type]
    assert engine is not None
    loaded_s = time.perf_counter() - started
    clip, options = film(seconds), Options(seed=1, conditioning="text")
    directions = [
        Direction(
            title=genre, prompt=f"instrumental background music, {genre}", description="", genre=genre, instruments=(),
            tempo_bpm=sum(GENRES[genre].tempo_bpm) / 2, key="D minor", mood="calm",
        )
        for genre in list(GENRES)[:variants]
    ]  # fmt: skip
    wanted = [Variant(index=place, seed=place, direction=direction) for place, direction in enumerate(directions)]
    for _ in range(2):
        engine.prepare(clip, options, lambda: False)
        started = time.perf_counter()
        at_s = [time.perf_counter() - started for _ in engine.compose(clip, wanted, options, lambda: False)]
    memory_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    if (torch := sys.modules.get("torch")) and torch.cuda.is_available():
        memory_gb = torch.cuda.max_memory_reserved() / 1e9
    print(f"{asked:24} {loaded_s:7.1f} {at_s[0]:7.2f} {at_s[-1]:7.2f} {memory_gb:7.1f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engines", nargs="+", help="sketch, mmaudio:MODEL, acestep:MODEL")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--variants", type=int, default=3)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        one(asked.engines[0], asked.seconds, asked.variants)
        return
    print(
        f"{asked.variants} tracks of {asked.seconds:g} s: seconds to load, to the first track, to the last; GB of the GPU, else of the process"
    )
    for engine in asked.engines:
        options = ["--seconds", str(asked.seconds), "--variants", str(asked.variants)]
        subprocess.run([sys.executable, "-m", "bench.engines", engine, "--one", *options], check=True)


if __name__ == "__main__":
    main()
