"""Every metric, in one place: its name, its labels, its meaning.

Names follow Prometheus: base units, `_total` for counters, `_seconds` for times. Labels are closed sets, so a sender
can't make series: a provider is one that the settings may name, a reason is a slug of a catalogue. Every role answers
`/metrics` with all of it; what a role does not do stays at zero or is absent.

The hot path pays a batch, never an event: counters are raised by a batch's counts. `python -m runtime.metrics_table`
writes the catalogue as a table (deploy/METRICS.md).
"""

from __future__ import annotations

from importlib import metadata
from typing import Final, Literal

from prometheus_client import PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from runtime import metric_catalogue
from runtime.metric_catalogue import counter, gauge, histogram, note
from runtime.metric_kinds import AgeHistogram, BreakerGauges, PoolGauges, TotalCounter
from schemas.dead_letter import Reason
from schemas.payment import Outcome

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
REGISTRY: Final = metric_catalogue.REGISTRY
CATALOGUE: Final = metric_catalogue.CATALOGUE

Phase = Literal["decode", "acquire", "lock", "read", "fold", "write", "commit"]
PHASES: Final[tuple[Phase, ...]] = ("decode", "acquire", "lock", "read", "fold", "write", "commit")
VERDICTS: Final = (*Outcome, "duplicate", "parked", "woken", "dead_letter")
LANES: Final = ("changes", "state", "commands", "dead_letters", "spool", "redrives")

REQUEST_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
STEP_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Seconds of one step of a batch, or of a call."""
SIZE_BUCKETS: Final = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000)
AGE_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 6 * 3600, 24 * 3600)


# --- the ingress ----------------------------------------------------------------------------------------------------

INGRESS_REQUESTS: Final = counter(
    "ratchet_ingress_requests_total",
    "Requests at the ingress, by provider (none where it is no webhook of a known one) and outcome.",
    "provider",
    "outcome",
)
INGRESS_REFUSALS: Final = counter(
    "ratchet_ingress_refusals_total",
    "Requests that the ingress refused, by provider and reason; of a signature the reason inside, never shown outside.",
    "provider",
    "reason",
)
INGRESS_EVENTS: Final = counter(
    "ratchet_ingress_events_total",
    "Events that the ingress made durable, by provider and by where: kafka or spool.",
    "provider",
    "durability",
)
INGRESS_CONNECTIONS_REFUSED: Final = counter(
    "ratchet_ingress_connections_refused_total",
    "Connections that found no place: connections_full (all are taken), address_connections_full (one address has"
    " its share).",
    "reason",
)
INGRESS_SECONDS: Final = histogram(
    "ratchet_ingress_request_seconds", "Time from a request's head to its answer.", REQUEST_BUCKETS
)

# --- the consumer ----------------------------------------------------------------------------------------------------

CONSUMER_EVENTS: Final = counter(
    "ratchet_consumer_events_total",
    "Events by verdict: applied, noop, late, conflict (ledger rows), duplicate (in the ledger already), parked (waits"
    " for its payment), woken (was parked, counted under its outcome too), dead_letter.",
    "verdict",
)
LEDGER_ROWS: Final = counter(
    "ratchet_ledger_rows_total",
    "Ledger rows by source (a provider, intents, or other) and outcome.",
    "source",
    "outcome",
)
DEAD_LETTERS: Final = counter(
    "ratchet_dead_letters_total",
    "Dead letters made, by reason; a parked event past its deadline counts here when it is buried.",
    "reason",
)
DEAD_LETTERS_APPLIED: Final = counter(
    "ratchet_dead_letters_applied_total",
    "Dead letters of orphans whose payment came after all: their event is in the ledger, the letter is `applied`.",
)
BATCH_RECORDS: Final = histogram(
    "ratchet_consumer_batch_records", "Records of a batch: one fetch, one transaction where none is bad.", SIZE_BUCKETS
)
BATCH_SECONDS: Final = histogram(
    "ratchet_consumer_batch_seconds", "Time to process a batch, waits for Postgres included.", STEP_BUCKETS
)
BATCH_PHASE_SECONDS: Final = histogram(
    "ratchet_consumer_batch_phase_seconds",
    "Time of a batch by phase: decode, acquire (a connection), lock, read, fold, write, commit.",
    STEP_BUCKETS,
    "phase",
)
END_TO_END_SECONDS: Final = AgeHistogram(
    *note(
        "ratchet_end_to_end_seconds",
        "histogram",
        "Age of an event when its transaction has committed, since the time of its Kafka record.",
    ),
    AGE_BUCKETS,
)
REGISTRY.register(END_TO_END_SECONDS)
CONSUMER_LAG: Final = gauge(
    "ratchet_consumer_lag_records",
    "Offsets between what was fetched and a partition's high watermark: of the partitions of this consumer, halted ones"
    " and those behind an open transaction too, and of those that nobody in the group has.",
    "topic",
    "partition",
)
STANDSTILL_SECONDS: Final = gauge(
    "ratchet_consumer_partition_standstill_seconds",
    "For how long a partition with records to read stands still, by cause: halted, open_transaction, unassigned.",
    "topic",
    "partition",
    "cause",
)
PARKING_STANDSTILL_SECONDS: Final = gauge(
    "ratchet_parking_standstill_seconds",
    "For how long time has not counted against parked events: what came in is not processed. 0 while it counts.",
)
RECORDS_SKIPPED: Final = counter(
    "ratchet_consumer_records_skipped_total",
    "Offsets that were deleted before they were read, by retention or by hand: what they reported never took effect.",
    "topic",
    "partition",
)
TOPICS_MADE_ANEW: Final = counter(
    "ratchet_consumer_topics_made_anew_total",
    "Times that a topic was found to be deleted and made anew; it was then read from its beginning.",
    "topic",
)
PARTITION_HALTED: Final = gauge(
    "ratchet_consumer_partition_halted",
    "1 for a partition that takes no records any more: too many bad ones in a row; see the log, then restart.",
    "topic",
    "partition",
)
PARTITIONS_ASSIGNED: Final = gauge("ratchet_consumer_partitions_assigned", "Partitions that this consumer has.")
REBALANCES: Final = counter("ratchet_consumer_rebalances_total", "Assignments that this consumer was given.")
POSTGRES_AWAY: Final = gauge("ratchet_consumer_postgres_away", "1 while batches wait for a Postgres that is away.")
CONFLICT_RETRIES: Final = counter(
    "ratchet_consumer_twin_retries_total",
    "Transactions made again because another one was in the way: unique violation, deadlock, lock time-out.",
)
BISECTIONS: Final = counter(
    "ratchet_consumer_bisections_total", "Batches halved because Postgres or the code refused something in them."
)

# --- the relay -------------------------------------------------------------------------------------------------------

RELAY_RECORDS: Final = counter("ratchet_relay_records_total", "Records that Kafka acknowledged, by lane.", "lane")
RELAY_PUBLISH_SECONDS: Final = histogram(
    "ratchet_relay_publish_seconds",
    "Time from handing a batch to Kafka to its last acknowledgement, by lane.",
    STEP_BUCKETS,
    "lane",
)
RELAY_FAILURES: Final = counter(
    "ratchet_relay_failures_total", "Turns of a lane that failed and are made again, by lane.", "lane"
)
RECORDS_READ_AGAIN: Final = counter(
    "ratchet_records_read_again_total",
    "Offsets gone back over because the database was older than the group's offsets, by topic and partition.",
    "topic",
    "partition",
)
RELAY_REFUSED: Final = counter(
    "ratchet_relay_refused_total",
    "Records that Kafka takes in no form, by lane: a spooled event became a dead letter, a redriven one is open again, "
    "of the others the row is left.",
    "lane",
)
RELAY_HALTED: Final = gauge(
    "ratchet_relay_halted", "1 for a lane that stands still: the database was restored; see the log.", "lane"
)
OUTBOX_ROWS: Final = gauge(
    "ratchet_outbox_rows",
    "Rows not relayed yet: changes, state, commands, dead_letters, spool. Sampled by the relay that leads, absent"
    " elsewhere.",
    "lane",
)
PARKED_EVENTS: Final = gauge(
    "ratchet_parked_events", "Events that wait for their payment now. Sampled by the relay that leads.", "reason"
)
DEAD_LETTERS_OPEN: Final = gauge(
    "ratchet_dead_letters_open",
    "Dead letters that nobody has dealt with yet and no note speaks of. Sampled by the relay that leads.",
    "reason",
)
DEAD_LETTERS_NOTED: Final = gauge(
    "ratchet_dead_letters_noted",
    "Open dead letters with a note of people that stands: nobody is called for them. Sampled by the relay that leads.",
    "reason",
)
FLAGGED_PAYMENTS: Final = gauge(
    "ratchet_flagged_payments",
    "Payments of live money whose facts do not add up, by flag. Sampled by the relay that leads.",
    "flag",
)
FLAGGED_SECONDS: Final = gauge(
    "ratchet_flagged_oldest_seconds",
    "How long the oldest of those payments has had a flag, by flag; 0 where there is none.",
    "flag",
)

COMMANDS_UNANSWERED: Final = gauge(
    "ratchet_commands_unanswered",
    "Commands that expired without an answer that ends them, by command: nobody knows what became of their money. "
    "Sampled by the relay that leads.",
    "command",
)

# --- the dispatcher --------------------------------------------------------------------------------------------------

SMS: Final = counter(
    "ratchet_sms_total",
    "Tries to send a message, by outcome: taken, rejected, unknown, held (the account is refused), untrue by now.",
    "outcome",
)
REFETCHES: Final = counter(
    "ratchet_refetches_total",
    "Payments read again at a provider's API, by provider and outcome: answered, again, absent, refused, put_back.",
    "provider",
    "outcome",
)
DISPATCHER_WAITING: Final = gauge(
    "ratchet_dispatcher_waiting", "Work that waits for the dispatcher, by job: refetches, sms.", "desk"
)

WEBHOOKS_RECALLED: Final = TotalCounter(
    *note(
        "ratchet_webhooks_recalled_total",
        "counter",
        "Events that the provider's own list brought before a webhook did, by provider. Read from the table by the"
        " dispatcher that leads.",
        ("provider",),
    ),
    "provider",
)
REGISTRY.register(WEBHOOKS_RECALLED)
WEBHOOKS_LOST: Final = TotalCounter(
    *note(
        "ratchet_webhooks_lost_total",
        "counter",
        "Of those, events whose webhook did not come for as long as the provider tries to deliver it. Read from the"
        " table by the dispatcher that leads.",
        ("provider",),
    ),
    "provider",
)
REGISTRY.register(WEBHOOKS_LOST)
RECALL_PAGES: Final = counter(
    "ratchet_recall_pages_total",
    "Pages of providers' lists that were asked for, by provider and outcome: read, again, refused.",
    "provider",
    "outcome",
)
RECALL_BEHIND_SECONDS: Final = gauge(
    "ratchet_recall_behind_seconds",
    "For how long a list has not been read to its end, by source: what never came since then is not known.",
    "source",
)

# --- the console -----------------------------------------------------------------------------------------------------

SIGN_IN_OUTCOMES: Final = ("taken", "refused", "limited")
SIGN_INS: Final = counter(
    "ratchet_console_sign_ins_total",
    "Passwords given to the console, by outcome: taken, refused, limited (not looked at: the address tried too often).",
    "outcome",
)

# --- every role ------------------------------------------------------------------------------------------------------

ROLE_READY: Final = gauge("ratchet_role_ready", "1 where the role takes work now: what /readyz says.", "role")
ROLE_STUCK: Final = gauge(
    "ratchet_role_stuck", "1 where the role lives but does not get on: what /livez says with 503.", "role"
)
POOL_CONNECTIONS: Final = PoolGauges(
    *note(
        "ratchet_postgres_pool_connections",
        "gauge",
        "Postgres connections of this process by state: in_use, idle, and max that the pools may open.",
        ("state",),
    )
)
REGISTRY.register(POOL_CONNECTIONS)
BREAKERS: Final = BreakerGauges(
    *note(
        "ratchet_breaker_state",
        "gauge",
        "1 for the state that the breaker before a service is in: closed (used), probing, open (left alone).",
        ("service", "state"),
    )
)
REGISTRY.register(BREAKERS)
LEASE_HELD: Final = gauge("ratchet_lease_held", "1 where this process holds the lease.", "lease")
LEASE_TOKEN: Final = gauge(
    "ratchet_lease_token", "Fencing token of the lease when this process last took it: it never falls.", "lease"
)
BACKGROUND_FAILURES: Final = counter(
    "ratchet_background_failures_total",
    "Failures of a task that runs beside others in its process and was begun anew, by task.",
    "task",
)
SERVERS_AWAY: Final = gauge(
    "ratchet_servers_away",
    "Brokers, or hosts of the DSN of Postgres, that did not answer this process at its last look, and lacks of copies.",
    "kind",
)
DISKS_LOW: Final = gauge(
    "ratchet_disks_low",
    "Brokers' folders with less room than RATCHET_OPS__DISK_FREE_BYTES_MIN at this process's last look.",
)
CLOCK_AHEAD: Final = gauge(
    "ratchet_postgres_clock_ahead_seconds",
    "Seconds that Postgres's clock is surely ahead of this process's, below 0 where it is behind.",
)
COMMITS_WAITING: Final = gauge("ratchet_commits_waiting", "COMMITs of our role that wait for a standby for 2 s.")
OLDEST_TRANSACTION_SECONDS: Final = gauge(
    "ratchet_oldest_transaction_seconds",
    "How long the oldest open transaction, which the relay waits for, has been seen. Sampled by the relay that leads.",
)
STANDBY_LAG_BYTES: Final = gauge(
    "ratchet_standby_lag_bytes",
    "WAL that the standby furthest behind lacks; 0 too without pg_read_all_stats. Sampled by the relay that leads.",
)
POSTGRES_DISK_LOW: Final = gauge(
    "ratchet_postgres_disk_low",
    "1 where databases and WAL leave less of RATCHET_OPS__POSTGRES_DISK_BYTES than RATCHET_OPS__DISK_FREE_BYTES_MIN."
    " Sampled by the relay that leads.",
)
POSTGRES_SILENCES: Final = counter(
    "ratchet_postgres_silences_total",
    "Times a Postgres server did not answer at all while a session waited for it, and its sessions were ended.",
)
LOG_LINES_LOST: Final = counter(
    "ratchet_log_lines_lost_total",
    "Log lines that could not be written, because the disk was full, say; at least so many.",
)
LEASE_LOSSES: Final = counter(
    "ratchet_lease_losses_total",
    "Leases that were lost while work was done under them: expired or taken over.",
    "lease",
)
BUILD_INFO: Final = gauge("ratchet_build_info", "Always 1; the version is its label.", "version")

ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)


def _open_series() -> None:
    """Make the series of closed sets, at zero: a rate must see the first event too."""
    BUILD_INFO.labels(metadata.version("ratchet-payments")).set(1)
    for verdict in VERDICTS:
        CONSUMER_EVENTS.labels(verdict)
    for reason in Reason:
        DEAD_LETTERS.labels(reason)
    for phase in PHASES:
        BATCH_PHASE_SECONDS.labels(phase)
    for lane in LANES:
        RELAY_RECORDS.labels(lane)
        RELAY_FAILURES.labels(lane)
        RELAY_REFUSED.labels(lane)
    for outcome in ("taken", "rejected", "unknown", "held", "untrue"):
        SMS.labels(outcome)
    for outcome in SIGN_IN_OUTCOMES:
        SIGN_INS.labels(outcome)


_open_series()


def page() -> bytes:
    """Return all metrics in Prometheus's text format."""
    return generate_latest(REGISTRY)
