"""The sound of a merge: what cannot be decoded or folded, and the ceiling."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from tests.unit.media import RATE, read_sound, write_video
from tests.unit.test_merge import loudness
from tests.unit.test_merge_films import H264, TEST_CARD, TONE, broken, ffmpeg, lengths, merged
from worker.domain import Options
from worker.pipeline.finish.loudness import true_peak
from worker.pipeline.finish.merge import FfmpegMerger


def ambisonic(path: Path, *more: str) -> Path:
    """First-order Ambisonics as Opus, which libav does not fold into stereo."""
    waves = "0.3*sin(880*2*PI*t)|0.2*sin(660*2*PI*t)|0.2*sin(550*2*PI*t)|0.2*sin(440*2*PI*t)"
    sound = f"-f lavfi -i aevalsrc={waves}:c=4.0:s=48000:d=2"
    layout = "channelmap=channel_layout=ambisonic\\ 1:map=0|1|2|3"
    ffmpeg(
        f"{TEST_CARD} {sound}",
        "-af",
        layout,
        *H264.split(),
        *["-c:a", "libopus", "-mapping_family", "2"],
        *more,
        str(path),
    )
    return path


async def test_a_sound_that_cannot_be_folded_is_heard(tmp_path) -> None:
    """Ambisonics is mixed in by its channel for all directions."""
    result = await merged(ambisonic(tmp_path / "a.mkv"), mode="mix")
    assert lengths(result.file) == pytest.approx((2, 2, 2), abs=0.03)
    sound = read_sound(result.file)
    assert loudness(sound, 0.3, 1.7, 880) > 0.1
    assert loudness(sound, 0.3, 1.7, 1000) > 0.1
    assert result.notes == ()


async def test_many_channels_without_places_are_heard(tmp_path) -> None:
    """Three channels that no layout knows are mixed in, too."""
    waves = "|".join(f"0.2*sin({hz}*2*PI*t)" for hz in (440, 550, 660, 770, 880))
    sound = f"-f lavfi -i aevalsrc={waves}:s=48000:d=2"
    ffmpeg(f"{TEST_CARD} {sound} {H264} -c:a pcm_s16le {tmp_path / 'a.mkv'}")
    result = await merged(tmp_path / "a.mkv", mode="mix")
    assert loudness(read_sound(result.file), 0.3, 1.7, 770) > 0.01


async def test_music_that_cannot_be_folded_is_heard(tmp_path) -> None:
    """The music may come in such channels, too."""
    film, into = write_video(tmp_path / "a.mp4", [((200, 0, 0), 3)]), tmp_path / "into"
    into.mkdir()
    result = await FfmpegMerger().merge(film, ambisonic(tmp_path / "music.mkv"), into, Options())
    assert loudness(read_sound(result.file), 0.5, 1.5, 880) > 0.1


async def test_a_sound_that_cannot_be_decoded_gives_way_to_the_next(tmp_path) -> None:
    """The job's notes name both."""
    other = "-f lavfi -i sine=frequency=770:duration=2:sample_rate=48000"
    file = tmp_path / "a.mov"
    ffmpeg(f"{TEST_CARD} {TONE} {other} {H264} -map 0 -map 1 -map 2 -c:a:0 aac -c:a:1 pcm_s16le {file}")
    result = await merged(broken(file, "audio"), mode="mix")
    sound = read_sound(result.file)
    assert loudness(sound, 0.3, 1.7, 770) > 0.05
    assert loudness(sound, 0.3, 1.7, 1000) > 0.1
    assert "(aac, mono) cannot be used; another of its sounds (pcm_s16le)" in result.notes[0]


async def test_without_a_sound_that_can_be_decoded_the_music_plays_alone(tmp_path) -> None:
    """And the job's notes say so."""
    file = tmp_path / "a.mov"
    ffmpeg(f"{TEST_CARD} {TONE} {H264} -c:a aac {file}")
    result = await merged(broken(file, "audio"), mode="mix", duck=True)
    assert loudness(read_sound(result.file), 0.3, 1.7, 1000) > 0.1
    assert result.notes == ("The video's own sound (aac, mono) cannot be used, so the music plays alone.",)


@pytest.mark.parametrize("mode", ["replace", "mix"])
@pytest.mark.parametrize("gain_db", [0.0, 12.0])
@pytest.mark.parametrize("kind", ["noise", "chord", "clicks"])
async def test_no_merge_is_over_its_ceiling(tmp_path, mode, gain_db, kind) -> None:
    """At most -1 dBTP in the decoded file, however loud the music was made."""
    t = np.arange(2 * RATE) / RATE
    wave = {
        "noise": np.random.default_rng(1).uniform(-0.9, 0.9, len(t)),
        "chord": 0.3 * sum(np.sign(np.sin(2 * np.pi * hz * t)) for hz in (110, 277, 331)),
        "clicks": np.where(np.arange(len(t)) % 6000 < 3, 0.89, 0.0),
    }[kind]
    loud = tmp_path / "loud.wav"
    with av.open(str(loud), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray((wave * 32767).astype(np.int16)[np.newaxis], format="s16", layout="mono")
        frame.sample_rate = RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    video = write_video(tmp_path / "a.mp4", [((200, 0, 0), 2)])
    into = tmp_path / "into"
    into.mkdir()
    result = await FfmpegMerger().merge(video, loud, into, Options(mode=mode, music_gain_db=gain_db))
    with av.open(str(result.file)) as container:
        sound = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    assert 20 * np.log10(true_peak(sound, RATE)) <= -1
