"""Stems as files: FLAC of 24 bits, without dither, so that what is added up is added up exactly."""

import io
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt

Steps24 = npt.NDArray[np.int32]
"""Samples as they stand in the file, (1 or 2, samples): full scale is 2^23."""
FULL = 2**23 - 1


def write_24(steps: Steps24, rate: int, tags: dict[str, str]) -> bytes:
    """The whole file; what is beyond full scale is cut."""
    whole = np.clip(steps, -FULL - 1, FULL).astype(np.int32) << 8
    layout, data = "stereo" if len(steps) == 2 else "mono", io.BytesIO()
    with av.open(data, "w", format="flac") as output:
        output.metadata.update(tags)
        stream = output.add_stream("flac", rate=rate)
        assert isinstance(stream, av.AudioStream)
        stream.layout, stream.format = layout, "s32"
        for first in range(0, whole.shape[1], rate):
            part = whole[:, first : first + rate].T.reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(part.copy(), format="s32", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, first, Fraction(1, rate)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return data.getvalue()
