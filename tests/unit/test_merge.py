"""FfmpegMerger: what comes out plays everywhere, is as long as the picture, and sounds as asked."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from pathlib import Path

import av
import numpy as np
import pytest

from tests.unit.media import BLUE, CONTAINERS, RATE, RED, read_sound, write_sound, write_video
from worker.domain import MIT, Options
from worker.errors import Rejected, Unavailable
from worker.pipeline.finish.merge import FfmpegMerger
from worker.pipeline.look.child import Limits

AAC_FRAME_S = 1024 / RATE
FULL = 0.3
"""The tone of `write_sound` after merging: one channel goes to both at unity."""


async def merge(video: Path, audio: Path, **options: object) -> Path:
    into = video.parent / "into"
    into.mkdir(exist_ok=True)
    return (await FfmpegMerger().merge(video, audio, into, Options(**options))).file


def picture_packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def loudness(samples: np.ndarray, start_s: float, end_s: float, hz: float) -> float:
    """How much of a pure tone there is in a stretch of sound: its amplitude."""
    piece = samples[round(start_s * RATE) : round(end_s * RATE)]
    turns = np.exp(-2j * np.pi * hz / RATE * np.arange(len(piece)))
    return 2 * abs(np.mean(piece * turns))


def assert_plays_everywhere(path: Path, seconds: float, within: float = 0.005) -> None:
    """An MP4 with its index in front, AAC in stereo at 48 kHz, both streams from 0 to the end of the picture."""
    assert path.suffix == ".mp4"
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(path)) as container:
        video, audio = container.streams
        assert (audio.codec_context.codec.canonical_name, audio.rate, audio.layout.name) == ("aac", RATE, "stereo")
        assert float(video.duration * video.time_base) == pytest.approx(seconds, abs=within)
        assert float(audio.duration * audio.time_base) == pytest.approx(seconds, abs=max(within, AAC_FRAME_S))
        assert (video.start_time, audio.start_time) == (0, 0)
        assert container.duration / av.time_base == pytest.approx(seconds, abs=max(within, AAC_FRAME_S))


@pytest.mark.parametrize("suffix", CONTAINERS)
async def test_every_container(tmp_path, suffix: str) -> None:
    """Every container we take becomes an MP4 of the picture's length."""
    video = write_video(tmp_path / f"a.{suffix}", [(RED, 0.6), (BLUE, 0.6)])
    merged = await merge(video, write_sound(tmp_path / "a.flac", 2))
    # libav begins an AVI with an empty chunk: one frame more, or not.
    assert_plays_everywhere(merged, 1.2, within=0.041 if suffix == "avi" else 0.005)


@pytest.mark.parametrize("suffix", ["flac", "wav", "mp3", "m4a", "ogg"])
async def test_every_sound(tmp_path, suffix: str) -> None:
    """Music may come in every format we make or take."""
    merged = await merge(write_video(tmp_path / "a.mp4"), write_sound(tmp_path / f"a.{suffix}", 1, hz=880))
    assert_plays_everywhere(merged, 1)
    assert loudness(read_sound(merged), 0.2, 0.9, 880) == pytest.approx(FULL, abs=0.02)


async def test_the_picture_is_copied(tmp_path) -> None:
    """H.264 arrives bit by bit as it was; nothing is lost by merging."""
    video = write_video(tmp_path / "a.mp4")
    assert picture_packets(await merge(video, write_sound(tmp_path / "a.wav", 1))) == picture_packets(video)


@pytest.mark.parametrize(("name", "codec"), [("a.webm", "libvpx"), ("a.mp4", "mpeg4"), ("a.avi", "libx264")])
async def test_what_browsers_do_not_play_from_mp4_is_encoded(tmp_path, name: str, codec: str) -> None:
    """VP8, MPEG-4 part 2 and pictures without presentation times become H.264, odd sizes included."""
    video = write_video(tmp_path / name, codec=codec, size=(98, 66) if codec == "libx264" else (97, 65))
    merged = await merge(video, write_sound(tmp_path / "a.wav", 1))
    with av.open(str(merged)) as container:
        context = container.streams.video[0].codec_context
        assert (context.codec.canonical_name, context.pix_fmt) == ("h264", "yuv420p")
        times = [frame.pts for frame in container.decode(video=0)]
    assert len(times) == 25
    assert times == sorted(times)


async def test_vp9_is_copied(tmp_path) -> None:
    """VP9 may live in an MP4."""
    video = write_video(tmp_path / "a.webm", [(RED, 0.2)], codec="libvpx-vp9")
    assert picture_packets(await merge(video, write_sound(tmp_path / "a.wav", 1))) == picture_packets(video)


async def test_replace(tmp_path) -> None:
    """By default the original sound (440 Hz) is gone."""
    merged = await merge(write_video(tmp_path / "a.mp4"), write_sound(tmp_path / "a.wav", 1, hz=1000))
    sound = read_sound(merged)
    assert loudness(sound, 0.1, 0.9, 1000) == pytest.approx(FULL, abs=0.02)
    assert loudness(sound, 0.1, 0.9, 440) < 0.01


async def test_mix(tmp_path) -> None:
    """In a mix both are heard, the music as loud as its gain says."""
    video, music = write_video(tmp_path / "a.mp4"), write_sound(tmp_path / "a.wav", 1, hz=1000)
    sound = read_sound(await merge(video, music, mode="mix", music_gain_db=-6.0))
    assert loudness(sound, 0.1, 0.9, 440) == pytest.approx(FULL, abs=0.02)
    assert loudness(sound, 0.1, 0.9, 1000) == pytest.approx(FULL / 2, abs=0.02)


async def test_a_mix_never_clips(tmp_path) -> None:
    """A mix that would be too loud is limited."""
    video, music = write_video(tmp_path / "a.mp4"), write_sound(tmp_path / "a.wav", 1, hz=1000)
    sound = read_sound(await merge(video, music, mode="mix", music_gain_db=12.0))
    assert np.abs(sound).max() < 1


async def test_mix_with_a_silent_film(tmp_path) -> None:
    """A video without sound gets the music alone."""
    video = write_video(tmp_path / "a.mp4", sound=False)
    merged = await merge(video, write_sound(tmp_path / "a.wav", 1, hz=1000), mode="mix", duck=True)
    assert_plays_everywhere(merged, 1)
    assert loudness(read_sound(merged), 0.1, 0.9, 1000) == pytest.approx(FULL, abs=0.02)


async def test_short_music_ends_in_silence(tmp_path) -> None:
    """After music that is too short there is silence up to the end of the picture."""
    merged = await merge(write_video(tmp_path / "a.mp4", [(RED, 2)]), write_sound(tmp_path / "a.wav", 1))
    assert_plays_everywhere(merged, 2)
    sound = read_sound(merged)
    assert loudness(sound, 0.1, 0.9, 440) > 0.9 * FULL
    assert np.abs(sound[round(1.1 * RATE) :]).max() < 0.01


async def test_long_music_fades_out(tmp_path) -> None:
    """Music that is too long fades out with the picture; music that fits is left alone."""
    video = write_video(tmp_path / "a.mp4", [(RED, 3)])
    faded = read_sound(await merge(video, write_sound(tmp_path / "long.wav", 9)))
    whole = read_sound(await merge(video, write_sound(tmp_path / "fits.wav", 3)))
    assert loudness(faded, 1.5, 1.9, 440) > 0.9 * FULL
    assert loudness(faded, 2.9, 2.99, 440) < 0.05
    assert loudness(whole, 2.9, 2.99, 440) > 0.9 * FULL


async def test_private_metadata_is_dropped(tmp_path) -> None:
    """Where and with what a video was taken does not reach the public file."""
    source, video = write_video(tmp_path / "a.mp4"), tmp_path / "b.mp4"
    video.write_bytes(source.read_bytes())
    with av.open(str(video), "w") as container, av.open(str(source)) as template:
        container.metadata["comment"] = "52.5163+13.3777"
        stream = container.add_stream_from_template(template.streams.video[0])
        for packet in template.demux(video=0):
            packet.stream = stream
            if packet.size:
                container.mux(packet)
    assert b"52.5163" in video.read_bytes()
    merged = await merge(video, write_sound(tmp_path / "a.wav", 1))
    assert b"52.5163" not in merged.read_bytes()


async def test_the_film_says_under_which_licence_its_music_stands(tmp_path) -> None:
    """In the tag that players show as its copyright; music of which nothing is known leaves that out."""
    (into := tmp_path / "into").mkdir()
    video, music = write_video(tmp_path / "a.mp4"), write_sound(tmp_path / "a.wav", 1)
    said = {}
    for licence in (MIT, None):
        merged = await FfmpegMerger().merge(video, music, into, Options(), licence=licence)
        with av.open(str(merged.file)) as film:
            said[licence] = film.metadata.get("copyright")
    assert said == {MIT: "MIT, commercial use allowed: https://opensource.org/license/mit", None: None}


@pytest.mark.parametrize(
    "data", [b"", b"not sound at all", b"RIFF\0\0\0\0WAVEfmt ", b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n"]
)
async def test_not_audio(tmp_path, data: bytes) -> None:
    """What is no sound is refused as music, and nothing is left behind."""
    (tmp_path / "a.flac").write_bytes(data)
    with pytest.raises(Rejected, match="audio file") as caught:
        await merge(write_video(tmp_path / "a.mp4"), tmp_path / "a.flac")
    assert caught.value.code == "not_audio"
    assert list((tmp_path / "into").iterdir()) == []


async def test_a_silent_film_is_no_music(tmp_path) -> None:
    """A video without sound is refused as music."""
    silent = write_video(tmp_path / "b.mp4", sound=False)
    with pytest.raises(Rejected) as caught:
        await merge(write_video(tmp_path / "a.mp4"), silent)
    assert caught.value.code == "not_audio"


async def test_a_video_lends_its_sound(tmp_path) -> None:
    """The music may be the sound of another video."""
    other = write_video(tmp_path / "b.mkv", [(BLUE, 1)])
    merged = await merge(write_video(tmp_path / "a.mp4", sound=False), other)
    assert loudness(read_sound(merged), 0.1, 0.9, 440) > 0.9 * FULL


async def test_not_a_video(tmp_path) -> None:
    """What is no video is refused before ffmpeg starts."""
    (tmp_path / "a.mp4").write_bytes(b"not a video")
    with pytest.raises(Rejected) as caught:
        await merge(tmp_path / "a.mp4", write_sound(tmp_path / "a.wav", 1))
    assert caught.value.code == "not_a_video"


@pytest.mark.parametrize("side", ["video", "audio"])
async def test_playlists_read_nothing(tmp_path, side: str) -> None:
    """A script in the place of the video or the music is refused, and the file it points at is never read."""
    secret = write_video(tmp_path / "secret.ts")
    os.utime(secret, (1, 1))
    script = tmp_path / "script.mp4"
    script.write_text(f"ffconcat version 1.0\nfile {secret.name}\n")
    good = write_video(tmp_path / "good.mp4")
    with pytest.raises(Rejected) as caught:
        await (merge(script, good) if side == "video" else merge(good, script))
    assert caught.value.code == {"video": "not_a_video", "audio": "not_audio"}[side]
    assert secret.stat().st_atime == 1


async def test_a_killed_merge_leaves_nothing(tmp_path) -> None:
    """Past its time, or cancelled, a merge takes its half-written file with it."""
    video = write_video(tmp_path / "a.mkv", [(RED, 10)], codec="mpeg4", size=(640, 480), sound=False)
    music, into = write_sound(tmp_path / "a.wav", 10), tmp_path / "into"
    into.mkdir()
    hasty = FfmpegMerger(limits=Limits(wall=timedelta(milliseconds=50), file_bytes=2**30))
    with pytest.raises(Unavailable) as caught:
        await hasty.merge(video, music, into, Options())
    assert caught.value.code == "timeout"
    assert list(into.iterdir()) == []
    task = asyncio.create_task(FfmpegMerger().merge(video, music, into, Options()))
    while not list(into.iterdir()):
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list(into.iterdir()) == []


async def test_a_result_that_grows_too_large(tmp_path) -> None:
    """A merge that would write more than it may is refused and removed."""
    video, music = write_video(tmp_path / "a.mp4"), write_sound(tmp_path / "a.wav", 1)
    into = tmp_path / "into"
    into.mkdir()
    with pytest.raises(Rejected):
        await FfmpegMerger(limits=Limits(file_bytes=1000)).merge(video, music, into, Options())
    assert list(into.iterdir()) == []
