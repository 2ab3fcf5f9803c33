"""OpenTelemetry: one job is one trace, from the request to the webhook; what is sent where, and what is not."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
import structlog
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased

from rhythmai.client import Client
from rhythmai.local.postgres import free_port
from rhythmai.local.stack import local_stack
from rhythmai.project.telemetry import MISSING, traced, tracer_of
from rhythmai.project.trace import SHAPE, untraced
from tests.api.conftest import listening
from tests.outside.house import running_house
from tests.warm.start import warm_python
from worker.errors import Rejected

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
STAGES = {
    "fetch": "job generate", "look": "job generate", "hear": "job generate", "describe": "job generate", "plan": "describe", "prepare": "describe",
    "compose": "job generate", "master": "compose", "upload": "compose",
}  # fmt: skip
"""Each stage of a generate job and the span that it is part of."""


@pytest.fixture
def recorder():
    """`.tracer`, and `.spans()` that have ended."""

    class Recorder:
        def __init__(self, **options):
            self._kept = InMemorySpanExporter()
            provider = TracerProvider(shutdown_on_exit=False, **options)
            provider.add_span_processor(SimpleSpanProcessor(self._kept))
            self.tracer = tracer_of(provider)

        def spans(self):
            return self._kept.get_finished_spans()

        async def until(self, name):
            """The webhook is heard before its span has ended."""
            async with asyncio.timeout(120):
                while name not in {span.name for span in self.spans()}:
                    await asyncio.sleep(0.01)
            return {span.name: span for span in self.spans()}

    return Recorder


def place(span):
    return f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-{span.context.trace_flags:02x}"


async def test_a_job_is_one_trace(recorder, database_url, queue, gateway, db, video, tmp_path):
    """The request is the root; job and webhook are its children, over the row; stages and SQL calls are theirs. Nothing else is recorded."""
    recorder = recorder()
    queue = replace(queue, tracer=recorder.tracer)
    async with running_house(database_url, queue, gateway, tmp_path, recorder.tracer) as house:
        job_id, headers = await house.submit(video)
        named = await recorder.until("webhook")
    spans = {span.context.span_id: span for span in recorder.spans()}
    request, work, webhook = named["POST /api/v1/gen"], named["job generate"], named["webhook"]
    assert {span.context.trace_id for span in spans.values()} == {request.context.trace_id}
    assert request.parent is None
    assert work.parent.span_id == webhook.parent.span_id == request.context.span_id
    assert place(request) == await db.fetchval("select traceparent from public.jobs where id = $1", UUID(job_id))
    assert headers["traceparent"] == place(webhook)
    for stage, of in STAGES.items():
        assert spans[named[stage].parent.span_id].name == of, stage
        assert dict(named[stage].attributes) == {
            "rhythmai.job_id": job_id,
            "rhythmai.attempt": 1,
            "rhythmai.engine": "sketch 1",
        }
    for call, of in {
        "queue.submit": request,
        "queue.set_stage": work,
        "queue.save_plan": named["plan"],
        "queue.finish": work,
    }.items():
        assert named[call].parent.span_id == of.context.span_id, call
    assert (request.kind.name, work.kind.name, webhook.kind.name) == ("SERVER", "CONSUMER", "CLIENT")
    assert (request.attributes["http.route"], request.attributes["http.response.status_code"]) == ("/api/v1/gen", 200)
    assert (work.attributes["rhythmai.outcome"], webhook.attributes["http.response.status_code"]) == ("completed", 204)


async def test_a_callers_trace_goes_on(recorder, database_url, queue, gateway, video, tmp_path):
    """With a traceparent the request is a child of its caller's span; merges are traced by their own stages."""
    recorder = recorder()
    async with running_house(database_url, queue, gateway, tmp_path, recorder.tracer) as house:
        await house.submit(video, traceparent=CALLER)
        named = await recorder.until("webhook")
    assert place(named["webhook"]).split("-")[1] == CALLER.split("-")[1]
    assert named["POST /api/v1/gen"].parent.span_id == int(CALLER.split("-")[2], 16)


async def test_what_is_not_sampled_is_handed_on_as_such(recorder):
    """Where the API drops a trace, its job and webhook are told: the flag travels, and nobody records."""
    recorder = recorder(sampler=ParentBased(ALWAYS_OFF))
    with recorder.tracer("request", kind="server") as span:
        dropped = span.traceparent
    assert SHAPE.fullmatch(dropped)
    assert int(dropped[-2:], 16) % 2 == 0
    with recorder.tracer("job", parent=dropped, kind="consumer") as span:
        assert span.traceparent.split("-")[1] == dropped.split("-")[1]
    assert recorder.spans() == ()


async def test_an_error_is_told_by_its_code(recorder):
    """The message of an error, which may hold a user's words, is in no span; its code is."""
    recorder = recorder()
    for error in (Rejected("private words", code="not_a_video"), KeyError("private words")):
        with pytest.raises(type(error)), recorder.tracer("job", parent=CALLER, kind="consumer"):
            raise error
    assert [span.status.description for span in recorder.spans()] == ["not_a_video", "KeyError"]
    assert "private" not in str([span.to_json() for span in recorder.spans()])


async def test_polls_are_no_traces(recorder):
    """What belongs to no job or request, like a claim that finds nothing, is not recorded."""
    recorder = recorder()
    with recorder.tracer("queue.claim", kind="client"):
        pass
    assert recorder.spans() == ()


@pytest.fixture
async def collector():
    """Takes OTLP; `.got` are the requests."""

    class Collector:
        def __init__(self):
            self.got = []

        async def take(self, request):
            self.got.append(ExportTraceServiceRequest.FromString(await request.read()))
            return web.Response(body=b"", content_type="application/x-protobuf")

    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    async with AsyncExitStack() as stack:
        collector.url = await listening(stack, web.AppRunner(app))
        yield collector


def one_span(endpoint):
    with traced("rhythmai-worker", endpoint) as tracer, tracer("job", parent=CALLER, kind="consumer"):
        pass


@pytest.mark.parametrize("name", [None, "my-worker"])
async def test_spans_go_to_the_endpoint(collector, monkeypatch, name):
    """What is not sent yet is sent at the end, by OTLP, under the program's name or that of OTEL_SERVICE_NAME."""
    if name:
        monkeypatch.setenv("OTEL_SERVICE_NAME", name)
    await asyncio.to_thread(one_span, f"{collector.url}/")
    ((sent,),) = [request.resource_spans for request in collector.got]
    about = {pair.key: pair.value.string_value for pair in sent.resource.attributes}
    assert about["service.name"] == (name or "rhythmai-worker")
    assert [span.name for scope in sent.scope_spans for span in scope.spans] == ["job"]


@pytest.mark.slow
async def test_the_programs_send_their_spans(collector, monkeypatch):
    """`python -m edge_api` and `python -m worker` with the variable set: spans of one trace from two services, the failed job's code among them."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setattr(sys, "executable", str(warm_python()))
    with tempfile.TemporaryDirectory(prefix="rhythmai-spans-") as place:
        Path(place).chmod(0o755)  # Postgres is another user when we are root
        async with (
            local_stack(Path(place) / "data", port=free_port(), db_port=free_port()) as running,
            Client(running.url) as client,
        ):
            job_id = await client.submit("http://127.0.0.1:9/a.mp4")
            async with asyncio.timeout(120):
                while (await client.job(job_id)).status != "failed":
                    await asyncio.sleep(0.1)
    seen = {
        (about.value.string_value, span.name): span
        for request in collector.got
        for sent in request.resource_spans
        for about in sent.resource.attributes
        if about.key == "service.name"
        for scope in sent.scope_spans
        for span in scope.spans
    }
    asked, worked = seen["rhythmai-api", "POST /api/v1/gen"], seen["rhythmai-worker", "job generate"]
    assert (worked.trace_id, worked.parent_span_id) == (asked.trace_id, asked.span_id)
    assert worked.status.message == "forbidden_address"


def test_without_an_endpoint_nothing_is_recorded():
    """No variable, no OpenTelemetry: it is not even imported."""
    with traced("rhythmai-api", None) as tracer:
        assert tracer is untraced


def test_a_missing_extra_is_one_line(monkeypatch):
    """With the variable and without the extra everything works, untraced, and one line says what to install."""
    for name in list(sys.modules):
        if name.partition(".")[0] == "opentelemetry":
            monkeypatch.setitem(sys.modules, name, None)
    with structlog.testing.capture_logs() as lines, traced("rhythmai-api", "http://127.0.0.1:9") as tracer:
        assert tracer is untraced
    assert [(line["event"], line["remedy"]) for line in lines] == [("telemetry.missing", MISSING)]
