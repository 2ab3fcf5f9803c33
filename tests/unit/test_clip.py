"""ChildLooker on good videos: exact numbers, scenes, stills."""

from __future__ import annotations

import hashlib
import io

import av
import numpy as np
import pytest

from rhythmai.sample import make_sample
from tests.unit.films import film, make
from tests.unit.looking import look
from tests.unit.media import BLACK, BLUE, CONTAINERS, GREEN, GREY, RED, WHITE, write_video


def opened(jpeg: bytes) -> np.ndarray:
    with av.open(io.BytesIO(jpeg)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


@pytest.mark.parametrize("suffix", CONTAINERS)
async def test_every_container(tmp_path, suffix: str) -> None:
    """Size, rate, sound and the exact duration are found in every container we take."""
    path = write_video(tmp_path / f"a.{suffix}", [(RED, 0.8), (BLUE, 1.2)])
    clip = await look(path)
    assert (clip.width, clip.height, clip.has_audio, clip.path) == (96, 64, True, path)
    assert clip.duration_s == pytest.approx(2.0, abs=0.005)
    assert clip.fps == pytest.approx(25, abs=0.1)
    assert clip.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert clip.cuts_s == pytest.approx((0.8,), abs=0.05)


async def test_the_sample(tmp_path) -> None:
    """The demo's sample lasts as long as asked and has four scenes that look different."""
    make_sample(tmp_path / "sample.mp4", seconds=4)
    clip = await look(tmp_path / "sample.mp4")
    assert (clip.width, clip.height, clip.fps, clip.duration_s, clip.has_audio) == (640, 360, 25, 4.0, True)
    assert clip.cuts_s == (1.0, 2.0, 3.0)
    sunrise, sea, city, meadow = clip.scenes
    assert sunrise.warmth > meadow.warmth > sea.warmth
    assert sea.brightness < sunrise.brightness < meadow.brightness
    assert city.motion > 0.5 > max(sunrise.motion, sea.motion, meadow.motion)


async def test_levels(tmp_path) -> None:
    """Brightness, saturation and warmth of plain colours are where they belong."""
    colours = [BLACK, WHITE, GREY, RED, BLUE]
    clip = await look(write_video(tmp_path / "a.mp4", [(colour, 1) for colour in colours]))
    black, white, grey, red, blue = clip.scenes
    assert black.brightness < 0.1 < grey.brightness < white.brightness
    assert max(black.saturation, white.saturation, grey.saturation) < 0.2
    assert min(red.saturation, blue.saturation) > 0.6
    assert [scene.warmth for scene in (blue, grey, red)] == pytest.approx([0, 0.5, 1], abs=0.1)
    for scene in clip.scenes:
        assert all(0 <= level <= 1 for level in (scene.brightness, scene.saturation, scene.warmth, scene.motion))


async def test_motion(tmp_path) -> None:
    """A picture that stands still has no motion, and no cuts."""
    still = write_video(tmp_path / "still.mp4", [(GREY, 1)], fps=1)
    clip = await look(still)
    assert [scene.motion for scene in clip.scenes] == [0.0]
    assert clip.cuts_s == ()


async def test_scenes_cover_the_clip(tmp_path) -> None:
    """Scenes touch each other, from 0 to the end."""
    clip = await look(write_video(tmp_path / "a.mp4", [(RED, 1), (GREEN, 2), (BLUE, 0.6)]))
    starts = [scene.start_s for scene in clip.scenes]
    ends = [scene.end_s for scene in clip.scenes]
    assert starts == [0.0, *clip.cuts_s]
    assert ends == [*clip.cuts_s, clip.duration_s]


async def test_a_flash_is_no_cut(tmp_path) -> None:
    """One white frame in the middle of a scene does not end it."""
    clip = await look(write_video(tmp_path / "a.mp4", [(RED, 1), (WHITE, 0.04), (RED, 1)]))
    assert clip.cuts_s == ()


async def test_stills_are_spread_and_small(tmp_path) -> None:
    """12 to 16 stills in order, from all of the clip, at most 512 pixels long."""
    clip = await look(write_video(tmp_path / "a.mp4", [(RED, 3), (BLUE, 3)], size=(1280, 720), fps=5, sound=False))
    times = [still.time_s for still in clip.stills]
    assert 12 <= len(times) <= 16
    assert times == sorted(times)
    assert max(np.diff([0, *times, 6])) < 0.8
    for still in clip.stills:
        assert opened(still.jpeg).shape == (288, 512, 3)
        assert len(still.jpeg) < 60_000
    red, blue = opened(clip.stills[0].jpeg), opened(clip.stills[-1].jpeg)
    assert red[..., 0].mean() > 2 * red[..., 2].mean()
    assert blue[..., 2].mean() > 2 * blue[..., 0].mean()


async def test_every_scene_has_a_still(tmp_path) -> None:
    """Short scenes before a long one are not overlooked by an even spread."""
    colours = [RED, GREEN, BLUE, WHITE] * 3
    clip = await look(write_video(tmp_path / "a.mp4", [*((c, 0.6) for c in colours), (GREY, 20)], sound=False))
    assert len(clip.scenes) == 13
    assert len(clip.stills) <= 16
    for scene in clip.scenes:
        assert any(scene.start_s <= still.time_s < scene.end_s for still in clip.stills)


async def test_many_scenes_keep_to_the_limit(tmp_path) -> None:
    """With more scenes than stills there are 16 stills, still spread over the clip."""
    scenes = [([RED, GREEN, BLUE, WHITE][i % 4], 0.6) for i in range(30)]
    clip = await look(write_video(tmp_path / "a.mp4", scenes, sound=False))
    assert len(clip.scenes) == 30
    assert len(clip.stills) == 16
    assert clip.stills[-1].time_s > 15


async def test_one_frame(tmp_path) -> None:
    """A video of one frame is a clip with one scene and one still."""
    clip = await look(write_video(tmp_path / "a.mp4", [(RED, 0.04)], sound=False))
    assert clip.duration_s == pytest.approx(0.04)
    assert (len(clip.scenes), len(clip.stills), clip.has_audio) == (1, 1, False)


async def test_the_first_seconds_only(tmp_path) -> None:
    """With a duration only the first seconds count, to the frame, and a longer wish gives the whole video."""
    path = write_video(tmp_path / "a.mp4", [(RED, 1), (BLUE, 1), (GREEN, 1)])
    clip = await look(path, 1.5)
    assert clip.duration_s == 1.5
    assert clip.cuts_s == (1.0,)
    assert max(still.time_s for still in clip.stills) < 1.5
    assert (await look(path, 100)).duration_s == 3.0


@pytest.mark.parametrize(("rotation", "dark_side"), [(0, "left"), (90, "bottom"), (-90, "top"), (180, "right")])
async def test_a_phone_video_is_upright(tmp_path, rotation: int, dark_side: str) -> None:
    """A video stored lying down is measured and shown as players show it: turned counterclockwise by its rotation."""
    clip = await look(write_video(tmp_path / "a.mp4", [(WHITE, 0.4)], rotation=rotation))
    assert (clip.width, clip.height) == ((96, 64) if rotation % 180 == 0 else (64, 96))
    image = opened(clip.stills[0].jpeg).astype(float)
    assert image.shape[:2] == (clip.height, clip.width)
    edges = {"left": image[:, :8], "right": image[:, -8:], "top": image[:8], "bottom": image[-8:]}
    assert min(edges, key=lambda side: edges[side].mean()) == dark_side


@pytest.mark.parametrize(
    ("aspect", "size", "shown"),
    [("64/45", "720x576", (512, 288)), ("1/2", "96x64", (48, 64)), ("999/1", "96x64", (96, 64))],
)
async def test_pixels_that_are_not_square_are_made_so(tmp_path, aspect: str, size: str, shown: tuple[int, int]) -> None:
    """A still has the shape that players show; a shape of pixels that no camera has is a mistake."""
    path = film(tmp_path / "a.mp4", "-vf", f"setsar={aspect}:max=1000", shape=size, seconds=0.4, sound=False)
    clip = await look(path)
    height, width, _ = opened(clip.stills[0].jpeg).shape
    assert (width, height) == shown
    assert clip.width / clip.height == pytest.approx(width / height, rel=0.02)


@pytest.mark.parametrize(
    ("curve", "code"), [("smpte2084", 64 + 876 * 0.5807), ("arib-std-b67", 64 + 876 * 0.75)], ids=["PQ", "HLG"]
)
async def test_hdr_is_seen_as_an_ordinary_screen_shows_it(tmp_path, curve: str, code: float) -> None:
    """Paper white (203 nits) is bright, black is black, and what is brighter than white is brighter still."""
    levels = f"if(lt(Y,32),{code:.0f},if(gt(X,48),64,if(lt(Y,64),{code + 60:.0f},{code / 2 + 32:.0f})))"
    tags = f"setparams=color_trc={curve}:color_primaries=bt2020:colorspace=bt2020nc:range=tv"
    drawn = f"color=black:s=96x96:r=25:d=0.4,format=yuv422p10le,geq=lum='{levels}':cb=512:cr=512,{tags}"
    clip = await look(make(tmp_path / "a.mov", "-f", "lavfi", "-i", drawn, "-c:v", "prores_ks"))
    picture = opened(clip.stills[0].jpeg).mean(2) / 255
    white, black, brighter, grey = picture[16, 48], picture[64, 80], picture[48, 24], picture[80, 24]
    assert 0.85 <= white < brighter <= 1
    assert black < 0.03
    assert 0.1 < grey < 0.6
    assert clip.scenes[0].brightness == pytest.approx(picture.mean(), abs=0.03)


async def test_an_ordinary_film_is_left_as_it_is(tmp_path) -> None:
    """White is white and grey is grey where nothing says HDR."""
    clip = await look(write_video(tmp_path / "a.mp4", [(GREY, 0.4)], sound=False))
    assert clip.scenes[0].brightness == pytest.approx(0.5 * 0.85, abs=0.03)


async def test_duration_of_a_container_that_does_not_say(tmp_path) -> None:
    """A live recording, whose header was never completed, has the duration of its frames."""

    class Pipe(io.RawIOBase):
        """A file that cannot go back to fill in a duration."""

        data = bytearray()

        def write(self, piece):
            self.data += piece
            return len(piece)

        def writable(self):
            return True

        def seekable(self):
            return False

    pipe = Pipe()
    path = tmp_path / "live.webm"
    write_video(path, [(RED, 1), (BLUE, 1)], options={"live": "1"}, file=pipe)
    path.write_bytes(pipe.data)
    with av.open(str(path)) as container:
        assert container.duration is None or container.streams.video[0].duration is None
    assert (await look(path)).duration_s == pytest.approx(2.0, abs=0.005)


async def test_a_header_that_lies(tmp_path) -> None:
    """A movie header that claims hours does not change the duration of the frames."""
    path = write_video(tmp_path / "a.mp4", [(RED, 1)])
    data = bytearray(path.read_bytes())
    box = data.index(b"mvhd") + 4
    data[box + 16 : box + 20] = b"\x7f\xff\xff\xff"
    path.write_bytes(data)
    assert (await look(path)).duration_s == 1.0


@pytest.mark.parametrize(("sound_s", "duration_s"), [(1.4, 1.0), (3.0, 3.0), (0.5, 1.0)])
async def test_sound_longer_than_the_picture(tmp_path, sound_s: float, duration_s: float) -> None:
    """A film is as long as its longest stream; half a second of sound more than picture does not count."""
    clip = await look(write_video(tmp_path / "a.mkv", [(RED, 1)], sound_s=sound_s))
    assert clip.duration_s == pytest.approx(duration_s, abs=0.02)
    assert clip.scenes[-1].end_s == clip.duration_s
