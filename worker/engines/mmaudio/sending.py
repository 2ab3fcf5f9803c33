"""The child process that decodes a film and sends its chosen frames: PATH DURATION DECODER on the command line.

Each chosen frame goes to stdout once: a header (how often CLIP and Synchformer see it, height, width), then RGB bytes.
It starts within a moment because it does without torch.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import numpy as np

from worker.engines.mmaudio.decoding import shots
from worker.engines.mmaudio.selection import Selection
from worker.errors import Rejected

HEADER = struct.Struct("<4q")
REFUSED = 3
"""Exit code when the file itself is at fault; the last line on stderr says why."""


def main() -> int:
    path, duration_s, decoder = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
    selection, out = Selection(duration_s), sys.stdout.buffer
    try:
        for shot in shots(path, "torchcodec" if decoder == "torchcodec" else "pyav"):
            if shot.time_s > duration_s:
                break
            repeats = selection.take(shot.time_s)
            if any(repeats):
                pixels = shot.pixels()
                out.write(HEADER.pack(*repeats, *pixels.shape[:2]))
                out.write(np.ascontiguousarray(pixels).data)
    except Rejected as error:
        print(error, file=sys.stderr)
        return REFUSED
    except BrokenPipeError:
        return 1
    out.write(HEADER.pack(0, 0, 0, 0))
    out.flush()
    return 0
