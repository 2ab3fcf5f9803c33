"""Merged films that say where they come from, and the tags that say the same."""

from __future__ import annotations

import hashlib
import io
import json

import av
import c2pa
import numpy as np
import pytest

from tests.unit.certificates import signatory
from tests.unit.manifests import FACTS, TRAINED, assertion, sign, signer_of, told, tune
from tests.unit.media import read_sound, write_video
from worker.domain import Options
from worker.errors import Rejected
from worker.pipeline.finish import signing
from worker.pipeline.finish.audio_file import FORMATS, write
from worker.pipeline.finish.merge import FfmpegMerger
from worker.pipeline.look import media
from worker.pipeline.origin import SOURCE_TYPES


@pytest.fixture(scope="module")
def signer(tmp_path_factory):
    return signer_of(signatory(), tmp_path_factory.mktemp("keys"))


async def put_under(film, music, folder):
    """A merge, with what it says of itself."""
    folder.mkdir()
    return await FfmpegMerger().merge(film, music, folder, Options())


@pytest.mark.parametrize(
    ("facts", "source"), [(TRAINED, "compositeWithTrainedAlgorithmicMedia"), (FACTS, "composite"), ({}, "composite")]
)
async def test_a_merged_film_is_made_of_two(signer, tmp_path, facts, source):
    """Film and track are ingredients; the track's own manifest goes along, and picture and sound are as they were merged."""
    film, music = write_video(tmp_path / "film.mp4"), tmp_path / "music.flac"
    music.write_bytes(await sign(signer, tmp_path, tune("flac", facts), "flac", facts=facts or FACTS))
    merged = await put_under(film, music, tmp_path / "merged")
    assert merged.facts["source_type"] == SOURCE_TYPES + source
    parts = {"film": film, "music": music}
    made = await sign(signer, tmp_path, merged.file.read_bytes(), "mp4", facts=merged.facts, parts=parts)
    manifest, wrong, state = told(made, "video/mp4")
    assert (state, wrong) == ("Trusted", [])
    assert [(one["title"], one["relationship"], "active_manifest" in one) for one in manifest["ingredients"]] == [
        ("film", "parentOf", False),
        ("music", "componentOf", True),
    ]
    opened, placed = assertion(manifest, "c2pa.actions.v2")["actions"]
    assert (opened["action"], placed["action"]) == ("c2pa.opened", "c2pa.placed")
    assert placed["digitalSourceType"] == SOURCE_TYPES + source
    (tmp_path / "made.mp4").write_bytes(made)
    assert np.array_equal(read_sound(tmp_path / "made.mp4"), read_sound(merged.file))
    assert pictures(tmp_path / "made.mp4") == pictures(merged.file)


def pictures(path):
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0)]


async def test_a_cameras_manifest_goes_along(signer, tmp_path):
    """What a camera signed is still there, in its own words and under its own name."""
    film, music = write_video(tmp_path / "film.mp4"), tmp_path / "music.mp3"
    camera = signer_of(signatory("A Camera"), tmp_path)
    taken = {"source_type": SOURCE_TYPES + "digitalCapture"}
    film.write_bytes(await sign(camera, tmp_path, film.read_bytes(), "mp4", facts=taken))
    music.write_bytes(tune("mp3"))
    merged = await put_under(film, music, tmp_path / "merged")
    parts = {"film": film, "music": music}
    made = await sign(signer, tmp_path, merged.file.read_bytes(), "mp4", facts=merged.facts, parts=parts)
    manifest, wrong, _ = told(made, "video/mp4")
    assert wrong == []
    taken_by = manifest["ingredients"][0]
    with c2pa.Reader("video/mp4", io.BytesIO(made)) as reader:
        theirs = reader.get_manifest(taken_by["active_manifest"])
    assert theirs["signature_info"]["common_name"] == "A Camera"
    (action,) = assertion(theirs, "c2pa.actions.v2")["actions"]
    assert action["digitalSourceType"] == SOURCE_TYPES + "digitalCapture"


@pytest.mark.parametrize("broken", ["film.mkv", "film.mp4", "film.avi"])
async def test_a_film_that_the_library_cannot_read_is_named(signer, tmp_path, broken):
    """What it is is a stranger's business: the merge is signed all the same."""
    film, music = tmp_path / broken, tmp_path / "music.flac"
    beginning = {"mkv": b"\x1aE\xdf\xa3", "mp4": b"\0\0\0\x20ftypisom", "avi": b"RIFF\0\0\0\0AVI "}
    film.write_bytes(beginning[film.suffix[1:]] + bytes(range(256)) * 8)
    music.write_bytes(tune("flac"))
    data = write_video(tmp_path / "merged.mp4").read_bytes()
    made = await sign(signer, tmp_path, data, "mp4", parts={"film": film, "music": music})
    manifest, wrong, _ = told(made, "video/mp4")
    assert wrong == []
    assert [one["title"] for one in manifest["ingredients"]] == ["film", "music"]


async def test_a_film_that_takes_the_library_down_is_named(signer, tmp_path, monkeypatch):
    """The child that reads it dies; the next one does not read it."""
    film, music = write_video(tmp_path / "film.mp4"), tmp_path / "music.flac"
    music.write_bytes(tune("flac"))
    run, asked = signing.run_child, []

    async def dies(arguments, *more, **options):
        asked.append(json.loads(arguments[1])["opens_parts"])
        if asked[-1]:
            raise Rejected("Signing the file failed for good (SIGSEGV)")
        return await run(arguments, *more, **options)

    monkeypatch.setattr(signing, "run_child", dies)
    made = await sign(signer, tmp_path, film.read_bytes(), "mp4", parts={"film": film, "music": music})
    assert asked == [True, False]
    assert told(made, "video/mp4")[1] == []


@pytest.mark.parametrize("format", [*FORMATS, "mp4"])
async def test_tags_say_the_same_without_a_certificate(tmp_path, format):
    """Generator, engine, licence, seed, the prompt's hash and the source type are in every file, signed or not."""
    if format == "mp4":
        film, music = write_video(tmp_path / "film.mp4"), tmp_path / "music.flac"
        music.write_bytes(tune("flac", TRAINED))
        merged = await put_under(film, music, tmp_path / "merged")
        with av.open(str(merged.file)) as container:
            said = json.loads(container.metadata["comment"])
        assert said == {**TRAINED, **merged.facts} == media.told(merged.file)
        assert said["source_type"].endswith("compositeWithTrainedAlgorithmicMedia")
        return
    file = tmp_path / f"tune.{format}"
    file.write_bytes(tune(format, TRAINED))
    assert media.told(file) == TRAINED
    assert TRAINED["prompt_sha256"] == hashlib.sha256(b"a calm piano").hexdigest()


async def test_nobody_takes_a_strangers_word_for_it(tmp_path):
    """Tags that a stranger wrote are in no manifest of ours; and they are short, and strings."""
    film, music = write_video(tmp_path / "film.mp4"), tmp_path / "music.wav"
    wave = np.zeros((1, 96_000), np.float32)
    music.write_bytes(write(wave, 48_000, "wav", {"engine": "e" * 1000, "licence": "MIT", "seed": "7", "other": "x"}))
    merged = await put_under(film, music, tmp_path / "merged")
    assert set(merged.facts) == {"generator", "source_type"}
    assert media.told(music) == {"engine": "e" * 300, "licence": "MIT", "seed": "7"}
