"""The levers: off by default, set by the environment of a worker, and told when they are."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from tests.engine import tiny
from tests.engine.film import show
from tests.engine.tiny import TINY
from worker.domain import Options
from worker.engines.mmaudio import weights
from worker.engines.mmaudio.engine import MMAudioEngine
from worker.loading import load_engine
from worker.settings import read_settings

ENVIRONMENT = {
    "SUPABASE_URL": "http://127.0.0.1:9",
    "SUPABASE_KEY": "k",
    "DATABASE_URL": "postgresql://u:p@127.0.0.1:9/d",
    "ENGINE": "mmaudio",
    "MMAUDIO_MODEL": TINY.name,
    "DEVICE": "cpu",
}


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tiny.write(folder := tmp_path_factory.mktemp("models"))
    return folder


@pytest.fixture
def started(monkeypatch, tmp_path, models_dir):
    """The engine that a worker with these variables loads."""

    def start(**levers: str) -> MMAudioEngine:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setitem(weights.MODELS, TINY.name, TINY)
        monkeypatch.setitem(weights.FLOWS, TINY.name, tiny.FLOW)
        for name, value in {**ENVIRONMENT, "MODELS_DIR": str(models_dir), **levers}.items():
            monkeypatch.setenv(name, value)
        engine = load_engine(read_settings(), "mmaudio")
        assert isinstance(engine, MMAudioEngine)
        return engine

    return start


def made(engine: MMAudioEngine, clip, variant) -> np.ndarray:
    options = Options(conditioning="text+clip")
    show(engine, clip, options)
    return next(engine.compose(clip, [variant], options, lambda: False)).samples


def test_a_worker_without_levers_is_exact(started, caplog):
    """Nothing is set and nothing is told."""
    with caplog.at_level(logging.WARNING):
        assert started().exact
    assert "levers" not in caplog.text


def test_every_lever_reaches_the_music(started, caplog, film: Path, clip_of, variant_of):
    """A worker says which levers are set, and each changes what is heard."""
    clip = clip_of(film, 1.5)
    usual = made(started(MMAUDIO_STEPS="3"), clip, variant_of(0, 1))
    for levers in (
        {"MMAUDIO_STEPS": "4"},
        {"MMAUDIO_STEPS": "3", "MMAUDIO_GUIDED": "0,0.4"},
        {"MMAUDIO_STEPS": "3", "MMAUDIO_CLIP_FPS": "2"},
    ):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            levered = started(**levers)
        assert not levered.exact
        assert "levers are set" in caplog.text
        assert not np.allclose(usual, made(levered, clip, variant_of(0, 1)), atol=1e-4), levers
