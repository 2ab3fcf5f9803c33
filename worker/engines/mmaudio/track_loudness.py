"""How loud a waveform is, measured where it lies: ITU-R BS.1770 with torchaudio's filters, before it goes to the host."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK_S, HOP_S = 0.4, 0.1
QUIETEST_LUFS = -70.0
SMOOTH = 1 << 15
"""Transforms are a multiple of this long: at a length with large prime factors they take several times as long."""
RESPONSE_S = 0.1
"""The high-pass has died down to 1e-10 by then."""


@lru_cache(maxsize=8)
@torch.inference_mode(mode=False)
def _weighting(rate: int, device: torch.device) -> Tensor:
    """The K-weighting's response to an impulse, (1, samples): a high shelf for the head, a high-pass for the ear.

    `torchaudio.functional.loudness` runs these filters as recursions, which clip at full scale and take a GPU one thread
    and a step a sample; the response is the same filter for a convolution through the Fourier transform.
    """
    from torchaudio.functional import highpass_biquad, treble_biquad

    impulse = torch.zeros(1, round(RESPONSE_S * rate))
    impulse[0, 0] = 0.5  # halved and doubled again: the shelf's first answer would be clipped
    shelf = treble_biquad(impulse, rate, gain=4.0, central_freq=1500.0, Q=1 / math.sqrt(2))
    return 2 * highpass_biquad(shelf, rate, cutoff_freq=38.0, Q=0.5).to(device)


def track_lufs(wave: Tensor, rate: int) -> float | None:
    """Integrated loudness of (1 or 2 channels, T) with both gates; None for silence or less than 0.4 s."""
    from torchaudio.functional import fftconvolve

    length, block, hop = wave.shape[-1], round(BLOCK_S * rate), round(HOP_S * rate)
    if length < block:
        return None
    response = _weighting(rate, wave.device).expand(len(wave), -1)
    spare = -(length + response.shape[-1] - 1) % SMOOTH
    heard = fftconvolve(F.pad(wave, (0, spare)), response)[:, :length]
    count = round((length - block) / hop) + 1
    padded = F.pad(heard.square(), (0, max(0, (count - 1) * hop + block - length)))
    powers = padded.unfold(-1, block, hop).mean(dim=-1).sum(dim=0).cpu()  # (blocks,)
    loud = powers[_lufs(powers) > QUIETEST_LUFS]
    loud = loud[_lufs(loud) > _lufs(loud.mean()) - 10]
    return float(_lufs(loud.mean())) if len(loud) else None


def _lufs(power: Tensor) -> Tensor:
    return 10 * power.log10() - 0.691
