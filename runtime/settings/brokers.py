"""Where the brokers are, and the bounds on using them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from runtime.settings.base import ApiUrl, Count, ExistingFile, Group, Seconds
from schemas.topics import DEFAULT_GROUP, DEFAULT_PREFIX, Topics, illegal_group, illegal_prefix, topics_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def _legal(illegal: Callable[[str], str | None]) -> AfterValidator:
    """Refuse what a function says something against."""

    def check(value: str) -> str:
        if (why := illegal(value)) is not None:
            raise ValueError(why)
        return value

    return AfterValidator(check)


Password = Annotated[SecretStr, Field(min_length=1)]


class KafkaSettings(Group):
    """Where Kafka is and how it is used. No bootstrap: the embedded one, which speaks PLAINTEXT.

    With SSL or SASL_SSL the broker's certificate is always checked, its name too: against `ca_file` (PEM; none: the
    system's CAs). `certificate_file` and `key_file` (PEM, may be one file) are our own for mutual TLS. With SASL the
    user and password log us in; with OAUTHBEARER a token does, which `oauth_token_url` gives for the client's name and
    secret (RFC 6749, 4.4).

    All topics begin with `topic_prefix`, and consumers read them as `group`: the same in every process of one Ratchet.
    A database belongs to one prefix.
    """

    bootstrap: str | None = None
    topic_prefix: Annotated[str, _legal(illegal_prefix)] = DEFAULT_PREFIX
    group: Annotated[str, _legal(illegal_group)] = DEFAULT_GROUP
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    ca_file: ExistingFile | None = None
    certificate_file: ExistingFile | None = None
    key_file: ExistingFile | None = None
    key_password: Password | None = None
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = None
    sasl_user: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    sasl_password: Password | None = None
    oauth_token_url: ApiUrl | None = None
    oauth_client_id: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    oauth_client_secret: Password | None = None
    oauth_scope: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    partitions: Count = 4
    replication_factor: Count = 1
    request_timeout_seconds: Seconds = 10.0
    publish_timeout_seconds: Seconds = 10.0
    connect_timeout_seconds: Seconds = 5.0
    close_timeout_seconds: Seconds = 2.0
    linger_seconds: Annotated[float, Field(ge=0)] = 0.0
    producer_batch_bytes_max: Count = 256 * 1024

    @property
    def topics(self) -> Topics:
        """The topics and the group of consumers, by their names."""
        return topics_of(self.topic_prefix, self.group)

    @property
    def tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.security_protocol in ("SSL", "SASL_SSL")

    @property
    def sasl(self) -> bool:
        """Whether we log in."""
        return self.security_protocol in ("SASL_PLAINTEXT", "SASL_SSL")

    @property
    def login_name(self) -> str | None:
        """Whom we log in as."""
        return self.oauth_client_id if self.sasl_mechanism == "OAUTHBEARER" else self.sasl_user

    @model_validator(mode="after")
    def _of_one_mind(self) -> Self:
        for contradiction in self._contradictions():
            raise ValueError(contradiction)
        return self

    def _contradictions(self) -> Iterator[str]:
        """Say what does not fit together, and what to do about it."""
        protocol, mine = self.security_protocol, "RATCHET_KAFKA__"
        if self.bootstrap is None and protocol != "PLAINTEXT":
            yield f"{mine}SECURITY_PROTOCOL={protocol} is for a Kafka of your own; set {mine}BOOTSTRAP too"
        for name in ("ca_file", "certificate_file", "key_file", "key_password"):
            if getattr(self, name) is not None and not self.tls:
                yield (
                    f"{mine}{name.upper()} is for TLS, but {mine}SECURITY_PROTOCOL is {protocol}; "
                    "set that to SSL or SASL_SSL, or remove the other"
                )
        yield from self._contradictions_of_login(mine)
        for name, other in (("certificate_file", "key_file"), ("key_file", "certificate_file")):
            if getattr(self, name) is not None and getattr(self, other) is None:
                yield (
                    f"{mine}{name.upper()} is set and {mine}{other.upper()} is not; mutual TLS takes both "
                    "(one file may hold both)"
                )
        if self.key_password is not None and self.key_file is None:
            yield f"{mine}KEY_PASSWORD is set and {mine}KEY_FILE is not; set it, or remove the password"

    def _contradictions_of_login(self, mine: str) -> Iterator[str]:
        """Say what does not fit together about who we are."""
        oauth = self.sasl_mechanism == "OAUTHBEARER"
        for name in ("sasl_mechanism",) if oauth else ("sasl_mechanism", "sasl_user", "sasl_password"):
            if (getattr(self, name) is not None) != self.sasl:
                yield (
                    f"{mine}{name.upper()} is {'not set' if self.sasl else 'set'}, but {mine}SECURITY_PROTOCOL is "
                    f"{self.security_protocol}; SASL_SSL and SASL_PLAINTEXT take SASL_MECHANISM, SASL_USER and "
                    "SASL_PASSWORD, all of them, and the others none"
                )
        takes = "OAUTHBEARER takes OAUTH_TOKEN_URL, OAUTH_CLIENT_ID and OAUTH_CLIENT_SECRET, no user and no password"
        wanted = ("oauth_token_url", "oauth_client_id", "oauth_client_secret")
        for name in (*wanted, "oauth_scope", *(("sasl_user", "sasl_password") if oauth else ())):
            is_set, is_oauth = getattr(self, name) is not None, name.startswith("oauth")
            if is_set and oauth is not is_oauth:
                yield f"{mine}{name.upper()} is set, but {mine}SASL_MECHANISM is {self.sasl_mechanism}; {takes}"
            if not is_set and oauth and name in wanted:
                yield f"{mine}{name.upper()} is not set, but {mine}SASL_MECHANISM is OAUTHBEARER; {takes}"


class PostgresSettings(Group):
    """Where Postgres is. No DSN: the embedded one. `owner_dsn` owns the schema: migrations and retention only.

    `superuser_dsn` is what `ratchet stack env --superuser` prints, for tools of people; no command uses it.
    """

    dsn: SecretStr | None = None
    owner_dsn: SecretStr | None = None
    superuser_dsn: SecretStr | None = None
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
