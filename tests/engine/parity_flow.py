"""Parity of the flow network: conditions, traces of every block, velocities, sampled latents, and its tables."""

from __future__ import annotations

import re
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.engine import generated
from tests.engine.parity_case import Answers, Case, NotRun
from worker.engines.mmaudio.batching import Batching
from worker.engines.mmaudio.evaluation import Evaluation
from worker.engines.mmaudio.flow import TEXT_TOKENS, Conditions, TimeEmbedding
from worker.engines.mmaudio.layers import fuse, rotations
from worker.engines.mmaudio.lengths import nearest_exact
from worker.engines.mmaudio.pointwise import EPSILON_F32, Stream, rotate
from worker.engines.mmaudio.sampling import EulerSolver, Prepared, Sampler
from worker.engines.mmaudio.shapes import FlowShape
from worker.engines.mmaudio.windows import Windows


def flow_shape(case: Case) -> FlowShape:
    config: dict[str, Any] = case.meta["config"]
    if config.get("text_len", TEXT_TOKENS) != TEXT_TOKENS:
        raise NotRun(f"text_len is {config['text_len']}: captions of other than {TEXT_TOKENS} tokens are not built")
    return FlowShape(
        latent=config["latent_dim"],
        width=config["hidden_dim"],
        heads=config["num_heads"],
        depth=config["depth"],
        fused=config["fused_depth"],
        v2=bool(config.get("v2", "v2" in str(config.get("model", case.path.stem)))),
        clip=config["clip_dim"],
        sync=config["sync_dim"],
        text=config["text_dim"],
    )


class Network:
    """The network of a case with its inputs, fused and in the precision asked for."""

    def __init__(self, case: Case, dtype: torch.dtype | None = None) -> None:
        self.flow = generated.flow(flow_shape(case), case.salt).to(case.device)
        fuse(self.flow)
        self.flow.to_precision(dtype or case.precision)
        self.inputs = {
            name: (case.unit if name in {"clip", "text", "neg"} else case.normal)(name, *shape)
            for name, shape in case.meta["inputs"].items()
        }
        self.x0 = self.inputs["x0"]
        self.asked = self.flow.condition(self.inputs["clip"], self.inputs["sync"], self.inputs["text"])
        self.evaluation = Evaluation(self.flow, self.x0.shape[1])

    def empty(self, text: Tensor | None = None, batch: int = 1) -> Conditions:
        flow, clip, sync = self.flow, self.inputs["clip"].shape[1], self.inputs["sync"].shape[1]
        own = flow.empty_text() if text is None else text
        return flow.condition(
            flow.empty_clip(clip).expand(batch, -1, -1), flow.empty_sync(sync).expand(batch, -1, -1), own
        )

    def velocity(self, time: float) -> Tensor:
        batch = self.evaluation.batch(self.asked, None, silent=False)
        condition = self.evaluation.global_condition(torch.tensor([time]), self.asked, None)
        return self.evaluation.velocity(self.x0, self.evaluation.rows(condition[0], batch), batch)

    def sampled(self, strength: float, kind: str, steps: int) -> Tensor:
        """All at once, but one by one where each has a negative text of its own."""
        count = len(self.x0)
        each = [slice(i, i + 1) for i in range(count)] if kind == "neg" else [slice(0, count)]
        return torch.cat([self._sampled(mine, strength, kind, steps) for mine in each])

    def _sampled(self, mine: slice, strength: float, kind: str, steps: int) -> Tensor:
        count = len(self.x0[mine])
        asked = self.asked.take(torch.arange(mine.start, mine.stop))
        if kind == "uncondvideo":
            asked = self.empty(self.inputs["text"][mine], batch=count)
        empty = self.empty(self.inputs["neg"][mine] if kind == "neg" else None)
        windows = Windows(*(self.x0.shape[1],) * 2, (0,), (0,), asked.clip.shape[1], (0,), asked.sync.shape[1])
        prepared = Prepared(
            seeds=range(count),
            noise=self.x0[mine],
            windows=windows,
            asked=asked,
            empty=empty,
            silent=kind == "uncondvideo",
        )
        run = EulerSolver(self.flow, prepared, Sampler(steps=steps, guidance=strength))
        return run(Batching(), lambda: False)


def _traced(network: Network, time: float) -> dict[str, Tensor]:
    """Outputs of the parts during one evaluation, by the names of the fixtures."""
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            outputs = (output,) if isinstance(output, Tensor | Stream) else output
            for suffix, value in zip(("", ".clip", ".text"), outputs):  # noqa: B905
                seen[f"trace.{name}{suffix}"] = value.settled() if isinstance(value, Stream) else value

        return hook

    for name, part in network.flow.named_modules():
        if re.fullmatch(r"(joint|fused)_blocks\.\d+|audio_input_proj|global_cond_mlp|t_embed", name):
            part.register_forward_hook(keep(name))
    network.velocity(time)
    seen["trace.t_embed"] = seen["trace.t_embed"].expand_as(seen["trace.global_cond_mlp"])
    return seen


def answers(case: Case) -> Answers:
    """All tensors of a `net_*` case."""
    network, steps = Network(case), int(case.meta.get("euler_steps", 25))
    asked, latents = network.asked, network.x0.shape[1]
    stretched = asked.sync[:, nearest_exact(asked.sync.shape[1], latents).to(case.device)]
    yield "cond.clip_f", asked.clip
    yield "cond.sync_f", stretched
    yield "cond.text_f", asked.text
    yield "cond.clip_f_c", asked.clip_pooled
    yield "cond.text_f_c", asked.text_pooled
    sampled: dict[str, Tensor] = {}
    for name in case.expected:
        if flow := re.fullmatch(r"flow\.t([\d.]+)", name):
            yield name, network.velocity(float(flow[1]))
        if kind := re.fullmatch(r"sampled\.cfg([\d.]+)\.(\w+)", name):
            sampled[name] = network.sampled(float(kind[1]), kind[2], steps)
            yield name, sampled[name]
    if "unnormalized.empty" in case.expected:
        guided = sampled.get("sampled.cfg4.5.empty")
        if guided is None:
            guided = network.sampled(4.5, "empty", steps)
        yield "unnormalized.empty", guided * network.flow.latent_std + network.flow.latent_mean
    if any(name.startswith("trace.") for name in case.expected):
        times = case.meta["timesteps"]
        yield from _traced(network, times[min(1, len(times) - 1)]).items()


def bf16_answers(case: Case) -> Answers:
    """A `net_*_bf16` case: our own mixed precision beside the reference's, for information."""
    network = Network(case.sibling(case.meta["inputs_of"]), torch.bfloat16)
    yield "freqs_bf16", network.flow.t_embed.frequencies().bfloat16().float()
    for name in case.expected:
        if flow := re.fullmatch(r"flow\.t([\d.]+)", name):
            yield name, network.velocity(float(flow[1]))
        if embedded := re.fullmatch(r"t_embed\.t([\d.]+)", name):
            time = torch.tensor([float(embedded[1])]).expand(len(network.x0))
            yield name, network.flow.t_embed(time)
        if kind := re.fullmatch(r"sampled\.cfg([\d.]+)\.(\w+)", name):
            yield name, network.sampled(float(kind[1]), kind[2], 25)


TABLE_TIMES = (0.0, 0.04, 0.36, 0.5, 0.92, 0.96)


def _table(case: Case, name: str, expected: Tensor) -> Tensor | None:
    if rope := re.fullmatch(r"rope\.(?:latent(\d+)|clip(\d+)\.of(\d+))", name):
        own, clip, latents = (int(n) if n else 0 for n in rope.groups())
        table = rotations(own, 1.0) if own else rotations(clip, latents / clip)
        turned = torch.stack([table.real, -table.imag, table.imag, table.real], dim=-1)
        return turned.unflatten(-1, (2, 2))[None]
    if name == "rope.applied_q":
        q = torch.from_numpy(generated.normal(case.salt + "tables/q", expected.shape)).transpose(1, 2)
        return rotate(q, rotations(expected.shape[2], 1.0, expected.shape[3])).transpose(1, 2)
    if name == "rms.small":
        x = torch.from_numpy(generated.normal(case.salt + "tables/rms", expected.shape, 1e-3))
        return F.rms_norm(x, x.shape[-1:], torch.ones(x.shape[-1]), EPSILON_F32)
    if name == "ln.small":
        x = torch.from_numpy(generated.normal(case.salt + "tables/ln", expected.shape, 3e-3))
        return F.layer_norm(x, x.shape[-1:])
    if embedding := re.fullmatch(r"temb\.v([12])(?:_(\d+))?\.(freqs|emb|freqs_bf16)", name):
        made = TimeEmbedding(int(embedding[2] or 256), v2=embedding[1] == "2")
        if embedding[3] == "emb":
            return made.sinusoids(torch.tensor(case.meta.get("timesteps", TABLE_TIMES)))
        frequencies = made.frequencies()
        return frequencies.bfloat16().float() if embedding[3] == "freqs_bf16" else frequencies
    return None


def table_answers(case: Case) -> Answers:
    """Rotary tables, norms and time embeddings."""
    for name, expected in case.expected.items():
        yield name, _table(case, name, expected)
