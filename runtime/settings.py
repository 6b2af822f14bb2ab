"""The configuration: one frozen tree, read from the environment and a TOML file; nobody else reads either.

Environment names begin with RATCHET_ and nest by `__`; RATCHET_CONFIG names a TOML file with the same tree. The
environment wins. An unknown name or a bad value refuses to start and is named. Names end in their unit.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping  # noqa: TC003 - pydantic reads the annotations
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic.networks import IPvAnyNetwork  # noqa: TC002 - pydantic reads the annotations
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from runtime.secret_windows import Secret  # noqa: TC001 - pydantic reads the annotations
from schemas.errors import SettingsError

PREFIX: Final = "RATCHET_"

Seconds = Annotated[float, Field(gt=0)]
PerSecond = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


def _decode_json(value: object) -> object:
    """Decode a JSON array that came as text: deep names of the environment reach us undecoded."""
    return json.loads(value) if isinstance(value, str) else value


HttpUrl = Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")]
Item = TypeVar("Item")
JsonTuple = Annotated[tuple[Item, ...], BeforeValidator(_decode_json)]


def _as_list(value: object) -> object:
    """Take one key for a list of one."""
    return (value,) if isinstance(value, str | SecretStr) else value


ClientName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
ApiKeys = Annotated[tuple[SecretStr, ...], BeforeValidator(_as_list), Field(min_length=1)]
"""The keys of one client of the intents API: one, or a list while an old one is being replaced."""


class Group(BaseModel):
    """Base of all groups: frozen, and an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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
    """Where Redis is. No URL: the embedded one. It holds only what may be lost."""

    url: SecretStr | None = None
    timeout_seconds: Seconds = 1.0


class CertificateSettings(Group):
    """Certificates that a request names by URL (PayPal's): how they are fetched and kept.

    `entries_max` are kept and fetched again after `ttl_seconds`; where that fails, the old one serves for
    `stale_seconds` more. Beyond `fetches_max` fetches, or `waiters_max` requests that wait for one, a request is told
    to come again. A host is left alone for `breaker_seconds` after `breaker_failures_max` failures in a row.
    """

    entries_max: Count = 32
    ttl_seconds: Seconds = 3600.0
    stale_seconds: Seconds = 24 * 3600.0
    bytes_max: Count = 64 * 1024
    timeout_seconds: Seconds = 3.0
    fetches_max: Count = 8
    waiters_max: Count = 64
    breaker_failures_max: Count = 3
    breaker_seconds: Seconds = 2.0


class IngressSettings(Group):
    """The front door.

    A request in flight holds one of `in_flight_max` places from its verification to its answer; one that waits longer
    than `in_flight_wait_seconds` for it is shed. A body over `body_bytes_unreserved` also holds one of
    `large_bodies_max` places while it is received, so slow senders can't fill the memory or the window. Kafka has
    `publish_timeout_seconds` to acknowledge before the spool is asked, which has `spool_timeout_seconds`; after a
    failure Kafka is left alone for `breaker_seconds`. `linger_seconds` is how long a refused sender may go on sending
    so that it reads the answer. A sender's address is the connection's, or behind `trusted_proxies` the last one of
    X-Forwarded-For that is none of them.
    """

    bind: str = "127.0.0.1:8080"
    body_bytes_max: Count = 1024 * 1024
    in_flight_max: Count = 512
    in_flight_wait_seconds: Seconds = 5.0
    receipt_deadline_seconds: Seconds = 10.0
    keep_alive_seconds: Seconds = 30.0
    drain_seconds: Seconds = 10.0
    retry_after_seconds: Count = 2
    header_bytes_max: Count = 64 * 1024
    connections_max: Count = 4096
    backlog_connections: Count = 2048
    linger_seconds: Seconds = 2.0
    body_bytes_unreserved: Count = 64 * 1024
    large_bodies_max: Count = 64
    publish_timeout_seconds: Seconds = 3.0
    breaker_seconds: Seconds = 1.0
    spool_timeout_seconds: Seconds = 3.0
    spool_connections_max: Count = 4
    ready_timeout_seconds: Seconds = 2.0
    ready_interval_seconds: Seconds = 2.0
    trusted_proxies: JsonTuple[IPvAnyNetwork] = ()
    certificates: CertificateSettings = CertificateSettings()


class IntentsSettings(Group):
    """The payment-intents API.

    The answer to an Idempotency-Key is kept for `kept_seconds`, at least a day, and then deleted by `clean_rows_max` at
    a time. A twin waits `twin_wait_seconds` for the first one's end before it is told to come again. A capture, cancel
    or refund that was asked for counts against the next one until the payment shows it, or for `asked_seconds`.
    """

    in_flight_max: Count = 256
    in_flight_wait_seconds: Seconds = 2.0
    connections_max: Count = 8
    timeout_seconds: Seconds = 4.0
    twin_wait_seconds: Seconds = 1.0
    kept_seconds: Annotated[float, Field(ge=24 * 3600)] = 48 * 3600.0
    asked_seconds: Seconds = 24 * 3600.0
    clean_rows_max: Count = 500
    clean_interval_seconds: Seconds = 60.0
    timeline_rows_max: Count = 500
    defects_max: Count = 20


class ConsumerSettings(Group):
    """The consumer: its batches, its patience, its bounds."""

    batch_records_max: Count = 1000
    batch_bytes_max: Count = 16 * 1024 * 1024
    batches_in_flight_max: Count = 2
    partition_fetch_bytes_max: Count = 4 * 1024 * 1024
    fetch_wait_seconds: Seconds = 0.05
    commit_interval_seconds: Seconds = 1.0
    commit_timeout_seconds: Seconds = 5.0
    drain_seconds: Seconds = 8.0
    session_timeout_seconds: Seconds = 10.0
    backoff_initial_seconds: Seconds = 0.1
    backoff_max_seconds: Seconds = 5.0
    twin_retries_max: Count = 20
    unexpected_run_max: Count = 50
    facts_per_payment_max: Count = 2000
    stall_seconds: Seconds = 20.0
    unclean_ends_max: Count = 2


class ParkingSettings(Group):
    """How long an event waits for its payment, and how the sweeper works."""

    deadline_seconds: Seconds = 72 * 3600.0
    sweep_interval_seconds: Seconds = 1.0
    lease_seconds: Seconds = 5.0
    sweep_records_max: Count = 500


class RelaySettings(Group):
    """The relay: how much it carries at once, and how often it looks.

    After a failure it waits a random part of `backoff_initial_seconds`, doubled each time up to `backoff_max_seconds`.
    Each `cluster_check_seconds` it makes sure that transaction ids are still those of the cluster it knows.
    `pool_connections_max` is one connection a lane (changes, dead letters, spool), one for the lease, one for cleaning.
    """

    batch_records_max: Count = 4000
    batch_bytes_max: Count = 16 * 1024 * 1024
    poll_interval_seconds: Seconds = 0.1
    lease_seconds: Seconds = 5.0
    backoff_initial_seconds: Seconds = 0.1
    backoff_max_seconds: Seconds = 2.0
    cluster_check_seconds: Seconds = 5.0
    pool_connections_max: Annotated[int, Field(ge=5)] = 5


class HttpSettings(Group):
    """Calls to outside services. `total_timeout_seconds` covers a call from the first byte to the last."""

    connections_max: Count = 16
    connect_timeout_seconds: Seconds = 5.0
    total_timeout_seconds: Seconds = 10.0
    response_bytes_max: Count = 1024 * 1024
    retry_after_seconds_max: Seconds = 3600.0


class DispatcherSettings(Group):
    """What the dispatcher's two desks share.

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
    """Reading payments again at the providers' APIs. A failed try waits at least a tenth of its backoff."""

    workers: Count = 4
    requests_per_second_max: PerSecond = 20.0
    attempts_max: Count = 30
    backoff_initial_seconds: Seconds = 1.0
    backoff_max_seconds: Seconds = 900.0
    token_margin_seconds: Seconds = 60.0


class TwilioSettings(Group):
    """Twilio's REST API, or a service of its shape. All three of account, token and sender number, or none."""

    model_config = ConfigDict(populate_by_name=True)

    base_url: HttpUrl = "https://api.twilio.com"
    account_sid: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None
    auth_token: SecretStr | None = None
    from_number: Annotated[str | None, Field(alias="from", min_length=1, max_length=64)] = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        given = (self.account_sid, self.auth_token, self.from_number)
        if any(given) and not all(given):
            raise ValueError("ACCOUNT_SID, AUTH_TOKEN and FROM belong together: set all of them, or none")
        return self

    @property
    def configured(self) -> bool:
        """Whether messages can be sent."""
        return self.account_sid is not None


class SmsSettings(Group):
    """Messages to customers: on as soon as a provider of them is configured.

    `off` names templates that a client does not want; `"*"` stands for all of them. After `sends_max` tries a message
    is only looked up, and after `attempts_max` it has failed. `lookup_pages_max` pages of `lookup_page_messages` are
    read to find one that was sent without an answer; a message is not older than its row less `clock_skew_seconds`.
    """

    twilio: TwilioSettings = TwilioSettings()
    off: Mapping[str, JsonTuple[str]] = Field(default_factory=dict)
    workers: Count = 4
    sends_max: Count = 8
    attempts_max: Count = 16
    backoff_initial_seconds: Seconds = 2.0
    backoff_max_seconds: Seconds = 600.0
    lookup_page_messages: Count = 100
    lookup_pages_max: Count = 5
    clock_skew_seconds: Seconds = 24 * 3600.0

    def wants(self, client: str | None, template: str) -> bool:
        """Tell whether a client's customers get this message; a payment of no client has nobody who said no."""
        off = self.off.get(client or "", ())
        return template not in off and "*" not in off


class ConsoleSettings(Group):
    """The web console for the people on call."""

    bind: str = "127.0.0.1:8081"
    password: SecretStr | None = None


class RoleSettings(Group):
    """What every role has: its probe server and how it is watched.

    `parent_pid` and `lifeline_fd` are set by `ratchet up` for the roles that it starts: a role ends when its parent is
    gone or the pipe behind `lifeline_fd` closes. `drain_seconds_max` bounds a clean stop as a whole.
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


class OpsSettings(Group):
    """The command line: how long it waits for an answer and how much it shows."""

    lookup_timeout_seconds: Seconds = 8.0
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


class AccountSettings(Group):
    """One tenant of a provider.

    Webhooks from outside `source_networks` are refused (none: any; an account without its own has the provider's).
    `api_*` is what a refetch takes: the key (M-Pesa: the consumer key), its secret where the provider has one, the
    merchant's number and pass key (M-Pesa), and another address than the provider's public one.
    """

    secrets: JsonTuple[Secret] = ()
    merchant_accounts: JsonTuple[str] = ()
    source_networks: JsonTuple[IPvAnyNetwork] = ()
    api_key: SecretStr | None = None
    api_secret: SecretStr | None = None
    api_merchant: str | None = None
    api_pass_key: SecretStr | None = None
    api_base_url: HttpUrl | None = None


class ProviderSettings(AccountSettings):
    """One provider: live secrets newest first, and tenants by account name.

    PayPal alone: `trust_roots` and `intermediates` are PEM files (no roots: the system's), `certificate_hosts` may
    serve its certificates (none: PayPal's live and sandbox API).
    """

    accounts: Mapping[str, AccountSettings] = Field(default_factory=dict)
    trust_roots: Path | None = None
    intermediates: Path | None = None
    certificate_hosts: JsonTuple[Annotated[str, Field(pattern=r"^[a-z0-9.-]{1,253}$")]] = ()

    def account(self, name: str) -> AccountSettings | None:
        """Return the account's settings; "" is the provider's own. Names have no case."""
        return self if not name else {key.lower(): value for key, value in self.accounts.items()}.get(name.lower())


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


class Settings(BaseSettings):
    """All of it. Build it with `load`, which turns every complaint into a SettingsError."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid", case_sensitive=False
    )

    home: Path = Path(".ratchet")
    config: Path | None = None
    test_stack: Literal["embedded", "containers"] = "embedded"
    public_url: str | None = None
    kafka: KafkaSettings = KafkaSettings()
    postgres: PostgresSettings = PostgresSettings()
    redis: RedisSettings = RedisSettings()
    ingress: IngressSettings = IngressSettings()
    intents: IntentsSettings = IntentsSettings()
    consumer: ConsumerSettings = ConsumerSettings()
    parking: ParkingSettings = ParkingSettings()
    relay: RelaySettings = RelaySettings()
    http: HttpSettings = HttpSettings()
    dispatcher: DispatcherSettings = DispatcherSettings()
    refetch: RefetchSettings = RefetchSettings()
    sms: SmsSettings = SmsSettings()
    console: ConsoleSettings = ConsoleSettings()
    role: RoleSettings = RoleSettings()
    ops: OpsSettings = OpsSettings()
    sample: SampleSettings = SampleSettings()
    log: LogSettings = LogSettings()
    stack: StackSettings = StackSettings()
    providers: Mapping[str, ProviderSettings] = Field(default_factory=dict)
    api_keys: Mapping[ClientName, ApiKeys] = Field(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings

    def embedded(self) -> bool:
        """Tell whether the embedded stack serves: no endpoint is configured."""
        return self.kafka.bootstrap is None and self.postgres.dsn is None

    def webhook_base_url(self) -> str:
        """Return the URL that providers call, without a trailing slash: part of some signatures."""
        return (self.public_url or f"http://{self.ingress.bind}").rstrip("/")


def load() -> Settings:
    """Read the settings; raise SettingsError naming what is unknown or bad, and never a secret's value."""
    known = {name.upper() for name in Settings.model_fields}
    for name in os.environ:
        if name.upper().startswith(PREFIX) and name.upper()[len(PREFIX) :].split("__")[0] not in known:
            raise SettingsError(f"{name} is no setting of Ratchet; remove it, or see README.md for the names")
    file_name = os.environ.get("RATCHET_CONFIG")
    try:
        from_file: dict[str, Any] = tomllib.loads(Path(file_name).read_text()) if file_name else {}
        return Settings(**from_file)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = PREFIX + "__".join(str(part) for part in first["loc"]).upper()
        raise SettingsError(f"{name}: {first['msg']}") from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"settings cannot be read: {error}") from None
