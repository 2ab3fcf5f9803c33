"""How far music steps back for speech: the same points for everybody who computes them."""

from __future__ import annotations

import json
import subprocess
from itertools import pairwise

import numpy as np
import pytest
from deno import find_deno_bin
from hypothesis import given
from hypothesis import strategies as st

from tests.docs.blocks import DOCS, blocks
from worker.domain import Span
from worker.pipeline.finish.envelope import points, render

MS = st.integers(0, 30_000)


def spans(*times_s: tuple[float, float]) -> list[Span]:
    return [Span(start_s=start_s, end_s=end_s) for start_s, end_s in times_s]


def test_the_way_down_ends_at_the_word():
    """Down in 150 ms, held for 250 ms, up in 400 ms."""
    assert points(spans((2, 3)), -10, 6) == (
        (0, 0), (1.85, 0), (2, -10), (3.25, -10), (pytest.approx(3.65), 0), (6, 0)
    )  # fmt: skip


def test_without_speech_nothing_is_ducked():
    """Two points at 0 dB."""
    assert points([], -10, 6) == ((0, 0), (6, 0))


def test_a_curve_is_cut_at_both_ends_of_the_film():
    """Where the film begins or ends on a way, the level is that of the way."""
    assert points(spans((0.05, 1)), -12, 1.45) == (
        (0, pytest.approx(-8)), (0.05, -12), (1.25, -12), (1.45, pytest.approx(-6))
    )  # fmt: skip
    assert points(spans((0, 9)), -12, 5) == ((0, -12), (5, -12))


def test_between_near_spans_the_music_stays_down():
    """It would not come back within 800 ms."""
    assert points(spans((2, 3), (3.79, 5)), -10, 4) == ((0, 0), (1.85, 0), (2, -10), (4, -10))
    assert (3.65, 0) in [(round(at_s, 3), db) for at_s, db in points(spans((2, 3), (3.81, 5)), -10, 4)]


@st.composite
def speech(draw) -> list[tuple[float, float]]:
    """Spans in order, some of them nearer than jobs have them."""
    edges = sorted(set(draw(st.lists(MS, max_size=12))))
    return [(start / 1000, end / 1000) for start, end in zip(edges[::2], edges[1::2], strict=False)]


@given(speech(), st.floats(-60, 0), st.integers(100, 30_000))
def test_a_curve_is_down_in_all_spans_and_never_lower(told, duck_db, film_ms):
    """From 0 to the film's end in order, within 0 and `duck_db`; down wherever somebody speaks."""
    film_s = film_ms / 1000
    curve = points(spans(*told), duck_db, film_s)
    assert (curve[0][0], curve[-1][0]) == (0, film_s)
    assert all(before[0] <= after[0] for before, after in pairwise(curve))
    assert all(duck_db - 1e-9 <= db <= 1e-9 for _, db in curve)
    for start_s, end_s in told:
        if end_s <= film_s:
            levels = np.interp(np.linspace(start_s, end_s, 9), *zip(*curve, strict=True))
            assert levels == pytest.approx([duck_db] * 9)


def test_a_page_computes_the_same_points(tmp_path):
    """The function in docs/contract.md and ours agree, whatever is said and however long the film is."""
    (function,) = (block.text for block in blocks(DOCS / "contract.md") if block.order == "run")
    dice = np.random.default_rng(7)
    cases = []
    for _ in range(300):
        edges = np.unique(dice.integers(0, 20_000, dice.integers(0, 14))) / 1000
        told = [{"start": start, "end": end} for start, end in zip(edges[::2], edges[1::2], strict=False)]
        cases.append((told, round(float(dice.uniform(-60, 0)), 1), float(dice.integers(100, 22_000)) / 1000))
    (tmp_path / "page.js").write_text(
        function + f"console.log(JSON.stringify({json.dumps(cases)}.map((given) => envelope(...given))));"
    )
    said = subprocess.run([find_deno_bin(), "run", tmp_path / "page.js"], capture_output=True, check=True)
    for (told, duck_db, film_s), page in zip(cases, json.loads(said.stdout), strict=True):
        ours = points(spans(*((span["start"], span["end"]) for span in told)), duck_db, film_s)
        assert np.array(page) == pytest.approx(np.array(ours), abs=1e-9)


def test_gains_are_rendered_a_thousand_a_second(tmp_path):
    """A straight line in dB, and a second more than the film."""
    render(((0.0, 0.0), (1.0, -20.0), (2.0, -20.0)), tmp_path / "gains")
    gains = np.fromfile(tmp_path / "gains", "<f4")
    assert len(gains) == 3000
    assert 20 * np.log10(gains[[0, 250, 500, 1000, 2999]]) == pytest.approx([0, -5, -10, -20, -20], abs=1e-4)
