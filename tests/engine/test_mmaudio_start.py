"""How MMAudio begins: on which device, with what it finds, and how the memory of a CPU is kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from worker.engines.mmaudio.engine import MMAudioEngine
from worker.errors import Misconfigured


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens where there is no GPU")
@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_no_gpu_is_said_plainly(tmp_path: Path, device: str):
    """Without a GPU the worker names the ways out."""
    with pytest.raises(Misconfigured, match="there is none: run the worker on a GPU machine, set ENGINE=sketch"):
        MMAudioEngine.load("large_44k_v2", tmp_path, device)


BARE = """
import resource, sys
for name in ("av", "torchcodec", "torchvision", "open_clip", "huggingface_hub", "pydantic", "aiohttp", "structlog"):
    sys.modules[name] = None
from pathlib import Path
import torch
from worker.domain import Clip, Direction, Options, Variant
from worker.engines.mmaudio.engine import MMAudioEngine
import tests.engine.parity, worker.engines.mmaudio.weights
from tests.engine import tiny
engine = MMAudioEngine(tiny.runtime())
words = dict(title="", prompt="calm piano", description="", genre="", instruments=(), tempo_bpm=1.0, key="", mood="")
film = Clip(path=Path("x"), digest="x", duration_s=1.0, width=1, height=1, fps=1, has_audio=False, scenes=(), stills=())
variant = Variant(index=0, seed=1, direction=Direction(**words))
track = next(engine.compose(film, [variant], Options(conditioning="text", steps=1), lambda: False))
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(*track.samples.shape, min(faults() for _ in range(8)), "torch._dynamo" in sys.modules)
class Unfit:
    def find_spec(self, name, path, target=None):
        if name == "torchvision":
            raise RuntimeError("operator torchvision::nms does not exist")
sys.meta_path.insert(0, Unfit())
for name in ("torchvision", "open_clip", "huggingface_hub"):
    del sys.modules[name]
try:
    worker.engines.mmaudio.tokens.tokenize(["rain"])
except worker.errors.Misconfigured as error:
    print(error)
"""


@pytest.fixture(scope="module")
def bare() -> list[str]:
    """What a fresh process says in which little is installed."""
    done = subprocess.run([sys.executable, "-c", BARE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_bare_gpu_image_is_enough(bare: list[str]):
    """Inference needs torch, numpy and safetensors, and nothing else that is not Python's own; nor PyTorch's compiler, seconds of imports."""
    assert (bare[:2], bare[3]) == (["1", "45056"], "False")


def test_memory_of_large_tensors_is_kept_on_a_cpu(bare: list[str]):
    """64 MiB come again without new pages, which are 16,384 faults each time otherwise; a small allocation may lie in the way once."""
    assert int(bare[2]) < 1000


def test_an_unfit_torchvision_is_said_in_words(bare: list[str]):
    """Where torchvision was built for another torch, the remedy is named."""
    said = " ".join(bare[4:])
    assert "torchvision::nms does not exist" in said
    assert "the torchvision that goes with torch" in said
