"""Measuring a film by its packets and the first frame of each stream."""

from __future__ import annotations

import itertools
from dataclasses import asdict
from pathlib import Path

import av
import pytest
from pydantic import ValidationError

from tests.unit.films import copy, film, make, one_picture
from tests.unit.media import RED, write_video
from worker.errors import Rejected
from worker.pipeline.look.answers import Measured
from worker.pipeline.look.footage import Footage
from worker.pipeline.look.probe import measure
from worker.pipeline.look.walk import Walk


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """Two seconds in MP4."""
    return film(tmp_path_factory.mktemp("source") / "film.mp4")


def measured(path: Path, asked_s: float | None = None) -> Footage:
    return measure(path, 180.0, asked_s)


@pytest.mark.parametrize(
    ("suffix", "marks"),
    [
        ("mkv", ["-disposition:v:0", "0", "-disposition:v:1", "default"]),
        ("mkv", ["-disposition:v:0", "default", "-disposition:v:1", "default"]),
        ("mp4", ["-disposition:v:0", "default", "-disposition:v:1", "default"]),
        ("mp4", ["-disposition:v:0", "attached_pic", "-disposition:v:1", "default"]),
        ("mov", ["-disposition:v:0", "0", "-disposition:v:1", "default"]),
        ("avi", []),
    ],
)
def test_of_several_pictures_one_is_the_film(tmp_path, source: Path, suffix: str, marks: list[str]) -> None:
    """It is the one that players show, wherever it lies: the default one, and among equals the one that moves."""
    still = one_picture(tmp_path / "still.mkv")
    both = ["-i", still, "-i", source, "-map", "0:v", "-map", "1", "-c", "copy"]
    footage = measured(make(tmp_path / f"both.{suffix}", *both, *marks))
    assert (footage.codec, footage.width, footage.height) == ("h264", 96, 64)
    assert footage.duration_s == pytest.approx(2.0, abs=0.002)


def test_a_picture_that_cannot_be_decoded_gives_way(tmp_path, source: Path) -> None:
    """The next one is the film, if it can."""
    other = film(tmp_path / "other.mp4", shape="64x48", sound=False)
    both = ["-i", other, "-i", source, "-map", "0:v", "-map", "1:v", "-c", "copy"]
    path = make(tmp_path / "both.mkv", *both, "-bsf:v:0", "noise=amount=1", "-disposition:v:0", "default")
    footage = measured(path)
    assert (footage.width, footage.decodes) == (96, True)


@pytest.mark.parametrize(("offset_s", "parts"), [(0, 2), (0, 3), (100, 2)], ids=["again", "thrice", "ahead"])
@pytest.mark.parametrize("sound", [True, False], ids=["with sound", "without"])
def test_a_transport_stream_goes_on_where_its_clock_does_not(
    tmp_path, source: Path, offset_s: int, parts: int, *, sound: bool
) -> None:
    """Recordings that were joined are as long as all of them, whether the clock starts again or jumps."""
    options = [] if sound else ["-an"]
    one = copy(source, tmp_path / "one.ts", *options).read_bytes()
    other = copy(source, tmp_path / "other.ts", *options, "-output_ts_offset", str(offset_s)).read_bytes()
    for path, data in ((tmp_path / "a.ts", one + other * (parts - 1)), (tmp_path / "b.ts", other * (parts - 1) + one)):
        path.write_bytes(data)
        footage = measured(path)
        assert (footage.duration_s, footage.fps, footage.jumps) == (2.0 * parts, 25.0, True)
        for heard in footage.sounds:
            assert heard.end_s == pytest.approx(2.0 * parts, abs=0.1)


def test_streams_keep_step_over_a_jump(tmp_path, source: Path) -> None:
    """Sound that is longer than its picture, or begins with the second part, stays where its picture is."""
    once = copy(source, tmp_path / "once.ts").read_bytes()
    silent = copy(source, tmp_path / "silent.ts", "-an").read_bytes()
    longer = ["-i", source, "-c:v", "copy", "-af", "apad=pad_dur=0.4", "-c:a", "aac"]
    first = make(tmp_path / "longer.ts", *longer).read_bytes()
    for path, data, start_s in (
        (tmp_path / "a.ts", silent + once, 2.0),
        (tmp_path / "b.ts", first * 3, 0.0),
    ):
        path.write_bytes(data)
        footage = measured(path)
        assert footage.fps == 25.0
        (sound,) = footage.sounds
        assert sound.start_s == pytest.approx(start_s, abs=0.1)
        assert sound.end_s == pytest.approx(footage.picture_s, abs=0.5)


def test_a_clock_that_comes_to_its_end_begins_anew(tmp_path, source: Path) -> None:
    """The times of a transport stream have 33 bits, which are full after 26.5 hours."""
    footage = measured(copy(source, tmp_path / "a.ts", "-output_ts_offset", "95441"))
    assert (footage.duration_s, footage.fps) == (2.0, 25.0)


@pytest.mark.parametrize("options", [["-bf", "2"], ["-bf", "0"], ["-bf", "3", "-flags", "+ilme+ildct"]])
@pytest.mark.parametrize("rate", [25, 30])
def test_frames_without_times_are_counted(tmp_path, options: list[str], rate: int) -> None:
    """H.264 that was copied into AVI is as long as before, whatever rate the header claims."""
    source = film(tmp_path / "a.mp4", *options, rate=rate, seconds=3)
    footage = measured(copy(source, tmp_path / "a.avi"))
    assert footage.duration_s == pytest.approx(3.0, abs=0.002)
    assert footage.fps == pytest.approx(rate, rel=1e-3)


@pytest.mark.parametrize("rate", [24, 25, 30])
def test_the_first_seconds_have_the_rate_of_the_film(tmp_path, rate: int) -> None:
    """Frames are stored out of order, and of those at the place where the walk stops some were not seen."""
    source = film(tmp_path / "a.mp4", "-bf", "3", rate=rate, seconds=5)
    for file in (source, *(copy(source, tmp_path / f"a.{suffix}") for suffix in ("mkv", "ts", "avi"))):
        assert measured(file, 1.0).fps == pytest.approx(rate, rel=1e-3), file


def test_a_single_frame_without_a_time_lasts_as_long_as_others_would(tmp_path, source: Path) -> None:
    """What the header of an AVI claims to be its rate is that of its smallest step."""
    footage = measured(copy(source, tmp_path / "a.avi", "-an", "-frames:v", "1"))
    assert footage.duration_s == pytest.approx(0.04)


def test_frames_that_an_avi_leaves_out_count(tmp_path, source: Path) -> None:
    """Where a recorder dropped frames the others keep their times."""
    dropped = ["-i", source, "-vf", "select='lt(n\\,10)+not(mod(n\\,5))'", "-fps_mode", "vfr", "-an", "-c:v", "mpeg4"]
    footage = measured(make(tmp_path / "a.avi", *dropped))
    assert footage.duration_s == pytest.approx(2.0, abs=0.2)
    assert not footage.pace


@pytest.mark.parametrize(("rate", "frames"), [(240, 241), (240, 2), (240, 24), (239.76, 100)])
@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts"])
def test_a_rate_at_the_limit_is_taken(tmp_path, suffix: str, rate: float, frames: int) -> None:
    """Containers round their times; that makes no film too fast."""
    source = ["-f", "lavfi", "-i", f"testsrc2=s=96x64:r={rate}", "-frames:v", str(frames)]
    path = make(tmp_path / f"a.{suffix}", *source, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
    assert measured(path).duration_s == pytest.approx(frames / rate, abs=0.006)


@pytest.mark.parametrize(("rate", "seconds"), [(300, 1.0), (300, 0.2), (250, 1.0)])
def test_a_faster_one_is_refused(tmp_path, rate: int, seconds: float) -> None:
    """Above 240 frames a second no camera works."""
    path = film(tmp_path / "a.mkv", "-preset", "ultrafast", rate=rate, seconds=seconds, sound=False)
    with pytest.raises(Rejected, match="more than 240 frames"):
        measured(path)


def test_sound_makes_a_still_a_film(tmp_path) -> None:
    """One frame and ten seconds of sound are ten seconds, of which one frame is picture; what was asked for is an upper bound."""
    still = make(
        tmp_path / "a.mp4", "-f", "lavfi", "-i", "testsrc2=s=96x64:r=25", "-frames:v", "1", "-pix_fmt", "yuv420p"
    )
    tone = make(tmp_path / "a.m4a", "-f", "lavfi", "-i", "sine=d=10", "-c:a", "aac")
    path = make(tmp_path / "still.mp4", "-i", still, "-i", tone, "-c", "copy")
    footage = measured(path)
    assert (footage.duration_s, footage.picture_s) == (10.0, 0.04)
    assert (measured(path, 4.0).duration_s, measured(path, 0.02).picture_s) == (4.0, 0.02)
    with pytest.raises(Rejected, match=r"lasts 10\.0 s, the limit is 8 s"):
        measure(path, 8.0)


def test_what_an_edit_list_hides_is_told(tmp_path) -> None:
    """A film that was trimmed without being encoded again carries what was cut away, from its last key frame on."""
    source = film(tmp_path / "a.mp4", "-g", "50", seconds=4)
    trimmed = make(tmp_path / "cut.mp4", "-ss", "3.2", "-i", source, "-c", "copy")
    footage = measured(trimmed)
    assert (footage.hidden_s, footage.picture_s) == (pytest.approx(1.2), pytest.approx(0.8))
    assert measured(source).hidden_s == 0


def test_what_an_edit_list_hides_tells_how_a_film_is_decoded(tmp_path) -> None:
    """Its first frame is enough for that, else all that is hidden would be decoded for nothing."""
    source = film(tmp_path / "a.mp4", "-g", "50", "-bf", "0", seconds=4, sound=False)
    with av.open(str(make(tmp_path / "cut.mp4", "-ss", "3.2", "-i", source, "-c", "copy"))) as container:
        walk = Walk(container.streams.video[0])
        for packet in itertools.takewhile(lambda packet: packet.is_discard, container.demux(video=0)):
            walk.see(packet)
    assert (walk.count, walk.frame is not None) == (0, True)


def test_how_pixels_are_to_be_understood_is_told(tmp_path) -> None:
    """Their format and depth, aspect, order of fields, and colours."""
    plain = measured(film(tmp_path / "a.mp4", sound=False))
    assert (plain.pixel_format, plain.rgb, plain.interlaced, plain.pixel_aspect) == (
        "yuv420p",
        False,
        False,
        (1, 1),
    )
    full = measured(film(tmp_path / "b.mp4", "-pix_fmt", "yuv444p", "-vf", "setsar=64/45", sound=False))
    assert (full.pixel_format, full.profile, full.pixel_aspect) == ("yuv444p", "High 4:4:4 Predictive", (64, 45))
    fields = ["-vf", "setfield=tff", "-flags", "+ildct+ilme", "-x264-params", "tff=1"]
    assert measured(film(tmp_path / "c.mp4", *fields, sound=False)).interlaced
    tags = "setparams=color_trc=smpte2084:color_primaries=bt2020:colorspace=bt2020nc:range=tv"
    source = ["-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=1", "-vf", tags]
    hdr = measured(make(tmp_path / "d.mov", *source, "-c:v", "prores_ks", "-pix_fmt", "yuv422p10le"))
    assert (hdr.pixel_format, hdr.transfer, hdr.primaries, hdr.matrix, hdr.colour_range) == ("yuv422p10le", 16, 9, 9, 1)
    rgb = measured(make(tmp_path / "e.mov", *source[:4], "-c:v", "qtrle", "-pix_fmt", "rgb24"))
    assert rgb.rgb


def test_which_sounds_can_be_heard_is_told(tmp_path) -> None:
    """Of each stream: when it begins and ends, whether it decodes, and whether it can be made stereo."""
    four = "aevalsrc='0.3*sin(880*t)|0.2*sin(660*t)|0.2*sin(550*t)|0.2*sin(440*t)':c=4.0:s=48000:d=2"
    sources = [
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=96x64:r=25:d=2",
        "-f",
        "lavfi",
        "-i",
        four,
        "-f",
        "lavfi",
        "-i",
        "sine=d=1.5",
    ]
    sphere = [
        "-filter_complex",
        "[1:a]channelmap=channel_layout=ambisonic 1:map=0|1|2|3[a]",
        "-map",
        "0:v",
        "-map",
        "[a]",
    ]
    coded = ["-map", "2:a", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "libopus", "-mapping_family:a:0", "2"]
    footage = measured(make(tmp_path / "a.mkv", *sources, *sphere, *coded))
    told = sorted((sound.number, sound.layout, sound.channels, sound.decodes, sound.folds) for sound in footage.sounds)
    assert told == [(0, "ambisonic 1", 4, True, False), (1, "mono", 1, True, True)]
    ends = {sound.number: sound.end_s for sound in footage.sounds}
    assert ends == {0: pytest.approx(2, abs=0.03), 1: pytest.approx(1.5, abs=0.03)}


def test_a_sound_that_cannot_be_decoded_makes_no_film_longer(tmp_path) -> None:
    """Nobody hears it."""
    path = film(tmp_path / "a.mp4", seconds=1, sound=False)
    tone = make(tmp_path / "a.m4a", "-f", "lavfi", "-i", "sine=d=3", "-c:a", "aac")
    broken = ["-c", "copy", "-bsf:a", "noise=amount=1"]
    footage = measured(make(tmp_path / "b.mkv", "-i", path, "-i", tone, *broken))
    assert (footage.duration_s, footage.has_audio) == (1.0, False)


@pytest.mark.parametrize(
    "lie",
    [{"duration_s": float("inf")}, {"width": 10**6}, {"pixel_aspect": (0, 1)}, {"start_s": float("nan")}, {"more": 1}],
)
def test_a_probe_is_not_believed(tmp_path, lie: dict[str, object]) -> None:
    """What measures reads hostile bytes: its words have bounds."""
    told = asdict(measured(write_video(tmp_path / "a.mp4", [(RED, 0.2)])))
    Measured.model_validate({"footage": told})
    with pytest.raises(ValidationError):
        Measured.model_validate({"footage": told | lie})
