"""The official files come from the hub or the release, are checked, and are read strictly."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.engine.hub import Hub
from worker.engines.mmaudio import weights
from worker.engines.mmaudio.download import fetch, pull
from worker.engines.mmaudio.models import MODELS
from worker.engines.mmaudio.weights import HUB, File
from worker.errors import Misconfigured, Unavailable, WorkerError

CONTENT = bytes(range(256)) * 20_000
MD5 = hashlib.md5(CONTENT).hexdigest()
FILE = File(repository=HUB, path="ext_weights/v1-44.pth", size_mb=5, licence="test", md5=MD5, release=True)


def pulled(hub: Hub, models_dir: Path, file: File = FILE) -> str:
    """Where a file is and the last that was told of it, or what went wrong."""
    told = []
    try:
        path = fetch(file, models_dir, lambda *progress: told.append(progress), f"{hub.url}/release")
    except WorkerError as error:
        return f"{type(error).__name__} {error}"
    return f"{path.relative_to(models_dir)} {told[-1]}"


def test_a_file_comes_from_the_hub(hub: Hub, tmp_path: Path):
    """The hub's copy is fetched into its place, and progress ends at its size."""
    hub.bodies[f"/{HUB}/resolve/main/ext_weights/v1-44.pth"] = [CONTENT]
    assert pulled(hub, tmp_path) == f"ext_weights/v1-44.pth ('v1-44.pth', {len(CONTENT)}, {len(CONTENT)})"
    assert (tmp_path / "ext_weights" / "v1-44.pth").read_bytes() == CONTENT
    requests = len(hub.asked)
    pulled(hub, tmp_path)
    assert len(hub.asked) == requests


def test_a_corrupt_file_is_fetched_again_once(hub: Hub, tmp_path: Path):
    """One bad copy is replaced without a word to the user."""
    hub.bodies[f"/{HUB}/resolve/main/ext_weights/v1-44.pth"] = [b"broken" * 100, CONTENT]
    assert pulled(hub, tmp_path).startswith("ext_weights/v1-44.pth")


def test_a_file_that_stays_corrupt_is_refused(hub: Hub, tmp_path: Path):
    """After the second bad copy the error names the file and both checksums, and nothing is left behind."""
    hub.bodies[f"/{HUB}/resolve/main/ext_weights/v1-44.pth"] = [b"broken" * 100]
    said = pulled(hub, tmp_path)
    assert said.startswith("Misconfigured v1-44.pth was fetched twice and is corrupt: its md5 is ")
    assert MD5 in said
    assert not (tmp_path / "ext_weights" / "v1-44.pth").exists()


def test_the_hubs_sha256_serves_where_nothing_else_is_listed(hub: Hub, tmp_path: Path):
    """CLIP is checked against what the hub says, in whichever of its two forms it is there."""
    hub.bodies["/apple/DFN5B-CLIP-ViT-H-14-384/resolve/main/open_clip_model.safetensors"] = [CONTENT]
    said = pulled(hub, tmp_path, weights.CLIP)
    assert said.startswith("DFN5B-CLIP-ViT-H-14-384/open_clip_model.safetensors")


def test_the_release_serves_what_the_hub_lacks(hub: Hub, tmp_path: Path):
    """A file that is not in the hub's repository comes from the release."""
    hub.bodies["/release/v1-44.pth"] = [CONTENT]
    assert pulled(hub, tmp_path).startswith("ext_weights/v1-44.pth")
    assert [path for _, path, _ in hub.asked][-1] == "/release/v1-44.pth"


def test_a_broken_download_continues_where_it_stopped(hub: Hub, tmp_path: Path):
    """The part that came is kept; the next run asks for the rest."""
    hub.bodies["/release/v1-44.pth"] = [CONTENT]
    hub.cut_after = 300_000
    assert pulled(hub, tmp_path).startswith("Unavailable")
    part = tmp_path / "ext_weights" / "v1-44.pth.part"
    assert part.stat().st_size == 300_000
    hub.cut_after = None
    assert pulled(hub, tmp_path).startswith("ext_weights/v1-44.pth")
    assert hub.asked[-1] == ("GET", "/release/v1-44.pth", "bytes=300000-")
    assert not part.exists()


def test_a_part_that_is_complete_becomes_the_file(hub: Hub, tmp_path: Path):
    """Where everything had come but the last step, the server has nothing to add and the part is taken."""
    hub.bodies["/release/v1-44.pth"] = [CONTENT]
    part = tmp_path / "ext_weights" / "v1-44.pth.part"
    part.parent.mkdir()
    part.write_bytes(CONTENT)
    assert pulled(hub, tmp_path).startswith("ext_weights/v1-44.pth")
    assert not part.exists()


def test_nowhere_to_be_had_is_unavailable(hub: Hub, tmp_path: Path):
    """When neither has it, the error says where it looked."""
    said = pulled(hub, tmp_path)
    assert said == f"Unavailable {hub.url}/release/v1-44.pth answers 404 Not Found"


def test_whole_files_are_left_alone(tmp_path: Path):
    """A file that is here and right is not asked for."""
    path = FILE.under(tmp_path)
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    assert fetch(FILE, tmp_path, lambda *progress: None, "http://127.0.0.1:9") == path


def test_the_list_says_what_is_here(tmp_path: Path):
    """Every file of every model is listed with its size and licence; shared ones under each model."""
    FILE.under(tmp_path).parent.mkdir()
    FILE.under(tmp_path).write_bytes(b"here")
    listed = weights.listing(tmp_path)
    assert {line.model for line in listed} == set(MODELS)
    assert all(line.size_mb > 0 and line.licence for line in listed)
    assert {line.file for line in listed if line.present} == {"ext_weights/v1-44.pth"}
    assert sum(line.file == "ext_weights/v1-44.pth" for line in listed) == 4


def test_files_are_listed_and_fetched_without_torch():
    """It takes seconds to import, of which `rhythmai models` needs none."""
    known = "import sys, worker.engines.mmaudio.download; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", known], check=True)


def test_only_models_are_pulled(tmp_path: Path):
    """Another name is refused."""
    with pytest.raises(Misconfigured, match="is not a model"):
        pull("tiny", tmp_path, lambda *progress: None)


def test_state_dicts_are_read_from_either_format(tmp_path: Path):
    """Pickled (also as before torch 1.6) or safetensors, below `generator`, `state_dict` or neither; no checkpoint is named."""
    from safetensors.torch import save_file

    state = {"weight": torch.arange(3.0)}
    path = FILE.under(tmp_path)
    path.parent.mkdir()
    torch.save({"generator": state, "steps": 1}, path)
    assert torch.equal(weights.read(FILE, tmp_path)["weight"], state["weight"])
    for wrapped in (state, {"generator": state}, {"state_dict": state, "epoch": 3}):
        for zipped in (True, False):
            torch.save(wrapped, path, _use_new_zipfile_serialization=zipped)
            assert torch.equal(weights.read(FILE, tmp_path)["weight"], state["weight"])
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(Misconfigured, match="cannot be read"):
        weights.read(FILE, tmp_path)
    other = replace(FILE, path="ext_weights/other.safetensors")
    save_file(state, other.under(tmp_path))
    assert torch.equal(weights.read(other, tmp_path)["weight"], state["weight"])


def test_an_unreachable_release_keeps_what_has_come(tmp_path: Path):
    """Without a network the error says that the part is kept."""
    from worker.engines.mmaudio.download import _from_release

    with pytest.raises(Unavailable, match="cannot be reached"):
        _from_release("http://127.0.0.1:9/v1-44.pth", FILE.under(tmp_path), lambda *progress: None)
