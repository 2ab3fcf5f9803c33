"""`rhythmai provenance`: what a file says of where it comes from, for people and for programs."""

from __future__ import annotations

import json
import sys

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from rhythmai.commands.provenance import _lines, provenance
from rhythmai.errors import BadInput
from tests.cli.stack_process import call
from tests.unit.certificates import signatory
from tests.unit.manifests import TRAINED, sign, signer_of, tune
from tests.unit.media import write_video
from worker.pipeline.look import manifests, reading
from worker.pipeline.look.reading import Said


@pytest.fixture
async def folder(tmp_path):
    """A signed track, one that is not, one that was changed, a film of a camera, and one with the track under it."""
    signer, camera = signer_of(signatory(), tmp_path), signer_of(signatory("A Camera"), tmp_path)
    signatory().written(tmp_path)
    plain = tune("flac", TRAINED)
    (tmp_path / "plain.flac").write_bytes(plain)
    made = await sign(signer, tmp_path, plain, "flac", facts=TRAINED)
    (tmp_path / "signed.flac").write_bytes(made)
    (tmp_path / "changed.flac").write_bytes(made[:-2000] + bytes([made[-2000] ^ 1]) + made[-1999:])
    film = write_video(tmp_path / "film.mp4")
    film.write_bytes(await sign(camera, tmp_path, film.read_bytes(), "mp4", facts=TRAINED))
    parts = {"film": film, "music": tmp_path / "plain.flac"}
    merged = await sign(
        signer, tmp_path, write_video(tmp_path / "m.mp4").read_bytes(), "mp4", facts=TRAINED, parts=parts
    )
    (tmp_path / "merged.mp4").write_bytes(merged)
    return tmp_path


async def told(folder, *arguments):
    code, out, err = await call("provenance", *arguments, cwd=folder)
    assert err == ""
    return code, out


async def test_a_signed_track(folder):
    """Who signed it, what made it, under which licence and how; --trust says whom to believe."""
    code, out = await told(folder, "signed.flac")
    assert code == 0
    assert out.startswith("Valid: the file is as it was signed")
    for words in ("A Signer", "RhythmAI", "mmaudio large", "trainedAlgorithmicMedia", "commercial_use"):
        assert words in out
    _, out = await told(folder, "signed.flac", "--trust", "authority.pem", "--json")
    found = json.loads(out)
    assert (found["state"], found["signer"], found["problems"]) == ("Trusted", "A Signer", [])
    assert found["facts"] == TRAINED == found["tags"]


async def test_a_changed_file(folder):
    """It is told, and the exit code is 1."""
    code, out = await told(folder, "changed.flac")
    assert code == 1
    assert out.startswith("Invalid: DO NOT BELIEVE IT")
    assert "assertion.dataHash.mismatch" in out


async def test_a_merged_film(folder):
    """It is made of a film, which a camera signed, and of a track, which nobody did."""
    _, out = await told(folder, "merged.mp4")
    assert "film: signed by A Camera" in out
    assert "music: not signed" in out


async def test_a_file_that_is_not_signed(folder):
    """What its tags say is told as such; of a file without any, that it says nothing."""
    code, out = await told(folder, "plain.flac")
    assert code == 0
    assert out.startswith("not signed; its tags, which anybody can change, say:")
    assert TRAINED["prompt_sha256"] in out
    _, out = await told(folder, "plain.flac", "--json")
    assert json.loads(out) == {"state": None, "looked_for_manifests": True, "tags": TRAINED}
    (folder / "text.txt").write_text("words")
    assert (await told(folder, "text.txt"))[1] == "not signed, and its tags do not say where it comes from\n"


async def test_an_address_of_a_strangers_network(folder):
    """A URL is fetched as a worker fetches what strangers name: nothing private."""
    app = web.Application()
    app.router.add_static("/", folder)
    async with TestServer(app) as server:
        code, out, err = await call("provenance", str(server.make_url("/signed.flac")), cwd=folder)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert "127.0.0.1" in err
        # Of the project's own Storage it may be.
        url = str(server.make_url("/storage/v1/object/public/audios/signed.flac"))
        code, _, err = await call("provenance", url, cwd=folder, SUPABASE_URL=str(server.make_url("/")).rstrip("/"))
        assert "there is no such file" in err


async def test_a_damaged_file(folder):
    """What cannot be read is not called unsigned."""
    (folder / "cut.mp4").write_bytes((folder / "film.mp4").read_bytes()[:100])
    code, out = await told(folder, "cut.mp4")
    assert code == 1
    assert out.startswith("Unreadable: whether it is signed cannot be told")


@pytest.mark.parametrize("file", ["nowhere.flac", "."])
async def test_a_file_that_is_none(folder, file):
    """One line names it."""
    code, _, err = await call("provenance", file, cwd=folder)
    assert (code, err.count("\n")) == (1, 1)
    assert f"{file} is not a file" in err


async def test_a_manifest_of_another_kind(tmp_path, monkeypatch, capsys):
    """One that the library reads and we do not is told in a line."""

    async def read(path, anchors):
        return Said(facts={}, store={"manifests": []}, state="Valid", looked=True)

    monkeypatch.setattr(reading, "read", read)
    (tmp_path / "odd.flac").write_bytes(b"fLaC")
    with pytest.raises(BadInput, match="kind that is not known here"):
        await provenance.__wrapped__(str(tmp_path / "odd.flac"), None, False, None)


def test_without_the_library(folder, monkeypatch):
    """Tags are read all the same, and what to install is said."""
    monkeypatch.setitem(sys.modules, "c2pa", None)
    said = json.loads(manifests.read({"file": str(folder / "signed.flac")}))
    assert said == {"facts": TRAINED, "store": None, "state": None, "looked": False}
    lines = list(_lines({"state": None, "looked_for_manifests": False, "tags": TRAINED}))
    assert "pip install 'rhythmai[c2pa]'" in lines[1]
