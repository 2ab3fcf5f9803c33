"""What a merge renders is the formula of docs/contract.md: what a page plays by it is heard in the file."""

from __future__ import annotations

import itertools
from pathlib import Path

import av
import numpy as np
import pytest

from tests.browser.formula import (
    BLOCK,
    LAYOUTS,
    LENGTHS_S,
    MUSIC_DB,
    SPEECH,
    alike,
    blocks_db,
    formula,
    music,
    originals,
    write_pieces,
)
from worker.domain import Options, Span
from worker.pipeline.finish.merge import FfmpegMerger

LIMIT = 10 ** (-2.25 / 20)


@pytest.fixture(scope="module")
def pieces(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mix")
    write_pieces(folder)
    return folder


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_a_merge_is_the_formula(pieces, tmp_path, layout: str) -> None:
    """Rendered by the worker: lowered under speech and not, with music that is shorter and longer."""
    for name, speech in itertools.product(LENGTHS_S, ([], SPEECH)):
        options = Options(mode="mix", music_gain_db=MUSIC_DB, duck=bool(speech))
        spans = tuple(Span(start_s=span["start"], end_s=span["end"]) for span in speech)
        made = await FfmpegMerger().merge(pieces / f"{layout}.mp4", pieces / f"{name}.wav", tmp_path, options, spans)
        with av.open(made.file) as file:
            parts = [frame.to_ndarray() for frame in file.decode(audio=0)]
        wanted = formula(originals(layout), music(name), speech)
        peaks = np.abs(wanted)[:, : wanted.shape[1] // BLOCK * BLOCK].reshape(2, -1, BLOCK).max(axis=2)
        alike(blocks_db(np.concatenate(parts, axis=1)), blocks_db(wanted), peaks < LIMIT)
