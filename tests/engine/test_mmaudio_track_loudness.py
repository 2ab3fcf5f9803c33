"""Loudness on the device is the loudness that mastering measures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from worker.domain import Options
from worker.engines.mmaudio.engine import MMAudioEngine
from worker.engines.mmaudio.track_loudness import track_lufs
from worker.pipeline.finish.loudness import integrated_lufs


def sound(kind: str, seconds: float, rate: int) -> np.ndarray:
    """(1 or 2, T) float32."""
    t = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(3).standard_normal((2, len(t)))
    made = {
        "tone": 0.1 * np.sin(2 * np.pi * 997 * t)[None],
        "bass": 0.5 * np.sin(2 * np.pi * 45 * t)[None],
        "swell": noise[:1] * np.linspace(0.001, 0.3, len(t)),
        "loud": 0.9 * noise,
        "gated": noise * np.where(t % 2 < 1.2, 0.1, 0.002),
    }
    return made[kind].astype(np.float32)


@pytest.mark.parametrize("kind", ["tone", "bass", "swell", "loud", "gated"])
@pytest.mark.parametrize(("seconds", "rate"), [(0.41, 44100), (0.5, 16000), (0.68, 44100), (1.0, 16000), (8.0, 44100)])
def test_it_agrees_with_the_meter_of_the_master(kind: str, seconds: float, rate: int):
    """Within a tenth of a LU for quiet, clipped and gated sounds, from a single block on."""
    wave = sound(kind, seconds, rate)
    assert track_lufs(torch.from_numpy(wave), rate) == pytest.approx(integrated_lufs(wave, rate), abs=0.1)


def test_silence_and_a_moment_have_no_loudness():
    """Nothing passes the gate, or nothing fills a block."""
    assert track_lufs(torch.zeros(1, 44100), 44100) is None
    assert track_lufs(torch.ones(1, 1000), 44100) is None


def test_the_engine_hands_the_loudness_on(engine: MMAudioEngine, clip_of, variant_of, tmp_path):
    """A track knows how loud it is."""
    clip, asked = clip_of(tmp_path / "nowhere.mp4", 1.0), Options(conditioning="text", steps=1)
    track = next(engine.compose(clip, [variant_of(0, 1)], asked, lambda: False))
    assert track.loudness_lufs == pytest.approx(integrated_lufs(track.samples, track.sample_rate), abs=0.1)
