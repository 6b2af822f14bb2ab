"""The intents API: what a client may send, and how long its requests are remembered."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from runtime.settings.base import Count, Group, Seconds


class IntentsSettings(Group):
    """The payment-intents API. What it does not name has the ingress' own bound."""

    in_flight_max: Count = 256
    """Requests in flight at once."""
    in_flight_wait_seconds: Seconds = 2.0
    """How long a request waits for a place before it is answered 503."""
    body_bytes_max: Count = 256 * 1024
    """The largest body."""
    large_bodies_max: Count = 16
    """Bodies over the ingress' `body_bytes_unreserved` that are received at once."""
    connections_max: Count = 8
    """Connections to Postgres."""
    timeout_seconds: Seconds = 4.0
    """How long one request may take in Postgres."""
    twin_wait_seconds: Seconds = 1.0
    """How long a request waits for an earlier one of the same Idempotency-Key before it is answered 409."""
    kept_seconds: Annotated[float, Field(ge=24 * 3600)] = 48 * 3600.0
    """How long the answer to an Idempotency-Key is kept."""
    asked_seconds: Seconds = 24 * 3600.0
    """How long a command counts against the next one while the consumer has not taken it on."""
    command_expires_seconds: Seconds = 6 * 3600.0
    """How long after it was asked for a command may still be begun."""
    command_grace_seconds: Seconds = 18 * 3600.0
    """How long after that the money of a command without an answer stays reserved."""
    commands_kept_seconds: Annotated[float, Field(ge=48 * 3600)] = 90 * 24 * 3600.0
    """How long commands are kept."""
    clean_rows_max: Count = 500
    """Rows that are deleted at once when their time is over."""
    clean_interval_seconds: Seconds = 60.0
    """How often such rows are looked for."""
    timeline_rows_max: Count = 500
    """Rows of a timeline that are shown."""
    payments_found_max: Count = 20
    """Payments that are shown of a reference that leads to more."""
    defects_max: Count = 20
    """Defects of a body that are named."""
