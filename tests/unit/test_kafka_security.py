"""TLS and SASL to Kafka: settings that fit together, what clients are given, what a refusal is logged as."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)
from certificates import Pair, issue
from pydantic import SecretStr, ValidationError
from structlog.testing import capture_logs

from ops import doctor, doctor_settings
from runtime import kafka_security
from runtime.kafka import _need_created, authorization_kind, opening
from runtime.kafka_security import CurrentContext, away_or_refused, client_arguments, explain, tls_context
from runtime.settings import KafkaSettings, PostgresSettings, Settings, load
from schemas.errors import AccessRefusedError, SettingsError, UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

SASL = {"bootstrap": "kafka:9093", "sasl_mechanism": "PLAIN", "sasl_user": "shop", "sasl_password": "topsecret"}
TLS = {"bootstrap": "kafka:9093", "security_protocol": "SSL"}
HOME_SETTINGS = Settings()


@pytest.fixture(scope="module")
def ca() -> Pair:
    return issue("CA")


@pytest.fixture
def files(tmp_path: Path, ca: Pair) -> dict[str, Any]:
    """Give the settings of mutual TLS with an encrypted key."""
    ca.write(tmp_path, "ca")
    certificate, key = issue("client", ca).write(tmp_path, "client", "keysecret")
    own = {"certificate_file": certificate, "key_file": key, "key_password": "keysecret"}
    return TLS | {"ca_file": tmp_path / "ca.pem"} | own


def test_plaintext_is_the_default_and_takes_an_address_alone() -> None:
    settings = KafkaSettings(bootstrap="kafka:9092")
    assert client_arguments(settings) == {
        "bootstrap_servers": "kafka:9092", "security_protocol": "PLAINTEXT", "ssl_context": None,
    }  # fmt: skip
    with pytest.raises(SettingsError, match="BOOTSTRAP is not set"):
        client_arguments(KafkaSettings())


def test_sasl_over_tls(files: dict[str, Any]) -> None:
    settings = KafkaSettings(**SASL, security_protocol="SASL_SSL", ca_file=files["ca_file"])
    arguments = client_arguments(settings)
    assert isinstance(arguments.pop("ssl_context"), CurrentContext)
    assert arguments == {
        "bootstrap_servers": "kafka:9093", "security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "shop", "sasl_plain_password": "topsecret",
    }  # fmt: skip
    assert "topsecret" not in repr(settings)
    in_clear = client_arguments(KafkaSettings(**SASL, security_protocol="SASL_PLAINTEXT"))
    assert in_clear["ssl_context"] is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"security_protocol": "SSL"}, "set RATCHET_KAFKA__BOOTSTRAP too"),
        ({"security_protocol": "TLS"}, "security_protocol"),
        (SASL, "SASL_MECHANISM is set, but RATCHET_KAFKA__SECURITY_PROTOCOL is PLAINTEXT"),
        (TLS | {"sasl_user": "shop"}, "SASL_USER is set, but RATCHET_KAFKA__SECURITY_PROTOCOL is SSL"),
        (TLS | {"security_protocol": "SASL_SSL"}, "SASL_MECHANISM is not set"),
        (SASL | {"security_protocol": "SASL_SSL", "sasl_user": None}, "SASL_USER is not set"),
        (SASL | {"security_protocol": "SASL_SSL", "sasl_password": None}, "SASL_PASSWORD is not set"),
        (SASL | {"security_protocol": "SASL_SSL", "sasl_password": ""}, "sasl_password"),
        (SASL | {"security_protocol": "SASL_SSL", "sasl_mechanism": "GSSAPI"}, "sasl_mechanism"),
        ({"bootstrap": "kafka:9092", "ca_file": "FILE"}, "CA_FILE is for TLS, but RATCHET_KAFKA__SECURITY_PROTOCOL is"),
        (SASL | {"security_protocol": "SASL_PLAINTEXT", "key_password": "topsecret"}, "KEY_PASSWORD is for TLS"),
        (TLS | {"certificate_file": "FILE"}, "CERTIFICATE_FILE is set and RATCHET_KAFKA__KEY_FILE is not"),
        (TLS | {"key_file": "FILE"}, "KEY_FILE is set and RATCHET_KAFKA__CERTIFICATE_FILE is not"),
        (TLS | {"key_password": "topsecret"}, "KEY_PASSWORD is set and RATCHET_KAFKA__KEY_FILE is not"),
    ],
)
def test_what_does_not_fit_together_is_refused(given: dict[str, Any], expected: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValidationError) as caught:
        KafkaSettings(**{name: tmp_path / "file" if value == "FILE" else value for name, value in given.items()})
    assert expected in str(caught.value.errors(include_input=False, include_url=False))
    assert "topsecret" not in str(caught.value.errors(include_input=False, include_url=False))


def test_the_environment_s_complaints_name_setting_and_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("RATCHET_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("RATCHET_KAFKA__BOOTSTRAP", "kafka:9093")
    monkeypatch.setenv("RATCHET_KAFKA__SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("RATCHET_KAFKA__SASL_PASSWORD", "topsecret")
    with pytest.raises(SettingsError, match="RATCHET_KAFKA__SASL_MECHANISM is not set") as caught:
        load()
    assert "topsecret" not in str(caught.value)
    monkeypatch.setenv("RATCHET_KAFKA__CA_FILE", str(tmp_path / "ca.pem"))
    with pytest.raises(SettingsError, match=rf"RATCHET_KAFKA__CA_FILE: .*{tmp_path}/ca\.pem is no file that can be"):
        load()


def test_tls_checks_certificates_and_names_whatever_the_settings(files: dict[str, Any]) -> None:
    for given in (TLS, files):
        context = tls_context(KafkaSettings(**given))
        assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert [one["subject"][0][0][1] for one in tls_context(KafkaSettings(**files)).get_ca_certs()] == ["CA"]  # type: ignore[index]


def test_files_that_hold_something_else(files: dict[str, Any], tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_text("no certificate")
    with pytest.raises(SettingsError, match=r"RATCHET_KAFKA__CA_FILE: .*other\.pem holds no certificates"):
        client_arguments(KafkaSettings(**files | {"ca_file": other}))
    for wrong in ({"certificate_file": other}, {"key_file": other}, {"key_file": files["ca_file"].with_suffix(".key")}):
        with pytest.raises(SettingsError, match=r"CERTIFICATE_FILE .* and __KEY_FILE .* cannot be used"):
            client_arguments(KafkaSettings(**files | wrong))


@pytest.mark.parametrize("password", [None, "other", "x" * 2000])
def test_a_key_s_password_that_is_wrong_or_missing_asks_nobody(files: dict[str, Any], password: str | None) -> None:
    with pytest.raises(SettingsError, match="KEY_PASSWORD where the key is encrypted") as caught:
        client_arguments(KafkaSettings(**files | {"key_password": password}))
    assert (password or "keysecret") not in str(caught.value)


def connection(context: CurrentContext) -> ssl.SSLContext:
    """Begin a connection and return the context that it has."""
    return context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="kafka").context


def test_renewed_files_are_taken_at_the_next_connection(files: dict[str, Any], ca: Pair) -> None:
    context = CurrentContext(KafkaSettings(**files))
    first = connection(context)
    assert connection(context) is first
    certificate: Path = files["certificate_file"]
    with capture_logs() as lines:
        certificate.write_text("half wri")
        assert connection(context) is first
        certificate.unlink()
        assert connection(context) is first
        issue("client", ca).write(certificate.parent, "client", "keysecret")
        assert connection(context) is not first
    assert [line["event"] for line in lines] == ["certificates_not_renewed", "certificates_renewed"]


def test_renewed_files_that_could_not_be_read_are_tried_again(
    files: dict[str, Any], ca: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever mends their rights changes neither their time nor their size."""
    context = CurrentContext(KafkaSettings(**files))
    first = connection(context)
    issue("client", ca).write(files["certificate_file"].parent, "client", "keysecret")

    def refuse(_settings: KafkaSettings) -> None:
        raise SettingsError("permission denied")

    with monkeypatch.context() as patched, capture_logs():
        patched.setattr(kafka_security, "tls_context", refuse)
        assert connection(context) is first
    with capture_logs():
        assert connection(context) is not first


def test_settings_share_one_context(files: dict[str, Any]) -> None:
    made = [client_arguments(KafkaSettings(**files))["ssl_context"] for _ in range(2)]
    assert made[0] is made[1]


def caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


def unproven(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError()
    error.verify_code, error.verify_message = code, "self-signed certificate"
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (SaslAuthenticationFailed(), "refuses the user shop with PLAIN"),
        (UnsupportedSaslMechanismError(), "does not take PLAIN"),
        (IllegalSaslStateError(), "takes no SASL"),
        (unproven(62), "for another name"),
        (unproven(64), "for another name"),
        (caused(KafkaConnectionError(), unproven(18)), "the system's CAs cannot prove (self-signed certificate)"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), "does not speak TLS"),
        (ssl.SSLError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED]"), "refuses our certificate (none is set)"),
        (ssl.SSLError(1, "[SSL: UNEXPECTED_EOF_WHILE_READING]"), None),
        (KafkaConnectionError(), None),
        (TimeoutError(), None),
    ],
)
def test_a_refusal_names_what_to_check(error: Exception, expected: str | None) -> None:
    found = explain(error, KafkaSettings(**SASL, security_protocol="SASL_SSL"))
    assert (found is None) is (expected is None)
    assert (expected or "") in (found or "")
    assert "topsecret" not in (found or "")


def test_causes_without_end_are_looked_through_so_far() -> None:
    first, second = KafkaConnectionError(), KafkaConnectionError()
    first.__cause__, second.__cause__ = second, first
    assert explain(first, KafkaSettings(bootstrap="kafka:9092")) is None


def test_a_refusal_is_an_outage_that_may_end() -> None:
    assert issubclass(AccessRefusedError, UnavailableError)
    assert AccessRefusedError.transient


async def test_an_outage_stays_one() -> None:
    plain = await away_or_refused(KafkaSettings(bootstrap="127.0.0.1:1"), "away")
    assert (type(plain), str(plain)) == (UnavailableError, "away")
    over_tls = KafkaSettings(bootstrap="127.0.0.1:1,127.0.0.1:2", security_protocol="SSL")
    outage = await away_or_refused(over_tls, "away")
    assert (type(outage), str(outage)) == (
        UnavailableError, "away; is it up, and does it speak SSL at that port?",
    )  # fmt: skip


async def test_looking_for_a_refusal_takes_no_longer_than_a_connection_may() -> None:
    held: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with asyncio.timeout(60):
        for seconds in (0.3, 1.0, 4.0, 16.0):  # a full machine reads the CAs for longer, before it connects
            hanging = KafkaSettings(bootstrap=address, security_protocol="SSL", connect_timeout_seconds=seconds)
            assert type(await away_or_refused(hanging, "away")) is UnavailableError
            if held:
                break
    assert held, "it was asked"
    for writer in held:
        writer.close()
    server.close()


@pytest.mark.parametrize(
    "error", [TopicAuthorizationFailedError, GroupAuthorizationFailedError, ClusterAuthorizationFailedError]
)
async def test_a_missing_acl_is_a_refusal(error: type[KafkaError]) -> None:
    secured = KafkaSettings(**SASL, security_protocol="SASL_SSL")
    with pytest.raises(AccessRefusedError, match=rf"pinging is not allowed .{error.__name__}.: .* an ACL is missing"):
        async with opening(secured, 1, "pinging"):
            raise error
    with pytest.raises(AccessRefusedError, match=rf"topic t is not allowed .{error.__name__}.: .* an ACL is missing"):
        _need_created("t", error.errno)


def kafka_findings(**given: Any) -> list[doctor.Finding]:
    settings = HOME_SETTINGS.model_copy(update={"kafka": KafkaSettings(**given)})
    return doctor_settings.kafka_findings(settings, time.time())


def test_doctor_tells_how_kafka_is_reached_and_no_password(files: dict[str, Any]) -> None:
    assert kafka_findings() == []
    (sasl,) = kafka_findings(**SASL, security_protocol="SASL_SSL")
    assert (sasl.ok, sasl.found) == (True, "SASL_SSL, PLAIN as shop, CAs of the system")
    assert not sasl.advice
    (in_clear,) = kafka_findings(**SASL | {"sasl_password": SecretStr("topsecret")}, security_protocol="SASL_PLAINTEXT")
    assert "SASL_SSL" in in_clear.advice
    assert "secret" not in repr((sasl, in_clear))
    mutual, certificate = kafka_findings(**files)
    assert mutual.found == f"SSL, CAs of {files['ca_file']}"
    assert (certificate.check, certificate.ok) == ("kafka certificate", False), "it ends tomorrow"


@pytest.mark.parametrize("bootstrap", ["kafka:9092", "127.0.0.1:9092,10.0.0.7:9092", "[2001:db8::1]:9092"])
def test_doctor_finds_a_kafka_that_anybody_may_write_to(bootstrap: str) -> None:
    (finding,) = kafka_findings(bootstrap=bootstrap)
    assert not finding.ok
    assert "SASL_SSL" in finding.advice


@pytest.mark.parametrize("bootstrap", ["localhost:9092", "127.0.0.1:9092", "[::1]:9092"])
def test_doctor_leaves_a_kafka_of_this_machine_alone(bootstrap: str) -> None:
    assert kafka_findings(bootstrap=bootstrap) == []


@pytest.mark.parametrize(
    ("dsn", "encrypted", "advises"),
    [
        ("postgresql://ratchet:topsecret@db.internal:5432/ratchet", False, True),
        ("postgresql://ratchet:topsecret@db.internal:5432/ratchet", True, False),
        ("postgresql://ratchet:topsecret@127.0.0.1:5432/ratchet", False, False),
        ("postgresql:///ratchet?host=/run/postgresql", False, False),
    ],
)
def test_doctor_advises_tls_to_a_postgres_elsewhere(dsn: str, *, encrypted: bool, advises: bool) -> None:
    settings = HOME_SETTINGS.model_copy(update={"postgres": PostgresSettings(dsn=SecretStr(dsn))})
    finding = doctor.transport_finding(doctor.host_of(settings), encrypted=encrypted)
    assert bool(finding.advice) == advises
    assert "topsecret" not in repr(finding)


def test_doctor_checks_when_our_certificate_ends(tmp_path: Path, ca: Pair) -> None:
    now, soon = time.time(), time.time() + 14 * 24 * 3600
    for days, ok, found in ((30, True, "ends 2"), (3, False, "ends 2"), (-1, False, "ended 2")):
        path, _ = issue("client", ca, days=days).write(tmp_path, "client")
        finding = doctor_settings.certificate_finding(path, now, soon)
        assert (finding.ok, finding.found[: len(found)], bool(finding.advice)) == (ok, found, not ok)
    for text in ("", "no certificate"):
        path.write_text(text)
        assert not doctor_settings.certificate_finding(path, now, soon).ok
    assert not doctor_settings.certificate_finding(tmp_path / "gone", now, soon).ok


def test_a_missing_right_is_seen_where_the_client_hides_it_in_a_text() -> None:
    """As aiokafka's coordinator raises what refused it to fetch offsets."""
    hidden = KafkaError(repr(TopicAuthorizationFailedError()))
    assert authorization_kind(hidden) is TopicAuthorizationFailedError
    assert authorization_kind(GroupAuthorizationFailedError("g")) is GroupAuthorizationFailedError
    assert authorization_kind(KafkaError("TopicAuthorizationFailedError")) is None
    assert authorization_kind(KafkaConnectionError()) is None
