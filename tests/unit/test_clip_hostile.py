"""ChildLooker on files that are no videos, are too much, or mean harm."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import av
import pytest

from tests.unit.films import film
from tests.unit.looking import look
from tests.unit.media import BLUE, RED, WHITE, picture, write_sound, write_video
from worker.domain import PROTOCOLS, VIDEO_FORMATS
from worker.errors import Rejected, Unavailable
from worker.pipeline.look.child import Limits
from worker.pipeline.look.look import ChildLooker


async def refused(path: Path, code: str, looker: ChildLooker | None = None) -> str:
    """Look at a file, expect it to be refused for good with this code, and return what the user reads."""
    with pytest.raises(Rejected) as caught:
        await look(path, looker=looker)
    assert caught.value.code == code, caught.value
    assert str(path.parent) not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"just some text, nothing else", "unknown format"),
        (b"<!DOCTYPE html><html><body>Watch on our site</body></html>", "a web page"),
        (b'{"error": "not found"}', "a text document"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "a PNG image"),
        (b"GIF89a" + bytes(100), "a GIF image"),
        (b"%PDF-1.7\n", "a PDF document"),
        (bytes(5000), "unknown format"),
    ],
)
async def test_not_a_video(tmp_path, data: bytes, named: str) -> None:
    """A file of another kind is refused, and the message says what it looks like."""
    (tmp_path / "a.mp4").write_bytes(data)
    assert named in await refused(tmp_path / "a.mp4", "not_a_video")


@pytest.mark.parametrize(
    ("name", "codec", "named"),
    [
        ("film.wmv", "wmv2", "a Windows Media video"),
        ("holiday.mp4", "wmv2", "a Windows Media video"),
        ("film.mpg", "mpeg2video", "MPEG program stream"),
        ("film.rm", "rv20", "RealMedia"),
        ("film.mxf", "mpeg2video", "MXF"),
        ("film.nut", "mpeg4", "NUT"),
        ("film.m2v", "mpeg2video", "raw MPEG video"),
    ],
)
async def test_a_video_in_another_container(tmp_path, name: str, codec: str, named: str) -> None:
    """It is called by what it is, whatever its name says, and the refusal says which ones are taken."""
    muxer = ["-f", "asf"] if codec == "wmv2" else []
    path = film(tmp_path / name, "-c:v", codec, *muxer, shape="176x144", sound=False)
    message = await refused(path, "not_a_video")
    assert named in message
    assert "send MP4, MOV, WebM, MKV, AVI, TS, FLV or OGV" in message
    assert "not a video" not in message


async def test_an_empty_file(tmp_path) -> None:
    """An empty file is called empty."""
    (tmp_path / "a.mp4").touch()
    await refused(tmp_path / "a.mp4", "empty_file")


@pytest.mark.parametrize("name", ["a.mp4", "a.m3u8", "a.ts"])
@pytest.mark.parametrize(
    "script",
    [
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{secret}\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{secret}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile {secret}\n",
        "ffconcat version 1.0\nfile 'file:{secret}'\n",
    ],
)
async def test_playlists_read_nothing(tmp_path, script: str, name: str) -> None:
    """A playlist in a video's clothes is refused, and the local file it points at is never opened."""
    secret = write_video(tmp_path / "secret.ts")
    os.utime(secret, (1, 1))
    path = tmp_path / name
    path.write_text(script.format(secret=secret))
    await refused(path, "not_a_video")
    assert secret.stat().st_atime == 1
    # The bait is good: without the whitelist of formats libav would take it.
    if "ffconcat" in script:
        with av.open(str(path), options={"safe": "0"}) as container:
            assert container.streams.video
    with pytest.raises(av.FFmpegError):
        av.open(str(path), options={"protocol_whitelist": PROTOCOLS, "format_whitelist": VIDEO_FORMATS})


async def test_sound_only(tmp_path) -> None:
    """A sound file in a video container has no picture."""
    path = write_sound(tmp_path / "a.m4a", 1)
    assert "no picture" in await refused(path, "no_video_stream")


async def test_cover_art_is_no_picture(tmp_path) -> None:
    """Music with a cover is not a video."""
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        frame = av.VideoFrame.from_ndarray(picture(RED, 0, (64, 64)), format="rgb24").reformat(format="yuvj420p")
        container.mux([*cover.encode(frame), *cover.encode(None)])
    with av.open(str(path)) as container:
        assert container.streams.video[0].disposition & av.stream.Disposition.attached_pic
    await refused(path, "no_video_stream")


async def test_too_long(tmp_path) -> None:
    """A long video is refused with both durations, unless only its first seconds are asked for."""
    path = write_video(tmp_path / "a.mp4", [(RED, 30)], fps=2, size=(32, 32), sound=False)
    message = await refused(path, "too_long", ChildLooker(max_duration_s=20))
    assert "30.0 s" in message
    assert "20 s" in message
    assert (await look(path, 5, ChildLooker(max_duration_s=20))).duration_s == 5
    with pytest.raises(Rejected, match=r"30\.0 s"):
        await look(path, 25, ChildLooker(max_duration_s=20))


async def test_the_limit_itself_is_not_too_long(tmp_path) -> None:
    """A video of exactly the limit is taken."""
    path = write_video(tmp_path / "a.mp4", [(RED, 2)], sound=False)
    assert (await look(path, None, ChildLooker(max_duration_s=2))).duration_s == 2


async def test_too_many_pixels(tmp_path) -> None:
    """A picture wider or higher than 4096 is refused by its header, before a frame is decoded."""
    path = write_video(tmp_path / "a.mp4", [(RED, 0.04)], size=(4112, 64), sound=False)
    assert "4112 x 64" in await refused(path, "too_many_pixels")


async def test_the_largest_picture(tmp_path) -> None:
    """4096 x 4096 pixels are taken, within the memory of a child."""
    path = write_video(tmp_path / "a.mp4", [(RED, 0.04)], size=(4096, 4096), sound=False)
    clip = await look(path)
    assert (clip.width, clip.height) == (4096, 4096)


async def test_a_picture_that_grows(tmp_path) -> None:
    """A stream whose pictures become huge after the header was read is refused or ends there."""
    small = write_video(tmp_path / "small.ts", [(RED, 1)], sound=False)
    huge = write_video(tmp_path / "huge.ts", [(BLUE, 0.04)], size=(6000, 4000), sound=False)
    path = tmp_path / "a.ts"
    path.write_bytes(small.read_bytes() + huge.read_bytes())
    try:
        clip = await look(path)
    except Rejected as error:
        assert error.code in {"too_many_pixels", "too_long", "broken_video"}  # noqa: PT017
    else:
        assert (clip.width, clip.height) == (96, 64)


async def test_a_header_with_absurd_sizes(tmp_path) -> None:
    """A header that announces 65535 x 65535 pixels costs neither memory nor time."""
    path = write_video(tmp_path / "a.mkv", [(RED, 0.2)], codec="mjpeg", sound=False)
    data = bytearray(path.read_bytes())
    place = data.index(b"\xff\xc0") + 5  # the frame header of the first JPEG
    while place > 4:
        data[place : place + 4] = b"\xff\xff\xff\xff"
        place = data.find(b"\xff\xc0", place) + 5
    path.write_bytes(data)
    with pytest.raises(Rejected) as caught:
        await look(path)
    assert caught.value.code in {"broken_video", "too_many_pixels"}


async def test_too_many_frames(tmp_path) -> None:
    """More frames a second than any camera makes are refused."""
    path = write_video(tmp_path / "a.mp4", [(RED, 2)], fps=500, size=(32, 32), sound=False)
    assert "240 frames" in await refused(path, "broken_video")


@pytest.mark.parametrize(
    ("limits", "codes"),
    [
        (Limits(memory_bytes=16 * 2**20), {"too_demanding"}),
        (Limits(wall=timedelta(milliseconds=10)), {"timeout"}),
        (Limits(output_bytes=1000), {"broken_video"}),
    ],
)
async def test_a_decompression_bomb(tmp_path, limits: Limits, codes: set[str]) -> None:
    """A file that unfolds to more memory, time or output than a child may have ends there; the worker is untouched."""
    path = write_video(tmp_path / "a.mp4", [(WHITE, 0.2)], size=(2048, 2048), sound=False)
    with pytest.raises((Rejected, Unavailable)) as caught:
        await look(path, None, ChildLooker(limits=limits))
    assert caught.value.code in codes


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
async def test_a_good_4k_film(tmp_path, codec: str) -> None:
    """Memory suffices for 3840 x 2160, whatever the machine."""
    path = write_video(tmp_path / "a.mp4", [(RED, 0.12)], codec=codec, size=(3840, 2160), sound=False)
    clip = await look(path)
    assert (clip.width, clip.height, clip.duration_s) == (3840, 2160, pytest.approx(0.12))


async def test_cut_off_without_a_header(tmp_path) -> None:
    """An MP4 whose index was at the end and is lost is called incomplete."""
    path = write_video(tmp_path / "a.mp4", [(RED, 2)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    assert "missing or damaged" in await refused(path, "broken_video")


@pytest.mark.parametrize(
    ("suffix", "options"), [("mp4", {"movflags": "+faststart"}), ("mkv", {}), ("ts", {}), ("flv", {})]
)
async def test_cut_off_with_a_header(tmp_path, suffix: str, options: dict[str, str]) -> None:
    """A video cut off in the middle is as long as what is left of it."""
    path = write_video(tmp_path / f"a.{suffix}", [(RED, 4)], options=options, sound=False)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    clip = await look(path)
    assert 1 < clip.duration_s < 3.9
    assert clip.scenes[-1].end_s == clip.duration_s
    assert max(still.time_s for still in clip.stills) < clip.duration_s


async def test_a_name_cannot_be_an_option_or_a_protocol(tmp_path) -> None:
    """A file name that looks like an option or a URL is only a file name."""
    for name in ("-version.mp4", "http:x.mp4", "concat:a|b.mp4", "data:,.mp4", "a%03d.mp4"):
        path = write_video(tmp_path / "good.mp4", [(RED, 0.2)], sound=False).rename(tmp_path / name)
        assert (await look(path)).duration_s == pytest.approx(0.2)
