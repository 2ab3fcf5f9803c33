"""Lengths of sequences follow from the duration."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from worker.engines.mmaudio import windows
from worker.engines.mmaudio.lengths import (
    CLIP_FPS,
    RATE_16K,
    RATE_44K,
    SYNC_FPS,
    clip_frames,
    covered_s,
    nearest_exact,
    sync_features,
)
from worker.pipeline.look.selection import Selection

RATES = {"16k": RATE_16K, "44k": RATE_44K}
DURATIONS = st.floats(0.64, 180.0)


def test_lengths_are_those_of_the_table(fixtures: Path):
    """Latents, CLIP frames, sync features, samples and the stretching map equal the reference for every duration listed."""
    for row in json.loads((fixtures / "tiny" / "seq_lengths.json").read_text()):
        rate, duration = RATES[row["mode"]], row["duration"]
        latents = rate.latents(duration)
        ours = (latents, clip_frames(duration), sync_features(duration), 2 * rate.hop * latents)
        assert ours == (row["latent"], row["clip"], row["sync"], row["audio_samples"]), row
        indices = nearest_exact(row["sync"], row["latent"]).numpy().astype("<i4")
        assert zlib.crc32(indices.tobytes()) == row["nearest_exact_crc32"], row


@given(DURATIONS, st.sampled_from(sorted(RATES)))
def test_audio_covers_its_duration(duration: float, mode: str):
    """There are never fewer samples than the duration asks for, and less than two hops more than that."""
    rate = RATES[mode]
    spare = 2 * rate.hop * rate.latents(duration) - duration * rate.sample_rate
    assert -1e-3 <= spare < 2 * rate.hop


@given(st.integers(8, 4500), st.integers(8, 8000))
def test_stretching_is_monotonic_and_ends_at_both_ends(source: int, target: int):
    """Every target row has a source row; order is kept."""
    indices = nearest_exact(source, target)
    assert len(indices) == target
    assert (indices.diff() >= 0).all()
    assert indices[0] >= 0
    assert indices[-1] < source


@given(DURATIONS)
def test_features_fill_whole_segments(duration: float):
    """Eight sync features for each segment that fits into the frames."""
    assert sync_features(duration) % 8 == 0
    assert sync_features(duration) // 8 == (int(25 * duration + 1e-9) - 16) // 8 + 1 or duration * 25 % 1 > 0.999


@example(166.078125, "44k")
@given(DURATIONS, st.sampled_from(sorted(RATES)))
def test_windows_stay_within_the_film(duration: float, mode: str):
    """Every window lies inside latents and features, the first starts at the start, the last ends at the end."""
    rate = RATES[mode]
    laid = windows.lay(duration, rate)
    assert laid.starts[0] == 0
    assert laid.starts[-1] + laid.length == laid.latents == rate.latents(duration)
    assert laid.clip_starts[-1] + laid.clip_length <= clip_frames(duration)
    assert laid.sync_starts[-1] + laid.sync_length <= sync_features(duration)
    assert all(a < b <= a + laid.length for a, b in zip(laid.starts, laid.starts[1:], strict=False))
    assert all(start % 8 == 0 for start in laid.sync_starts)


@pytest.mark.parametrize(("fps", "frames", "expected"), [(25, 200, 7.96), (30, 240, 8.0), (12, 96, 7.88)])
def test_rare_frames_repeat_and_missing_ones_shorten(fps: int, frames: int, expected: float):
    """A slot takes the first frame at or after it; slots nobody fills shorten the request."""
    selection = Selection(8.0, [CLIP_FPS, SYNC_FPS])
    for i in range(frames):
        selection.take(i / fps)
    assert covered_s(8.0, [clock.count for clock in selection.clocks]) == pytest.approx(expected, abs=0.05)
