"""Listens for seams: does a long track change more where its windows meet than anywhere else?

    python bench/seams.py TRACK.flac            the seams of the engine's windows for a track of that length
    python bench/seams.py TRACK.flac 6.08 12.16 seams at these seconds

Three measures: the jump of the log-mel spectrum at seams against elsewhere (at most 1.10 in the
median, 1.15 at the 95th percentile), the loudness step (at most 1.5 dB more than elsewhere), and the energy above 8 kHz around
seams against elsewhere (within 1 dB: averaging blurs). Exits with 1 when one is exceeded, as hard concatenation is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from scipy.fft import rfft

Wave = npt.NDArray[np.float64]
MELS, HOP_S, FRAME_S = 128, 0.010, 0.046
AROUND_S = 0.050
"""A seam is what lies this close to it."""
STEP_S = 0.400
HIGH_HZ = 8000.0
MEDIAN, P95, STEP_DB, HIGH_DB = 1.10, 1.15, 1.5, 1.0


@dataclass(frozen=True)
class Seams:
    """How seams compare with everywhere else; ratios above one are worse."""

    jump_median: float
    jump_p95: float
    step_db: float
    high_db: float

    @property
    def heard(self) -> list[str]:
        """What a listener would notice, as sentences; empty when nothing."""
        said = []
        if self.jump_median > MEDIAN:
            said.append(f"the spectrum jumps {self.jump_median:.2f} times as much at seams (at most {MEDIAN})")
        if self.jump_p95 > P95:
            said.append(f"the largest jumps are {self.jump_p95:.2f} times those elsewhere (at most {P95})")
        if self.step_db > STEP_DB:
            said.append(f"loudness steps {self.step_db:.2f} dB more at seams (at most {STEP_DB})")
        if abs(self.high_db) > HIGH_DB:
            said.append(f"the highs differ by {self.high_db:+.2f} dB around seams (at most {HIGH_DB})")
        return said


def _filters(rate: int, bins: int) -> Wave:
    """Triangles on the mel scale, (MELS, bins)."""
    top = 2595 * np.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, MELS + 2) / 2595) - 1)
    hz = np.linspace(0, rate / 2, bins)
    rise = (hz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - hz) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(rise, fall))


def _power(wave: Wave, rate: int) -> tuple[Wave, int]:
    """Power spectra (frames, bins) every HOP_S, and the hop in samples."""
    hop, size = round(HOP_S * rate), round(FRAME_S * rate)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(wave, size // 2), size)[::hop]
    return np.abs(rfft(frames * np.hanning(size), axis=-1)) ** 2, hop


def listen(wave: Wave, rate: int, seams_s: Sequence[float], seed: int = 0) -> Seams:
    """Measure a mono track (samples,) at its seams, against 200 random places that are none."""
    power, _ = _power(wave, rate)
    mel = np.log(power @ _filters(rate, power.shape[1]).T + 1e-8)
    jump = np.abs(np.diff(mel, axis=0)).mean(axis=1)
    loud = 10 * np.log10(power.sum(axis=1) + 1e-8)
    high = power[:, np.linspace(0, rate / 2, power.shape[1]) > HIGH_HZ].sum(axis=1)
    reach, side = round(AROUND_S / HOP_S), round(STEP_S / HOP_S)
    dice = np.random.default_rng(seed)
    at = np.array([round(s / HOP_S) for s in seams_s])
    free = np.array([i for i in range(side, len(jump) - side) if np.abs(at - i).min() > 2 * side])
    elsewhere = dice.choice(free, 200)

    def jumps(places: npt.NDArray[np.int64]) -> Wave:
        return np.array([jump[i - reach : i + reach].max() for i in places])

    def steps(places: npt.NDArray[np.int64]) -> Wave:
        return np.array([abs(loud[i : i + side].mean() - loud[i - side : i].mean()) for i in places])

    def highs(places: npt.NDArray[np.int64]) -> float:
        return float(np.mean([high[i - side : i + side].mean() for i in places]))

    return Seams(
        jump_median=float(np.median(jumps(at)) / np.median(jumps(elsewhere))),
        jump_p95=float(np.percentile(jumps(at), 95) / np.percentile(jumps(elsewhere), 95)),
        step_db=float(np.median(steps(at)) - np.median(steps(elsewhere))),
        high_db=float(10 * np.log10((highs(at) + 1e-8) / (highs(elsewhere) + 1e-8))),
    )


def engine_seams(duration_s: float) -> list[float]:
    """Where the engine's windows meet, in seconds: the middle of each overlap."""
    from worker.engines.mmaudio.models import MODELS
    from worker.engines.mmaudio.windows import lay

    rate = MODELS["large_44k_v2"].rate
    windows = lay(duration_s, rate)
    per_s = rate.sample_rate / rate.hop / 2
    pairs = zip(windows.starts[:-1], windows.starts[1:], strict=True)
    return [(later + earlier + windows.length) / 2 / per_s for earlier, later in pairs]


def read(file: Path) -> tuple[Wave, int]:
    """A sound file as mono samples and their rate."""
    with av.open(str(file)) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=stream.rate)
        parts = [part.to_ndarray()[0] for frame in container.decode(stream) for part in resampler.resample(frame)]
    return np.concatenate(parts).astype(np.float64), stream.rate


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("track", type=Path)
    parser.add_argument("seconds", type=float, nargs="*", help="where the seams are")
    asked = parser.parse_args()
    try:
        wave, rate = read(asked.track)
    except (av.error.FFmpegError, IndexError) as error:
        parser.error(f"{asked.track} is no sound file that can be read: {error}")
    seams_s = asked.seconds or engine_seams(len(wave) / rate)
    if not seams_s:
        print("one window: there are no seams")
        return 0
    found = listen(wave, rate, seams_s)
    print(found)
    for sentence in found.heard:
        print(sentence, file=sys.stderr)
    return 1 if found.heard else 0


if __name__ == "__main__":
    sys.exit(main())
