"""How clients reach Kafka: their arguments, TLS and SASL among them; and why a broker that answers refuses us."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, TypedDict

import structlog
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from runtime.kafka_connections import bound_connections
from schemas.errors import AccessRefusedError, SettingsError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from aiokafka.abc import AbstractTokenProvider

    from runtime.settings import KafkaSettings

_log = structlog.get_logger()

CONTEXTS_MAX: Final = 4
"""Settings whose TLS context is kept; a process has one."""
CAUSES_MAX: Final = 8
"""How deep an error's causes are looked through."""
NAME_MISMATCHES: Final = (62, 64)
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""
ALERTS_ABOUT_US: Final = (
    "CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "UNKNOWN_CA", "CERTIFICATE_UNKNOWN", "CERTIFICATE_EXPIRED",
    "CERTIFICATE_REVOKED", "UNSUPPORTED_CERTIFICATE", "ALERT_HANDSHAKE_FAILURE", "ACCESS_DENIED",
)  # fmt: skip
"""TLS alerts (RFC 8446, 6.2) by which a broker refuses a client's certificate, or the lack of one."""
TOKENS: Final = ("OAUTHBEARER", "AWS_MSK_IAM")
"""Mechanisms that log in with a token: both are OAUTHBEARER to the broker."""
NOT_TLS: Final = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")
"""What OpenSSL says of an answer that is no TLS."""


class TokenError(KafkaConnectionError):  # type: ignore[misc]
    """There is no token to log in with; the message says why, after the broker's address, and what to look at.

    Clients take it for a broker that is away.
    """


class ClientArguments(TypedDict, total=False):
    """The arguments of every client of Kafka that settings decide; those of SASL only where it is used."""

    bootstrap_servers: str
    security_protocol: str
    ssl_context: ssl.SSLContext | None
    sasl_mechanism: str
    sasl_plain_username: str
    sasl_plain_password: str
    sasl_oauth_token_provider: AbstractTokenProvider


def bootstrap_of(settings: KafkaSettings) -> str:
    """Return the bootstrap address, or raise SettingsError where none is known."""
    if settings.bootstrap is None:
        raise SettingsError("RATCHET_KAFKA__BOOTSTRAP is not set; start the embedded stack with `ratchet stack up`")
    return settings.bootstrap


def client_arguments(settings: KafkaSettings) -> ClientArguments:
    """Return what AIOKafkaProducer, AIOKafkaConsumer and AIOKafkaAdminClient take; the one place that says it.

    Each client is made of these, so here they also learn how long a connection may take to open. Raises SettingsError
    where no address is known, or a file of the settings holds no certificate or key.
    """
    bound_connections(settings.connect_timeout_seconds)
    arguments = ClientArguments(
        bootstrap_servers=bootstrap_of(settings),
        security_protocol=settings.security_protocol,
        ssl_context=_shared_context(settings) if settings.tls else None,
    )
    if settings.sasl_mechanism is not None and settings.sasl_user is not None and settings.sasl_password is not None:
        arguments["sasl_mechanism"] = settings.sasl_mechanism
        arguments["sasl_plain_username"] = settings.sasl_user
        arguments["sasl_plain_password"] = settings.sasl_password.get_secret_value()
    if settings.sasl_mechanism in TOKENS:
        arguments["sasl_mechanism"] = "OAUTHBEARER"
        arguments["sasl_oauth_token_provider"] = _shared_tokens(settings)
    return arguments


@lru_cache(maxsize=CONTEXTS_MAX)
def _shared_tokens(settings: KafkaSettings) -> AbstractTokenProvider:
    """Return the one provider of these settings, so that a process asks for one token and not for one a client."""
    if settings.sasl_mechanism == "AWS_MSK_IAM":
        if find_spec("botocore") is None:
            raise SettingsError(
                "RATCHET_KAFKA__SASL_MECHANISM: AWS_MSK_IAM needs botocore; install ratchet-payments[aws]"
            )
        from runtime.kafka_msk import SignedUrl

        return SignedUrl(settings)
    from runtime.kafka_tokens import ClientCredentials

    return ClientCredentials(settings)


@lru_cache(maxsize=CONTEXTS_MAX)
def _shared_context(settings: KafkaSettings) -> CurrentContext:
    """Return the one context of these settings: files that were right at the start can't stop a role later."""
    return CurrentContext(settings)


class CurrentContext(ssl.SSLContext):
    """A TLS context that looks at its files before each connection, so renewed certificates need no restart.

    Clients live for weeks and keep the context that they were given. Files that cannot be used now (half written,
    gone for a moment) leave the last ones in force.
    """

    def __new__(cls, settings: KafkaSettings) -> CurrentContext:  # noqa: ARG004, PYI034 - Self is not for 3.11's mypy
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._stamps = _stamps(settings)
        self._context = tls_context(settings)

    def wrap_bio(self, *arguments: Any, **named: Any) -> ssl.SSLObject:
        """Begin a connection, with the certificates that the files hold now."""
        with contextlib.suppress(OSError):
            self._look()
        return self._context.wrap_bio(*arguments, **named)

    def _look(self) -> None:
        stamps = _stamps(self._settings)
        if stamps == self._stamps:
            return
        try:
            self._context, self._stamps = tls_context(self._settings), stamps
        except SettingsError as error:
            _log.warning("certificates_not_renewed", detail=str(error))
        else:
            _log.info("certificates_renewed")


def _files(settings: KafkaSettings) -> tuple[Path, ...]:
    named = (settings.ca_file, settings.certificate_file, settings.key_file)
    return tuple(path for path in named if path is not None)


def _stamps(settings: KafkaSettings) -> tuple[tuple[int, int, int], ...]:
    """Return what changes with each file: a mounted Secret is replaced whole, under another inode."""
    found = [path.stat() for path in _files(settings)]
    return tuple((one.st_ino, one.st_mtime_ns, one.st_size) for one in found)


def tls_context(settings: KafkaSettings) -> ssl.SSLContext:
    """Return a context that checks the broker's certificate and its name; SettingsError for files it cannot use."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # this alone: names are checked and a certificate is required
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.ca_file is None:
        context.load_default_certs()
    else:
        try:
            context.load_verify_locations(settings.ca_file)
        except (ssl.SSLError, OSError) as error:
            raise SettingsError(
                f"RATCHET_KAFKA__CA_FILE: {settings.ca_file} holds no certificates ({_reason(error)}); it takes PEM"
            ) from None
    if settings.certificate_file is not None:
        _load_own(context, settings)
    return context


def _load_own(context: ssl.SSLContext, settings: KafkaSettings) -> None:
    """Load our certificate and key; without a password for a key that wants one nobody is asked at a terminal."""
    assert settings.certificate_file is not None
    password = settings.key_password.get_secret_value() if settings.key_password is not None else ""
    try:
        context.load_cert_chain(settings.certificate_file, settings.key_file, lambda: password)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise SettingsError(
            f"RATCHET_KAFKA__CERTIFICATE_FILE {settings.certificate_file} and __KEY_FILE {settings.key_file} cannot be "
            f"used ({_reason(error)}); they take PEM, a key that belongs to the certificate, and __KEY_PASSWORD where "
            "the key is encrypted"
        ) from None


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__


async def away_or_refused(settings: KafkaSettings, detail: str) -> UnavailableError:
    """Return what to raise after a client failed: `detail`, or AccessRefusedError where a broker refuses us.

    Clients log why a connection failed and raise only that none came about, so this connects once more and looks.
    Takes `connect_timeout_seconds` at most, and no time where Kafka speaks PLAINTEXT and so refuses nobody.
    """
    if settings.security_protocol == "PLAINTEXT":
        return UnavailableError(detail)
    answered = False
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(settings.connect_timeout_seconds):
            answered, why = await _ask_brokers(settings)
            if why is not None:
                return AccessRefusedError(f"Kafka: {why}")
    if answered:
        return UnavailableError(detail)
    return UnavailableError(f"{detail}; is it up, and does it speak {settings.security_protocol} at that port?")


async def _ask_brokers(settings: KafkaSettings) -> tuple[bool, str | None]:
    """Ask the bootstrap addresses and the brokers that they name; tell whether one answered, and the first refusal."""
    answered = False
    arguments: dict[str, Any] = dict(client_arguments(settings))
    waiting = deque((host, port) for host, port, _ in collect_hosts(arguments.pop("bootstrap_servers")))
    seen = set(waiting)
    while waiting:
        host, port = waiting.popleft()
        try:
            connection = await create_conn(host, port, **arguments)
            try:
                brokers = (await connection.send(MetadataRequest([]))).brokers
            finally:
                connection.close()
        except (KafkaError, OSError, EOFError) as error:
            if (why := explain(error, settings)) is not None:
                return answered, f"{host}:{port} {why}"
            continue
        answered = True
        named = {(broker[1], broker[2]) for broker in brokers} - seen
        seen |= named
        waiting.extend(sorted(named))
    return answered, None


def explain(error: BaseException, settings: KafkaSettings) -> str | None:
    """Say why a connection was refused and which setting to look at; None where it was not, as far as one can tell."""
    for cause in _causes(error):
        match cause:
            case TokenError() | SaslAuthenticationFailed():
                return _explain_login(cause, settings)
            case UnsupportedSaslMechanismError():
                return (
                    f"does not take {settings.sasl_mechanism}; set RATCHET_KAFKA__SASL_MECHANISM to one that it takes"
                )
            case IllegalSaslStateError():
                return "takes no SASL there; check the port in RATCHET_KAFKA__BOOTSTRAP and __SECURITY_PROTOCOL"
            case ssl.SSLCertVerificationError():
                return _explain_certificate(cause, settings)
            case ssl.SSLError():
                return _explain_tls(cause, settings)
    return None


def _explain_login(error: KafkaError, settings: KafkaSettings) -> str:
    """Say why we could not log in."""
    if isinstance(error, TokenError):
        return str(error.args[0])
    if settings.sasl_mechanism == "AWS_MSK_IAM":
        return (
            "refuses our AWS identity; its policy must allow kafka-cluster:Connect on this cluster "
            "(deploy/README.md), and RATCHET_KAFKA__AWS_REGION be the cluster's"
        )
    if settings.sasl_mechanism == "OAUTHBEARER":
        return (
            f"refuses the token of the client {settings.oauth_client_id}; check the issuer, audience and scope that it "
            "wants (RATCHET_KAFKA__OAUTH_TOKEN_URL, __OAUTH_SCOPE)"
        )
    return (
        f"refuses the user {settings.sasl_user} with {settings.sasl_mechanism}; check "
        "RATCHET_KAFKA__SASL_USER, __SASL_PASSWORD and __SASL_MECHANISM"
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Give the error and what led to it, nearest first."""
    found: BaseException | None = error
    for _ in range(CAUSES_MAX):
        if found is None:
            return
        yield found
        found = found.__cause__ or found.__context__


def _explain_certificate(error: ssl.SSLCertVerificationError, settings: KafkaSettings) -> str:
    """Say why we do not trust a broker's certificate."""
    if error.verify_code in NAME_MISMATCHES:
        return (
            "shows a certificate for another name; RATCHET_KAFKA__BOOTSTRAP and the brokers' advertised.listeners must "
            "name each broker as its certificate does"
        )
    trusted = settings.ca_file or "the system's CAs"
    return (
        f"shows a certificate that {trusted} cannot prove ({error.verify_message}); set RATCHET_KAFKA__CA_FILE to the "
        "CA that signed it"
    )


def _explain_tls(error: ssl.SSLError, settings: KafkaSettings) -> str | None:
    """Say what a failed handshake means: no TLS there, or a broker that does not take our certificate."""
    text = str(error).upper()
    if any(words in text for words in NOT_TLS):
        return "does not speak TLS there; check the port in RATCHET_KAFKA__BOOTSTRAP and __SECURITY_PROTOCOL"
    if any(words in text for words in ALERTS_ABOUT_US):
        ours = settings.certificate_file or "none is set"
        return (
            f"refuses our certificate ({ours}); check RATCHET_KAFKA__CERTIFICATE_FILE and __KEY_FILE: signed by a CA "
            "that the broker trusts, and not expired"
        )
    return None
