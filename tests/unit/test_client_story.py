"""Answers and pushes repeat and overtake each other; the story told of them does not."""

from uuid import uuid4

from rhythmai.answers import Job
from rhythmai.events import JobChanged, PlanMade, ResultReady, Story

BASE = {"completed_count": 0, "total_count": 3, "error": None, "error_code": None}


def answer(story, **changes):
    job = {"job_id": str(story.job_id), "results": [], "kind": "generate", "stage": None, "video_url": "https://e.com/v.mp4",
           "user_request": "", "created_at": "2026-01-01T00:00:00Z", "started_at": None, "finished_at": None,
           "queue_position": None} | BASE | changes  # fmt: skip
    return told(story.from_answer(Job.model_validate(job)))


def push(story, **changes):
    return told(story.from_payload("job", {"stage": None} | BASE | changes))


def told(events):
    return [(event.status, event.stage) for event in events]


def test_a_push_older_than_the_answer_is_no_news():
    """After REST said "describing", the delayed pushes of the stages before are dropped, and later ones are told."""
    story = Story(uuid4())
    assert answer(story, status="processing", stage="describing") == [("processing", "describing")]
    assert push(story, status="processing") == []
    assert push(story, status="processing", stage="fetching") == []
    assert push(story, status="processing", stage="composing") == [("processing", "composing")]


def test_a_retry_is_news():
    """A job that went back to the queue passes through pending, and its stages are told again."""
    story = Story(uuid4())
    push(story, status="processing", stage="composing")
    assert push(story, status="pending") == [("pending", None)]
    assert push(story, status="processing", stage="fetching") == [("processing", "fetching")]


def test_a_preview_is_news():
    """The same stage with a preview is told, and told once; a push from before it takes it back from nobody."""
    story, preview = Story(uuid4()), {"preview_url": "https://e.com/p.mp4"}
    push(story, status="processing", stage="composing")
    assert push(story, status="processing", stage="composing", **preview) == [("processing", "composing")]
    assert push(story, status="processing", stage="composing") == []
    assert answer(story, status="processing", stage="composing", **preview) == []


def test_waiting_for_an_engine_is_news():
    """It is told once, and a push, which does not know of it, takes it back from nobody."""
    story = Story(uuid4())
    assert push(story, status="pending") == [("pending", None)]
    waiting = {"status": "pending", "engine": "acestep", "waiting_for": "engine"}
    assert answer(story, **waiting) == [("pending", None)]
    assert push(story, status="pending") == answer(story, **waiting) == []
    assert answer(story, status="processing", stage="fetching", engine="acestep") == [("processing", "fetching")]


def test_nothing_comes_after_the_end():
    """Once a job has ended, older pushes are dropped."""
    story = Story(uuid4())
    assert answer(story, status="completed") == [("completed", None)]
    assert push(story, status="processing", stage="composing") == []


def test_the_plan_is_told_once():
    """Pushed and found by asking, what the tracks will be is one event, before the results that came with it."""
    story, one = (
        Story(uuid4()),
        {"index": 0, "title": "Dawn", "description": "", "tempo_bpm": None, "key": "D minor", "new": 1},
    )
    (made,) = story.from_payload("plan", {"job_id": str(story.job_id), "directions": [one]})
    assert isinstance(made, PlanMade)
    assert [(track.title, track.key) for track in made.directions] == [("Dawn", "D minor")]
    answer = {"job_id": story.job_id, "status": "pending", "directions": [one], "results": [{"index": 0}]}
    told = [type(event) for event in story.from_answer(Job.model_validate(answer))]
    assert told == [ResultReady, JobChanged]
    late = [type(event) for event in Story(story.job_id).from_answer(Job.model_validate(answer))]
    assert late == [PlanMade, ResultReady, JobChanged]


def test_a_pack_has_nothing_to_come():
    """Its direction is that of a track that is there already, so only the pack itself is told."""
    answer = {"job_id": uuid4(), "kind": "pack", "status": "completed", "directions": [{"index": 0, "title": "Dawn"}]}
    answer["results"] = [{"index": 0, "pack_url": "https://example.com/a.zip"}]
    told = [type(event) for event in Story(uuid4()).from_answer(Job.model_validate(answer))]
    assert told == [ResultReady, JobChanged]


def test_a_stage_of_a_newer_server_is_told():
    """An unknown stage is passed on."""
    story = Story(uuid4())
    push(story, status="processing", stage="composing")
    assert push(story, status="processing", stage="polishing") == [("processing", "polishing")]
