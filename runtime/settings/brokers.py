"""Where the brokers are, and the bounds on using them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr

from runtime.settings.base import Count, Group, Seconds


class KafkaSettings(Group):
    """Where Kafka is and how it is used. No bootstrap: the embedded one."""

    bootstrap: str | None = None
    partitions: Count = 4
    replication_factor: Count = 1
    request_timeout_seconds: Seconds = 10.0
    publish_timeout_seconds: Seconds = 10.0
    connect_timeout_seconds: Seconds = 5.0
    close_timeout_seconds: Seconds = 2.0
    linger_seconds: Annotated[float, Field(ge=0)] = 0.0
    producer_batch_bytes_max: Count = 256 * 1024


class PostgresSettings(Group):
    """Where Postgres is. No DSN: the embedded one. `owner_dsn` owns the schema: migrations and retention only."""

    dsn: SecretStr | None = None
    owner_dsn: SecretStr | None = None
    pool_connections_max: Count = 4
    connect_timeout_seconds: Seconds = 5.0
    statement_timeout_seconds: Seconds = 30.0
    lock_timeout_seconds: Seconds = 10.0
    idle_in_transaction_timeout_seconds: Seconds = 15.0


class RedisSettings(Group):
    """Where Redis is. No URL: the embedded one. It holds only what may be lost.

    An answer may take `timeout_seconds`, connecting included; after a failure Redis is left alone for
    `breaker_seconds`, and then asked in the background until it answers. Deployments that share a Redis need a
    `key_prefix` each. That a lease is taken is believed for `lease_trust_seconds`; then Postgres is asked.
    """

    url: SecretStr | None = None
    timeout_seconds: Seconds = 1.0
    connections_max: Count = 16
    breaker_seconds: Seconds = 1.0
    key_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9:_.-]{0,64}$")] = "ratchet:"
    lease_trust_seconds: Seconds = 1.0


class StackSettings(Group):
    """The embedded brokers: the patience with them."""

    start_timeout_seconds: Seconds = 60.0
    stop_grace_seconds: Seconds = 8.0
    leftover_wait_seconds: Seconds = 20.0
    probe_timeout_seconds: Seconds = 2.0
    watch_interval_seconds: Seconds = 0.25
    revive_backoff_max_seconds: Seconds = 5.0
    download_timeout_seconds: Count = 30
    download_tries_max: Count = 3
    download_threads: Count = 4
