"""The official files: which a model needs, where they come from, whether they are here and whole.

They lie in MODELS_DIR as on the hub: `weights/`, `ext_weights/`, and a folder for each other repository.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worker.engines.hub import Listed
from worker.engines.mmaudio.licence import CC_BY_NC
from worker.engines.mmaudio.models import MODELS, Model
from worker.errors import Misconfigured

if TYPE_CHECKING:
    from torch import Tensor

HUB = "hkchengrex/MMAudio"
WRAPPINGS = ("generator", "state_dict")
"""Under which a file may keep its tensors, beside other things."""
CHECKPOINT_LICENCE = f"{CC_BY_NC.name} (non-commercial)"


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One official file."""

    repository: str
    path: str
    """Inside the repository."""
    folder: str = ""
    """Under MODELS_DIR; empty for the model repository, whose own folders serve."""
    size_mb: int
    licence: str
    md5: str | None = None
    sha256: str | None = None
    release: bool = False
    """Whether the release has it too, should the hub not."""
    alternative: str | None = None
    """Another path in the repository that may hold the same."""

    @property
    def name(self) -> str:
        return Path(self.path).name

    def under(self, models_dir: Path) -> Path:
        return models_dir / self.folder / self.path

    def found(self, models_dir: Path) -> Path | None:
        """Where it lies, if it is here."""
        paths = [self.under(models_dir)]
        if self.alternative is not None:
            paths.append(models_dir / self.folder / self.alternative)
        return next((path for path in paths if path.is_file()), None)


def _flow(name: str, size_mb: int, md5: str) -> File:
    path = f"weights/mmaudio_{name}.pth"
    return File(repository=HUB, path=path, size_mb=size_mb, licence=CHECKPOINT_LICENCE, md5=md5)


def _ext(name: str, size_mb: int, licence: str, md5: str) -> File:
    path = f"ext_weights/{name}"
    return File(repository=HUB, path=path, size_mb=size_mb, licence=licence, md5=md5, release=True)


FLOWS = {
    "small_16k": _flow("small_16k", 601, "af93cde404179f58e3919ac085b8033b"),
    "small_44k": _flow("small_44k", 601, "babd74c884783d13701ea2820a5f5b6d"),
    "medium_44k": _flow("medium_44k", 2400, "5a56b6665e45a1e65ada534defa903d0"),
    "large_44k": _flow("large_44k", 3900, "fed96c325a6785b85ce75ae1aafd2673"),
    "large_44k_v2": _flow("large_44k_v2", 3900, "01ad4464f049b2d7efdaa4c1a59b8dfe"),
}
VAES = {
    16_000: _ext("v1-16.pth", 655, CHECKPOINT_LICENCE, "69f56803f59a549a1a507c93859fd4d7"),
    44_100: _ext("v1-44.pth", 1200, CHECKPOINT_LICENCE, "fab020275fa44c6589820ce025191600"),
}
"""By sample rate, as the vocoders."""
VOCODERS = {
    16_000: _ext("best_netG.pt", 429, "MIT", "eeaf372a38a9c31c362120aba2dde292"),
    44_100: File(
        repository="nvidia/bigvgan_v2_44khz_128band_512x",
        path="bigvgan_generator.pt",
        folder="bigvgan_v2_44khz_128band_512x",
        size_mb=489,
        licence="MIT",
        sha256="d9fe7ec6bd0b44ed9d66973d5012d8181c1570b01e5c72df51973e241dccd357",
    ),
}
SYNCHFORMER = _ext("synchformer_state_dict.pth", 907, "MIT", "5b2f5594b0730f70e41e549b7c94390c")
CLIP = File(
    repository="apple/DFN5B-CLIP-ViT-H-14-384",
    path="open_clip_pytorch_model.bin",
    alternative="open_clip_model.safetensors",
    folder="DFN5B-CLIP-ViT-H-14-384",
    size_mb=3950,
    licence="Apple sample code licence (research)",
)


def files_of(model: Model) -> tuple[File, ...]:
    """The files a model is made of: flow network, VAE, vocoder, Synchformer, CLIP."""
    rate = model.rate.sample_rate
    return FLOWS[model.name], VAES[rate], VOCODERS[rate], SYNCHFORMER, CLIP


def model_named(name: str) -> Model:
    """Raises Misconfigured when nobody is called so."""
    if name not in MODELS:
        raise Misconfigured(f"MMAUDIO_MODEL={name!r} is not a model: choose one of {', '.join(MODELS)}")
    return MODELS[name]


def listing(models_dir: Path) -> tuple[Listed, ...]:
    """Every file of every model, and whether it is here."""
    return tuple(
        Listed(model.name, file.path, file.size_mb, file.licence, file.found(models_dir) is not None)
        for model in MODELS.values()
        for file in files_of(model)
    )


def read(file: File, models_dir: Path) -> Mapping[str, Tensor]:
    """The state dict of a file that is here, mapped into memory: only what is used is read.

    Raises Misconfigured when it cannot be read.
    """
    import torch  # whoever lists or fetches files does without

    path = file.found(models_dir) or file.under(models_dir)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state: dict[str, Any] = torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )  # files from before torch 1.6 are no zip archives, and only those can be mapped
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise Misconfigured(f"{path} cannot be read ({error}): delete it and run `rhythmai models pull`") from error
    inner = next((state[name] for name in WRAPPINGS if name in state), state)
    return {key: value for key, value in inner.items() if isinstance(value, torch.Tensor)}
