"""An engine's frames have the same times in every container: they count from the first frame shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.unit.films import copy, film, make
from tests.unit.test_clip_frames import directly, shown
from worker.pipeline.look.frames import frames
from worker.pipeline.look.probe import measure

RATES = [25, 30]


@pytest.fixture(scope="module", params=RATES)
def source(request: pytest.FixtureRequest, tmp_path_factory) -> Path:
    """Two seconds in MP4."""
    return film(tmp_path_factory.mktemp("source") / "film.mp4", rate=request.param)


def times(path: Path) -> list[float]:
    return [at_s for at_s, _, _ in frames(path, measure(path, 180.0))]


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("ts", []),
        ("ts", ["-output_ts_offset", "100"]),
        ("ts", ["-output_ts_offset", "300"]),
        ("ts", ["-output_ts_offset", "95441"]),
        ("MTS", ["-f", "mpegts", "-mpegts_m2ts_mode", "1"]),
        ("mkv", ["-output_ts_offset", "3"]),
        ("mkv", ["-output_ts_offset", "300"]),
        ("mov", []),
        ("mov", ["-output_ts_offset", "3"]),
        ("mp4", ["-movflags", "+frag_keyframe+empty_moov"]),
        ("flv", ["-output_ts_offset", "100"]),
        ("avi", []),
    ],
)
async def test_every_container_shows_the_same_frames(tmp_path, source: Path, suffix: str, options: list[str]) -> None:
    """What each slot shows does not depend on when a container's clock begins, nor on how it tells the time."""
    path = copy(source, tmp_path / f"a.{suffix}", *options)
    coarse = suffix in {"mkv", "flv"}  # whole milliseconds
    assert times(path) == pytest.approx(times(source), abs=1e-3 if coarse else 1e-6)
    if coarse and measure(source, 180.0).fps == 30:
        return  # a third of a millisecond decides which frame is the first one after a slot
    clip, ours = await shown(path)
    assert clip.duration_s == pytest.approx(2.0, abs=1e-6)
    for one, other in zip(ours, directly(source, 2.0), strict=True):
        assert np.array_equal(one, other)


async def test_a_clock_that_starts_again_shows_the_film_twice(tmp_path, source: Path) -> None:
    """Evenly: no frame comes at the time of another."""
    once = copy(source, tmp_path / "once.ts").read_bytes()
    path = tmp_path / "twice.ts"
    path.write_bytes(once + once)
    rate = measure(source, 180.0).fps
    assert times(path) == pytest.approx([i / rate for i in range(round(4 * rate))], abs=1e-6)
    clip, ours = await shown(path)
    assert clip.duration_s == pytest.approx(4.0)
    assert len(ours[0]) == 32
    assert len(ours[1]) in {99, 100}  # the clocks of an engine are sums, which drift
    for one, other in zip(ours, directly(source, 2.0), strict=True):
        assert np.array_equal(one[: len(other)], other)


async def test_the_last_frame_stands_while_sound_goes_on(tmp_path) -> None:
    """An engine sees it again in every slot to the end, the one of the very end included; a scene goes on, and stills show what moved."""
    silent = film(tmp_path / "a.mp4", seconds=1, sound=False)
    tone = make(tmp_path / "a.m4a", "-f", "lavfi", "-i", "sine=d=7", "-c:a", "aac")
    clip, (slow, fast) = await shown(make(tmp_path / "b.mp4", "-i", silent, "-i", tone, "-c", "copy"))
    assert clip.duration_s == pytest.approx(7.0, abs=1e-6)
    assert (len(slow), len(fast)) == (57, 175)
    own, _ = directly(silent, 1.0)
    assert np.array_equal(slow[: len(own)], own)
    assert (slow[8:] == slow[8]).all()
    assert (fast[25:] == fast[24]).all()
    assert clip.scenes[-1].end_s == clip.duration_s
    assert max(still.time_s for still in clip.stills) < 1
    assert len(clip.stills) >= 12


async def test_a_still_with_sound_is_a_calm_film(tmp_path) -> None:
    """One picture, one scene, no motion."""
    still = film(tmp_path / "a.mp4", seconds=0.04, sound=False)
    tone = make(tmp_path / "a.m4a", "-f", "lavfi", "-i", "sine=d=10", "-c:a", "aac")
    clip, (slow, fast) = await shown(make(tmp_path / "b.mp4", "-i", still, "-i", tone, "-c", "copy"))
    assert (clip.duration_s, len(clip.stills), len(clip.scenes)) == (10.0, 1, 1)
    assert clip.scenes[0].motion == 0
    assert (len(slow), len(fast)) == (81, 251)


async def test_sound_that_ends_with_the_picture_changes_no_frame(tmp_path) -> None:
    """Half a second more of it is the last block of an encoder: the film is the picture, and its last slot the last frame's."""
    silent = film(tmp_path / "a.mp4", seconds=1, sound=False)
    tone = make(tmp_path / "a.m4a", "-f", "lavfi", "-i", "sine=d=1.45", "-c:a", "aac")
    with_sound = make(tmp_path / "b.mp4", "-i", silent, "-i", tone, "-c", "copy")
    (one, ours), (other, theirs) = await shown(with_sound), await shown(silent)
    assert one.duration_s == other.duration_s == 1.0
    assert all(np.array_equal(mine, yours) for mine, yours in zip(ours, theirs, strict=True))
