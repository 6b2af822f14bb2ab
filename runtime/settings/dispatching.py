"""What the dispatcher may do: calls to the outside, reading payments again, asking lists for what never came."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from runtime.settings.base import Count, Group, PerSecond, Seconds


class HttpSettings(Group):
    """Calls to outside services. `total_timeout_seconds` covers a call from the first byte to the last."""

    connections_max: Count = 16
    connect_timeout_seconds: Seconds = 5.0
    total_timeout_seconds: Seconds = 10.0
    response_bytes_max: Count = 1024 * 1024
    retry_after_seconds_max: Seconds = 3600.0


class DispatcherSettings(Group):
    """What all that the dispatcher does has in common.

    A claim keeps what is in hand from being claimed again for `claim_seconds`; all calls of one try together may take
    half of that. An outside service is left alone for `breaker_seconds` after `breaker_failures_max` failures in a row.
    """

    lease_seconds: Seconds = 5.0
    poll_interval_seconds: Seconds = 0.2
    report_interval_seconds: Seconds = 5.0
    claim_seconds: Seconds = 40.0
    breaker_failures_max: Count = 5
    breaker_seconds: Seconds = 10.0
    backoff_initial_seconds: Seconds = 0.1
    backoff_max_seconds: Seconds = 5.0


class RefetchSettings(Group):
    """Reading payments again at the providers' APIs. A failed try waits at least a tenth of its backoff.

    A payment is read again `same_payment_seconds` after the last time at the earliest, however often it is asked for.
    Of one endpoint `waiting_max` payments may wait, and of those that nobody knows, which anybody can make up,
    `unknown_waiting_max`; a hint beyond that is answered 429. Calls for such payments are `unknown_per_minute_max` at
    most, and leave after those for payments that are known; of those that failed, `unknown_waiting_max` are kept.

    What an API answers by a webhook is asked again when none came in `query_seconds`. An id that belongs to a payment
    waits up to `related_seconds` until money of that is known. Every `watch_seconds`, up to `watch_payments_max`
    payments of each endpoint are queued for each state that nothing may ever tell the end of; the schedule is the
    provider's.
    """

    workers: Count = 4
    requests_per_second_max: PerSecond = 20.0
    same_payment_seconds: Seconds = 5.0
    waiting_max: Count = 20_000
    unknown_waiting_max: Count = 1_000
    unknown_per_minute_max: Count = 300
    attempts_max: Count = 30
    backoff_initial_seconds: Seconds = 1.0
    backoff_max_seconds: Seconds = 900.0
    token_margin_seconds: Seconds = 60.0
    query_seconds: Seconds = 120.0
    related_seconds: Seconds = 600.0
    watch_seconds: Seconds = 60.0
    watch_payments_max: Count = 500


class RecallSettings(Group):
    """Asking providers' lists for what never came, where `RATCHET_PROVIDERS__<NAME>__RECALL` is set.

    Each list is asked every `interval_seconds`, for what is older than `delay_seconds`: a webhook has that long to come
    by itself. A page holds `page_items_max` at most and an answer `response_bytes_max`; calls of one account leave
    `requests_per_second_max` a second. No page is read while `spool_rows_max` records wait in the spool. What failed is
    asked again after a backoff. Every `count_seconds` it is noted which webhooks are lost. What a list showed is kept
    for `kept_days` where it is history or its webhook came too.
    """

    interval_seconds: Seconds = 300.0
    delay_seconds: Seconds = 120.0
    page_items_max: Count = 100
    response_bytes_max: Count = 16 * 1024 * 1024
    requests_per_second_max: PerSecond = 5.0
    spool_rows_max: Count = 20_000
    spool_wait_seconds: Seconds = 1.0
    backoff_initial_seconds: Seconds = 2.0
    backoff_max_seconds: Seconds = 900.0
    count_seconds: Seconds = 30.0
    kept_days: Annotated[int, Field(ge=30)] = 120
