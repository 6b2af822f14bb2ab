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
    """Where Kafka is and how it is used. Without `bootstrap` the embedded broker serves, which speaks PLAINTEXT.

    With SSL or SASL_SSL the broker's certificate is always checked, its name too.
    """

    bootstrap: str | None = None
    """Addresses of brokers, `host:port`, separated by commas."""
    topic_prefix: Annotated[str, _legal(illegal_prefix)] = DEFAULT_PREFIX
    """What every topic's name begins with: the same in every process. A database belongs to one prefix."""
    group: Annotated[str, _legal(illegal_group)] = DEFAULT_GROUP
    """The consumers' group: the same in every process."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How connections are made: `SASL_` logs in, `SSL` encrypts."""
    ca_file: ExistingFile | None = None
    """Certificates (PEM) that the broker's must chain to; unset: the system's."""
    certificate_file: ExistingFile | None = None
    """Our own certificate (PEM) for mutual TLS."""
    key_file: ExistingFile | None = None
    """The key of our certificate (PEM); it may be the same file."""
    key_password: Password | None = None
    """The password of an encrypted key."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "AWS_MSK_IAM"] | None = None
    """How we log in. AWS_MSK_IAM signs with the AWS credentials of the process and needs `ratchet-payments[aws]`."""
    sasl_user: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """Whom we log in as, unless with OAUTHBEARER or AWS_MSK_IAM."""
    sasl_password: Password | None = None
    """The password to that."""
    oauth_token_url: ApiUrl | None = None
    """Where OAUTHBEARER gets its token for the client's name and secret (RFC 6749, 4.4)."""
    oauth_client_id: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """The client's name at the token's issuer."""
    oauth_client_secret: Password | None = None
    """The client's secret at the token's issuer."""
    oauth_scope: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """The scope that is asked for; unset: the issuer's default."""
    aws_region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]+$")] | None = None
    """The region of the cluster, with AWS_MSK_IAM."""
    partitions: Count = 4
    """Partitions of a topic that we create."""
    replication_factor: Count = 1
    """Copies of a topic that we create; of three or more, two must have a record before it counts."""
    request_timeout_seconds: Seconds = 10.0
    """How long a broker may take to answer one request."""
    publish_timeout_seconds: Seconds = 10.0
    """How long the relay waits for Kafka to acknowledge what it publishes."""
    connect_timeout_seconds: Seconds = 5.0
    """How long opening a client may take."""
    close_timeout_seconds: Seconds = 2.0
    """How long a producer may take to flush and close; then it is dropped."""
    linger_seconds: Annotated[float, Field(ge=0)] = 0.0
    """How long a producer waits for more records before it sends; 0 sends at once."""
    producer_batch_bytes_max: Count = 256 * 1024
    """How many bytes a producer sends to one partition at once."""

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
        """Whom we log in as, as far as settings say; with AWS_MSK_IAM the process's credentials do."""
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
        tokens = oauth or self.sasl_mechanism == "AWS_MSK_IAM"
        for name in ("sasl_mechanism",) if tokens else ("sasl_mechanism", "sasl_user", "sasl_password"):
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
        yield from self._contradictions_of_iam(mine)

    def _contradictions_of_iam(self, mine: str) -> Iterator[str]:
        """Say what does not fit AWS_MSK_IAM: MSK offers it on its TLS listeners alone."""
        iam, protocol = self.sasl_mechanism == "AWS_MSK_IAM", self.security_protocol
        takes = "AWS_MSK_IAM takes SECURITY_PROTOCOL=SASL_SSL and AWS_REGION, no user and no password"
        if iam and protocol != "SASL_SSL":
            yield f"{mine}SECURITY_PROTOCOL is {protocol}, but {mine}SASL_MECHANISM is AWS_MSK_IAM; {takes}"
        if iam is not (self.aws_region is not None):
            stands = "not set" if iam else "set"
            yield f"{mine}AWS_REGION is {stands}, but {mine}SASL_MECHANISM is {self.sasl_mechanism}; {takes}"
        for name in ("sasl_user", "sasl_password") if iam else ():
            if getattr(self, name) is not None:
                yield f"{mine}{name.upper()} is set, but {mine}SASL_MECHANISM is AWS_MSK_IAM; {takes}"


class PostgresSettings(Group):
    """Where Postgres is. Without `dsn` the embedded server serves."""

    dsn: SecretStr | None = None
    """Whom the roles connect as: a user that can't alter the ledger."""
    owner_dsn: SecretStr | None = None
    """The schema's owner, for migrations and retention alone."""
    superuser_dsn: SecretStr | None = None
    """What `ratchet stack env --superuser` prints, for people's own tools; no command uses it."""
    pool_connections_max: Count = 4
    """Connections of a pool that has no bound of its own, such as the consumer's."""
    connect_timeout_seconds: Seconds = 5.0
    """How long a connection may take to open, or to become free."""
    statement_timeout_seconds: Seconds = 30.0
    """How long one statement may run."""
    lock_timeout_seconds: Seconds = 10.0
    """How long one statement may wait for a lock."""
    idle_in_transaction_timeout_seconds: Seconds = 15.0
    """How long a transaction may rest before Postgres ends its session."""


class RedisSettings(Group):
    """Where Redis is. Without `url` the embedded server serves. It holds only what may be lost."""

    url: SecretStr | None = None
    """Address of the server, with user and password where it wants them."""
    timeout_seconds: Seconds = 1.0
    """How long an answer may take, connecting included."""
    connections_max: Count = 16
    """Connections of one process; a caller that finds none free waits within the time-out."""
    breaker_seconds: Seconds = 1.0
    """How long Redis is left alone after a failure, and between the pings that look whether it is back."""
    key_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9:_.-]{0,64}$")] = "ratchet:"
    """What each key begins with: one for each deployment on a shared Redis."""
    lease_trust_seconds: Seconds = 1.0
    """How long Redis is believed that a lease is taken; then Postgres is asked."""


class StackSettings(Group):
    """The embedded brokers: how long they are waited for."""

    start_timeout_seconds: Seconds = 60.0
    """How long a broker may take to start."""
    stop_grace_seconds: Seconds = 8.0
    """How long a broker may take to end before it is killed."""
    leftover_wait_seconds: Seconds = 20.0
    """How long a start waits for a broker of an earlier run to be gone."""
    probe_timeout_seconds: Seconds = 2.0
    """How long a broker may take to answer when it is asked whether it is up."""
    watch_interval_seconds: Seconds = 0.25
    """How often the brokers are checked, and the first pause before a dead one is started again."""
    revive_backoff_max_seconds: Seconds = 5.0
    """The longest pause before a dead broker is started again."""
    download_timeout_seconds: Count = 30
    """How long one answer of the jars' repository may take."""
    download_tries_max: Count = 3
    """Tries for one jar."""
    download_threads: Count = 4
    """Jars that are fetched at once."""
