"""How the product is watched: what its metrics sample, and where its traces go."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from runtime.settings.base import Count, Group, HttpUrl, Seconds


class MetricsSettings(Group):
    """Figures that Postgres has to be asked for."""

    sample_interval_seconds: Seconds = 5.0
    """How often they are asked for."""
    sample_rows_max: Count = 100_000
    """Where the counting of rows stops."""


class TelemetrySettings(Group):
    """Traces. Without an endpoint none are made.

    The OpenTelemetry SDK itself reads its own OTEL_ names for the rest: headers, certificates, resource attributes.
    """

    otlp_endpoint: HttpUrl | None = None
    """Where an OpenTelemetry collector takes OTLP over HTTP, such as `http://host:4318`."""
    sample_ratio: Annotated[float, Field(ge=0, le=1)] = 1.0
    """The share of traces that is kept, by their id: every role must have the same."""
    links_max: Count = 128
    """Traces that a batch links to."""
    spans_queued_max: Count = 4096
    """Spans that may wait for the collector; beyond them they are dropped."""
    export_interval_seconds: Seconds = 1.0
    """How often spans are sent."""
    export_timeout_seconds: Seconds = 3.0
    """How long sending them may take."""
