"""How long a stranger's film takes to be looked at, and to give an engine its frames: this tree against an older one, and PyAV
against torchcodec, side by side.

`python bench/look.py --before DIR`, where DIR holds the code of before the warm process: `git archive 41b47f5 | tar x -C DIR`.
Seconds on the clock and of the processor, medians; the first call of each process, which starts and loads, is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import imageio_ffmpeg

ROOT = Path(__file__).parent.parent
METER = """
import asyncio, json, resource, sys, time
from pathlib import Path
import psutil
def processor_s():
    own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in own) + sum(sum(c.cpu_times()[:4]) for c in psutil.Process().children())
async def main(once):
    for _ in range(int(sys.argv[2]) + 1):
        used, began = processor_s(), time.perf_counter()
        await once(Path(sys.argv[1]))
        print(json.dumps([time.perf_counter() - began, processor_s() - used]), flush=True)
"""
LOOK = """
from worker.pipeline.look.look import ChildLooker
async def once(path):
    async for _ in ChildLooker().look(path, None): pass
asyncio.run(main(once))
"""
FRAMES_NOW = """
from worker.engines.mmaudio.features import VIEWS
from worker.pipeline.look.look import ChildLooker
from worker.pipeline.look.warm_process import WARM
WARM.need("worker.pipeline.look.showing")
looker = ChildLooker()
async def once(path):
    async for _ in looker.look(path, None, VIEWS): pass
asyncio.run(main(once))
"""
FRAMES_BEFORE = """
import torch
from worker.domain import Options
from worker.engines.mmaudio.frame_file import frame_file_of
from worker.engines.mmaudio.frames import Film
from worker.engines.mmaudio.predecoder import FramePredecoder
from worker.pipeline.look.look import ChildLooker
cpu = torch.device("cpu")
async def once(path):
    frame_file_of(path).unlink(missing_ok=True)
    async for clip in ChildLooker(scenes=False).look(path, None): pass
    await FramePredecoder(cpu).predecode(clip, Options())
    for _ in Film(path, clip.duration_s, cpu): pass
asyncio.run(main(once))
"""
FORK = """
from worker.pipeline.look.child import Limits, run_child
async def once(path):
    await run_child(["/bin/true"], Limits(), task="Nothing")
asyncio.run(main(once))
"""

PYAV = """
import av, threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from av.video.reformatter import VideoReformatter
converters = threading.local()
def rgb(frame):
    if not hasattr(converters, "mine"): converters.mine = VideoReformatter()
    return converters.mine.reformat(frame, format="rgb24").planes[0]
async def once(path):
    with av.open(str(path)) as container, ThreadPoolExecutor(4) as threads:
        container.streams.video[0].thread_type = "AUTO"
        container.streams.video[0].codec_context.thread_count = 4
        waiting = deque()
        for frame in container.decode(video=0):
            waiting.append(threads.submit(rgb, frame))
            if len(waiting) > 16: waiting.popleft().result()
        for one in waiting: one.result()
asyncio.run(main(once))
"""
TORCHCODEC = """
import torch
from torchcodec.decoders import VideoDecoder
torch.set_num_threads(1)
async def once(path):
    for _ in VideoDecoder(str(path), num_ffmpeg_threads=4, seek_mode="approximate"): pass
asyncio.run(main(once))
"""

FOLLOW = """
import torch
from torchcodec.decoders import VideoDecoder
from worker.engines.mmaudio.features import VIEWS
from worker.pipeline.look import decoder, showing
from worker.pipeline.look.selection import Selection
torch.set_num_threads(1)
def shown(path):
    film = VideoDecoder(str(path), num_ffmpeg_threads=4, dimension_order="NHWC", seek_mode="approximate")
    selection = Selection(film.metadata.duration_seconds, [view.fps for view in VIEWS])
    for frame in map(film.get_frame_at, range(len(film))):
        if any(slots := selection.take(frame.pts_seconds)): yield slots, frame.data
async def once(path):
    with open("/dev/null", "wb") as out: showing.send(FRAMES, VIEWS, out)
asyncio.run(main(once))
"""
FOLLOW_PYAV = FOLLOW.replace("FRAMES", "decoder.follow(path, 180.0, None, VIEWS)")
FOLLOW_TORCHCODEC = (
    "from worker.pipeline.look import showing\nshowing._rgb = lambda _, frame: frame.numpy()"
    + FOLLOW.replace("FRAMES", "shown(path)")
)


def drawn(folder: Path, seconds: int, size: str) -> Path:
    """A film in H.264, 25 frames a second, 6 Mbit/s."""
    path = folder / f"{seconds}s-{size}.mp4"
    subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", f"testsrc2=s={size}:r=25:d={seconds}",
         "-b:v", "6M", "-pix_fmt", "yuv420p", path], check=True,
    )  # fmt: skip
    return path


def timed(tree: Path, program: str, film: Path, rounds: int) -> list[list[float]]:
    """[seconds on the clock, of the processor] of each call but the first."""
    said = subprocess.run(
        [sys.executable, "-c", METER + program, film, str(rounds)],
        cwd=tree, env=os.environ | {"PYTHONPATH": str(tree)}, stdout=subprocess.PIPE, text=True, check=True,
    ).stdout  # fmt: skip
    return [json.loads(line) for line in said.splitlines()][1:]


def compared(name: str, film: Path, calls: int, rounds: int, **ways: tuple[Path, str]) -> None:
    """Two ways take turns; the second is told as so many times the first."""
    taken: dict[str, list[list[float]]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, (tree, program) in ways.items():
            taken[way] += timed(tree, program, film, calls)
    medians = {
        way: [statistics.median(column) for column in zip(*all_calls, strict=True)] for way, all_calls in taken.items()
    }
    told = [f"{way} {clock:.3f} s ({processor:.3f} of the processor)" for way, (clock, processor) in medians.items()]
    first, second = (clock for clock, _ in medians.values())
    print(f"{name}: {', '.join(told)}, {first / second:.2f} x", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3, help="how often the trees take turns (default 3)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        small, large = drawn(Path(folder), 12, "640x360"), drawn(Path(folder), 8, "1920x1080")
        films = [
            ("look at 12 s of 640x360", small, 5, LOOK, LOOK),
            ("8 s of 1080p to all frames of the engine", large, 2, FRAMES_BEFORE, FRAMES_NOW),
            ("a child that does nothing", small, 50, FORK, FORK),
        ]
        for name, film, calls, before, now in films:
            compared(name, film, calls, asked.rounds, before=(asked.before.resolve(), before), now=(ROOT, now))
        for name, film in (("12 s of 640x360 to RGB", small), ("8 s of 1080p to RGB", large)):
            compared(name, film, 3, asked.rounds, torchcodec=(ROOT, TORCHCODEC), PyAV=(ROOT, PYAV))
        for name, film in (
            ("12 s of 640x360 to an engine's frames", small),
            ("8 s of 1080p to an engine's frames", large),
        ):
            ways = {"torchcodec": (ROOT, FOLLOW_TORCHCODEC), "PyAV": (ROOT, FOLLOW_PYAV)}
            compared(name, film, 3, asked.rounds, **ways)


if __name__ == "__main__":
    main()
