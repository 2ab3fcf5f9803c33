"""What mastering costs, and what lossy files leave of a track: this tree against an older one, side by side.

`python -m bench.master --before DIR [--seconds 175]`, where DIR holds an older tree: `git archive 8e0073d | tar x -C DIR`.
Processor's seconds, children included, the better of two rounds that take turns. The noise of a file is what is left when the decoded
file is taken from the track, in 25 Bark bands of 46 ms: of all of them the mean against the threshold below which the music masks it
(a spread of its own bands, 6 to 13 dB down), the mean and the 99.5th percentile.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np

from bench.sketch import film
from worker.domain import Direction, Options, Samples, Variant
from worker.engines.sketch import SketchEngine
from worker.pipeline.direct.vocabulary import GENRES

ROOT, RATE = Path(__file__).parent.parent, 44_100
FORMATS = ("flac", "wav", "m4a", "mp3")
METER = """
import json, resource, sys
import numpy as np
from worker.domain import Track
from worker.pipeline.finish import master as mastering
def used_s():
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
samples, format, encoding_s, write = np.load(sys.argv[1]), sys.argv[2], 0.0, mastering.write
def timed(*arguments):
    global encoding_s
    began = used_s(); data = write(*arguments); encoding_s = used_s() - began
    open(sys.argv[3], "wb").write(data)
    return data
mastering.write = timed
def master(seconds):
    track = Track(index=0, samples=samples[:, :round(seconds * 44100)], sample_rate=44100)
    mastering.master(track, duration_s=seconds, loudness_lufs=-14, format=format, tags={"title": "A"})
master(3.5)
began = used_s(); master(samples.shape[1] / 44100)
print(json.dumps([used_s() - began, encoding_s]))
"""


def track(genre: str, seconds: float) -> Samples:
    """Music of the sketch engine, (2, samples)."""
    direction = Direction(
        title=genre, prompt=genre, description="", genre=genre, instruments=(), key="D minor", mood="calm",
        tempo_bpm=sum(GENRES[genre].tempo_bpm) / 2,
    )  # fmt: skip
    variant = Variant(index=0, seed=1, direction=direction)
    return next(SketchEngine().compose(film(seconds), [variant], Options(), lambda: False)).samples


def measure(tree: Path, samples: Path, format: str, into: Path) -> tuple[float, float]:
    """Seconds besides the encoder, and of the encoder."""
    environment = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", METER, str(samples), format, str(into)]
    done = subprocess.run(command, cwd=tree, env=environment, stdout=subprocess.PIPE, check=True)
    all_s, encoding_s = json.loads(done.stdout)
    return all_s - encoding_s, encoding_s


def decoded(file: Path) -> Samples:
    with av.open(io.BytesIO(file.read_bytes())) as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)


def noise_db(master: Samples, lossy: Samples) -> tuple[float, float]:
    """Noise over what is masked: the mean of all bands and moments, and their 99.5th percentile."""
    hz = np.fft.rfftfreq(2048, 1 / RATE)
    bark = np.minimum(13 * np.arctan(0.00076 * hz) + 3.5 * np.arctan((hz / 7500) ** 2), 24).astype(int)
    bands = np.eye(25)[bark]  # (bins, 25)
    away = np.arange(25)[None, :] - np.arange(25)[:, None] + 0.474
    spread = 10 ** ((15.81 + 7.5 * away - 17.5 * np.sqrt(1 + away**2)) / 10)  # Schroeder, 1979
    spread /= spread.sum(axis=0).max()
    count = min(master.shape[1], lossy.shape[1])
    over = []
    for clean, coded in zip(master[:, :count], lossy[:, :count], strict=True):
        music, noise = (
            np.abs(np.fft.rfft(np.lib.stride_tricks.sliding_window_view(wave, 2048)[::1024] * np.hanning(2048))) ** 2
            @ bands
            for wave in (clean, clean - coded)
        )
        masked = np.maximum(music @ spread * 10 ** -((6 + 0.3 * np.arange(25)) / 10), 1e-3)
        over.append(10 * np.log10(noise / masked + 1e-9))
    return float(np.mean(over)), float(np.percentile(over, 99.5))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=175.0)
    parser.add_argument("--genre", choices=GENRES, default="house")
    parser.add_argument("--work", type=Path, default=Path("/tmp"))
    asked = parser.parse_args()
    given, clean = asked.work / "track.npy", asked.work / "clean.wav"
    np.save(given, track(asked.genre, asked.seconds))
    for suffix in FORMATS:
        took: dict[str, list[tuple[float, float]]] = {"before": [], "now": []}
        told = {}
        for _ in range(2):
            for name, tree in (("before", asked.before), ("now", ROOT)):
                file = asked.work / f"{name}.{suffix}"
                took[name].append(measure(tree, given, suffix, file))
                if suffix in {"m4a", "mp3"}:
                    measure(tree, given, "wav", clean)
                    told[name] = noise_db(decoded(clean).reshape(-1, 2).T / 32768, decoded(file))
        for name, times in took.items():
            rest_s, encoding_s = (min(column) for column in zip(*times, strict=True))
            noise = "  noise {:+.1f} dB, at most {:+.1f} dB".format(*told[name]) if name in told else ""
            size = (asked.work / f"{name}.{suffix}").stat().st_size / 1e6
            print(
                f"{suffix:5} {name:7} mastering {rest_s:5.2f} s  encoder {encoding_s:5.2f} s  {size:5.1f} MB{noise}",
                flush=True,
            )


if __name__ == "__main__":
    main()
