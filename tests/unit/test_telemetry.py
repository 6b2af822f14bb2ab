"""Traces: nothing without an endpoint, links instead of parents, nothing private in any span."""

from __future__ import annotations

import gzip
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from events import placed, standard
from pydantic import ValidationError

from runtime import telemetry
from runtime.settings import TelemetrySettings
from schemas.errors import SettingsError
from schemas.traceparent import traceparent_of, well_formed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from schemas.record import Record

pytestmark = pytest.mark.unit

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
INBOUND = f"00-{TRACE}-{SPAN}-01"
LINKS_MAX = 4


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    """Make spans, and keep them in memory."""
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    kept = InMemorySpanExporter()
    telemetry.start("test", TelemetrySettings(links_max=LINKS_MAX), SimpleSpanProcessor(kept))
    try:
        yield kept
    finally:
        telemetry.stop()


def only(exporter: InMemorySpanExporter) -> ReadableSpan:
    (span,) = exporter.get_finished_spans()
    return span


def traced(count: int, *, first: int = 1) -> list[Record]:
    """Return records, each of a trace of its own."""
    from msgspec.structs import replace

    records = placed([standard("payment.created")] * count)
    headers = [("traceparent", f"00-{number:032x}-{SPAN}-01".encode()) for number in range(first, first + count)]
    return [replace(one, headers=(*one.headers, header)) for one, header in zip(records, headers, strict=True)]


# --- off ---------------------------------------------------------------------------------------------------------


def test_without_an_endpoint_nothing_is_traced_and_a_traceparent_goes_on_as_it_came() -> None:
    telemetry.start("test", TelemetrySettings())
    scopes = telemetry.receiving([]), telemetry.publishing("t", 1), telemetry.processing(traced(1))
    assert scopes == (telemetry.NOTHING,) * 3
    with telemetry.NOTHING as scope:
        scope.note({"applied": 1}, late=2)
        scope.answer("GET", "/", 200, {})
    assert telemetry.outgoing(INBOUND) == INBOUND
    assert telemetry.outgoing("rubbish") is telemetry.outgoing(None) is None
    telemetry.stop()


def test_a_missing_extra_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(SettingsError, match=r"install ratchet-payments\[otel\]"):
        telemetry.start("test", TelemetrySettings(otlp_endpoint="http://127.0.0.1:1"))


def test_settings_are_bounded() -> None:
    for bad in ({"sample_ratio": 1.1}, {"otlp_endpoint": "collector:4318"}, {"links_max": 0}):
        with pytest.raises(ValidationError):
            TelemetrySettings.model_validate(bad)


# --- the ingress ----------------------------------------------------------------------------------------------------


def test_a_request_continues_its_senders_trace_and_its_events_continue_the_requests(
    exporter: InMemorySpanExporter,
) -> None:
    with telemetry.receiving([(b"host", b"x"), (b"traceparent", INBOUND.encode())]) as request:
        with telemetry.publishing("payments.webhooks", 3):
            outgoing = telemetry.outgoing("ignored")
        request.answer("POST", "/webhooks/{provider}", 202, {"provider": "stripe", "reason": None, "events": 3})
    published, answered = exporter.get_finished_spans()
    assert outgoing == f"00-{TRACE}-{published.context.span_id:016x}-01"
    assert published.parent is not None
    assert published.parent.span_id == answered.context.span_id
    assert answered.parent is not None
    assert (f"{answered.parent.trace_id:032x}", f"{answered.parent.span_id:016x}") == (TRACE, SPAN)
    assert (published.name, published.kind.name) == ("send payments.webhooks", "PRODUCER")
    assert dict(published.attributes or {}) == {
        "messaging.system": "kafka",
        "messaging.destination.name": "payments.webhooks",
        "messaging.batch.message_count": 3,
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
    }
    assert (answered.name, answered.kind.name) == ("POST /webhooks/{provider}", "SERVER")
    assert dict(answered.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/webhooks/{provider}",
        "http.response.status_code": 202,
        "ratchet.provider": "stripe",
        "ratchet.events": 3,
    }
    assert answered.resource.attributes["service.name"] == "ratchet-test"


@pytest.mark.parametrize("headers", [[], [(b"traceparent", b"rubbish")], [(b"traceparent", b"\xff\x00")]])
def test_a_request_without_a_trace_begins_one(
    exporter: InMemorySpanExporter, headers: list[tuple[bytes, bytes]]
) -> None:
    with telemetry.receiving(headers):
        assert well_formed(telemetry.outgoing(None))
    assert only(exporter).parent is None
    assert telemetry.outgoing(INBOUND) is None


@pytest.mark.parametrize("status", [None, 503])
def test_a_request_that_failed_is_an_error_and_a_made_up_method_is_other(
    exporter: InMemorySpanExporter, status: int | None
) -> None:
    with telemetry.receiving([]) as request:
        request.answer("BREW4242424242424242", "unknown", status, {})
    span = only(exporter)
    assert (span.name, span.status.status_code.name) == ("_OTHER unknown", "ERROR")


def test_an_exception_leaves_its_type_and_never_its_text(exporter: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="4242"), telemetry.publishing("t", 1):
        raise ValueError("card 4242424242424242")
    span = only(exporter)
    assert span.attributes is not None
    assert span.attributes["error.type"] == "ValueError"
    assert span.status.status_code.name == "ERROR"
    assert "4242" not in span.to_json()


def test_sampling_goes_by_the_traces_id_whatever_the_sender_says() -> None:
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    kept = InMemorySpanExporter()
    telemetry.start("test", TelemetrySettings(sample_ratio=0.0), SimpleSpanProcessor(kept))
    try:
        with telemetry.receiving([(b"traceparent", INBOUND.encode())]):
            outgoing = telemetry.outgoing(None)
    finally:
        telemetry.stop()
    assert outgoing is not None
    assert (outgoing[3:35], outgoing[-2:]) == (TRACE, "00")
    assert kept.get_finished_spans() == ()


# --- batches -----------------------------------------------------------------------------------------------------


def test_a_batch_links_to_its_records_and_has_no_parent(exporter: InMemorySpanExporter) -> None:
    records = traced(2)
    with telemetry.processing([*records, records[0], *placed([standard("payment.created")])]) as span:
        span.note({"applied": 3}, duplicate=1)
    batch = only(exporter)
    assert (batch.name, batch.kind.name, batch.parent) == ("process payments.webhooks", "CONSUMER", None)
    assert [link.context.trace_id for link in batch.links] == [1, 2]
    assert all(link.context.is_remote for link in batch.links)
    reported = dict(batch.attributes or {})
    assert reported["messaging.batch.message_count"] == 4
    assert reported["messaging.operation.type"] == "process"
    assert reported["messaging.consumer.group.name"]
    assert reported["messaging.destination.partition.id"] == str(records[0].partition)
    assert (reported["ratchet.applied"], reported["ratchet.duplicate"]) == (3, 1)


def test_links_are_bounded(exporter: InMemorySpanExporter) -> None:
    with telemetry.processing(traced(LINKS_MAX + 3)):
        pass
    batch = only(exporter)
    assert [link.context.trace_id for link in batch.links] == list(range(1, LINKS_MAX + 1))


def test_a_batch_of_several_topics_and_partitions_names_them(exporter: InMemorySpanExporter) -> None:
    from msgspec.structs import replace

    record = traced(1)[0]
    with telemetry.processing([record, replace(record, topic="payments.intents", partition=3)]):
        pass
    reported = dict(only(exporter).attributes or {})
    assert reported["messaging.destination.name"] == "payments.intents,payments.webhooks"
    assert "messaging.destination.partition.id" not in reported


def test_what_is_relayed_links_to_what_caused_it(exporter: InMemorySpanExporter) -> None:
    with telemetry.publishing("payments.changes", 2, [record.headers for record in traced(2, first=7)]):
        pass
    assert [link.context.trace_id for link in only(exporter).links] == [7, 8]


# --- export ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:4318", "http://127.0.0.1:4318/", "http://c/v1/traces"])
def test_spans_go_to_the_collectors_path(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from opentelemetry.exporter.otlp.proto.http import trace_exporter

    asked: list[str] = []

    class Exporter:
        def __init__(self, endpoint: str, timeout: float) -> None:
            asked.append(endpoint)

        def shutdown(self) -> None: ...

    monkeypatch.setattr(trace_exporter, "OTLPSpanExporter", Exporter)
    telemetry.start("test", TelemetrySettings(otlp_endpoint=endpoint))
    telemetry.stop()
    assert asked == [endpoint.removesuffix("/v1/traces").rstrip("/") + "/v1/traces"]


def test_spans_are_sent_as_often_as_many_and_as_patiently_as_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    from opentelemetry.exporter.otlp.proto.http import trace_exporter
    from opentelemetry.sdk import trace
    from opentelemetry.sdk.trace import export

    given: dict[str, Any] = {}
    monkeypatch.setattr(trace_exporter, "OTLPSpanExporter", lambda _, **options: given.update(options))
    monkeypatch.setattr(
        export, "BatchSpanProcessor", lambda _, **options: given.update(options) or trace.SpanProcessor()
    )
    monkeypatch.setattr(
        trace.TracerProvider, "force_flush", lambda _, milliseconds: given.update(flush_milliseconds=milliseconds)
    )
    settings = TelemetrySettings(
        otlp_endpoint="http://127.0.0.1:1",
        export_interval_seconds=2.5,
        export_timeout_seconds=1.5,
        spans_queued_max=100,
    )
    telemetry.start("relay", settings)
    telemetry.stop()
    assert given == {
        "timeout": 1.5,
        "max_queue_size": 100,
        "max_export_batch_size": 100,
        "schedule_delay_millis": 2500,
        "flush_milliseconds": 1500,
    }


def test_what_is_over_is_no_span_under_way_any_more(exporter: InMemorySpanExporter) -> None:
    with telemetry.publishing("t", 1):
        assert telemetry.outgoing(INBOUND) != INBOUND
    assert telemetry.outgoing(INBOUND) is None
    telemetry.stop()
    assert telemetry.outgoing(INBOUND) == INBOUND
    assert len(exporter.get_finished_spans()) == 1


def test_a_sender_that_keeps_no_trace_is_linked_as_one_that_does_not(exporter: InMemorySpanExporter) -> None:
    kept, dropped = (("traceparent", f"00-{TRACE}-{SPAN}-{flags}".encode()) for flags in ("01", "02"))
    with telemetry.publishing("t", 3, [[kept], [dropped], [kept]]):
        pass
    flags = [link.context.trace_flags.sampled for link in only(exporter).links]
    assert flags == [True, False], "and one link a trace context"


# --- the header --------------------------------------------------------------------------------------------------


def test_the_last_well_formed_header_of_a_record_counts() -> None:
    good = ("traceparent", INBOUND.encode())
    assert traceparent_of([("ce_id", b"1"), good]) == INBOUND
    assert traceparent_of([("traceparent", b"x"), good, ("a", None)]) == INBOUND
    for bad in (None, b"", b"x" * 55, INBOUND.encode() + b"-more", b"\xff" * 55, INBOUND.upper().encode()):
        assert traceparent_of([good, ("traceparent", bad)]) is None
    assert traceparent_of([]) is None


def test_spans_reach_a_collector_over_http_and_one_that_is_away_holds_up_no_end() -> None:
    bodies: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            bodies.append((self.path, gzip.decompress(body) if self.headers.get("content-encoding") else body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))  # looks so often whether it is to end
        thread.start()
        telemetry.start("ingress", TelemetrySettings(otlp_endpoint=f"http://127.0.0.1:{server.server_port}"))
        with telemetry.publishing("payments.webhooks", 1):
            pass
        telemetry.stop()
        server.shutdown()
        thread.join()
    ((path, body),) = bodies
    assert path == "/v1/traces"
    assert b"send payments.webhooks" in body
    assert b"ratchet-ingress" in body
    settings = TelemetrySettings(otlp_endpoint="http://127.0.0.1:1", export_timeout_seconds=0.5)
    telemetry.start("ingress", settings)
    with telemetry.publishing("payments.webhooks", 1):
        pass
    began = time.monotonic()
    telemetry.stop()
    assert time.monotonic() - began < 10
