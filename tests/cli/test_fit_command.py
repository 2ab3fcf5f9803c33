"""`rhythmai fit`: any film, any track; what chance gives is not praised, and bad files are one line."""

from __future__ import annotations

import json
import re

import av
import numpy as np
import pytest

from tests.cli.stack_process import call
from tests.unit.media import BLUE, GREEN, RED, WHITE, write_video
from tests.unit.test_hearing import clicks

RATE = 44_100


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with a film whose cuts lie at 2.4, 4.8, 7.2 and 9.6 s, clicks at 100 bpm on them and beside them, silence, and a text."""
    folder = tmp_path_factory.mktemp("fit")
    write_video(folder / "film.mp4", [(RED, 2.4), (BLUE, 2.4), (GREEN, 2.4), (WHITE, 2.4), (RED, 2.4)], sound=False)
    for name, first_s, gain in (("on.flac", 0.0, 1), ("off.m4a", 0.3, 1), ("silent.wav", 0.0, 0)):
        wave = gain * 0.4 * clicks(np.arange(first_s, 11.9, 0.6), 12, RATE)
        codec = {"flac": "flac", "m4a": "aac", "wav": "pcm_s16le"}[name.split(".")[1]]
        with av.open(str(folder / name), "w") as container:
            stream = container.add_stream(codec, rate=RATE, layout="stereo")
            kind = "fltp" if codec == "aac" else "s16"
            rows = wave if kind == "fltp" else (wave.T.reshape(1, -1) * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(rows), format=kind, layout="stereo")
            frame.sample_rate = RATE
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    (folder / "notes.txt").write_text("la la la")
    return folder


async def test_what_fits_is_told_with_what_chance_gives(files):
    """Four cuts on clicks, a hit that is met and one that is not, in words."""
    code, out, err = await call("fit", "film.mp4", "on.flac", "--hit", "4.8", "--hit", "7.7", cwd=files)
    assert (code, err) == (0, "")
    told = out.splitlines()
    assert told[0] == "film      12.0 s, track 12.0 s"
    assert told[1] == "cuts      4 of 4 on a beat; chance gives 1.3"
    assert told[2].startswith("hit       4.8 s: 0.00")
    assert re.fullmatch(r"hit       7\.7 s: 0\.(09|10)\d s late", told[3])
    assert re.fullmatch(r"tempo     100\.0 bpm, (19|20) beats", told[5])
    assert "key       none heard" in told


async def test_what_chance_gives_is_not_praised(files):
    """The same clicks half a beat beside the cuts, in another format."""
    code, out, _ = await call("fit", "film.mp4", "off.m4a", cwd=files)
    assert code == 0
    assert "cuts      0 of 4 on a beat: no more than chance may give (1.3)" in out.splitlines()


async def test_silence_is_called_so(files):
    """It has no beat, no pulse, no key and no loudness."""
    _, out, _ = await call("fit", "film.mp4", "silent.wav", "--hit", "3", cwd=files)
    assert out.splitlines()[1:] == [
        "cuts      4 in the film, and no beat in the track",
        "hit       3 s: no stroke stands out within half a second",
        "picture   nothing happens in the film, or in the track",
        "tempo     no pulse",
        "key       none heard",
        "loudness  silence",
    ]


async def test_programs_get_every_figure(files):
    """--json has the beats, the errors of the hits, and whether the cuts and the picture are met beyond chance."""
    _, out, _ = await call("fit", "film.mp4", "on.flac", "--hit", "4.8", "--json", cwd=files)
    told = json.loads(out)
    assert (told["cuts"], told["on_beat"], told["on_cuts"]) == (4, 4, True)
    assert len(told["beats_s"]) in {19, 20}
    assert told["chance"] == pytest.approx(1 / 3, abs=0.001)
    assert told["luck"] == pytest.approx(1 / 81, abs=0.001)
    assert told["hit_errors_s"] == pytest.approx([0], abs=0.005)


@pytest.mark.parametrize(
    ("film", "track", "words"),
    [
        ("film.mp4", "notes.txt", "The audio file cannot be read as sound"),
        ("film.mp4", "film.mp4", "The audio file cannot be read as sound"),
        ("notes.txt", "on.flac", "which we do not take"),
        ("on.flac", "on.flac", "a FLAC file"),
        ("nope.mp4", "on.flac", "nope.mp4 is not a file"),
        ("https://example.com/a.mp4", "on.flac", "is not a file"),
    ],
)
async def test_bad_files_are_one_line(files, film, track, words):
    """What is wrong is named, and nothing is told of the rest."""
    code, out, err = await call("fit", film, track, cwd=files)
    assert (code, out) == (1, "")
    assert words in err
    assert (err.startswith("rhythmai: "), err.count("\n")) == (True, 1)
