"""How the product is watched: what its metrics sample, and where its traces go."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from runtime.settings.base import Count, Group, HttpUrl, Seconds


class MetricsSettings(Group):
    """Figures that somebody must ask Postgres for: how often, and how far they are counted."""

    sample_interval_seconds: Seconds = 5.0
    sample_rows_max: Count = 100_000


class TelemetrySettings(Group):
    """Traces. No endpoint: none are made.

    `otlp_endpoint` is an OpenTelemetry collector's address for OTLP over HTTP (http://host:4318). `sample_ratio` of all
    traces are kept, by their id: every role must have the same. A batch links to at most `links_max` traces. Up to
    `spans_queued_max` spans wait for the collector; beyond that they are dropped. The SDK itself reads its own OTEL_
    names for the rest: headers, certificates, resource attributes.
    """

    otlp_endpoint: HttpUrl | None = None
    sample_ratio: Annotated[float, Field(ge=0, le=1)] = 1.0
    links_max: Count = 128
    spans_queued_max: Count = 4096
    export_interval_seconds: Seconds = 1.0
    export_timeout_seconds: Seconds = 3.0
