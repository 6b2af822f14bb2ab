"""What each role may take, how long it waits, how much it holds."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator
from pydantic.networks import IPvAnyNetwork  # noqa: TC002 - pydantic reads the annotations

from runtime.settings.base import Count, Group, HttpUrl, JsonTuple, Seconds
from runtime.settings.certificates import CertificateSettings
from runtime.settings.sso import SsoSettings


class IngressSettings(Group):
    """The ingress: what it takes, and how long it waits.

    A request in flight holds a place from its verification to its answer; a large body holds one while it is received.
    The bounds together fit the memory that the Helm chart gives an ingress. A sender's address is the connection's, or,
    behind a trusted proxy, the last one of X-Forwarded-For that is none of them; of IPv6 each /64 counts as one.
    """

    bind: str = "127.0.0.1:8080"
    """Address and port to listen on."""
    body_bytes_max: Count = 1024 * 1024
    """The largest body; a provider may have a smaller bound."""
    in_flight_max: Count = 512
    """Webhooks in flight at once."""
    in_flight_wait_seconds: Seconds = 5.0
    """How long a request waits for a place before it is answered 503."""
    receipt_deadline_seconds: Seconds = 10.0
    """How long a request may take to arrive, body included."""
    keep_alive_seconds: Seconds = 30.0
    """How long a connection may rest between requests."""
    drain_seconds: Seconds = 10.0
    """How long a stop waits for requests in flight."""
    retry_after_seconds: Count = 2
    """Retry-After of an answer 503."""
    header_bytes_max: Count = 32 * 1024
    """The largest head of a request."""
    header_fields_max: Count = 100
    """Header fields of a request."""
    connections_max: Count = 2048
    """Connections in all."""
    connections_per_address_max: Count = 256
    """Connections of one address, unless it is a trusted proxy."""
    crowded_deadline_seconds: Seconds = 3.0
    """While four fifths of the connections are taken: how long a head may take, and a connection rest."""
    write_deadline_seconds: Seconds = 10.0
    """How long an answer may stay unread before the connection is ended."""
    backlog_connections: Count = 2048
    """Connections that may wait to be accepted, within the kernel's own bound (net.core.somaxconn)."""
    linger_seconds: Seconds = 2.0
    """How long a refused sender may go on sending, so that it reads the answer."""
    body_bytes_unreserved: Count = 32 * 1024
    """A larger body needs one of the places for large ones."""
    large_bodies_max: Count = 64
    """Large bodies that are received at once."""
    dear_checks_waiting_max: Count = 256
    """Requests that may wait for a signature check that costs milliseconds; one is made at a time."""
    publish_timeout_seconds: Seconds = 3.0
    """How long Kafka has to acknowledge; then the record goes to the spool."""
    hedge_seconds: Seconds = 0.2
    """How long a broker may be silent before the spool is asked beside it."""
    breaker_seconds: Seconds = 1.0
    """How long a broker that failed is left alone."""
    spool_timeout_seconds: Seconds = 3.0
    """How long the spool has to take a record; then the answer is 503."""
    spool_connections_max: Count = 4
    """Connections to Postgres that may write into the spool at a time; one more looks after it."""
    hint_connections_max: Count = 2
    """Connections to Postgres for hints, so that a flood of them holds up nothing else."""
    spool_group_records_max: Count = 500
    """Records that share a transaction of the spool."""
    spool_group_bytes_max: Count = 8 * 1024 * 1024
    """Bytes that share a transaction of the spool."""
    twin_wait_seconds: Seconds = 2.0
    """How long a copy of a delivery that is being published waits for it before it is published too."""
    twins_kept_seconds: Seconds = 5.0
    """How long a durable delivery is remembered, so that its copies are not published."""
    twins_kept_max: Count = 10_000
    """Deliveries that are remembered."""
    ready_timeout_seconds: Seconds = 2.0
    """How long Kafka or Postgres may take to answer the readiness check."""
    ready_interval_seconds: Seconds = 2.0
    """How often readiness is checked."""
    trusted_proxies: JsonTuple[IPvAnyNetwork] = ()
    """Proxies whose X-Forwarded-For is believed."""
    certificates: CertificateSettings = CertificateSettings()


class ConsumerSettings(Group):
    """The consumer: its batches, how long it waits, how much it holds.

    With an `instance_id` it is a static member of its group: after a sudden death it gets its partitions back at once,
    not `session_timeout_seconds` later. A clean stop then keeps the partitions for that time too, so a group that
    shrinks for good is slower to share. After `unclean_ends_max` unclean ends at one offset, records are processed one
    by one, and one that as many processes ended with in hand becomes a dead letter.
    """

    batch_records_max: Count = 1000
    """Records of one transaction."""
    batch_bytes_max: Count = 16 * 1024 * 1024
    """Bytes of one fetch, and of parked events that are woken at once."""
    batches_in_flight_max: Count = 4
    """Transactions side by side."""
    partition_fetch_bytes_max: Count = 4 * 1024 * 1024
    """Bytes of one partition a fetch, and as many again when decompressed."""
    fetch_wait_seconds: Seconds = 0.05
    """How long a fetch waits at the broker for a first record."""
    share_records_min: Count = 200
    """A fetch of so many records or more is divided into transactions side by side; a smaller one is one batch."""
    metadata_age_seconds_max: Seconds = 5.0
    """How often Kafka is asked which topics and partitions there are."""
    commit_interval_seconds: Seconds = 1.0
    """How often offsets are committed."""
    commit_timeout_seconds: Seconds = 5.0
    """How long committing offsets, or reading them, may take."""
    drain_seconds: Seconds = 8.0
    """How long a stop or a rebalance waits for batches in work."""
    session_timeout_seconds: Seconds = 8.0
    """How long the group waits for a member that is silent; brokers allow none under 6 s."""
    backoff_initial_seconds: Seconds = 0.1
    """The first pause while Postgres is away."""
    backoff_max_seconds: Seconds = 1.0
    """The longest pause while Postgres is away."""
    twin_retries_max: Count = 20
    """Tries of a batch that another transaction is in the way of."""
    unexpected_run_max: Count = 50
    """Bad records of a partition in a row, with no success between, after which it halts."""
    facts_per_payment_max: Count = 2000
    """Facts of one payment; an event beyond them becomes a dead letter."""
    instance_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")] | None = None
    """This consumer's own id: a slot, or the name of a StatefulSet's pod."""
    stall_seconds: Seconds = 20.0
    """How long nothing may be attempted, with records waiting, before the probe reports the consumer stuck."""
    unclean_ends_max: Count = 2
    """Unclean ends at one offset before records are processed one by one."""
    hang_seconds_max: Seconds = 10.0
    """How long a record that is processed by itself may take before the process ends itself."""
    payments_per_promise_max: Count = 200
    """Payments in the group of a reference that an intent promised; further ones are found under it and stay apart."""


class ParkingSettings(Group):
    """How long an event waits for its payment, and how the sweeper works.

    Time in which what an event waits for could not have come is added to every deadline.
    """

    deadline_seconds: Seconds = 30 * 86_400.0
    """How long an event waits: 30 days, for so long Adyen delivers again."""
    standstill_seconds_min: Seconds = 10.0
    """A standstill that is longer is added to the deadlines."""
    lookup_timeout_seconds: Seconds = 5.0
    """How long Kafka may take to answer where partitions end."""
    lengthen_records_max: Count = 5000
    """Deadlines that are moved in one transaction."""
    sweep_interval_seconds: Seconds = 1.0
    """How often the sweeper looks."""
    lease_seconds: Seconds = 5.0
    """How long the sweeper's lease holds without being renewed."""
    sweep_records_max: Count = 500
    """Events that become dead letters in one transaction."""
    sweep_bytes_max: Count = 16 * 1024 * 1024
    """Bytes of events that become dead letters in one transaction."""


class RelaySettings(Group):
    """The relay: how much it carries at once, and how often it looks."""

    batch_records_max: Count = 4000
    """Records that are read and published at once."""
    batch_bytes_max: Count = 16 * 1024 * 1024
    """Bytes that are read and published at once."""
    poll_interval_seconds: Seconds = 0.1
    """How often each output looks for something new."""
    lease_seconds: Seconds = 5.0
    """How long the relay's lease holds without being renewed."""
    backoff_initial_seconds: Seconds = 0.1
    """After a failure it waits a random part of this, doubled each time."""
    backoff_max_seconds: Seconds = 2.0
    """The longest such pause."""
    cluster_check_seconds: Seconds = 5.0
    """How often the relay checks that transaction ids are still those of the cluster that it knows."""
    refused_in_row_max: Count = 100
    """Records that Kafka takes in no form are passed by; so many in a row stop the output until the topic is mended."""
    pool_connections_max: Annotated[int, Field(ge=9)] = 9
    """Connections: one for each of the six outputs, the lease, cleaning, and sampling what waits."""


class ConsoleSettings(Group):
    """The web console for the people on call.

    Without a password it binds to loopback alone. A visitor's address is found as at the ingress, behind proxies of the
    console's own; of IPv6 each /64 counts as one.
    """

    bind: str = "127.0.0.1:8081"
    """Address and port to listen on."""
    password: Annotated[SecretStr, Field(min_length=16)] | None = None
    """16 characters or more, or their argon2id hash; the emergency entrance where people have names (`ratchet operator
    add`).
    """
    public_url: HttpUrl | None = None
    """Where people reach it, where that is not `bind`; over https its cookies are Secure."""
    trusted_proxies: JsonTuple[IPvAnyNetwork] = ()
    """Proxies whose X-Forwarded-For is believed."""
    person_header: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,62}$")] | None = None
    """The header in which a proxy that signs people in names them; it has to take it from what visitors send. Roles are
    those of `ratchet operator`.
    """
    person_proxies: JsonTuple[IPvAnyNetwork] = ()
    """The proxies that are believed so."""
    session_seconds: Count = 12 * 3600
    """How long a session lasts."""
    session_idle_seconds: Count = 30 * 60
    """How long a session lasts unused; a page that reloads itself does not count as use."""
    session_check_seconds: Seconds = 5.0
    """How soon a session that was ended elsewhere ends here too."""
    login_tries_max: Count = 5
    """Passwords that an address may try in one window, and a person who chooses another one as the current one."""
    login_window_seconds: Seconds = 60.0
    """The length of that window."""
    login_refusals_noted_max: Count = 60
    """Refused sign-ins that are recorded a minute."""
    one_time_password_hours: Annotated[int, Field(ge=1, le=24 * 30)] = 72
    """How long a person's first password opens the page for choosing another."""
    login_addresses_max: Count = 4096
    """Addresses whose tries are counted; the one longest unseen gives way."""
    form_bytes_max: Count = 64 * 1024
    """The largest form."""
    pool_connections_max: Count = 4
    """Connections to Postgres that all pages share."""
    connect_timeout_seconds: Seconds = 3.0
    """How long a connection to Postgres may take to open, or to become free."""
    statement_timeout_seconds: Seconds = 4.0
    """How long one look-up of a page may run."""
    look_seconds: Seconds = 2.0
    """How often the board looks."""
    look_timeout_seconds: Seconds = 4.0
    """How long one look may take."""
    idle_look_seconds: Seconds = 10.0
    """How often it looks while nobody watches."""
    idle_after_seconds: Seconds = 60.0
    """How long after the last visit nobody counts as watching."""
    history_seconds: Seconds = 300.0
    """How much the board's charts remember."""
    count_max: Count = 100_000
    """Where the counting of a queue stops."""
    look_rows_max: Count = 200_000
    """Ledger rows that one look counts."""
    rows_max: Count = 50
    """Rows of a page."""
    export_rows_max: Count = 100_000
    """Rows of a download."""
    payload_bytes_max: Count = 64 * 1024
    """Bytes of a dead letter that are shown."""
    action_timeout_seconds: Seconds = 60.0
    """How long a dry run or an action may take."""
    books_timeout_seconds: Seconds = 300.0
    """How long a check of the ledger may take."""
    receipt_deadline_seconds: Seconds = 10.0
    """How long a request may take to arrive."""
    keep_alive_seconds: Seconds = 15.0
    """How long a connection may rest between requests."""
    header_bytes_max: Count = 32 * 1024
    """The largest head of a request."""
    header_fields_max: Count = 100
    """Header fields of a request."""
    linger_seconds: Seconds = 1.0
    """How long a refused sender may go on sending, so that it reads the answer."""
    connections_max: Count = 128
    """Connections in all."""
    connections_per_address_max: Count = 64
    """Connections of one address, unless it is a trusted proxy."""
    crowded_deadline_seconds: Seconds = 3.0
    """While four fifths of the connections are taken: how long a head may take, and a connection rest."""
    write_deadline_seconds: Seconds = 10.0
    """How long an answer may stay unread before the connection is ended."""
    drain_seconds: Seconds = 3.0
    """How long a stop waits for requests in flight."""
    sso: SsoSettings = SsoSettings()

    @model_validator(mode="after")
    def _proxies_that_name_people(self) -> Self:
        if (self.person_header is None) is not (self.person_proxies == ()):
            raise ValueError("person_header and person_proxies belong together; set both or neither")
        if self.sso.issuer is not None and self.public_url is None:
            raise ValueError("sso.issuer needs public_url: the provider redirects people to it")
        return self
