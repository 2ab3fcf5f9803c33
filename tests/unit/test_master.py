"""Mastering: exact length, fades, tags, and a file that reads back."""

import base64
import io
import json
from dataclasses import replace

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutagen.mp4 import MP4

from tests.conftest import FUZZ
from worker.domain import Track
from worker.errors import Rejected, WorkerError
from worker.pipeline.finish.for_players import for_players
from worker.pipeline.finish.loudness import integrated_lufs, true_peak
from worker.pipeline.finish.master import master

RATE = 44100
TAGS = {"title": "Fadéd Lanterns", "prompt": "instrumental, lo-fi", "seed": "42", "engine": "sketch", "job": "b7c1"}
TAGS |= {"copyright": "MIT, commercial use allowed: https://opensource.org/license/mit"}


def music(seconds=4.0, rate=RATE, level=0.2, channels=2):
    """Chords with a pulse: something with peaks, decays and lows."""
    t = np.arange(int(seconds * rate)) / rate
    beat = np.exp(-6 * (t % 0.5))
    left = sum(np.sin(2 * np.pi * hz * t) for hz in (110, 220, 277, 330)) * beat
    right = sum(np.sin(2 * np.pi * hz * t + 1) for hz in (110, 220, 262, 392)) * beat
    return (level * np.stack([left, right])[:channels]).astype(np.float32)


def made(samples, duration_s, *, rate=RATE, format="flac", loudness_lufs=-14, tags=None, bpm=100):
    return master(
        Track(index=0, samples=samples, sample_rate=rate, bpm=bpm, key="C major"),
        duration_s=duration_s,
        loudness_lufs=loudness_lufs,
        format=format,
        tags=tags or {},
    )


def decoded(recording):
    """Samples (channels, n) as -1..1, and all tags of the file."""
    with av.open(io.BytesIO(recording.data)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
        stream = container.streams.audio[0]
        channels = stream.channels
        tags = {**container.metadata, **stream.metadata}
    planes = [frame.reshape(-1, channels).T if frame.shape[0] == 1 and channels > 1 else frame for frame in frames]
    wave = np.concatenate(planes, axis=1)
    return (wave / 32768 if wave.dtype == np.int16 else wave).astype(np.float32), {
        name.lower(): text for name, text in tags.items()
    }


@settings(deadline=None, max_examples=8 if FUZZ == 1 else 25)
@given(
    duration_s=st.floats(0.001, 6.0),
    given_s=st.floats(0.01, 6.0),
    rate=st.sampled_from([16000, 44100, 48000]),
    channels=st.sampled_from([1, 2]),
)
def test_a_flac_decodes_to_exactly_the_length_asked_for(duration_s, given_s, rate, channels):
    """Longer and shorter tracks alike end up at round(duration * rate) samples."""
    recording = made(music(given_s, rate, channels=channels), duration_s, rate=rate, bpm=None)
    wave, _ = decoded(recording)
    assert wave.shape == (channels, max(1, round(duration_s * rate)))
    assert recording.duration_s == pytest.approx(wave.shape[1] / rate)
    assert true_peak(wave) <= 10 ** (-1 / 20)
    assert recording.true_peak_db == pytest.approx(20 * np.log10(true_peak(wave)), abs=0.1)


def test_silence_stays_silence():
    """Digital silence is not dithered, not amplified, and has no loudness."""
    recording = made(np.zeros((2, 5 * RATE), np.float32), 5.0)
    wave, _ = decoded(recording)
    assert not wave.any()
    assert (recording.loudness_lufs, recording.true_peak_db) == (None, None)
    assert base64.b64decode(recording.peaks) == bytes(160)


def test_an_offset_is_taken_out():
    """Direct current costs headroom and clicks at both ends: it is removed."""
    wave, _ = decoded(made(music(4.0) + np.float32(0.3), 4.0))
    assert np.abs(wave.mean(axis=1)).max() < 1e-3


def test_it_fades_in_and_out():
    """The track begins and ends at zero, fades out over 15 % (1.5 s at most), and is whole in between."""
    tone = np.sin(2 * np.pi * 440 * np.arange(4 * RATE) / RATE).astype(np.float32)
    wave, _ = decoded(made(np.stack([tone, tone]), 4.0))
    level = np.abs(wave[0]).reshape(-1, 441).max(axis=1)
    assert np.abs(wave[:, [0, -1]]).max() < 0.001
    assert level[2] == pytest.approx(level[200], rel=0.02)
    assert level[338] == pytest.approx(level[200], rel=0.02)
    assert level[370] == pytest.approx(level[200] / 2, rel=0.15)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_broken_samples_are_refused(bad):
    """Samples that are not numbers name the track and the engine as the cause."""
    wave = music(1.0)
    wave[0, 7] = bad
    with pytest.raises(WorkerError, match="Track 0 has 1 samples that are not numbers"):
        made(wave, 1.0)


@pytest.mark.parametrize(
    ("format", "content_type"),
    [("flac", "audio/flac"), ("wav", "audio/wav"), ("mp3", "audio/mpeg"), ("m4a", "audio/mp4")],
)
def test_every_format_reads_back_with_its_tags(format, content_type):
    """All four formats hold the music, at its length (m4a: up to the end of its last frame), and every tag."""
    recording = made(music(5.0), 4.321, format=format, tags=TAGS)
    wave, tags = decoded(recording)
    assert (recording.content_type, recording.suffix) == (content_type, f".{format}")
    expected = round(4.321 * RATE)
    assert expected <= wave.shape[1] < expected + (1024 if format == "m4a" else 1)
    assert integrated_lufs(wave, RATE) == pytest.approx(-14, abs=0.4)
    held = json.loads(tags["comment"]) if format == "wav" else tags
    assert {name: held[name] for name in TAGS} == TAGS
    assert tags["copyright"] == TAGS["copyright"]


def test_an_m4a_has_the_tags_that_players_read():
    """The title is where iTunes put it, and tags of our own are beside it in free-form atoms; the index is still in front."""
    data = made(music(3.0), 3.0, format="m4a", tags=TAGS).data
    tags = MP4(io.BytesIO(data)).tags
    assert (tags["\xa9nam"], tags["cprt"]) == ([TAGS["title"]], [TAGS["copyright"]])
    own = {name: text for name, text in TAGS.items() if name not in {"title", "copyright"}}
    assert {name: bytes(tags[f"----:com.apple.iTunes:{name}"][0]).decode() for name in own} == own
    assert "----:com.apple.iTunes:copyright" not in tags
    assert "\xa9cmt" not in tags
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("format", ["flac", "wav", "mp3", "m4a"])
@pytest.mark.parametrize("tags", [{}, {"title": "Alone"}, {"seed": ""}, {"prompt": 'a "b" = \n; ü' + "x" * 2000}])
def test_any_tags_will_do(format, tags):
    """None at all, a title alone, an empty one and a long one with everything in it."""
    _, held = decoded(made(music(0.5), 0.5, format=format, tags=tags))
    if format == "wav":
        held = json.loads(held["comment"])
    assert {name: held[name] for name in tags if tags[name]} == {name: text for name, text in tags.items() if text}


def test_an_m4a_says_its_exact_length():
    """The edit list holds the length to a sample, so players stop there."""
    with av.open(io.BytesIO(made(music(5.0), 4.321, format="m4a").data)) as container:
        stream = container.streams.audio[0]
        assert stream.duration * stream.time_base == pytest.approx(round(4.321 * RATE) / RATE, abs=1 / RATE)


def test_an_unknown_format_names_those_there_are():
    """The message lists what can be asked for."""
    with pytest.raises(Rejected, match="flac, wav, mp3, m4a"):
        made(music(1.0), 1.0, format="ogg")


def test_peaks_draw_the_track():
    """160 bytes, the loud part higher than the quiet one; as many as there are samples in a shorter track."""
    wave = music(6.0)
    wave[:, : 3 * RATE] *= 0.2
    told = made(wave, 6.0).peaks
    peaks = base64.b64decode(told)
    assert (len(told), len(peaks)) == (216, 160)
    assert max(peaks[:60]) < 0.5 * max(peaks[60:105])
    assert len(base64.b64decode(made(wave[:, :30], 30 / RATE).peaks)) == 30


@pytest.mark.parametrize("format", ["flac", "wav"])
@pytest.mark.parametrize("channels", [1, 2])
def test_players_get_a_small_file(format, channels):
    """Of what only some players take they get an M4A of 192 kbit/s, as long and as loud, with its tags."""
    wave = music(4.0, channels=channels) + 0.1 * np.random.default_rng(1).standard_normal(
        (channels, 4 * RATE), np.float32
    )
    recording = made(wave, 4.0, format=format)
    small = for_players(recording, tags=TAGS)
    assert len(small) < 115_000
    heard, tags = decoded(replace(recording, data=small))
    assert (heard.shape[0], 0 <= heard.shape[1] - 4 * RATE < 1024) == (channels, True)
    assert tags["title"] == TAGS["title"]
    assert integrated_lufs(heard, RATE) == pytest.approx(recording.loudness_lufs, abs=1)


def test_mastering_is_deterministic():
    """The same track gives the same bytes."""
    assert made(music(4.0), 4.0).data == made(music(4.0), 4.0).data
