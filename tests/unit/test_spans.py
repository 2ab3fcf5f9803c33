"""From likelihoods to spans: what counts as speech, and what belongs together."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.pipeline.look.spans import BRIDGED_S, MOMENT_S, SHORTEST_S, Spans


def found(*stretches: tuple[float, int]) -> list[tuple[int, int]]:
    """The spans, in moments, of likelihoods that each hold for so many of them."""
    spans = Spans()
    for likelihood, count in stretches:
        for _ in range(count):
            spans.hear(likelihood)
    return [(round(s.start_s / MOMENT_S), round(s.end_s / MOMENT_S)) for s in spans.found(1e6)]


def test_a_span_holds_a_quarter_of_a_second_that_is_sure():
    """Eight moments are 256 ms, seven are not."""
    assert found((0, 50), (0.8, 8), (0, 50)) == [(49, 58)]
    assert found((0, 50), (0.8, 7), (0, 50)) == []
    assert found((0, 50), (0.79, 500), (0, 50)) == []


def test_a_span_goes_on_while_it_is_likely():
    """Down to 0.35, before and after what is sure; less ends it."""
    assert found((0, 50), (0.35, 5), (0.9, 8), (0.35, 20), (0.34, 1), (0, 50)) == [(49, 83)]
    assert found((0, 50), (0.9, 4), (0.34, 1), (0.9, 7), (0, 50)) == []


def test_a_breath_is_bridged():
    """Silence of less than a second, and only between stretches that are speech each."""
    assert found((0.9, 10), (0, 30), (0.9, 10)) == [(0, 50)]
    assert found((0.9, 10), (0, 33), (0.9, 10)) == [(0, 10), (42, 53)]
    assert found((0.9, 10), (0, 20), (0.9, 3), (0, 20), (0.9, 10)) == [(0, 10), (52, 63)]


def test_what_goes_on_is_told_as_far_as_it_went():
    """A span is known before it is over, and ends with the film at the latest."""
    spans = Spans()
    for _ in range(20):
        spans.hear(1.0)
    assert [(s.start_s, s.end_s) for s in spans.found(0.5)] == [(0, 0.5)]
    assert spans.heard_s == pytest.approx(0.64)


@given(st.lists(st.floats(0, 1), max_size=400))
def test_spans_are_in_order_and_apart(likelihoods):
    """Whatever was heard: each is long enough, inside of what was heard, and a second or more behind the one before."""
    spans = Spans()
    for likelihood in likelihoods:
        spans.hear(likelihood)
    found = spans.found(spans.heard_s)
    assert all(span.start_s >= 0 and span.end_s <= spans.heard_s + 1e-9 for span in found)
    assert all(span.end_s - span.start_s > SHORTEST_S for span in found)
    assert all(later.start_s - earlier.end_s >= BRIDGED_S for earlier, later in pairwise(found))
