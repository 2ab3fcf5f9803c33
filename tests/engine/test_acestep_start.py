"""How ACE-Step begins: with what it finds, and only with the bytes that were pulled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rhythmai.cli import main
from tests.engine.hub import Hub
from worker.engines.acestep.checkpoints import LOCK, Lock, checked, missing, model_named
from worker.errors import Misconfigured

COMMIT = "c" * 40
WEIGHTS, SETTINGS = bytes(range(256)) * 999, b'{"_class_name": "AceStepPipeline"}'


def shelve(hub: Hub, name: str) -> dict[str, list[bytes]]:
    """A repository as the hub describes it, and the bodies of its files, by their names."""
    row = model_named(name)
    hub.commit = row.revision or COMMIT
    files = {"vae/model.safetensors": WEIGHTS, "model_index.json": SETTINGS, "README.md": b"no"}
    siblings = []
    for path, content in files.items():
        one = {"rfilename": path, "blobId": hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()}
        if path.endswith(".safetensors"):
            one["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 1}
        siblings.append(one)
        hub.bodies[f"/{row.repository}/resolve/{hub.commit}/{path}"] = [content]
    described = [json.dumps({"id": row.repository, "sha": hub.commit, "siblings": siblings}).encode()]
    about = f"/api/models/{row.repository}"
    hub.bodies[f"{about}/revision/{hub.commit}"] = described
    if row.revision is None:
        hub.bodies[about] = described
    return {path: hub.bodies[f"/{row.repository}/resolve/{hub.commit}/{path}"] for path in files}


@pytest.fixture
def pulled(hub: Hub, tmp_path: Path, monkeypatch, capsys) -> Callable[..., tuple[int, str]]:
    """`rhythmai models pull`."""

    def call(name: str = "acestep-xl-turbo") -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["rhythmai", "models", "pull", name, "--dir", str(tmp_path)])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code or 0, "".join(capsys.readouterr())

    return call


def test_a_pull_locks_what_it_finds(hub: Hub, tmp_path: Path, pulled):
    """The revision is resolved at the first pull, files of weights and settings come with their sums, and later pulls keep to them."""
    shelve(hub, "xl-turbo")
    code, said = pulled()
    assert code == 0, said
    folder = model_named("xl-turbo").folder(tmp_path)
    lock = Lock.read(folder)
    assert lock == Lock(
        repository="ACE-Step/acestep-v15-xl-turbo-diffusers",
        revision=COMMIT,
        files={
            "vae/model.safetensors": hashlib.sha256(WEIGHTS).hexdigest(),
            "model_index.json": hashlib.sha256(SETTINGS).hexdigest(),
        },
    )
    assert checked(model_named("xl-turbo"), tmp_path) == folder
    hub.asked.clear()
    assert pulled()[0] == 0
    assert hub.asked == [("GET", f"/api/models/{lock.repository}/revision/{COMMIT}", None)]


def test_a_pinned_revision_is_asked_for(hub: Hub, pulled):
    """The third party's conversion is the one we know."""
    shelve(hub, "turbo")
    code, said = pulled("acestep-turbo")
    assert code == 0, said
    assert all(str(model_named("turbo").revision) in path for _, path, _ in hub.asked)


@pytest.mark.parametrize("name", ["vae/model.safetensors", "model_index.json"])
def test_a_corrupt_file_is_fetched_again_once(hub: Hub, tmp_path: Path, pulled, name: str):
    """Large files are held against the sha256, small ones against git's blob id that the hub states."""
    bodies = shelve(hub, "xl-turbo")[name]
    bodies.insert(0, b"broken" * 9)
    code, said = pulled()
    assert code == 0, said
    bodies[:] = [b"1" * 20, b"2" * 20, bodies[-1]]
    (model_named("xl-turbo").folder(tmp_path) / name).unlink()
    code, said = pulled()
    assert code != 0
    assert "was fetched twice and is corrupt" in said


@pytest.mark.parametrize(
    ("name", "words"), [("acestep-huge", "choose one of xl-turbo"), ("acestep-tiny-random", "is not pulled")]
)
def test_what_cannot_be_pulled_is_told(hub: Hub, pulled, name: str, words: str):
    """One line, without asking the hub."""
    code, said = pulled(name)
    assert (code, words in said, hub.asked) == (1, True, []), said


def test_a_hub_that_is_away_is_told(pulled, monkeypatch):
    """One line, and no traceback."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:1")
    code, said = pulled()
    assert code != 0
    assert "the hub does not say what" in said
    assert "Traceback" not in said


def test_a_lock_that_is_no_lock_is_told(tmp_path: Path):
    """By its path and with the remedy."""
    (folder := model_named("turbo").folder(tmp_path)).mkdir()
    (folder / LOCK).write_text("[]")
    with pytest.raises(Misconfigured, match=r"lock\.json cannot be read"):
        missing(model_named("turbo"), tmp_path)
