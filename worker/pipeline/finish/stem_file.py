"""Stems as files: FLAC of 24 bits, without dither, so that what is added up is added up exactly."""

from dataclasses import replace
from io import BytesIO

import numpy as np
import numpy.typing as npt

from worker.pipeline.finish.audio_file import FORMATS, encode

Steps24 = npt.NDArray[np.int32]
"""Samples as they stand in the file, (1 or 2, samples): full scale is 2^23."""
FULL = 2**23 - 1


def write_24(steps: Steps24, rate: int, tags: dict[str, str]) -> bytes:
    """The whole file; what is beyond full scale is cut."""
    whole, data = np.clip(steps, -FULL - 1, FULL).astype(np.int32) << 8, BytesIO()
    encode(whole, rate, replace(FORMATS["flac"], sample_format="s32"), data, tags)
    return data.getvalue()
