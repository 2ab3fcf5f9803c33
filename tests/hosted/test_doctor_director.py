"""What `rhythmai doctor` says of the director: a model that answers, refuses, hangs or does not know us."""

from __future__ import annotations

import pytest

from tests.hosted.director import Director
from tests.hosted.test_doctor import doctor, fails, healthy, recorded

__all__ = ["doctor", "healthy", "recorded"]


@pytest.fixture
def director():
    with Director() as running:
        yield running


def test_the_director_is_asked(doctor, healthy, director):
    """A model that takes everything is ok in every respect."""
    code, found = doctor(**healthy, BASE_URL=director.url, API_KEY="right", VLM_INPUT="video_url")
    assert (code, fails(found)) == (0, [])
    assert [line.split(" ->")[0].split()[-1] for line in found["director", "ok"]] == [
        "answers",
        "frames",
        "json_schema",
        "video",
    ]


def test_the_director_refuses(doctor, healthy, director):
    """What the model refuses fails when it is needed, and is a note when there is another way."""
    director.refuses = {"image_url", "json_schema", "video_url"}
    _, found = doctor(**healthy, BASE_URL=director.url, API_KEY="right")
    assert "no frames: 400" in found["director", "fail"][0]
    assert "no json_schema: 400" in found["director", "note"][0]
    assert "no video: 400" in found["director", "note"][1]
    _, found = doctor(**healthy, BASE_URL=director.url, API_KEY="right", VLM_INPUT="video_url")
    assert "no video: 400" in found["director", "fail"][0]


def test_a_model_that_hangs_on_video(doctor, healthy, director, sql):
    """A model that says nothing about a video takes none; the rest is told, and the video is taken away again."""
    director.hangs = {"video_url"}
    code, found = doctor(**healthy, BASE_URL=director.url, API_KEY="right", VLM_TIMEOUT_S="1")
    assert (code, len(found["director", "ok"])) == (0, 3)
    assert "no video: no answer in time" in found["director", "note"][0]
    assert sql(healthy["DATABASE_URL"], "select name from storage.objects where bucket_id = 'videos'") == []


def test_the_director_knows_us_not(doctor, healthy, director):
    """A wrong API_KEY is told as such."""
    _, found = doctor(**healthy, BASE_URL=director.url, API_KEY="wrong")
    assert "API_KEY" in found["director", "fail"][0]
