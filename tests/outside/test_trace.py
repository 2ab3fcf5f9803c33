"""One trace id from the request through row and worker to the webhook, without OpenTelemetry."""

from __future__ import annotations

from uuid import UUID

import pytest
import structlog

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OF_THE_JOB = {"job.started", "result.ready", "job.completed", "webhook.sent"}


@pytest.mark.parametrize("header", [{"traceparent": TRACE}, {}], ids=["a caller's", "ours"])
async def test_every_line_of_a_job_has_the_trace_of_its_request(house, db, video, header):
    """The line of the request, those of the worker, and the webhook name one trace: the caller's, else one that the API begins."""
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        job_id, webhook = await house.submit(video, **header)
    row = await db.fetchval("select traceparent from public.jobs where id = $1", UUID(job_id))
    trace_id = row.split("-")[1]
    assert row == header.get("traceparent", row)
    assert webhook["traceparent"] == row
    told = {line["event"]: line for line in lines if line.get("trace_id") == trace_id}
    assert set(told) >= {"request", *OF_THE_JOB - {"webhook.sent"}}
    assert all(told[event]["job"] == job_id for event in set(told) & OF_THE_JOB)
    assert not [line for line in lines if line["event"] in OF_THE_JOB and line["trace_id"] != trace_id]
    assert (told["request"]["route"], told["request"]["request_id"]) == ("/api/v1/gen", trace_id)
