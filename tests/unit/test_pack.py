"""A pack hands a track over: to editing programs with markers, to programs with cues, and with what it is made of."""

import io
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache

import av
import mido
import numpy as np
import opentimelineio as otio
import pytest

from tests.unit.clips import clip, direction
from worker.domain import Anatomy, Hit, Options, Plan, Segment, Span, Variant
from worker.engines.sketch import SketchEngine
from worker.engines.sketch.stems import SketchStems
from worker.pipeline.finish import markers
from worker.pipeline.finish.cues import Cues
from worker.pipeline.finish.master import master
from worker.pipeline.finish.pack import NO_MARKERS, NO_STEMS, TrackPacker

FILM = replace(clip(7.0, (2.6, 4.9)), fps=24.0, speech=(Span(start_s=3.0, end_s=4.5),))
VARIANT = Variant(index=1, seed=5, direction=direction("house", title="Night drive"))
PLAN = Plan(
    variants=(VARIANT,), describer="local", hits=(Hit(at_s=4.9, kind="drop"),), segments=(Segment(start_s=0, prompt="calm"),)
)  # fmt: skip
TOLD = {
    "engine": "sketch", "model": "sketch-1", "title": "Night drive", "prompt": "house", "seed": 5, "duration": 7.0, "bpm": 100.0,
    "key": "D minor", "licence": {"name": "MIT", "commercial": True, "url": "https://opensource.org/license/mit"},
}  # fmt: skip
ADDRESS = "https://example.com/films/holiday.mp4"


@cache
def recorded(film=FILM, variant=VARIANT, format="flac"):
    """The file of a track."""
    (made,) = SketchEngine().compose(film, [variant], Options(), lambda: False)
    return master(
        made,
        duration_s=film.duration_s,
        loudness_lufs=-14,
        format=format,
        tags={"title": "x", "engine": "sketch sketch-1", "licence": "MIT"},
    ).data


@pytest.fixture
def packed(tmp_path):
    """What packs a file; answers the packed and what its files hold."""

    async def run(data, *, suffix="flac", told=TOLD, film=FILM):
        file = tmp_path / "media"
        file.write_bytes(data)
        options = Options(packs=told, audio_url=f"https://storage/audios/a.{suffix}?token=1")
        with ThreadPoolExecutor(1) as at_work:
            packer = TrackPacker(stems=SketchStems, at_work=at_work)
            made = await packer.pack(file, tmp_path, film, PLAN, options, ADDRESS)
        return made, {name: file.read_bytes() for name, file in (made.files | made.stems).items()}

    return run


def steps_of(data, bits):
    """Samples (2, n) as they stand in a FLAC of so many bits."""
    with av.open(io.BytesIO(data)) as file:
        frames = [frame.to_ndarray().reshape(-1, 2).T for frame in file.decode(audio=0)]
    whole = np.concatenate(frames, axis=1).astype(np.int64)
    return whole if bits == 16 else whole >> 8


async def test_the_stems_null_against_the_track(packed):
    """In 24 bits the sum of all stems and the residual is the track to the last bit; the residual is 30 dB below it and more."""
    data = recorded()
    made, pack = await packed(data)
    assert made.notes == ()
    assert pack["track.flac"] == data
    track = steps_of(data, 16) << 8
    stems = {name: steps_of(pack[name], 24) for name in pack if name.startswith("stems/")}
    assert sorted(stems) == [
        "stems/arp-synth-pluck.flac", "stems/bass-synth-bass.flac", "stems/comp-piano.flac", "stems/drums.flac",
        "stems/lead-synth-lead.flac", "stems/pad-synth-pad.flac", "stems/residual.flac",
    ]  # fmt: skip
    assert np.array_equal(sum(stems.values()), track)
    power = np.square(track.astype(float)).mean()
    assert np.square(stems["stems/residual.flac"].astype(float)).mean() < 1e-3 * power
    with av.open(io.BytesIO(pack["stems/drums.flac"])) as file:
        assert file.streams.audio[0].codec_context.format.name == "s32"
        tags = {name.lower(): text for name, text in file.metadata.items()}
        assert {name: tags[name] for name in ("title", "engine", "licence")} == {
            "title": "drums", "engine": "sketch sketch-1", "licence": "MIT",
        }  # fmt: skip


async def test_cues_say_what_is_known_of_film_and_track(packed):
    """Length, rate and cuts of the film, the track's seed, prompt, tempo, key and licence, beats as heard, bars, sections, hits, segments, speech."""
    _, pack = await packed(recorded())
    cues = json.loads(pack["cues.json"])
    assert cues["film"] == {
        "url": ADDRESS, "duration": 7.0, "fps": 24.0, "cuts": [2.6, 4.9], "speech": [{"start": 3.0, "end": 4.5}],
    }  # fmt: skip
    assert {name: cues["track"][name] for name in TOLD} == TOLD
    assert cues["hits"] == [{"at": 4.9, "kind": "drop"}]
    assert cues["segments"] == [{"start": 0, "prompt": "calm", "energy": None}]
    assert cues["bars"][0] == 0
    assert cues["sections"][0]["start"] == 0
    beats = np.array(cues["beats"])
    assert 60 / np.diff(beats).mean() == pytest.approx(100, rel=0.06)
    assert mido.MidiFile(file=io.BytesIO(pack["music.mid"])).tracks[0].name == "Night drive"


async def test_what_was_composed_before_the_film_was_heard_is_taken_apart_too(packed):
    """A track that leaves no room for the speech in its film is composed again without it."""
    made, _ = await packed(recorded(replace(FILM, speech=())))
    assert made.stems


@pytest.mark.parametrize("case", ["seed", "mp3"])
async def test_what_cannot_be_composed_again_comes_without_stems(packed, case):
    """Music of another version, and a lossy file, have markers and cues, and a note says what they lack."""
    data = recorded(variant=replace(VARIANT, seed=6)) if case == "seed" else recorded(format="mp3")
    made, pack = await packed(data, suffix="mp3" if case == "mp3" else "flac")
    assert (made.stems, made.notes) == ({}, (NO_STEMS,))
    assert sorted(pack) == sorted(
        ["track.mp3" if case == "mp3" else "track.flac", "cues.json", "markers.edl", "markers.otio", "markers.xml"]
    )
    assert json.loads(pack["cues.json"])["bars"] is None


async def test_another_engines_track_has_no_stems_and_no_note(packed):
    """What no engine here composes note by note lacks nothing that it could have."""
    made, pack = await packed(recorded(), told=TOLD | {"engine": "mmaudio"})
    assert (made.stems, made.notes) == ({}, ())
    assert "music.mid" not in pack


async def test_a_worker_without_the_extra_says_so(packed, monkeypatch):
    """Without opentimelineio and mido the pack has no markers and no MIDI, and a note tells what to install; stems it has."""
    for name in ("opentimelineio", "mido", "worker.pipeline.finish.markers", "worker.engines.sketch.midi"):
        monkeypatch.setitem(sys.modules, name, None)
    made, pack = await packed(recorded())
    assert made.notes == (NO_MARKERS,)
    assert {name.partition("/")[0] for name in pack} == {"track.flac", "cues.json", "stems"}


ANATOMY = Anatomy(bars_s=(0.0, 2.41, 4.83), sections=((0.0, 0.5),), midi=None, stems=())


def cues_at(fps):
    film = replace(FILM, fps=fps)
    return Cues(clip=film, film=ADDRESS, plan=PLAN, told=TOLD, beats_s=(0.61, 1.2, 2.42, 3.0), anatomy=ANATOMY)


def told_by(timeline, place):
    """Seconds and names of markers."""
    return [
        (marker.marked_range.start_time.to_seconds(), marker.name.capitalize()) for marker in place(timeline).markers
    ]


@pytest.mark.parametrize("fps", [23.976, 24, 25, 29.97, 30, 50, 59.94, 60])
@pytest.mark.parametrize(
    ("name", "adapter", "place"),
    [
        ("markers.otio", "otio_json", lambda timeline: timeline.tracks),
        ("markers.xml", "fcp_xml", lambda timeline: timeline.tracks),
        ("markers.edl", "cmx_3600", lambda timeline: timeline.tracks[0][0]),
    ],
)
def test_markers_are_read_back_at_their_times(name, adapter, place, fps):
    """Cuts, bars, beats, hits and segments stand within half a frame of their times, in every format and at every rate of film."""
    text = markers.written(cues_at(fps), "track.flac")[name]
    rate = {"rate": round(fps)} if adapter == "cmx_3600" else {}
    found = otio.adapters.read_from_string(text, adapter, **rate)
    if not isinstance(found, otio.schema.Timeline):
        (found,) = found
    wanted = [
        (2.6, "Cut 1"), (4.9, "Cut 2"), (0.0, "Bar 1"), (2.41, "Bar 2"), (4.83, "Bar 3"), (0.61, "Beat"), (1.2, "Beat"), (3.0, "Beat"),
        (4.9, "Hit drop"), (0.0, "Segment 1"),
    ]  # fmt: skip
    slower = (
        round(fps) / markers.rate_of(fps) if rate else 1
    )  # an EDL counts frames, as if they were so many in a second
    told = sorted((slower * at_s, text) for at_s, text in told_by(found, place))
    assert [text for _, text in told] == [text for _, text in sorted(wanted)]
    assert [at_s for at_s, _ in told] == pytest.approx([at_s for at_s, _ in sorted(wanted)], abs=0.5 / fps + 1e-3)
    assert slower * found.tracks[0][0].duration().to_seconds() == pytest.approx(7.0, abs=0.5 / fps + 0.01)


def test_a_timeline_has_the_film_and_its_track():
    """Both are clips with the film's rate, by its address and by the name of the file beside it."""
    made = markers.timeline(cues_at(25), "track.flac", 25)
    film, music = made.tracks
    assert [(one.kind, one[0].name, one[0].media_reference.target_url) for one in made.tracks] == [
        ("Video", "holiday.mp4", ADDRESS), ("Audio", "track.flac", "track.flac"),
    ]  # fmt: skip
    assert film[0].duration() == music[0].duration() == otio.opentime.RationalTime(175, 25)
    assert "<video" not in markers.written(cues_at(25), "track.flac")["markers.xml"].split("track.flac", 1)[1]


@pytest.mark.parametrize(
    ("fps", "rate"), [(1, 23.976), (10, 23.976), (12.5, 23.976), (14.99, 23.976), (29.97, 29.97), (120, 60)]
)
def test_a_rate_without_timecode_takes_the_nearest(fps, rate):
    """Timecode counts 24 to 60 frames a second; times stay what they are."""
    assert markers.rate_of(fps) == pytest.approx(rate, abs=0.001)
    assert markers.written(cues_at(fps), "track.flac")


def test_odd_names_break_no_line():
    """A title with a line break, and a film whose name is in another script, make a valid EDL."""
    odd = replace(cues_at(25), film="https://example.com/фильм\n.mp4", told=TOLD | {"title": "Two\nlines"})
    text = markers.written(odd, "track.flac")["markers.edl"]
    found = otio.adapters.read_from_string(text, "cmx_3600", rate=25)
    assert found.name == "Two lines"
    assert len(found.tracks[0]) == 1
