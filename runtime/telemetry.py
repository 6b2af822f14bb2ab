"""Traces: the only module that imports opentelemetry, and only where RATCHET_TELEMETRY__OTLP_ENDPOINT is set.

One event's way is one trace: the request's span at the ingress (a child of the sender's `traceparent`, if it sent one),
the span that publishes its events, and from there the `traceparent` header goes with the record: through spool and
Kafka, into the ledger's row and on to `payments.changes`. A batch is one span of its own trace that *links* to the
contexts of its records (OpenTelemetry's messaging conventions: a batch has many causes and no parent), and so is what
the relay publishes. Without an endpoint no span is made, a `traceparent` is passed on as it came, and the cost is one
comparison a request or batch.

Attributes are names, counts and states: no body, reference, amount, phone number, path or exception text.
"""

from __future__ import annotations

import os
import socket
from importlib import metadata
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from schemas.errors import SettingsError
from schemas.topics import DEFAULT_GROUP
from schemas.traceparent import traceparent_of, well_formed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from types import TracebackType

    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import Link, Span, SpanKind

    from runtime.settings import TelemetrySettings
    from schemas.record import Record
    from schemas.traceparent import Header

TRACES_PATH: Final = "/v1/traces"
"""Where OTLP/HTTP takes spans under a collector's address."""
VERSION: Final = "00"
SAMPLED: Final = 1
SERVER_ERROR: Final = 500
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"})
"""A method that is none of these is `_OTHER`: a sender may send any word."""


class Scope(Protocol):
    """A span while it lasts, or nothing."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def note(self, counts: Mapping[str, int], **more: int) -> None:
        """Set what a batch came to, as `ratchet.<name>` attributes."""
        ...

    def answer(self, method: str, template: str, status: int | None, extra: Mapping[str, str | int | None]) -> None:
        """Set what a request came to: `template` is the path's form, never the path; `extra` become `ratchet.*`."""
        ...


class _Nothing:
    """The scope where nothing is traced."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...
    def note(self, *_: object, **__: object) -> None: ...
    def answer(self, *_: object) -> None: ...


NOTHING: Final = _Nothing()
_tracing: _Tracing | None = None


def start(
    role: str, settings: TelemetrySettings, processor: SpanProcessor | None = None, *, group: str = DEFAULT_GROUP
) -> None:
    """Begin to make spans, if an endpoint is configured (or a test brings its own `processor`).

    `group` is that of the consumers. Raises SettingsError where the extra `otel` is not installed.
    """
    global _tracing  # noqa: PLW0603 - one tracer a process, as one registry of metrics
    if processor is None and settings.otlp_endpoint is None:
        return
    try:
        _tracing = _Tracing(role, settings, processor, group)
    except ImportError as error:
        raise SettingsError(
            f"RATCHET_TELEMETRY__OTLP_ENDPOINT is set, but {error.name} is missing; install ratchet-payments[otel]"
        ) from error


def stop() -> None:
    """Send what is left, within the export's time-out, and make no more spans."""
    global _tracing
    if _tracing is not None:
        tracing, _tracing = _tracing, None
        tracing.close()


def receiving(headers: Sequence[tuple[bytes, bytes]]) -> Scope:
    """Trace a request at the ingress; `headers` are ASGI's, of which `traceparent` is read alone."""
    return NOTHING if _tracing is None else _tracing.receiving(headers)


def publishing(topic: str, count: int, causes: Iterable[Sequence[Header]] = ()) -> Scope:
    """Trace the publishing of so many records; of what is relayed `causes` are the records' headers."""
    return NOTHING if _tracing is None else _tracing.publishing(topic, count, causes)


def processing(records: Sequence[Record]) -> Scope:
    """Trace a batch, linked to the traces of its records."""
    return NOTHING if _tracing is None else _tracing.processing(records)


def outgoing(inbound: str | None) -> str | None:
    """Return the `traceparent` of what is published now: that of the span under way, else the sender's own."""
    return well_formed(inbound) if _tracing is None else _tracing.current()


class _Span:
    """A scope that is a span. An exception leaves its type's name, never its text: that may quote a secret."""

    __slots__ = ("_attach", "_detach", "_error", "_span", "_token")

    def __init__(self, span: Span, tracing: _Tracing) -> None:
        self._span = span
        self._attach, self._detach, self._error = tracing.attach, tracing.detach, tracing.error
        self._token: Any = None

    def __enter__(self) -> Self:
        self._token = self._attach(self._span)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._span.set_attribute("error.type", kind.__name__)
            self._span.set_status(self._error)
        self._detach(self._token)
        self._span.end()

    def note(self, counts: Mapping[str, int], **more: int) -> None:
        self._span.set_attributes({f"ratchet.{name}": count for name, count in {**counts, **more}.items()})

    def answer(self, method: str, template: str, status: int | None, extra: Mapping[str, str | int | None]) -> None:
        method = method if method in METHODS else "_OTHER"
        self._span.update_name(f"{method} {template}")
        attributes: dict[str, str | int | None] = {f"ratchet.{name}": value for name, value in extra.items()}
        attributes |= {"http.request.method": method, "http.route": template, "http.response.status_code": status}
        self._span.set_attributes({name: value for name, value in attributes.items() if value is not None})
        if status is None or status >= SERVER_ERROR:
            self._span.set_status(self._error)


class _Tracing:
    """OpenTelemetry's SDK put together. Sampling goes by the trace's id, so every role decides alike on a trace."""

    def __init__(self, role: str, settings: TelemetrySettings, processor: SpanProcessor | None, group: str) -> None:
        from opentelemetry import context, trace
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import SpanLimits, TracerProvider
        from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

        self._group = group
        named = {
            "service.name": f"ratchet-{role}",
            "service.namespace": "ratchet",
            "service.version": metadata.version("ratchet-payments"),
            "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
        }
        self._provider = TracerProvider(
            sampler=TraceIdRatioBased(settings.sample_ratio),
            resource=Resource.create(named),
            span_limits=SpanLimits(max_links=settings.links_max),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(processor or _exporting(settings))
        self._tracer = self._provider.get_tracer("ratchet", named["service.version"])
        self._links_max = settings.links_max
        self._timeout_ms = int(settings.export_timeout_seconds * 1000)
        self._trace, self._context = trace, context
        self.error = trace.Status(trace.StatusCode.ERROR)
        self.detach = context.detach

    def attach(self, span: Span) -> Any:
        return self._context.attach(self._trace.set_span_in_context(span))

    def close(self) -> None:
        self._provider.force_flush(self._timeout_ms)
        self._provider.shutdown()

    def current(self) -> str | None:
        found = self._trace.get_current_span().get_span_context()
        if not found.is_valid:
            return None
        return f"{VERSION}-{found.trace_id:032x}-{found.span_id:016x}-{int(found.trace_flags):02x}"

    def receiving(self, headers: Sequence[tuple[bytes, bytes]]) -> Scope:
        inbound = next((value.decode("latin-1") for name, value in headers if name == b"traceparent"), None)
        parent = None
        if sent := well_formed(inbound):
            parent = self._trace.set_span_in_context(self._trace.NonRecordingSpan(self._remote(sent)))
        return self._scope("request", self._trace.SpanKind.SERVER, {}, context=parent)

    def publishing(self, topic: str, count: int, causes: Iterable[Sequence[Header]]) -> Scope:
        operation = {"messaging.operation.name": "send", "messaging.operation.type": "send"}
        attributes = _messaging(topic, count) | operation
        return self._scope(f"send {topic}", self._trace.SpanKind.PRODUCER, attributes, links=self._links(causes))

    def processing(self, records: Sequence[Record]) -> Scope:
        places = {(record.topic, record.partition) for record in records}
        names = sorted({topic for topic, _ in places})
        attributes = _messaging(",".join(names), len(records)) | {
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.consumer.group.name": self._group,
        }
        if len(places) == 1:
            attributes["messaging.destination.partition.id"] = str(records[0].partition)
        links = self._links(record.headers for record in records)
        return self._scope(f"process {','.join(names)}", self._trace.SpanKind.CONSUMER, attributes, links=links)

    def _scope(
        self,
        name: str,
        kind: SpanKind,
        attributes: Mapping[str, str | int],
        *,
        context: Any = None,
        links: Sequence[Link] = (),
    ) -> Scope:
        span = self._tracer.start_span(name, context=context, kind=kind, attributes=attributes, links=links)
        return _Span(span, self)

    def _links(self, causes: Iterable[Sequence[Header]]) -> list[Link]:
        """Return one link a trace context, the first so many of them."""
        return [self._trace.Link(self._remote(one)) for one in islice(_distinct(causes), self._links_max)]

    def _remote(self, traceparent: str) -> Any:
        _, trace_id, span_id, flags = traceparent.split("-")
        sampled = self._trace.TraceFlags(int(flags, 16) & SAMPLED)
        return self._trace.SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=sampled)


def _distinct(causes: Iterable[Sequence[Header]]) -> Iterator[str]:
    seen: set[str] = set()
    for headers in causes:
        found = traceparent_of(headers)
        if found is not None and found not in seen:
            seen.add(found)
            yield found


def _messaging(topic: str, count: int) -> dict[str, str | int]:
    """Return OpenTelemetry's messaging attributes of Kafka records (semantic conventions, messaging, Kafka)."""
    return {"messaging.system": "kafka", "messaging.destination.name": topic, "messaging.batch.message_count": count}


def _exporting(settings: TelemetrySettings) -> SpanProcessor:
    """Return what sends spans to the collector from a thread of its own; past its bound spans are dropped, not work."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    endpoint = (settings.otlp_endpoint or "").rstrip("/")
    return BatchSpanProcessor(
        OTLPSpanExporter(
            endpoint if endpoint.endswith(TRACES_PATH) else endpoint + TRACES_PATH,
            timeout=settings.export_timeout_seconds,
        ),
        max_queue_size=settings.spans_queued_max,
        max_export_batch_size=min(settings.spans_queued_max, 512),
        schedule_delay_millis=int(settings.export_interval_seconds * 1000),
    )
