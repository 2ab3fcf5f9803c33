"""How exact the runtime is: against the reference's stored results, and in mixed precision against itself in float32."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import torch
from engine_distances import BF16_BOUND, apart
from engine_ours import Ours, film
from gpu_stand import Stand, tensor_cores
from torch import Tensor

from tests.engine import generated
from tests.engine import parity as reference
from worker.engines.mmaudio import loading, rendering
from worker.engines.mmaudio.blocks import Block
from worker.engines.mmaudio.evaluation import Evaluation
from worker.engines.mmaudio.flow import Flow
from worker.engines.mmaudio.runtime import Runtime

FIXTURES = Path(__file__).parent.parent / "tests" / "engine" / "fixtures"


def parity(stand: Stand) -> tuple[bool, str]:
    """All cases at real size, in float32 and then as a GPU computes; the most important first."""
    words, failed = [], []
    for precision in ("float32", "bf16"):
        lines: list[dict[str, object]] = []
        counts: dict[str, int] = {}
        for pattern in stand.sizes.parity:
            for line in _lines(stand, pattern, precision):
                print(line, flush=True)
                counts[line.verdict] = counts.get(line.verdict, 0) + 1
                lines.append(asdict(line))
                if line.verdict == "FAILED":
                    failed.append(f"{precision} {line}")
            stand.note(**{precision: {"counts": counts, "reached": pattern, "lines": lines}})
        words.append(f"{precision}: " + ", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    return not failed, "; ".join([*words, *failed[:2]])


def _lines(stand: Stand, pattern: str, precision: str) -> Iterator[reference.Line]:
    """A case's; one that breaks is a failed line, and the others run."""
    try:
        with tensor_cores(allowed=precision == "bf16"):
            yield from reference.run(FIXTURES, pattern, stand.device.type, precision)
    except Exception as error:  # noqa: BLE001
        traceback.print_exc()
        yield reference.Line(pattern, "*", None, None, "FAILED", f"{type(error).__name__}: {error}"[:300])


def _usual(flow: Flow) -> None:
    flow.to_precision(torch.bfloat16)


def _only(dtype: torch.dtype, flow: Flow) -> None:
    """All products of the blocks in one precision; the feed-forward parts keep the room that was made for float16."""
    _usual(flow)
    for block in flow.modules():
        if isinstance(block, Block):
            for part in ("attn", "linear1", "ffn"):
                if hasattr(block, part):
                    getattr(block, part).to(dtype)


USUAL = "usual (bf16, feed-forward float16)"
WAYS: dict[str, Callable[[Flow], None]] = {
    USUAL: _usual,
    "bf16": partial(_only, torch.bfloat16),
    "float16": partial(_only, torch.float16),
    "tf32": lambda flow: None,
}


@torch.inference_mode()
def distances(stand: Stand) -> tuple[bool, str]:
    """||a - b|| / ||b|| of what mixed precision makes and what float32 makes of the same; the vocoder's also in decibel."""
    sizes, usual = stand.sizes, stand.runtime
    if not stand.on_gpu:
        usual = _tokens_of(loading.runtime(stand.model, stand.parts(), stand.device, torch.bfloat16))
    with tensor_cores(allowed=False):  # building in float32 forbids them too, and is forgotten here
        exact = _tokens_of(loading.runtime(stand.model, stand.parts(), stand.device, torch.float32))
    frames = film(sizes.seconds)
    captions = [f"instrumental background music, number {i}" for i in range(2)]
    chains = {
        name: Ours(each, sizes.seconds, sizes.steps, captions) for name, each in (("exact", exact), ("usual", usual))
    }
    with tensor_cores(allowed=False):
        theirs = chains["exact"].watch(frames)
        latents = chains["exact"].sample(theirs)
        mels = chains["exact"].mels(latents)
        waves = [_wave(exact, exact.vocoder, mel) for mel in mels]
    with tensor_cores(allowed=True):
        ours = chains["usual"].watch(frames)
        assert theirs.sync is not None
        assert ours.sync is not None
        stand.note(clip=apart(ours.clip.float(), theirs.clip), synchformer=apart(ours.sync.float(), theirs.sync))
        alone = apart(chains["usual"].sample(theirs), latents)
        chained = chains["usual"].sample(ours)
        made = [_wave(usual, usual.vocoder, mel) for mel in chains["usual"].mels(chained)]
        chain = {"latents": apart(chained, latents), "waves": _farthest(made, waves)}
        stand.note(sampling_alone=alone, whole_chain=chain, vae=_farthest(chains["usual"].mels(latents), mels))
        vocoders = {}
        for dtype in (torch.bfloat16, torch.float16):
            vocoder = deepcopy(exact.vocoder).to(dtype)
            far = _farthest([_wave(exact, vocoder, mel) for mel in mels], waves)
            vocoders[str(dtype).removeprefix("torch.")] = {"apart": far, "db": _db(far)}
        tensors = _farthest([_wave(exact, exact.vocoder, mel) for mel in mels], waves)
        vocoders["tf32"] = {"apart": tensors, "db": _db(tensors)}
        stand.note(vocoder=vocoders)
    found = {seconds: _latents(stand, exact, seconds) for seconds in sizes.lengths}
    stand.note(latents={f"{seconds:g} s": each for seconds, each in found.items()}, bound=BF16_BOUND)
    worst = max(each[USUAL] for each in found.values())
    words = [f"{name} {max(each[name] for each in found.values()):.2e}" for name in found[sizes.lengths[0]]]
    decibel = ", ".join(f"{name} {each['db']:.0f} dB" for name, each in vocoders.items())
    return worst <= BF16_BOUND, f"latents {', '.join(words)}; vocoder {decibel}; chain {chain['waves']:.1e}"


def _latents(stand: Stand, exact: Runtime, seconds: float) -> dict[str, float]:
    """Of one film and caption in each way, from the same features."""
    frames = film(seconds)
    with tensor_cores(allowed=False):
        right = Ours(exact, seconds, stand.sizes.steps, ["rain on a roof"])
        seen = right.watch(frames)
        latents = right.sample(seen)
    found = {}
    for name, change in WAYS.items():
        flow = deepcopy(exact.flow)
        change(flow)
        mine = replace(exact, flow=flow, velocity=Evaluation.velocity)
        with tensor_cores(allowed=True):
            found[name] = apart(Ours(mine, seconds, stand.sizes.steps, ["rain on a roof"]).sample(seen), latents)
    return found


def _db(far: float) -> float:
    return 20 * math.log10(max(far, 1e-12))


def _tokens_of(runtime: Runtime) -> Runtime:
    runtime.tokenize = generated.tokens
    return runtime


def _wave(runtime: Runtime, vocoder: torch.nn.Module, mel: Tensor) -> Tensor:
    return rendering.to_wave(vocoder, mel, runtime.model.rate.hop)


def _farthest(ours: list[Tensor], exact: list[Tensor]) -> float:
    return max(apart(a, b) for a, b in zip(ours, exact, strict=True))
