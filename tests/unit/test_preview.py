"""Films for browsers: which need one, and that what is made is played everywhere."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import av
import numpy as np
import pytest

from tests.unit.films import film, make
from worker.errors import Rejected, Unavailable
from worker.pipeline.finish.preview import LIMITS, FfmpegPreviewer
from worker.pipeline.look.child import Limits

OURS = "https://ref.supabase.co/storage/v1/object/public/uploads/a"
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8")
OPUS = ("-c:a", "libopus")


async def preview(source: Path, *, url: str = OURS, until_s: float = 60, limits: Limits = LIMITS) -> Path | None:
    (into := source.parent / "made").mkdir(exist_ok=True)
    return await FfmpegPreviewer(lambda address: address == OURS, limits=limits).preview(url, source, into, until_s)


def facts(path: Path) -> dict[str, object]:
    """What players ask of a file."""
    data = path.read_bytes()
    with av.open(str(path)) as opened:
        picture = opened.streams.video[0].codec_context
        sounds = [(one.codec_context.name, one.codec_context.sample_rate) for one in opened.streams.audio]
        return {
            "codec": picture.name, "pixels": picture.pix_fmt, "size": (picture.width, picture.height), "sounds": sounds,
            "fast": data.index(b"moov") < data.index(b"mdat"), "seconds": opened.duration / av.time_base,
        }  # fmt: skip


PLAYED = {
    "mp4": (), "vp9.mp4": VP9, "opus.mp4": OPUS, "silent.mp4": ("-an",), "webm": (*VP9, *OPUS), "av1.webm": ("-c:v", "libsvtav1", *OPUS),
}  # fmt: skip


@pytest.mark.parametrize("name", PLAYED)
async def test_what_every_browser_plays_needs_none(tmp_path, name) -> None:
    """H.264, VP9 or AV1 with AAC or Opus in MP4 or WebM is played from our Storage as it is."""
    assert await preview(film(tmp_path / f"film.{name}", *PLAYED[name])) is None


ODD = {
    "hevc.mp4": ("-c:v", "libx265", "-x265-params", "log-level=error"), "mov": (), "mkv": (), "mpeg4.avi": ("-c:v", "mpeg4"),
    "mpeg2.ts": ("-c:v", "mpeg2video", "-c:a", "mp2"), "prores.mov": ("-c:v", "prores_ks", "-pix_fmt", "yuv422p10le"),
    "mp3.mp4": ("-c:a", "libmp3lame"), "vorbis.webm": (*VP9, "-c:a", "libvorbis"), "ten-bit.mp4": ("-pix_fmt", "yuv420p10le"),
    "mjpeg.mkv": ("-c:v", "mjpeg", "-pix_fmt", "yuvj422p"), "flv": ("-c:v", "flv1", "-c:a", "libmp3lame", "-ar", "44100"),
    "webm.mkv": (*VP9, *OPUS), "interlaced.mp4": ("-flags", "+ilme+ildct"),
    "pq.mp4": ("-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params", "log-level=error:transfer=smpte2084:colorprim=bt2020:colormatrix=bt2020nc"),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
async def test_other_films_get_one(tmp_path, name) -> None:
    """What cameras, editors and recorders write becomes H.264 and AAC in an MP4 that begins at once, as long as the film."""
    made = await preview(film(tmp_path / f"film.{name}", *ODD[name]))
    found = facts(made)
    assert found.pop("seconds") == pytest.approx(2, abs=0.1)
    assert found == {"codec": "h264", "pixels": "yuv420p", "size": (96, 64), "sounds": [("aac", 48000)], "fast": True}


async def test_a_foreign_film_gets_one_without_being_drawn_anew(tmp_path) -> None:
    """A page may not play it from where it is; its picture is copied where it is right already."""
    source = film(tmp_path / "film.mp4")
    made = await preview(source, url="https://example.com/a.mp4")
    with av.open(str(source)) as one, av.open(str(made)) as other:
        packets = [[bytes(packet) for packet in opened.demux(video=0) if packet.size] for opened in (one, other)]
    assert packets[0] == packets[1]
    assert facts(made)["fast"]


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ("1920x1080", (1280, 720)),
        ("1080x1920", (720, 1280)),
        ("2000x700", (1280, 448)),
        ("353x203", (352, 202)),
        ("1000x1000", (720, 720)),
    ],
)
async def test_it_is_at_most_720p_and_even(tmp_path, shape, size) -> None:
    """The long side has at most 1280 pixels and the short one 720, nothing is made larger, and both are even."""
    source = film(tmp_path / "film.mkv", "-preset", "ultrafast", "-pix_fmt", "yuv444p", shape=shape, seconds=0.2)
    assert facts(await preview(source))["size"] == size


async def test_a_film_that_lies_down_stands_up(tmp_path) -> None:
    """A rotation that only the container knows is done to the picture."""
    hevc = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error")
    lying = film(tmp_path / "lying.mp4", *hevc, shape="1920x1080", seconds=0.2)
    source = make(tmp_path / "film.mp4", "-display_rotation", "90", "-i", lying, "-c", "copy")
    assert facts(await preview(source))["size"] == (720, 1280)


async def test_a_heavy_film_is_made_lighter(tmp_path) -> None:
    """A foreign film of many bytes a second is drawn anew though its picture would do."""
    noise = "-f lavfi -i testsrc2=s=640x480:d=0.4,noise=alls=100:allf=t -c:v libx264 -preset ultrafast -qp 4 -pix_fmt yuv420p"
    source = make(tmp_path / "film.mp4", *noise.split())
    made = await preview(source, url="https://example.com/a.mp4")
    assert made.stat().st_size < source.stat().st_size / 2


async def test_only_what_is_set_to_music_is_shown(tmp_path) -> None:
    """With a `duration` the preview ends where the music does."""
    for number, url in enumerate((OURS, "https://example.com/a.mp4")):
        source = film(tmp_path / f"{number}.mkv", seconds=4)
        assert facts(await preview(source, url=url, until_s=1.5))["seconds"] == pytest.approx(1.5, abs=0.15)


async def test_sound_stays_where_it_is(tmp_path) -> None:
    """A sound that begins a second after the picture does so in the preview, in a file whose clock starts late."""
    picture, tone = film(tmp_path / "picture.mp4", sound=False, seconds=3), tmp_path / "tone.wav"
    make(tone, "-f", "lavfi", "-i", "sine=frequency=440:duration=2:sample_rate=48000")
    source = make(
        tmp_path / "film.ts", "-i", picture, "-itsoffset", "1", "-i", tone, "-c:v", "copy", "-c:a", "aac", "-output_ts_offset", "7"
    )  # fmt: skip
    with av.open(str(await preview(source))) as opened:
        heard = np.concatenate([frame.to_ndarray()[0] for frame in opened.decode(audio=0)])
    assert np.abs(heard[: 48_000 * 9 // 10]).max() < 0.01
    assert np.abs(heard[48_000 * 11 // 10 : 48_000 * 2]).max() > 0.05


async def test_a_sound_that_cannot_be_read_is_left_out(tmp_path) -> None:
    """The picture is shown all the same."""
    source = film(tmp_path / "film.mkv", "-c:a", "pcm_s16le")
    data = source.read_bytes().replace(b"A_PCM/INT/LIT", b"A_QUICKTIME  ")
    source.write_bytes(data)
    assert facts(await preview(source))["sounds"] == []


async def test_what_cannot_be_shown_is_refused_in_words(tmp_path) -> None:
    """Neither a file that is no film nor one that takes too long leaves anything behind; both say why."""
    (nothing := tmp_path / "nothing.mp4").write_bytes(b"nothing")
    with pytest.raises(Rejected, match="of an unknown format"):
        await preview(nothing)
    source = film(tmp_path / "film.mkv")
    with pytest.raises(Unavailable, match="Making a preview took longer than 0 s"):
        await preview(source, limits=Limits(wall=timedelta(milliseconds=1)))


@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1"])
async def test_sound_is_as_loud_as_it_is_in_a_merge(tmp_path, layout) -> None:
    """Mono goes to both channels at unity, and more channels are mixed down as Web Audio does: a page computes its mix from the preview."""
    channels = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
    waves = "|".join(["0.2*sin(440*2*PI*t)", *["0"] * (channels - 1)])
    picture = film(tmp_path / "picture.mp4", sound=False)
    tone = ("-f", "lavfi", "-i", f"aevalsrc={waves}:s=48000:d=2:c={layout}")
    made = await preview(make(tmp_path / "film.mkv", "-i", picture, *tone, "-c:v", "copy", "-c:a", "pcm_s16le"))
    with av.open(str(made)) as opened:
        heard = np.concatenate([frame.to_ndarray() for frame in opened.decode(audio=0)], axis=1)[:, 12_000:84_000]
    wanted = (0.2, 0.2) if layout == "mono" else (0.2, 0)
    assert np.abs(heard).max(axis=1) == pytest.approx(wanted, abs=0.01)
