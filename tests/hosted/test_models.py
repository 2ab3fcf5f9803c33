"""`rhythmai models`: what there is, and what is said when it cannot be had."""

from __future__ import annotations

import json

from worker.engines.mmaudio import download
from worker.engines.mmaudio.weights import files_of, model_named


def test_list_tells_what_is_here(rhythmai, tmp_path):
    """Every file of every model is listed, with its licence and whether it lies in MODELS_DIR."""
    file = files_of(model_named("small_16k"))[0].under(tmp_path)
    file.parent.mkdir(parents=True)
    file.touch()
    files = json.loads(rhythmai("models", "list", "--json", MODELS_DIR=str(tmp_path)).out)
    assert {row["model"] for row in files} >= {"small_16k", "large_44k_v2", "acestep-xl-turbo", "acestep-turbo"}
    assert [row["file"].endswith(file.name) for row in files if row["present"]] == [True]
    lines = rhythmai("models", "list").out.splitlines()
    assert len(lines) == len(files) + 1
    assert sum(" yes " in line for line in lines) == 1


def test_pull_takes_the_model_of_the_environment(rhythmai, monkeypatch, tmp_path):
    """Without a name MMAUDIO_MODEL is pulled, file by file."""
    fetched = []
    monkeypatch.setattr(download, "fetch", lambda file, *_: fetched.append(file))
    done = rhythmai("models", "pull", MMAUDIO_MODEL="small_16k", MODELS_DIR=str(tmp_path))
    assert (done.code, "small_16k is complete" in done.out) == (0, True)
    assert tuple(fetched) == files_of(model_named("small_16k"))


def test_pull_takes_the_model_of_the_engine(rhythmai, monkeypatch, tmp_path):
    """With ENGINE=acestep it is ACESTEP_MODEL that is pulled without a name."""
    asked = []
    monkeypatch.setattr("worker.engines.acestep.download.pull", lambda name, *_: asked.append(name))
    done = rhythmai("models", "pull", ENGINE="acestep", ACESTEP_MODEL="turbo", MODELS_DIR=str(tmp_path))
    assert (done.code, asked, "acestep-turbo is complete" in done.out) == (0, ["turbo"], True)


def test_pull_refuses_unknown_names(rhythmai, tmp_path):
    """A name that is no model is one line that lists those there are."""
    refused = rhythmai("models", "pull", "huge", "--dir", str(tmp_path))
    assert (refused.code, "large_44k_v2" in refused.err, len(refused.err.splitlines())) == (1, True, 1)
