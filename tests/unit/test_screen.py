"""What people see: bars in a terminal, plain lines elsewhere."""

from __future__ import annotations

import re
from uuid import uuid4

import pytest

from rhythmai.answers import Fit, Licence, Result, Span
from rhythmai.errors import Unreachable
from rhythmai.events import JobChanged, JobDeleted
from rhythmai.screen import Screen


@pytest.fixture
def terminal(monkeypatch):
    """Rich takes what it writes to for a terminal."""
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")


def seen(text: str) -> str:
    """Without what moves the cursor and colours."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_bars_in_a_terminal(terminal, capsys):
    """Each transfer and each count has a bar of its own with how far it is; they are gone when something else goes on."""
    with Screen() as screen:
        screen.transfer("uploading [b]a.mp4")(3 * 2**20, 6 * 2**20)
        screen.transfer("downloading b.flac")(2**20, 0)
        screen.count("cancelling 40 jobs")(10, 40)
        screen.doing("composing")
        assert screen._bars is None
    out = seen(capsys.readouterr().out)
    assert re.search(r"uploading \[b\]a\.mp4 [━╺╸]+ +3\.0/6\.0 MB", out)
    assert re.search(r"downloading b\.flac [━╺╸]+ +1\.0 MB", out)
    assert re.search(r"cancelling 40 jobs [━╺╸]+ +10/40", out)


def test_lines_elsewhere(capsys):
    """Outside a terminal each of them is one line, when it begins."""
    with Screen() as screen:
        told = screen.transfer("uploading a.mp4")
        told(1, 2)
        told(2, 2)
        screen.count("cancelling 40 jobs")(10, 40)
    assert capsys.readouterr().out == "... uploading a.mp4\n... cancelling 40 jobs\n"


def test_trouble_is_shown_while_it_lasts(capsys):
    """Why there is no news is said once, and then again what goes on."""
    changed = JobChanged(
        job_id=uuid4(), status="processing", stage="composing", completed_count=0, total_count=3,
        error=None, error_code=None, via="rest",
    )  # fmt: skip
    with Screen() as screen:
        screen.event(changed)
        for away in (Unreachable("The API is away"), Unreachable("The API is away"), None, None):
            screen.trouble(away)
    assert capsys.readouterr().out == "... composing\n... The API is away (trying again)\n... composing\n"


def test_no_trouble_before_the_first_news_says_nothing(capsys):
    """A watch that begins well prints no empty line."""
    with Screen() as screen:
        screen.doing("uploading a.mp4")
        screen.trouble(None)
    assert capsys.readouterr().out == "... uploading a.mp4\n"


def test_a_job_that_nobody_can_make_says_what_it_waits_for(capsys):
    """By the name of the engine; once a worker takes it, its stage is shown."""
    with Screen() as screen:
        waiting = {"status": "pending", "engine": "acestep", "waiting_for": "engine"}
        for news in (waiting, {"status": "processing", "stage": "fetching"}):
            screen.event(JobChanged(job_id=uuid4(), via="rest", **news))
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "... waiting until a worker has the engine acestep"
    assert len(said) == 2


def test_a_deleted_job_is_over(capsys):
    """Whoever watches it is told so."""
    with Screen() as screen:
        screen.event(JobDeleted(job_id=uuid4()))
    assert capsys.readouterr().out == "The job was deleted.\n"


def test_a_long_line_goes_on_below_its_text(terminal, capsys):
    """In a terminal a long line is broken between words and goes on to the right of its beginning; an address is never broken."""
    with Screen() as screen:
        screen.say("note  gpu  " + "word " * 30 + "https://example.com/" + "x" * 100, hang=11)
    first, *more = seen(capsys.readouterr().out).splitlines()
    assert first.startswith("note  gpu  word")
    assert len(first) <= 100
    assert all(line.startswith(" " * 11 + "word") for line in more[:-1])
    assert more[-1] == " " * 11 + "https://example.com/" + "x" * 100


@pytest.mark.parametrize(
    ("licence", "said"),
    [
        (Licence(name="MIT", commercial=True, url="u"), "commercial use: yes (MIT)"),
        (Licence(name="CC-BY-NC-4.0", commercial=False, url="u"), "commercial use: no (CC-BY-NC-4.0)"),
    ],
)
def test_a_result_says_whether_it_may_be_used_commercially(capsys, licence, said):
    """In a few words, of a track and of a film with a track under it; of music that is not ours nothing is said."""
    with Screen() as screen:
        screen.result(Result(index=0, title="Dawn", duration=8, audio_url="a", licence=licence))
        screen.result(Result(index=0, video_url="v", licence=licence))
        screen.result(Result(index=0, video_url="w"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"  1. Dawn (8.0 s, {said})"
    assert lines[3:] == ["  video: v", f"     {said}", "  video: w"]


def test_a_mended_track_says_what_is_new(capsys):
    """The new part and how late each moment is heard stand under the track; a job without tracks counts none when it ends."""
    fit = Fit(cuts=0, on_beat=0, hits=(0.0124, -0.003, None))
    with Screen() as screen:
        screen.result(Result(index=0, title="Tide", audio_url="u", fit=fit, mended=Span(start=4, end=8.5)))
        screen.event(JobChanged(job_id=uuid4(), status="completed", total_count=0, via="rest"))
    out = capsys.readouterr().out
    assert "     new from 4 to 8.5 s\n     hits: 12 ms late, 3 ms early, none heard\n" in out
    assert out.endswith("Completed.\n")
