"""The fast way through the flow network: equal to its formulas up to the order of summation.

What depends on the request alone is computed once; conditional and unconditional passes of many latents are one batch;
the per-token modulation is computed for the distinct rows of the sync stream only and then indexed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from worker.engines.mmaudio.blocks import JointBlock, Tables
from worker.engines.mmaudio.flow import Conditions, Flow
from worker.engines.mmaudio.lengths import nearest_exact
from worker.engines.mmaudio.pointwise import Modulation, Stream

REACH = 5
"""How far the sync projection's convolutions (7, 3, 3) see to each side, in features."""
PERIOD = 8
"""Without video the sync stream repeats a segment's eight position embeddings."""


def distinct_rows(length: int, *, empty: bool) -> tuple[Tensor, Tensor]:
    """Rows of a sync stream that differ, and for each of its positions which of them it is.

    An empty stream is periodic except near its ends: 18 rows stand for all. Both int64: (R,), (length,).
    """
    positions = torch.arange(length)
    if not empty or length <= 2 * REACH + PERIOD:
        return positions, positions
    inner = (positions >= REACH) & (positions < length - REACH)
    first = torch.where(inner, REACH + (positions - REACH) % PERIOD, positions)
    rows, place = torch.unique(first, return_inverse=True)
    return rows, place


class Layout(NamedTuple):
    """Which rows belong to what, as in `Batch`; it follows from lengths alone. `asked` and `empty` are the distinct rows of each."""

    asked: Tensor
    empty: Tensor
    owner: Tensor
    place: Tensor
    entries: Tensor


@lru_cache(maxsize=32)
@torch.inference_mode(mode=False)
def _layout(count: int, length: int, latents: int, device: torch.device, *, silent: bool, guided: bool) -> Layout:
    """For `count` conditions of `length` sync features each; brought to a device once, since such a copy waits for the device."""
    stretch = nearest_exact(length, latents)
    asked, place = distinct_rows(length, empty=silent)
    empty, where = distinct_rows(length, empty=True)
    owner = torch.arange(count).repeat_interleave(len(asked))
    places = (torch.arange(count)[:, None] * len(asked) + place[stretch]).flatten()
    entries = torch.arange(count)
    if guided:
        owner = torch.cat([owner, torch.full((len(empty),), count)])
        places = torch.cat([places, (count * len(asked) + where[stretch]).repeat(count)])
        entries = torch.cat([entries, torch.full((count,), count)])
    return Layout(*(indices.to(device) for indices in (asked, empty, owner, places, entries)))


@dataclass(frozen=True, slots=True)
class Batch:
    """Everything one batch of latents needs at any step; E = its rows (conditional, then unconditional), R = distinct sync rows."""

    clip: Tensor  # (E, Nc, D)
    text: Tensor  # (E, 77, D)
    sync: Tensor  # (R, D), the distinct rows of all conditions
    owner: Tensor  # (R,) which condition a sync row belongs to
    place: Tensor  # (E * N,) which distinct row modulates a token
    entries: Tensor  # (E,) which condition a row of the batch follows
    tables: Tables
    copies: int
    """How many rows of the batch share one latent: 2 with guidance, else 1."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Shifts, scales and gates of one step, block after block along the last axis."""

    latent: Tensor  # (R, sum of 6D); for all steps of a job at once (T, R, sum of 6D), and so on
    stream: Tensor  # (E, sum over clip and text blocks)
    final: Tensor  # (E, 2D)

    def unbind(self) -> list[Rows]:
        """From all steps to each."""
        return [Rows(*parts) for parts in zip(self.latent, self.stream, self.final, strict=True)]


class Evaluation:
    """Prepares batches and evaluates velocities for one length N of latents."""

    def __init__(self, flow: Flow, latents: int) -> None:
        self._flow, self._latents = flow, latents
        self._device = flow.empty_clip_feat.device

    def batch(self, asked: Conditions, empty: Conditions | None, *, silent: bool) -> Batch:
        """Conditions of C latents and, for guidance, the one unconditional set that all of them share.

        `silent` says that the asked sync stream is the empty one, so that few of its rows differ.
        """
        count, length = asked.sync.shape[:2]
        layout = _layout(count, length, self._latents, self._device, silent=silent, guided=empty is not None)
        sync, conditions = asked.sync[:, layout.asked].flatten(0, 1), asked
        if empty is not None:
            sync = torch.cat([sync, empty.sync[0, layout.empty]])
            conditions = Conditions.cat([asked, empty])
        return Batch(
            conditions.clip[layout.entries],
            conditions.text[layout.entries],
            sync,
            layout.owner,
            layout.place,
            layout.entries,
            self._flow.tables(self._latents, asked.clip.shape[1]),
            1 if empty is None else 2,
        )

    def global_condition(self, times: Tensor, asked: Conditions, empty: Conditions | None) -> Tensor:
        """The global condition of every time and condition of a batch: (T, C or C + 1, D) float32."""
        return self._flow.global_condition(times, asked if empty is None else Conditions.cat([asked, empty]))

    def rows(self, global_condition: Tensor, batch: Batch) -> Rows:
        """The modulation rows of one step, of its global condition (C or C + 1, D), or of all, (T, C or C + 1, D)."""
        flow, silu = self._flow, torch.nn.functional.silu
        assert flow.latent_rows is not None
        assert flow.stream_rows is not None
        each = silu(global_condition[..., batch.owner, :] + batch.sync)  # (R, D)
        whole = silu(global_condition[..., batch.entries, :])  # (E, D)
        return Rows(flow.latent_rows(each), flow.stream_rows(whole), flow.final_layer.adaLN_modulation[1](whole))

    def rows_bytes(self, batch: Batch) -> int:
        """Memory of one step's latent rows, by far the largest."""
        rows = self._flow.get_parameter("latent_rows.weight")
        return len(batch.sync) * len(rows) * rows.dtype.itemsize

    def velocity(self, x: Tensor, rows: Rows, batch: Batch) -> Tensor:
        """Latents x (C, N, latent) float32 -> velocities (E, N, latent) float32: conditional first, then unconditional."""
        flow, width = self._flow, self._flow.shape.width
        latent = Stream(flow.audio_input_proj(x).float().repeat(batch.copies, 1, 1))  # shared by both passes
        streams = (latent, Stream(batch.clip), Stream(batch.text))
        of_latent = rows.latent.split(6 * width, dim=1)
        of_streams = iter(rows.stream.split(6 * width, dim=1))
        for i, block in enumerate(flow.joint_blocks):
            assert isinstance(block, JointBlock)
            # The last block's clip and text have two parts each: together less than six.
            others = [next(of_streams)] * 2 if block.last else [next(of_streams), next(of_streams)]
            own = (
                Modulation(of_latent[i], batch.place),
                Modulation(others[0], None),
                Modulation(others[1][:, 2 * width :] if block.last else others[1], None),
            )
            streams = block(streams, own, batch.tables)
        latent = streams[0]
        for block, mine in zip(flow.fused_blocks, of_latent[len(flow.joint_blocks) :], strict=True):
            latent = block(latent, Modulation(mine, batch.place), batch.tables.latent)
        return flow.final_layer(latent, rows.final)
