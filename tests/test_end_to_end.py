"""What `make demo` does, and whether what comes out is music: decoded and measured."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import tempfile
from pathlib import Path

import av
import numpy as np
import pytest
from scipy.signal import correlate

from rhythmai.local.postgres import free_port
from tests.cli.stack_process import RHYTHMAI, call
from tests.engine import tiny

NOWHERE = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:1")
"""A company's proxy, which this machine itself is not reached through."""
BANDS_HZ = np.geomspace(40, 16_000, 49)
WINDOW = 16_384
"""Samples; long enough for every band to have a bin of its own."""
EQUAL_DB = 1.5
"""Two mixes of one piece differ by less than this in their spectrum; two pieces by more."""
EQUAL = 0.95
"""Two mixes of one piece are more alike than this; two pieces less, also two noises of one colour."""


MINE = "track-01.mp3"
"""A file of the user's own, in the folder of the demo."""


def decode(path: Path, rate: int | None = None) -> tuple[np.ndarray, int]:
    """All samples as (channels, samples), full scale 1.0, and their rate: the file's own, or the one asked for."""
    with av.open(path) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler("fltp", stream.layout, rate or stream.rate)
        parts = [out.to_ndarray() for frame in container.decode(stream) for out in resampler.resample(frame)]
        return np.concatenate(parts, axis=1), rate or stream.rate


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """How far two pieces are the same samples, whatever their level and their delay: 0 to 1."""
    first, second = one.mean(axis=0), other.mean(axis=0)
    return float(np.abs(correlate(first, second, method="fft")).max() / np.linalg.norm(first) / np.linalg.norm(second))


def spectrum_db(samples: np.ndarray, rate: int) -> np.ndarray:
    """The mean level in each of 48 bands, (48,), relative to the mean of all."""
    mono = samples.mean(axis=0)
    frames = np.lib.stride_tricks.sliding_window_view(mono, WINDOW)[:: WINDOW // 2] * np.hanning(WINDOW)
    power = (np.abs(np.fft.rfft(frames)) ** 2).mean(axis=0)
    bins = np.digitize(np.fft.rfftfreq(WINDOW, 1 / rate), BANDS_HZ)
    levels = 10 * np.log10(np.array([power[bins == band].sum() for band in range(1, 49)]) + 1e-9)
    return levels - levels.mean()


def packets(path: Path) -> list[bytes]:
    """The encoded pictures."""
    with av.open(path) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


LONG = [pytest.param(name, marks=pytest.mark.long) for name in ("mmaudio", "acestep")]
"""Their way through a worker, a database and Storage is gone in tests/worker/test_whole_engines.py each time."""


@pytest.fixture(scope="module", params=["sketch", *LONG])
def engine(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def settings(engine: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """By the engine that composes; the others go MMAudio's and ACE-Step's whole way with random weights."""
    if engine == "sketch":
        return {}
    if engine == "acestep":
        models_dir = tmp_path_factory.mktemp("models")
        return {"ENGINE": engine, "ACESTEP_MODEL": "tiny-random", "DEVICE": "cpu", "MODELS_DIR": str(models_dir)}
    tiny.write(models_dir := tmp_path_factory.mktemp("models"))
    return tiny.ENVIRONMENT | {"MODELS_DIR": str(models_dir)}


@pytest.fixture(scope="module")
def demo(settings: dict[str, str]):
    """The output of one `rhythmai demo`: its folder, what it printed, its exit code and its errors."""
    # Not under pytest's own directory: Postgres is another user and has to get in.
    with tempfile.TemporaryDirectory(prefix="rhythmai-demo-") as folder:
        place = Path(folder)
        place.chmod(0o755)
        (place / "output").mkdir()
        for name in (MINE, "track-8.wav"):
            (place / "output" / name).write_text("x")
        (place / ".env").write_text(f"METRICS_PORT={free_port()}\n")
        # A warm program would not meet the tiny models that an environment brings (tests/engine/with_tiny).
        program = RHYTHMAI if settings else None
        code, out, err = asyncio.run(
            call("demo", "--data", place / "data", cwd=place, program=program, **NOWHERE, **settings)
        )
        yield place / "output", out, code, err


@pytest.mark.slow
def test_the_demo(demo, engine):
    """Three tracks, a video with the first of them and the answer of the API are made, shown and saved; an older demo's
    tracks are gone, and nobody else's."""
    output, said, code, err = demo
    assert (code, err) == (0, ""), said + err
    job = json.loads((output / "job.json").read_text())
    assert (job["status"], job["completed_count"], job["total_count"]) == ("completed", 3, 3)
    assert [result["index"] for result in job["results"]] == [0, 1, 2]
    names = {"sample.mp4", "track-1.flac", "track-2.flac", "track-3.flac", "merged.mp4", "job.json"}
    assert {file.name for file in output.iterdir()} == names | {MINE}
    assert all(f"output/{name}\n" in said for name in names)
    for result in job["results"]:
        assert result["engine"] == engine
        heard = [result["key"] or "", f"{result['bpm']:.0f} bpm" if result["bpm"] else ""]  # noise has neither
        assert engine != "sketch" or all(heard)
        for fact in (result["title"], result["prompt"], *heard, result["audio_url"]):
            assert fact in said
    for field in ("title", "prompt", "seed", "audio_url"):
        assert len({result[field] for result in job["results"]}) == 3
    assert "composing" in said


@pytest.mark.slow
def test_the_tracks_are_music(demo, engine):
    """Each track is as long as the video to the sample, neither silent nor clipped, and unlike the others."""
    output, *_ = demo
    job = json.loads((output / "job.json").read_text())
    with av.open(output / "sample.mp4") as video:
        duration_s = float(video.streams.video[0].duration * video.streams.video[0].time_base)
    spectra, tracks = [], []
    for result in job["results"]:
        samples, rate = decode(output / f"track-{result['index'] + 1}.flac")
        assert result["duration"] == pytest.approx(duration_s, abs=0.001)
        assert samples.shape[1] == round(duration_s * rate)
        assert 0.1 < np.abs(samples).max() < 1.0
        loud = np.sqrt(np.mean(samples**2, axis=0).reshape(-1, rate // 4).mean(axis=1))
        assert np.median(loud) > 0.02
        assert (loud > 0.001).mean() > 0.9
        assert np.abs(samples.mean()) < 0.01
        spectra.append(spectrum_db(samples, rate))
        tracks.append(samples)
    for one, other in itertools.combinations(tracks, 2):
        assert likeness(one, other) < EQUAL
    if engine == "sketch":  # generated weights make noise of one colour
        for one, other in itertools.combinations(spectra, 2):
            assert np.sqrt(np.mean((one - other) ** 2)) > EQUAL_DB


@pytest.mark.slow
def test_the_merged_video(demo, engine):
    """The merged video has the very pictures of the sample, and the first track as AAC."""
    output, *_ = demo
    assert packets(output / "merged.mp4") == packets(output / "sample.mp4")
    with av.open(output / "merged.mp4") as merged:
        assert merged.streams.audio[0].codec_context.name == "aac"
    track, rate = decode(output / "track-1.flac")
    merged_track, merged_rate = decode(output / "merged.mp4")
    assert abs(merged_track.shape[1] / merged_rate - track.shape[1] / rate) < 0.1
    assert likeness(track, decode(output / "merged.mp4", rate)[0]) > EQUAL
    if engine == "sketch":  # the noise has bands with nothing but what AAC adds
        first, second = spectrum_db(track, rate), spectrum_db(merged_track, merged_rate)
        heard = BANDS_HZ[:-1] < 10_000  # AAC thins out what nobody hears
        assert np.sqrt(np.mean((first - second)[heard] ** 2)) < EQUAL_DB


@pytest.mark.slow
def test_nobody_tells_a_key(demo):
    """In a whole run neither API, gateway, worker and Postgres nor the console say a key, a password or a token."""
    output, said, _, err = demo
    data = output.parent / "data"
    keys = {value for name, value in json.loads((data / "keys.json").read_text()).items() if name != "publishable_key"}
    logs = {file: file.read_text() for file in data.rglob("*") if file.suffix == ".log" or file.name == "log"}
    assert {"api.log", "gateway.log", "worker.log"} <= {file.name for file in logs}
    assert len(keys) == 3
    for text in (said, err, *logs.values()):
        assert [key for key in keys if key in text] == []
        assert re.findall(r"eyJ[\w-]{10,}\.[\w-]+\.[\w-]+", text) == []  # tokens


@pytest.mark.slow
async def test_nothing_is_left_running(demo):
    """The demo has stopped what it started."""
    output, *_ = demo
    code, _, err = await call("env", "--data", output.parent / "data", cwd=output.parent)
    assert (code, err.startswith("rhythmai: No local stack runs")) == (1, True)
