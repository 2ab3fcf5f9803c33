"""What a worker loads before it takes jobs: its engines, the director, the signer."""

from __future__ import annotations

import gc
import sys
from functools import partial
from typing import TYPE_CHECKING

from worker.engines.licences import commercial
from worker.errors import Misconfigured, Unavailable
from worker.pipeline.direct.local_describer import LocalDescriber
from worker.pipeline.direct.prompts import CountTokens
from worker.pipeline.engine_thread import EngineThread
from worker.pipeline.finish.signing import C2paSigner
from worker.pipeline.rack import Rack
from worker.ports import Engine, Stems
from worker.settings import Settings
from worker.signing_key import SigningKey

if TYPE_CHECKING:
    from worker.pipeline.direct.describe import OpenAIDescriber


def load_engine(settings: Settings, name: str) -> Engine:
    """The engine that was asked for; never another one. Raises Misconfigured, NoRoom."""
    if name == "sketch":
        from worker.engines.sketch.engine import SketchEngine

        return SketchEngine()
    try:
        if name == "acestep":
            from worker.engines.acestep.engine import AceStepEngine

            return AceStepEngine.load(settings.acestep_model, settings.models_dir, settings.device or "auto")
        from worker.engines.mmaudio.engine import MMAudioEngine
        from worker.engines.mmaudio.sampling import Sampler

        return MMAudioEngine.load(
            settings.mmaudio_model,
            models_dir=settings.models_dir,
            device=settings.device or "auto",
            sampler=Sampler(steps=settings.mmaudio_steps, interval=settings.mmaudio_guided),
            clip_fps=settings.mmaudio_clip_fps,
        )
    except ModuleNotFoundError as error:
        extra = {"mmaudio": "gpu"}.get(name, name)
        raise Misconfigured(
            f"ENGINE={name} needs {error.name}: pip install 'rhythmai[{extra}]', or set ENGINE=sketch for the procedural composer"
        ) from None


def load_stems() -> Stems:
    """What takes tracks apart that no weights are needed for."""
    from worker.engines.sketch.stems import SketchStems

    return SketchStems()


async def load_signer(settings: Settings) -> C2paSigner | None:
    """Who signs files, tried once: a wrong key is better told at the start than after the first track. Raises Misconfigured."""
    key = SigningKey.load(settings.c2pa_cert, settings.c2pa_key, settings.c2pa_signer)
    if key is None:
        return None
    signer = C2paSigner(chain=key.chain, algorithm=key.algorithm, sign=key.sign)
    try:
        await signer.check()
    except Unavailable as error:
        raise Misconfigured(str(error)) from None
    return signer


def load_engines(settings: Settings, models: dict[str, str], thread: EngineThread) -> Rack | None:
    """The first of them, in a rack that loads the others when they are wanted; None where nothing is to be composed. Raises Misconfigured."""
    load = partial(load_engine, settings)
    return Rack(models=models, load=load, emptied=give_memory_back, thread=thread).open() if models else None


def give_memory_back() -> None:
    """What an engine had that was let go."""
    gc.collect()
    if torch := sys.modules.get("torch"):
        torch.cuda.empty_cache()


def engines_of(settings: Settings) -> dict[str, str]:
    """ENGINE, each with its model; with COMMERCIAL_ONLY those whose music may be sold. Raises Misconfigured where that is none."""
    engines = settings.engines
    return {name: engines[name] for name in commercial(engines)} if settings.commercial_only and engines else engines


def make_describer(settings: Settings, count_tokens: CountTokens) -> LocalDescriber | OpenAIDescriber:
    if not settings.base_url:
        return LocalDescriber(count_tokens)
    from worker.pipeline.direct.describe import OpenAIDescriber  # brings openai, which takes a second

    return OpenAIDescriber(
        api_key=settings.api_key,
        base_url=settings.base_url,
        model=settings.vlm_model,
        sees=settings.vlm_input,
        timeout_s=settings.vlm_timeout_s,
        count_tokens=count_tokens,
    )
