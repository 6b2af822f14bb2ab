"""One trace from the webhook's request over Kafka and the ledger to `payments.changes`, with and without spans."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING

import pytest
from consumer_processes import from_now_on
from relay_rows import Reader, reading, relaying
from running_consumer import consuming
from running_ingress import event, open_ingress

from runtime import telemetry
from runtime.settings import TelemetrySettings
from schemas import topics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Database
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from running_ingress import RunningIngress

    from runtime.stack import Endpoints

pytestmark = pytest.mark.integration


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    """Keep spans in memory; the test begins to make them when it wants them."""
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    yield InMemorySpanExporter()
    telemetry.stop()


def begin_tracing(exporter: InMemorySpanExporter) -> None:
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    telemetry.start("test", TelemetrySettings(), SimpleSpanProcessor(exporter))


async def post(ingress: RunningIngress, trace_id: str) -> str:
    """Post a webhook in a trace; return its event id."""
    event_id, sample = event()
    document = json.loads(sample)
    document["data"]["object"]["amount_received"] = 100
    body = json.dumps(document).encode()
    status, _, _ = await ingress.post(body, traceparent=f"00-{trace_id}-00f067aa0ba902b7-01")
    assert status == 202
    return event_id


async def change_of(reader: Reader, event_id: str) -> dict[str, bytes | None]:
    """Return the headers of the change that the event caused."""
    mark = f'"event_id":"{event_id}"'.encode()
    await reader.until(lambda records: any(mark in record.value for record in records))
    return dict(next(record.headers for record in reader.records if mark in record.value))


def of_trace(spans: tuple[ReadableSpan, ...], trace_id: str) -> dict[str, ReadableSpan]:
    return {span.name: span for span in spans if f"{span.context.trace_id:032x}" == trace_id}


def linking_to(spans: tuple[ReadableSpan, ...], traceparent: str) -> set[str]:
    """Return the names of the spans that link to this very context."""
    _, trace_id, span_id, _ = traceparent.split("-")
    wanted = int(trace_id, 16), int(span_id, 16)
    return {
        span.name for span in spans if wanted in {(link.context.trace_id, link.context.span_id) for link in span.links}
    }


async def test_a_webhooks_trace_reaches_the_batch_and_the_changes(
    stack: Endpoints, database: Database, exporter: InMemorySpanExporter
) -> None:
    await from_now_on(stack.kafka)
    async with (
        open_ingress(stack.kafka, database.dsn) as ingress,
        reading(stack, topics.CHANGES.name) as reader,
        consuming(ingress.settings),
        relaying(ingress.settings),
    ):
        untraced = secrets.token_hex(16)
        headers = await change_of(reader, await post(ingress, untraced))
        assert headers["traceparent"] == f"00-{untraced}-00f067aa0ba902b7-01".encode(), "passed on as it came"

        begin_tracing(exporter)
        traced = secrets.token_hex(16)
        headers = await change_of(reader, await post(ingress, traced))
        traceparent = str((headers["traceparent"] or b"").decode())
        assert traceparent.split("-")[1] == traced
    telemetry.stop()
    spans = exporter.get_finished_spans()
    assert set(of_trace(spans, traced)) == {"POST /webhooks/{provider}", "send payments.webhooks"}
    assert linking_to(spans, traceparent) == {"process payments.webhooks", "send payments.changes"}
    assert all(span.parent is None for span in spans if span.name.startswith("process"))
    reported = " ".join(span.to_json() for span in spans)
    assert "pi_" not in reported, "no reference of a payment in any attribute"
    assert "evt_" not in reported
