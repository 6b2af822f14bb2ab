"""What the dispatcher may do: calls to the outside, reading payments again, asking lists for what never came."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from runtime.settings.base import Count, Group, PerSecond, Seconds


class HttpSettings(Group):
    """Calls to outside services."""

    connections_max: Count = 16
    """Connections of one process."""
    connect_timeout_seconds: Seconds = 5.0
    """How long connecting may take."""
    total_timeout_seconds: Seconds = 10.0
    """How long a call may take, from the first byte to the last."""
    response_bytes_max: Count = 1024 * 1024
    """The largest answer that is read."""
    retry_after_seconds_max: Seconds = 3600.0
    """The longest Retry-After that is heeded."""


class DispatcherSettings(Group):
    """What all that the dispatcher does has in common."""

    lease_seconds: Seconds = 5.0
    """How long the dispatcher's lease holds without being renewed."""
    poll_interval_seconds: Seconds = 0.2
    """How often each job looks for work."""
    report_interval_seconds: Seconds = 5.0
    """How often waiting work is counted."""
    claim_seconds: Seconds = 40.0
    """How long a task in hand is kept from being taken again; all calls of one try may take half of that."""
    breaker_failures_max: Count = 5
    """Failures in a row after which an outside service is left alone."""
    breaker_seconds: Seconds = 10.0
    """How long it is left alone."""
    backoff_initial_seconds: Seconds = 0.1
    """The first pause while Postgres is away."""
    backoff_max_seconds: Seconds = 5.0
    """The longest pause while Postgres is away."""


class RefetchSettings(Group):
    """Reading payments again at the providers' APIs. A failed try waits at least a tenth of its backoff.

    An unknown payment is one that only an unsigned webhook named: anybody can make one up.
    """

    workers: Count = 4
    """Payments that are read at once."""
    requests_per_second_max: PerSecond = 20.0
    """Calls a second to one endpoint's API."""
    same_payment_seconds: Seconds = 5.0
    """How soon the same payment is read again, however often it is asked for."""
    waiting_max: Count = 20_000
    """Payments of one endpoint that may wait."""
    unknown_waiting_max: Count = 1_000
    """Of these, unknown ones that may wait, and failed ones that are kept; a hint beyond them is answered 429."""
    unknown_per_minute_max: Count = 300
    """Calls a minute for unknown payments, which come after those for known ones."""
    absent_seconds: Seconds = 604_800.0
    """How soon the clock asks again about what the API does not know. An event that names it has it asked at once."""
    attempts_max: Count = 30
    """Tries of one payment."""
    backoff_initial_seconds: Seconds = 1.0
    """The first pause between two tries."""
    backoff_max_seconds: Seconds = 900.0
    """The longest pause between two tries."""
    token_margin_seconds: Seconds = 60.0
    """How long before its end an API's token is renewed."""
    query_seconds: Seconds = 120.0
    """How long an answer that comes by webhook is waited for before the API is asked again."""
    related_seconds: Seconds = 600.0
    """How long an id that belongs to a payment waits until money of that payment is known."""
    watch_seconds: Seconds = 60.0
    """How often payments are looked for whose end nothing may report; when each is read is the provider's schedule."""
    watch_payments_max: Count = 500
    """Such payments that are queued at once, for each endpoint and state."""


class RecallSettings(Group):
    """Asking providers' lists for what never came, where `RATCHET_PROVIDERS__<NAME>__RECALL` is set."""

    interval_seconds: Seconds = 300.0
    """How often each list is asked."""
    delay_seconds: Seconds = 120.0
    """How long a webhook has to come by itself before the list is asked for it."""
    page_items_max: Count = 100
    """Items of one page."""
    response_bytes_max: Count = 16 * 1024 * 1024
    """The largest answer that is read."""
    requests_per_second_max: PerSecond = 5.0
    """Calls a second for one account."""
    spool_rows_max: Count = 20_000
    """While so many records wait in the spool, no page is read."""
    spool_wait_seconds: Seconds = 1.0
    """How long to wait before the spool is looked at again."""
    backoff_initial_seconds: Seconds = 2.0
    """The first pause after a failure."""
    backoff_max_seconds: Seconds = 900.0
    """The longest pause after a failure."""
    count_seconds: Seconds = 30.0
    """How often lost webhooks are noted."""
    orders_open_max: Count = 4
    """Readings that people ask for and that may wait or run at once; one of a provider at most."""
    order_look_seconds: Seconds = 1.0
    """How often the dispatcher looks whether people asked for a reading."""
    order_tries_max: Count = 10
    """Answers in a row that are no page after which such a reading is given up."""
    kept_days: Annotated[int, Field(ge=30)] = 120
    """How long what a list showed is kept where it is history, or its webhook came too."""
