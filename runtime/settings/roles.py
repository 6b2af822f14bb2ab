"""What each role may take, how long it waits, how much it holds."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID  # noqa: TC003 - pydantic reads the annotations

from pydantic import Field, SecretStr
from pydantic.networks import IPvAnyNetwork  # noqa: TC002 - pydantic reads the annotations

from runtime.settings.base import Count, Group, HttpUrl, JsonTuple, PerSecond, Seconds


class CertificateSettings(Group):
    """Certificates that a request names by URL (PayPal's): how they are fetched and kept.

    `entries_max` are kept and fetched again after `ttl_seconds`; where that fails, the old one serves for
    `stale_seconds` more. Beyond `fetches_max` fetches, or `waiters_max` requests that wait for one, a request is told
    to come again, and so it is beyond `fetches_a_minute_max` fetches of what is not kept. An address (of IPv6 each /64)
    may cause `fetches_per_address_a_minute_max` of them; whose certificate is kept is not counted. Of the fetches, of
    those a minute and of the waiters `proven_share` is left to addresses from which something genuine came before;
    Redis, if any, remembers them for `proven_kept_seconds`. A host is left alone for `breaker_seconds` after
    `breaker_failures_max` failures in a row; failures that strangers cause leave it to proven senders.
    """

    entries_max: Count = 32
    ttl_seconds: Seconds = 3600.0
    stale_seconds: Seconds = 24 * 3600.0
    bytes_max: Count = 64 * 1024
    timeout_seconds: Seconds = 3.0
    fetches_max: Count = 8
    fetches_a_minute_max: Count = 60
    fetches_per_address_a_minute_max: Count = 10
    proven_share: Annotated[float, Field(ge=0, lt=1)] = 0.25
    proven_kept_seconds: Annotated[int, Field(ge=1)] = 30 * 86400
    waiters_max: Count = 64
    breaker_failures_max: Count = 3
    breaker_seconds: Seconds = 2.0


class IngressSettings(Group):
    """The front door.

    A request in flight holds one of `in_flight_max` places from its verification to its answer; one that waits longer
    than `in_flight_wait_seconds` for it is shed. A body over `body_bytes_unreserved` also holds one of
    `large_bodies_max` places while it is received, so slow senders can't fill the memory or the window. Checks that
    cost milliseconds are made one at a time, and `dear_checks_waiting_max` may wait for that, as long as for a place.
    Kafka has `publish_timeout_seconds` to acknowledge; where it is silent for `hedge_seconds` the spool is asked beside
    it, which has `spool_timeout_seconds`. A broker that failed is left alone for `breaker_seconds`. `linger_seconds` is
    how long a refused sender may go on sending so that it reads the answer. A sender's address is the connection's, or
    behind `trusted_proxies` the last one of X-Forwarded-For that is none of them.

    An address (of IPv6 each /64) has `connections_per_address_max` of the `connections_max` connections, unless it is a
    trusted proxy. While more than four fifths are taken, `crowded_deadline_seconds` is how long a head may take and a
    connection may rest. `backlog_connections` may wait to be taken in, as far as the kernel's own bound allows
    (net.core.somaxconn): one too many is dropped, and tries again after a second. An answer that is not read for
    `write_deadline_seconds` ends the connection. The bounds together fit the memory that the Helm chart gives an
    ingress.

    A copy of a delivery that is being published waits `twin_wait_seconds` for it before it is published too; what is
    durable is remembered for `twins_kept_seconds`, up to `twins_kept_max` deliveries, and its copies are not published.
    Requests for the spool share a transaction of up to `spool_group_records_max` records and `spool_group_bytes_max`.
    Hints have `hint_connections_max` connections to Postgres of their own, so that a flood of them holds up nothing.
    """

    bind: str = "127.0.0.1:8080"
    body_bytes_max: Count = 1024 * 1024
    in_flight_max: Count = 512
    in_flight_wait_seconds: Seconds = 5.0
    receipt_deadline_seconds: Seconds = 10.0
    keep_alive_seconds: Seconds = 30.0
    drain_seconds: Seconds = 10.0
    retry_after_seconds: Count = 2
    header_bytes_max: Count = 32 * 1024
    header_fields_max: Count = 100
    connections_max: Count = 2048
    connections_per_address_max: Count = 256
    crowded_deadline_seconds: Seconds = 3.0
    write_deadline_seconds: Seconds = 10.0
    backlog_connections: Count = 2048
    linger_seconds: Seconds = 2.0
    body_bytes_unreserved: Count = 32 * 1024
    large_bodies_max: Count = 64
    dear_checks_waiting_max: Count = 256
    publish_timeout_seconds: Seconds = 3.0
    hedge_seconds: Seconds = 0.4
    breaker_seconds: Seconds = 1.0
    spool_timeout_seconds: Seconds = 3.0
    spool_connections_max: Count = 4
    hint_connections_max: Count = 2
    spool_group_records_max: Count = 500
    spool_group_bytes_max: Count = 8 * 1024 * 1024
    twin_wait_seconds: Seconds = 2.0
    twins_kept_seconds: Seconds = 5.0
    twins_kept_max: Count = 10_000
    ready_timeout_seconds: Seconds = 2.0
    ready_interval_seconds: Seconds = 2.0
    trusted_proxies: JsonTuple[IPvAnyNetwork] = ()
    certificates: CertificateSettings = CertificateSettings()


class IntentsSettings(Group):
    """The payment-intents API.

    The answer to an Idempotency-Key is kept for `kept_seconds`, at least a day, and then deleted by `clean_rows_max` at
    a time. A twin waits `twin_wait_seconds` for the first one's end before it is told to come again. A capture, cancel
    or refund that was asked for counts against the next one until the payment shows it, or for `asked_seconds` where
    the consumer has not taken it on. Once it has, nobody begins it later than `command_expires_seconds` after it was
    asked for, and without an answer that ends it its money is free `command_grace_seconds` after that. Commands are
    kept for `commands_kept_seconds`.
    A name that leads to more than `payments_found_max` payments shows so many.
    Bodies have bounds of their own: `body_bytes_max`, and `large_bodies_max` over the ingress' `body_bytes_unreserved`.
    """

    in_flight_max: Count = 256
    in_flight_wait_seconds: Seconds = 2.0
    body_bytes_max: Count = 256 * 1024
    large_bodies_max: Count = 16
    connections_max: Count = 8
    timeout_seconds: Seconds = 4.0
    twin_wait_seconds: Seconds = 1.0
    kept_seconds: Annotated[float, Field(ge=24 * 3600)] = 48 * 3600.0
    asked_seconds: Seconds = 24 * 3600.0
    command_expires_seconds: Seconds = 6 * 3600.0
    command_grace_seconds: Seconds = 18 * 3600.0
    commands_kept_seconds: Annotated[float, Field(ge=48 * 3600)] = 90 * 24 * 3600.0
    clean_rows_max: Count = 500
    clean_interval_seconds: Seconds = 60.0
    timeline_rows_max: Count = 500
    payments_found_max: Count = 20
    defects_max: Count = 20


class ConsumerSettings(Group):
    """The consumer: its batches, its patience, its bounds.

    `instance_id` makes it a static member of its group: after a sudden death it gets its partitions back at once, not
    `session_timeout_seconds` later. Each consumer needs an id of its own (a slot, a pod's name of a StatefulSet); a
    clean stop then keeps the partitions for that time too, so a group that shrinks for good is slower to share.

    A fetch of `share_records_min` or more, or as large as one can be, is shared out to all `batches_in_flight_max`
    lanes; a smaller one is one batch on a lane that is free: what a transaction costs by itself is more than what
    sharing gives.

    A fetch is at most `partition_fetch_bytes_max` of a partition as it comes, and as much at once when decompressed.
    Parked events are woken in parts that are no larger than a batch may be (`batch_records_max`, `batch_bytes_max`).

    After `unclean_ends_max` unclean ends at one place records go one by one, and one that as many processes ended with
    in hand is a dead letter; the process ends itself where it hangs with it for `hang_seconds_max`.

    What topics and partitions there are is asked again each `metadata_age_seconds_max`: new ones are read after that.
    """

    batch_records_max: Count = 1000
    batch_bytes_max: Count = 16 * 1024 * 1024
    batches_in_flight_max: Count = 4
    partition_fetch_bytes_max: Count = 4 * 1024 * 1024
    fetch_wait_seconds: Seconds = 0.05
    share_records_min: Count = 200
    metadata_age_seconds_max: Seconds = 5.0
    commit_interval_seconds: Seconds = 1.0
    commit_timeout_seconds: Seconds = 5.0
    drain_seconds: Seconds = 8.0
    session_timeout_seconds: Seconds = 10.0
    backoff_initial_seconds: Seconds = 0.1
    backoff_max_seconds: Seconds = 5.0
    twin_retries_max: Count = 20
    unexpected_run_max: Count = 50
    facts_per_payment_max: Count = 2000
    instance_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")] | None = None
    stall_seconds: Seconds = 20.0
    unclean_ends_max: Count = 2
    hang_seconds_max: Seconds = 10.0


class ParkingSettings(Group):
    """How long an event waits for its payment, and how the sweeper works.

    The deadline is 30 days, for so long Adyen delivers again.
    Time in which nothing was settled up to now for longer than `standstill_seconds_min` is added to every deadline:
    what an event waited for could not have come. `lengthen_records_max` deadlines are moved in one transaction, up to
    `sweep_records_max` events of `sweep_bytes_max` become dead letters in one.
    """

    deadline_seconds: Seconds = 30 * 86_400.0
    standstill_seconds_min: Seconds = 10.0
    lookup_timeout_seconds: Seconds = 5.0
    lengthen_records_max: Count = 5000
    sweep_interval_seconds: Seconds = 1.0
    lease_seconds: Seconds = 5.0
    sweep_records_max: Count = 500
    sweep_bytes_max: Count = 16 * 1024 * 1024


class RelaySettings(Group):
    """The relay: how much it carries at once, and how often it looks.

    After a failure it waits a random part of `backoff_initial_seconds`, doubled each time up to `backoff_max_seconds`.
    Each `cluster_check_seconds` it makes sure that transaction ids are still those of the cluster it knows.
    `pool_connections_max` is one connection a lane (changes, state, commands, dead letters, spool, redrives), one for
    the lease, one for cleaning, one for the sampling of what waits. A change, state, command or dead letter that Kafka
    takes in no form is passed by; where `refused_in_row_max` are refused with none taken between, the lane waits for
    the topic to be mended.
    """

    batch_records_max: Count = 4000
    batch_bytes_max: Count = 16 * 1024 * 1024
    poll_interval_seconds: Seconds = 0.1
    lease_seconds: Seconds = 5.0
    backoff_initial_seconds: Seconds = 0.1
    backoff_max_seconds: Seconds = 2.0
    cluster_check_seconds: Seconds = 5.0
    refused_in_row_max: Count = 100
    pool_connections_max: Annotated[int, Field(ge=9)] = 9


class RedriveSettings(Group):
    """Redrives of dead letters, and `ratchet dlq`.

    One redrive carries `letters_max` at most, at `rate_per_second` unless it says otherwise and never above
    `rate_per_second_max`; a pause of the relay is caught up for `burst_seconds` of the rate at most. A letter that came
    back `returns_max` times, or came back once and would come back again, needs --force. Letters that come back
    although the dry run said they would not stop it when they are `failures_min` at least and above `failure_ratio_max`
    of what it published; looked at each `failure_check_seconds`. A command follows a redrive, looking each
    `follow_interval_seconds`, and gives up when nothing moves for `follow_patience_seconds`. `payments.dlq` is read in
    parts of `read_records_max`; a listing looks through it for `take_in_seconds`, a rebuild until nothing comes for
    `rebuild_wait_seconds`. What was redacted or removed is remembered for `erased_letters_days`, longer than
    `payments.dlq` keeps its records, so that no rebuild brings it back.
    """

    letters_max: Count = 100_000
    rate_per_second: PerSecond = 500.0
    rate_per_second_max: PerSecond = 20_000.0
    burst_seconds: Seconds = 1.0
    returns_max: Count = 3
    failure_ratio_max: Annotated[float, Field(gt=0, le=1)] = 0.1
    failures_min: Count = 10
    failure_check_seconds: Seconds = 1.0
    preview_records_max: Count = 1000
    preview_bytes_max: Count = 16 * 1024 * 1024
    parked_read_max: Count = 10_000
    follow_interval_seconds: Seconds = 0.2
    follow_patience_seconds: Seconds = 30.0
    read_records_max: Count = 1000
    take_in_seconds: Seconds = 3.0
    rebuild_wait_seconds: Seconds = 20.0
    erased_letters_days: Count = 120


class AuditSettings(Group):
    """The key that signs seals and what retention leaves; whoever owns the schema must not have it."""

    seal_key: Annotated[SecretStr, Field(min_length=32)] | None = None


class RetentionSettings(Group):
    """How long rows stay that are no part of the ledger; `ratchet audit retain` removes older ones.

    Text messages that came to their end stay for `sms_days`, payments that were read again at their provider for
    `refetches_days`. Claims on bodies go with the ledger rows that they belong to.
    """

    sms_days: Annotated[int, Field(ge=30)] = 180
    refetches_days: Annotated[int, Field(ge=30)] = 90


class ConsoleSettings(Group):
    """The web console for the people on call.

    Without a password it binds to loopback alone. `public_url` is where people reach it, where that is not `bind`: over
    https its cookies are Secure. A visitor's address is found as at the door, behind `trusted_proxies` of its own. A
    session lasts `session_seconds`, and `session_idle_seconds` unused (a page that reloads itself is no use); that it
    ended elsewhere is seen within `session_check_seconds`. The password has 16 characters at least, or is its argon2id
    hash; where people have names of their own (`ratchet operator add`), it is their emergency entrance. An IPv4 address
    or IPv6 /64 may try `login_tries_max` passwords in `login_window_seconds`, and so many refusals a minute as
    `login_refusals_noted_max` are written down. A person's first password opens the page for choosing another for
    `one_time_password_hours`. It looks
    every `look_seconds`, or every `idle_look_seconds` when nobody watched for `idle_after_seconds`, remembers
    `history_seconds`, and counts no further than `count_max`. A page's look-ups share `pool_connections_max`
    connections, have `statement_timeout_seconds` each and show `rows_max` rows, a download `export_rows_max`;
    `payload_bytes_max` of a letter are shown. A preview or an order may take `action_timeout_seconds`, a check of the
    books `books_timeout_seconds`.
    """

    bind: str = "127.0.0.1:8081"
    password: Annotated[SecretStr, Field(min_length=16)] | None = None
    public_url: HttpUrl | None = None
    trusted_proxies: JsonTuple[IPvAnyNetwork] = ()
    session_seconds: Count = 12 * 3600
    session_idle_seconds: Count = 30 * 60
    session_check_seconds: Seconds = 5.0
    login_tries_max: Count = 5
    login_window_seconds: Seconds = 60.0
    login_refusals_noted_max: Count = 60
    one_time_password_hours: Annotated[int, Field(ge=1, le=24 * 30)] = 72
    login_addresses_max: Count = 4096
    form_bytes_max: Count = 64 * 1024
    pool_connections_max: Count = 4
    connect_timeout_seconds: Seconds = 3.0
    statement_timeout_seconds: Seconds = 4.0
    look_seconds: Seconds = 2.0
    look_timeout_seconds: Seconds = 4.0
    idle_look_seconds: Seconds = 10.0
    idle_after_seconds: Seconds = 60.0
    history_seconds: Seconds = 300.0
    count_max: Count = 100_000
    look_rows_max: Count = 200_000
    rows_max: Count = 50
    export_rows_max: Count = 100_000
    payload_bytes_max: Count = 64 * 1024
    action_timeout_seconds: Seconds = 60.0
    books_timeout_seconds: Seconds = 300.0
    receipt_deadline_seconds: Seconds = 10.0
    keep_alive_seconds: Seconds = 15.0
    header_bytes_max: Count = 32 * 1024
    header_fields_max: Count = 100
    linger_seconds: Seconds = 1.0
    connections_max: Count = 128
    connections_per_address_max: Count = 64
    crowded_deadline_seconds: Seconds = 3.0
    write_deadline_seconds: Seconds = 10.0
    drain_seconds: Seconds = 3.0


class RoleSettings(Group):
    """What every role has: its probe server and how it is watched.

    `parent_pid` and `lifeline_fd` are set by `ratchet up` for the roles that it starts: a role ends when its parent is
    gone or the pipe behind `lifeline_fd` closes. `token` names the process to whoever kills it on purpose.
    `drain_seconds_max` bounds a clean stop as a whole.
    """

    probe_bind: str = "127.0.0.1:0"
    probe_timeout_seconds: Seconds = 5.0
    probe_interval_seconds: Seconds = 1.0
    stalled_after_seconds: Seconds = 20.0
    start_seconds_max: Seconds = 30.0
    drain_seconds_max: Seconds = 14.0
    restart_backoff_initial_seconds: Seconds = 0.2
    restart_backoff_max_seconds: Seconds = 5.0
    log_bytes_max: Count = 16 * 1024 * 1024
    parent_pid: Count | None = None
    parent_poll_seconds: Seconds = 1.0
    lifeline_fd: Count | None = None
    token: UUID | None = None


class OpsSettings(Group):
    """The command line: how long it waits for an answer and how much it shows.

    A publisher's transaction that is open for longer than `transaction_notice_seconds` is named as a problem.
    """

    lookup_timeout_seconds: Seconds = 8.0
    transaction_notice_seconds: Seconds = 5.0
    disk_free_bytes_min: Count = 1024 * 1024 * 1024
    clock_skew_seconds_max: Seconds = 2.0
    secret_notice_seconds: Seconds = 14 * 24 * 3600.0
    board_interval_seconds: Seconds = 2.0
    report_interval_seconds: Seconds = 5.0
    timeline_rows_max: Count = 1000
    problems_max: Count = 20


class SampleSettings(Group):
    """The bundled sample of `ratchet up`: its size, its pace, its patience. `seed` makes the plan the same again."""

    seed: Count | None = None
    lives: Count = 700
    requests_in_flight_max: Count = 48
    request_timeout_seconds: Seconds = 30.0
    attempts_max: Count = 12
    backoff_initial_seconds: Seconds = 0.1
    backoff_max_seconds: Seconds = 5.0
    start_seconds_max: Seconds = 60.0
    settle_seconds_max: Seconds = 180.0
    settle_interval_seconds: Seconds = 0.3
    quiet_seconds_max: Seconds = 15.0


class LogSettings(Group):
    """Logging: JSON lines on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
