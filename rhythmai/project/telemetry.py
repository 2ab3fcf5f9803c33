"""Spans by OpenTelemetry, sent by OTLP over HTTP: the extra `otel`, and only where OTEL_EXPORTER_OTLP_ENDPOINT is set.

Spans hold ids, codes, names of functions and bare addresses; never a message, a query string or a value. That is why they
are our own and not those of instrumentation packages, which record errors in full and each poll as a trace of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import structlog

from rhythmai.project.trace import HEADER, Attributes, Kind, Span, Tracer, untraced

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

log = structlog.get_logger()
MISSING: Final = "OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry is not installed: pip install 'rhythmai[otel]'"


@contextmanager
def traced(service: str, endpoint: str | None) -> Iterator[Tracer]:
    """The tracer of a process. What is not sent yet is sent at the end. `service` is its name where OTEL_SERVICE_NAME is unset."""
    if not endpoint:
        yield untraced
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError:
        log.warning("telemetry.missing", remedy=MISSING)
        yield untraced
        return
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": service}
    provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")))
    try:
        yield tracer_of(provider)
    finally:
        provider.shutdown()


def tracer_of(provider: TracerProvider) -> Tracer:
    """The tracer whose spans go to this provider."""
    from opentelemetry import trace as otel
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    tracer = provider.get_tracer("rhythmai")
    propagator = TraceContextTextMapPropagator()

    class Recorded:
        """A span of OpenTelemetry; one that is not sampled hands its traceparent on, too."""

        def __init__(self, span: otel.Span, parent: str) -> None:
            self._span = span
            context = span.get_span_context()
            self.traceparent = (
                f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
                if context.is_valid
                else parent
            )

        def called(self, name: str) -> None:
            self._span.update_name(name)

        def tell(self, attributes: Attributes) -> None:
            self._span.set_attributes(attributes)

        def fail(self, code: str) -> None:
            self._span.set_status(otel.StatusCode.ERROR, code)

    @contextmanager
    def span(
        name: str, *, parent: str | None = None, kind: Kind = "internal", attributes: Attributes | None = None
    ) -> Iterator[Span]:
        with untraced(name, parent=parent) as unseen:
            begins = parent is not None or kind == "server"
            if not begins and not otel.get_current_span().get_span_context().is_valid:
                yield unseen  # a poll, a beat: part of no job
                return
            with tracer.start_as_current_span(
                name,
                context=propagator.extract({HEADER: parent} if parent else {}, Context()) if begins else None,
                kind=otel.SpanKind[kind.upper()],
                attributes=attributes,
                record_exception=False,
                set_status_on_exception=False,
            ) as current:
                recorded = Recorded(current, unseen.traceparent)
                try:
                    yield recorded
                except Exception as error:
                    code = getattr(error, "code", None)
                    recorded.fail(code if isinstance(code, str) else type(error).__name__)
                    raise

    return span
