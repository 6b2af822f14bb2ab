"""Redrives, and how long rows are kept and what proves them."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - pydantic reads the annotations
from typing import Annotated

from pydantic import Field, SecretStr

from runtime.settings.base import Count, Group, PerSecond, Seconds


class RedriveSettings(Group):
    """Redrives of dead letters, and `ratchet dlq`.

    A redrive stops when dead letters come back although its dry run reported that they would not: `failures_min` of
    them at least, and more than `failure_ratio_max` of what it published.
    """

    letters_max: Count = 100_000
    """Dead letters of one redrive."""
    rate_per_second: PerSecond = 500.0
    """Dead letters a second, where a redrive names no rate."""
    rate_per_second_max: PerSecond = 20_000.0
    """The highest rate that a redrive may name."""
    burst_seconds: Seconds = 1.0
    """How much of the rate is caught up for after a pause."""
    returns_max: Count = 3
    """A dead letter that came back so often is redriven only with --force."""
    failure_ratio_max: Annotated[float, Field(gt=0, le=1)] = 0.1
    """The share of unforeseen returns above which a redrive stops."""
    failures_min: Count = 10
    """Unforeseen returns below which no redrive stops."""
    failure_check_seconds: Seconds = 1.0
    """How often returns are counted."""
    preview_records_max: Count = 1000
    """Records that a dry run works out at once."""
    preview_bytes_max: Count = 16 * 1024 * 1024
    """Bytes that a dry run works out at once."""
    parked_read_max: Count = 10_000
    """Parked events that a dry run reads along."""
    follow_interval_seconds: Seconds = 0.2
    """How often a command that follows a redrive looks."""
    follow_patience_seconds: Seconds = 30.0
    """How long nothing may move before such a command gives up."""
    read_records_max: Count = 1000
    """Records of `payments.dlq` that are read at once."""
    take_in_seconds: Seconds = 3.0
    """How long a listing looks through `payments.dlq`."""
    rebuild_wait_seconds: Seconds = 20.0
    """How long a rebuild waits for the next record."""
    erased_letters_days: Count = 120
    """How long a redacted or removed dead letter is remembered, longer than `payments.dlq` keeps it, so that no rebuild
    brings it back.
    """


class AuditSettings(Group):
    """The proof of the ledger."""

    seal_key: Annotated[SecretStr, Field(min_length=32)] | None = None
    """Signs seals, archives and what retention leaves; whoever owns the schema must not have it."""
    archive: Path | None = None
    """The folder of the ledger's archive; where it is set, retention removes only what is archived there."""
    archive_file_rows_max: Annotated[int, Field(ge=1000, le=1_000_000)] = 100_000
    """Ledger rows of one file of the archive."""


class RetentionSettings(Group):
    """How long rows stay that are no part of the ledger; `ratchet audit retain` removes older ones.

    Digests of bodies go with the ledger rows that they belong to.
    """

    sms_days: Annotated[int, Field(ge=30)] = 180
    """Text messages that came to their end."""
    refetches_days: Annotated[int, Field(ge=30)] = 90
    """Payments that were read again at their provider."""
