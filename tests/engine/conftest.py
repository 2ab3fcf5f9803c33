"""Small networks gain nothing from threads, and lose much where cores are shared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.engine import tiny
from tests.engine.hub import Hub, served
from worker.domain import Clip, Direction, Variant
from worker.engines.mmaudio.engine import MMAudioEngine

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def fixtures() -> Path:
    return Path(__file__).parent / "fixtures"


@pytest.fixture(scope="session")
def film(fixtures: Path) -> Path:
    """Three seconds, 30 frames a second, 320 x 180."""
    return fixtures / "pre" / "testsrc2_30fps_3s_320x180.mp4"


@pytest.fixture(scope="session")
def engine() -> MMAudioEngine:
    return MMAudioEngine(tiny.runtime())


@pytest.fixture(scope="session")
def clip_of():
    def make(path: Path, duration_s: float) -> Clip:
        return Clip(
            path=path,
            digest=f"{path}",
            duration_s=duration_s,
            width=320,
            height=180,
            fps=30.0,
            has_audio=False,
            scenes=(),
            stills=(),
        )

    return make


@pytest.fixture(scope="session")
def variant_of():
    def make(index: int, seed: int, prompt: str = "calm piano") -> Variant:
        direction = Direction(
            title="A title",
            prompt=prompt,
            description="",
            genre="ambient",
            instruments=("piano",),
            tempo_bpm=80.0,
            key="D minor",
            mood="calm",
        )
        return Variant(index=index, seed=seed, direction=direction)

    return make


@pytest.fixture(scope="session")
def one_hub() -> Iterator[Hub]:
    with served() as hub:
        yield hub


@pytest.fixture
def hub(one_hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A hub and a release in one, on loopback, that has nothing yet; the hub's client asks it."""
    from huggingface_hub import constants  # it read HF_ENDPOINT when it was imported

    one_hub.forget()
    monkeypatch.setattr(constants, "ENDPOINT", one_hub.url)
    template = "/{repo_id}/resolve/{revision}/{filename}"
    assert constants.HUGGINGFACE_CO_URL_TEMPLATE.endswith(template)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", one_hub.url + template)
    return one_hub
