"""What every process has: its probe, its log, and the commands that start and watch it."""

from __future__ import annotations

from typing import Literal
from uuid import UUID  # noqa: TC003 - pydantic reads the annotations

from runtime.settings.base import Count, Group, Seconds


class RoleSettings(Group):
    """What every role has: its probe server, and how `ratchet up` watches it."""

    probe_bind: str = "127.0.0.1:0"
    """Address and port of `/livez`, `/readyz` and `/metrics`; port 0 takes one that is free."""
    probe_timeout_seconds: Seconds = 5.0
    """How long a probe may take to answer."""
    probe_interval_seconds: Seconds = 1.0
    """How often `ratchet up` asks a role's probe."""
    stalled_after_seconds: Seconds = 20.0
    """How long a role may be stuck before `ratchet up` replaces it."""
    start_seconds_max: Seconds = 30.0
    """How long a role may take until its probe answers first."""
    drain_seconds_max: Seconds = 14.0
    """How long a clean stop may take as a whole."""
    restart_backoff_initial_seconds: Seconds = 0.2
    """The first pause before a role that ended is started again."""
    restart_backoff_max_seconds: Seconds = 5.0
    """The longest such pause."""
    log_bytes_max: Count = 16 * 1024 * 1024
    """The size at which a role's log file gives way to a new one."""
    parent_pid: Count | None = None
    """Set by `ratchet up`: the process without which the role ends."""
    parent_poll_seconds: Seconds = 1.0
    """How often a role checks that this process lives."""
    lifeline_fd: Count | None = None
    """Set by `ratchet up`: the pipe at whose end the role ends."""
    token: UUID | None = None
    """Set by `ratchet up`: names the process to whoever kills it on purpose."""


class OpsSettings(Group):
    """The command line: how long it waits for an answer, and how much it shows."""

    lookup_timeout_seconds: Seconds = 8.0
    """How long Kafka or Postgres may take to answer a command."""
    server_timeout_seconds: Seconds = 75.0
    """How long a console may take to answer a command (`--server`)."""
    server_answer_bytes_max: Count = 64 * 1024 * 1024
    """The largest answer of a console that is read."""
    transaction_notice_seconds: Seconds = 5.0
    """A publisher's transaction that is open for longer is named as a problem."""
    disk_free_bytes_min: Count = 1024 * 1024 * 1024
    """Less free space at `RATCHET_HOME`, in a broker's folder, or on Postgres' disk, is named as a problem."""
    postgres_disk_bytes: Count | None = None
    """The size of the disk that Postgres lies on; unset: that disk is not watched."""
    clock_skew_seconds_max: Seconds = 2.0
    """A larger difference between Postgres' clock and ours is named as a problem."""
    standby_lag_bytes_max: Count = 256 * 1024 * 1024
    """A standby of Postgres that lacks more of the WAL is named as a problem."""
    secret_notice_seconds: Seconds = 14 * 24 * 3600.0
    """A secret or certificate that ends sooner is named as a problem."""
    board_interval_seconds: Seconds = 2.0
    """How often the live board is drawn."""
    report_interval_seconds: Seconds = 5.0
    """How often a line of progress is written where there is no board."""
    timeline_rows_max: Count = 1000
    """Rows of a timeline that are shown."""
    problems_max: Count = 20
    """Problems of a sample that are shown."""


class SampleSettings(Group):
    """The bundled sample of `ratchet up`: its size, and how long it is waited for."""

    seed: Count | None = None
    """Makes the plan the same again; unset: another plan each time."""
    lives: Count = 700
    """Payments of the sample."""
    requests_in_flight_max: Count = 48
    """Webhooks that are posted at once."""
    request_timeout_seconds: Seconds = 30.0
    """How long one answer may take."""
    attempts_max: Count = 12
    """Tries of one webhook."""
    backoff_initial_seconds: Seconds = 0.1
    """The first pause between two tries."""
    backoff_max_seconds: Seconds = 5.0
    """The longest pause between two tries."""
    start_seconds_max: Seconds = 60.0
    """How long brokers and ingress are waited for."""
    settle_seconds_max: Seconds = 180.0
    """How long to wait until the whole sample is processed."""
    settle_interval_seconds: Seconds = 0.3
    """How often that is checked."""
    quiet_seconds_max: Seconds = 15.0
    """How long to wait for what is missing once nothing is on its way any more."""


class LogSettings(Group):
    """Logging: JSON lines on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severity that is logged."""
