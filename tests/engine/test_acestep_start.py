"""How ACE-Step begins: with what it finds, and only with the bytes that were pulled."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from worker.engines.acestep import tiny
from worker.engines.acestep.checkpoints import LOCK, Lock, checked, missing, model_named
from worker.engines.acestep.engine import AceStepEngine
from worker.errors import Misconfigured

TINY = model_named("tiny-random")
COMMIT = "c" * 40
WEIGHTS, SETTINGS = bytes(range(256)) * 999, b'{"_class_name": "AceStepPipeline"}'


@pytest.mark.parametrize(
    ("model", "device", "words"),
    [
        ("huge", "cpu", "ACESTEP_MODEL='huge' is not a model: choose one of xl-turbo, turbo, tiny-random"),
        ("xl-turbo", "cpu", "run `rhythmai models pull acestep-xl-turbo`, or set ENGINE=sketch"),
        ("tiny-random", "gpu", "DEVICE='gpu' is no device"),
    ],
)
def test_a_worker_that_cannot_start_says_what_to_do(tmp_path: Path, model: str, device: str, words: str):
    """An unknown model, missing weights or a wrong device are one line with the remedy."""
    with pytest.raises(Misconfigured) as caught:
        AceStepEngine.load(model, tmp_path, device)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_changed_file_is_not_loaded(tmp_path: Path):
    """Every file is checked at every load, and the one that is not what was pulled is named."""
    tiny.write(tmp_path)
    folder = checked(TINY, tmp_path)
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(Misconfigured, match=r"diffusion_pytorch_model\.safetensors is not what was pulled"):
        AceStepEngine.load("tiny-random", tmp_path, "cpu")
    file.unlink()
    assert missing(TINY, tmp_path) == ["vae/diffusion_pytorch_model.safetensors"]


def test_the_tiny_checkpoint_is_always_the_same(tmp_path: Path):
    """Made twice, it has the same bytes."""
    tiny.write(tmp_path / "a")
    tiny.write(tmp_path / "b")
    first, second = (Lock.read(TINY.folder(tmp_path / name)) for name in "ab")
    assert first == second
    assert first is not None
    assert len(first.files) >= 8


class Hub:
    """The hub's two answers: what a repository is made of, and its files."""

    def __init__(self) -> None:
        self.files = {"vae/model.safetensors": [WEIGHTS], "model_index.json": [SETTINGS], "README.md": [b"no"]}
        self.asked: list[str] = []
        self.commit = COMMIT
        self.url = ""

    def described(self) -> bytes:
        siblings = []
        for name, bodies in self.files.items():
            content = bodies[-1]
            one = {"rfilename": name, "size": len(content)}
            one["blobId"] = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            if name.endswith(".safetensors"):
                one["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 1}
            siblings.append(one)
        return json.dumps({"id": "x/y", "sha": self.commit, "siblings": siblings}).encode()


@pytest.fixture
def hub():
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def do_HEAD(self):
            self.answer(body=False)

        def do_GET(self):
            self.answer(body=True)

        def answer(self, *, body: bool):
            hub.asked.append(f"{self.command} {self.path}")
            name = self.path.partition("/resolve/")[2].partition("/")[2]
            bodies = [hub.described()] if "/api/models/" in self.path else hub.files[name]
            content = bodies[0] if not body or len(bodies) == 1 else bodies.pop(0)
            self.send_response(200)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", hub.commit)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield hub
    server.shutdown()
    thread.join()
    server.server_close()


def pulled(hub: Hub, models_dir: Path, name: str = "acestep-xl-turbo") -> tuple[int, str]:
    """`rhythmai models pull` in a process of its own: the hub's client reads HF_ENDPOINT when it is imported."""
    environment = os.environ | {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(models_dir / "home"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "rhythmai", "models", "pull", name, "--dir", str(models_dir)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_a_pull_locks_what_it_finds(hub: Hub, tmp_path: Path):
    """The revision is resolved at the first pull, files of weights and settings come with their sums, and later pulls keep to them."""
    code, said = pulled(hub, tmp_path)
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
    assert pulled(hub, tmp_path)[0] == 0
    assert [line.partition("?")[0] for line in hub.asked] == [f"GET /api/models/{lock.repository}/revision/{COMMIT}"]


def test_a_pinned_revision_is_asked_for(hub: Hub, tmp_path: Path):
    """The third party's conversion is the one we know."""
    pinned = model_named("turbo").revision
    hub.commit = str(pinned)
    code, said = pulled(hub, tmp_path, "acestep-turbo")
    assert code == 0, said
    assert all(str(pinned) in line for line in hub.asked)


@pytest.mark.parametrize("name", ["vae/model.safetensors", "model_index.json"])
def test_a_corrupt_file_is_fetched_again_once(hub: Hub, tmp_path: Path, name: str):
    """Large files are held against the sha256, small ones against git's blob id that the hub states."""
    hub.files[name].insert(0, b"broken" * 9)
    code, said = pulled(hub, tmp_path)
    assert code == 0, said
    whole = hub.files[name][-1]
    hub.files[name][:] = [b"1" * 20, b"2" * 20, whole]
    (model_named("xl-turbo").folder(tmp_path) / name).unlink()
    code, said = pulled(hub, tmp_path)
    assert code != 0
    assert "was fetched twice and is corrupt" in said


@pytest.mark.parametrize(
    ("name", "words"), [("acestep-huge", "choose one of xl-turbo"), ("acestep-tiny-random", "is not pulled")]
)
def test_what_cannot_be_pulled_is_told(hub: Hub, tmp_path: Path, name: str, words: str):
    """One line, without asking the hub."""
    code, said = pulled(hub, tmp_path, name)
    assert (code, words in said, hub.asked) == (1, True, []), said


def test_a_hub_that_is_away_is_told(hub: Hub, tmp_path: Path):
    """One line, and no traceback."""
    hub.url = "http://127.0.0.1:1"
    code, said = pulled(hub, tmp_path)
    assert code != 0
    assert "the hub does not say what" in said
    assert "Traceback" not in said


def test_a_lock_that_is_no_lock_is_told(tmp_path: Path):
    """By its path and with the remedy."""
    (folder := model_named("turbo").folder(tmp_path)).mkdir()
    (folder / LOCK).write_text("[]")
    with pytest.raises(Misconfigured, match=r"lock\.json cannot be read"):
        missing(model_named("turbo"), tmp_path)
