"""Merging strangers' films: each comes out as browsers show it, as long as it is, with the sound that it has."""

from __future__ import annotations

import subprocess
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest

from tests.unit.media import read_sound, write_sound
from tests.unit.test_merge import loudness
from worker.domain import Merged, Options
from worker.errors import Rejected
from worker.pipeline.finish.complaints import in_words
from worker.pipeline.finish.merge import FfmpegMerger

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
TEST_CARD = "-f lavfi -i testsrc2=s=320x180:r=25:d=2"
TONE = "-f lavfi -i sine=frequency=440:duration=2:sample_rate=48000"
H264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p"


def ffmpeg(command: str, *more: str) -> str:
    """Run it, and return what it said."""
    said = subprocess.run(
        [FFMPEG, "-y", "-hide_banner", *command.split(), *more], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    return said.stderr


async def merged(video: Path, *, seconds: float = 2, **options: object) -> Merged:
    into = video.parent / "into"
    into.mkdir(exist_ok=True)
    music = write_sound(video.parent / "music.wav", seconds, hz=1000)
    return await FfmpegMerger().merge(video, music, into, Options(**options))


def lengths(path: Path) -> tuple[float, ...]:
    """Of the picture, the sound and the file, in seconds."""
    with av.open(str(path)) as container:
        streams = [float(stream.duration * stream.time_base) for stream in container.streams]
        return (*streams, container.duration / av.time_base)


def frame_times(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.array([frame.time for frame in container.decode(video=0)])


def colour(path: Path, middle: float = 0.5) -> np.ndarray:
    """Of the first frame there, in parts of its width, as a player that heeds the tags shows it, (r, g, b)."""
    raw = path.with_suffix(".rgb")
    ffmpeg(
        f"-i {path} -frames:v 1 -vf crop=16:16:{middle}*iw-8,scale=in_color_matrix=auto:flags=accurate_rnd+full_chroma_int,format=gbrp,format=rgb24 -f rawvideo {raw}"
    )
    return np.frombuffer(raw.read_bytes(), np.uint8).reshape(-1, 3).mean(axis=0)


def context(path: Path) -> av.VideoCodecContext:
    with av.open(str(path)) as container:
        next(container.decode(video=0))
        return container.streams.video[0].codec_context


def copied(film: Path, result: Path) -> bool:
    """Whether the picture is the same, bit by bit."""

    def packets(path: Path) -> list[bytes]:
        with av.open(str(path)) as container:
            return [bytes(packet) for packet in container.demux(video=0) if packet.size]

    return packets(film) == packets(result)


def broken(path: Path, kind: str) -> Path:
    """Make bytes that nobody can decode of the first stream of this kind; all headers are whole."""
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(container.streams.best(kind)) if packet.size]
    for place, size in places:
        data[place : place + size] = b"\xff" * size
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "coding"),
    [
        ("a.mp4", "-c:v libx264 -preset ultrafast -pix_fmt yuv444p"),
        ("a.mp4", "-c:v libx264 -preset ultrafast -pix_fmt yuv422p"),
        ("a.mp4", "-c:v libx264 -preset ultrafast -pix_fmt yuv420p10le"),
        ("a.mp4", "-c:v libx264 -preset ultrafast -qp 0 -pix_fmt yuv420p"),  # lossless: High 4:4:4 with plain pixels
        ("a.mp4", "-c:v libx264rgb -preset ultrafast"),
        ("a.mp4", "-c:v libx265 -preset ultrafast -x265-params log-level=none -pix_fmt yuv422p10le"),
        ("a.webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -pix_fmt yuv444p"),
    ],
)
async def test_what_decoders_in_hardware_do_not_know_is_drawn_anew(tmp_path, name, coding) -> None:
    """Of a codec that browsers play, profiles and pixel formats that they do not become 8 bits of 4:2:0."""
    file = tmp_path / name
    ffmpeg(f"{TEST_CARD.replace('d=2', 'd=1')} {coding} {file}")
    result = await merged(file, seconds=1)
    shown = context(result.file)
    assert (shown.codec.canonical_name, shown.pix_fmt) == ("h264", "yuv420p")
    assert shown.profile in {"Constrained Baseline", "Main", "High"}


@pytest.mark.parametrize(
    "coding",
    [
        "-c:v libx264 -preset ultrafast -pix_fmt yuv420p",
        "-c:v libx264 -pix_fmt yuvj420p",
        "-c:v libx265 -preset ultrafast -x265-params log-level=none -pix_fmt yuv420p10le",
    ],
)
async def test_what_is_played_is_copied(tmp_path, coding) -> None:
    """8 bits of 4:2:0, and 10 of HEVC, stay as they are; so do non-square pixels and colours that are tagged."""
    file = tmp_path / "a.mp4"
    ffmpeg(f"{TEST_CARD.replace('d=2', 'd=1')} -vf setsar=64/45 {coding} {file}")
    assert copied(file, (await merged(file, seconds=1)).file)


@pytest.mark.parametrize("coding", ["-pix_fmt rgb24 -c:v qtrle", "-pix_fmt argb -c:v png", "-c:v libx264rgb -qp 0"])
async def test_colours_stay_what_they_are(tmp_path, coding) -> None:
    """RGB becomes YUV with the numbers that its tags name."""
    file, colours = tmp_path / "g.mov", ((0, 255, 0), (255, 0, 0), (30, 60, 200))
    stripes = "".join(
        "color=0x{:02x}{:02x}{:02x}:s=426x720:r=10:d=0.3[{}];".format(*rgb, n) for n, rgb in enumerate(colours)
    )
    ffmpeg(f"-f lavfi -i {stripes}[0][1][2]hstack=3 {coding} {file}")
    result = await merged(file, seconds=1)
    shown = context(result.file)
    assert (shown.colorspace, shown.color_primaries, shown.color_trc) == (1, 1, 1)
    for number, rgb in enumerate(colours):
        assert colour(result.file, (2 * number + 1) / 6) == pytest.approx(rgb, abs=3)


async def test_a_film_is_as_long_as_its_sound(tmp_path) -> None:
    """Where sound goes on the last frame stands: the film is not cut, and its own sound is whole."""
    picture, sound, file = tmp_path / "p.mp4", tmp_path / "s.m4a", tmp_path / "still.mp4"
    ffmpeg(f"-f lavfi -i testsrc2=s=320x180:r=25:d=1 -frames:v 1 {H264} {picture}")
    ffmpeg(f"-f lavfi -i sine=d=5 -c:a aac {sound}")
    ffmpeg(f"-i {picture} -i {sound} -c copy {file}")
    result = await merged(file, mode="mix")
    assert lengths(result.file) == pytest.approx((5, 5, 5), abs=0.05)
    assert loudness(read_sound(result.file), 4, 4.9, 440) > 0.05


@pytest.mark.parametrize("coding", [H264, "-c:v mpeg4"])
async def test_the_last_frame_stands(tmp_path, coding) -> None:
    """Copied or drawn anew, with frames stored out of order or not."""
    file = tmp_path / "a.mp4"
    ffmpeg(f"-f lavfi -i testsrc2=s=320x180:r=25:d=1 -f lavfi -i sine=d=3 {coding} -bf 2 -c:a aac {file}")
    result = await merged(file, mode="mix")
    assert lengths(result.file) == pytest.approx((3, 3, 3), abs=0.09)
    assert copied(file, result.file) == (coding == H264)


async def test_a_clock_that_starts_again_goes_on(tmp_path) -> None:
    """Two transport streams in one file are twice as long, and frames as well as sound stay even."""
    one, file = tmp_path / "one.ts", tmp_path / "cat.ts"
    ffmpeg(f"{TEST_CARD} {TONE} {H264} -g 25 -c:a aac -shortest -f mpegts {one}")
    file.write_bytes(one.read_bytes() * 2)
    result = await merged(file, seconds=4, mode="mix")
    assert lengths(result.file) == pytest.approx((4, 4, 4), abs=0.1)
    times = frame_times(result.file)
    assert (len(times), times[0]) == (100, 0)
    assert np.diff(times) == pytest.approx(0.04, abs=0.07)
    sound = read_sound(result.file)
    assert min(loudness(sound, at, at + 0.9, 440) for at in range(4)) > 0.04


@pytest.mark.parametrize(
    "making",
    [
        "-vf tinterlace=interleave_top,fieldorder=bff,setsar=64/45 -flags +ildct+ilme -c:v dvvideo -pix_fmt yuv420p dv.avi",
        "-vf tinterlace=interleave_top -c:v libx264 -preset ultrafast -flags +ildct+ilme -pix_fmt yuv420p a.mp4",
        "-vf tinterlace=interleave_top -c:v mpeg2video -q:v 2 -flags +ildct+ilme -pix_fmt yuv420p a.ts",
    ],
)
async def test_interlaced_footage_is_shown_progressive(tmp_path, making) -> None:
    """No frame is combed."""
    *making, name = making.split()
    ffmpeg("-f lavfi -i testsrc2=s=720x576:r=50:d=3", *making, "-an", str(tmp_path / name))
    result = await merged(tmp_path / name, seconds=3)
    said = ffmpeg(f"-i {result.file} -vf idet -f null -")
    multi = said[said.rindex("Multi frame detection") :].split()
    assert int(multi[multi.index("TFF:") + 1]) + int(multi[multi.index("BFF:") + 1]) <= 4
    assert int(multi[multi.index("Progressive:") + 1]) >= 70
    assert len(frame_times(result.file)) == 75


@pytest.mark.parametrize("transfer", ["arib-std-b67", "smpte2084"])
@pytest.mark.parametrize("tags", [":color_primaries=bt2020:colorspace=bt2020nc:range=tv", ""])
async def test_high_dynamic_range_is_brought_to_what_every_screen_shows(tmp_path, transfer, tags) -> None:
    """8 bits carry BT.709, say so, and show paper white nearly white and mid grey grey."""
    level = {"arib-std-b67": 0.75, "smpte2084": 0.58}[transfer]  # 203 nits
    for name, value, low, high in (("white", level, 0.85, 0.97), ("black", 0.0, 0.0, 0.02)):
        file = tmp_path / f"{name}.mov"
        luma = round((16 + 219 * value) * 4)
        ffmpeg(
            f"-f lavfi -i color=black:s=64x64:r=5:d=0.6 -vf format=yuv422p10le,geq=lum={luma}:cb=512:cr=512,setparams=color_trc={transfer}{tags}"
            f" -c:v prores_ks -pix_fmt yuv422p10le {file}"
        )
        result = await merged(file, seconds=1)
        shown = context(result.file)
        assert (shown.pix_fmt, shown.colorspace, shown.color_primaries, shown.color_trc) == ("yuv420p", 1, 1, 1)
        seen = colour(result.file) / 255
        assert low <= seen.min() <= seen.max() <= high


async def test_the_default_picture_is_the_film(tmp_path) -> None:
    """A still beside it, in front of it even, is not."""
    film, still, file = tmp_path / "film.mp4", tmp_path / "t.mkv", tmp_path / "x.mkv"
    ffmpeg(f"{TEST_CARD} {TONE} {H264} -c:a aac -shortest {film}")
    ffmpeg(f"-f lavfi -i testsrc2=s=160x90:r=1:d=1 -frames:v 1 -c:v mjpeg -pix_fmt yuvj420p {still}")
    ffmpeg(f"-i {still} -i {film} -map 0:v -map 1 -c copy -disposition:v:0 0 -disposition:v:1 default {file}")
    result = await merged(file)
    assert lengths(result.file) == pytest.approx((2, 2, 2), abs=0.05)
    assert copied(film, result.file)


@pytest.mark.parametrize("coding", [H264, "-c:v mpeg4"])
@pytest.mark.parametrize("rotation", [0, 90])
async def test_pixels_that_are_not_square_stay_so(tmp_path, coding, rotation) -> None:
    """The film keeps its shape, copied or drawn anew, upright or lying."""
    flat, file = tmp_path / "flat.mp4", tmp_path / "a.mp4"
    ffmpeg(f"-f lavfi -i testsrc2=s=719x576:r=25:d=1 -vf scale=720:576,setsar=64/45 {coding} {flat}")
    ffmpeg(f"-display_rotation {rotation} -i {flat} -c copy {file}")
    result = await merged(file, seconds=1)
    still = tmp_path / "still.png"
    ffmpeg(f"-i {result.file} -frames:v 1 -vf scale=iw*sar:ih,setsar=1 {still}")
    with av.open(str(still)) as picture:
        frame = next(picture.decode(video=0))
    wide = 1024 / 576
    assert frame.width / frame.height == pytest.approx(wide if rotation == 0 else 1 / wide, rel=0.01)


async def test_nothing_outside_the_edit_is_in_the_file(tmp_path) -> None:
    """What somebody cut away before sending is not published."""
    whole, file = tmp_path / "l.mp4", tmp_path / "cut.mp4"
    ffmpeg(f"{TEST_CARD} {TONE} {H264} -g 25 -c:a aac -shortest {whole}")
    ffmpeg(f"-ss 1.2 -i {whole} -c copy {file}")
    result = await merged(file, mode="mix")
    assert lengths(result.file)[0] == pytest.approx(0.8, abs=0.05)
    with av.open(str(result.file), options={"ignore_editlist": "1"}) as container:
        assert sum(1 for _ in container.decode(video=0)) == 20


@pytest.mark.parametrize("coding", ["-c:v prores_ks", H264])
async def test_a_refusal_says_why_in_words(tmp_path, coding) -> None:
    """No addresses of memory, no names of ffmpeg's parts, and the cause instead of what came of it."""
    file = tmp_path / "a.mov"
    ffmpeg(f"{TEST_CARD} {TONE} {coding} -c:a aac {file}")
    with pytest.raises(Rejected) as caught:
        await merged(broken(file, "video"), mode="mix")
    said = str(caught.value)
    assert "cannot be decoded" in said
    assert "nvalid" in said
    assert not any(words in said for words in ("0x", "[", "]", "Nothing was written"))
    assert caught.value.code == "broken_video"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("[out#0/mp4 @ 0x55f4c0ffee00] Nothing was written into output file\n", "Nothing was written into output file"),
        (
            "[aac @ 0x7f46f0001c00] [error] channel element 0.0 is not allocated\n[out#0/mp4 @ 0x5] Nothing was written\n",
            "channel element 0.0 is not allocated",
        ),
        ("s @ 0x1] [dec:prores @ 0x55d8] Decoding error: bad header at 0x7fff1234\n", "Decoding error: bad header"),
        ("", "ffmpeg gave no reason"),
    ],
)
def test_what_ffmpeg_complains_of_is_put_into_words(said, told) -> None:
    """The cause, without who says it and where in memory it lies."""
    assert in_words(said) == told
