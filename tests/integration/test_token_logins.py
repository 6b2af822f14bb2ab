"""OAUTHBEARER on real brokers: tokens of a local issuer, and the two validators that Kafka ships."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from consumer_harness import until
from cryptography.hazmat.primitives.asymmetric import rsa
from secure_kafka import SCOPE, SecureKafka, secure_kafka
from token_server import CLIENT, ISSUER, SECRET, Issuer, key_set, token_server

from ops import doctor, doctor_settings, lag
from ops.console.backlog import BacklogReader
from runtime import kafka_security
from runtime.kafka import close_producer, ensure_topics, open_producer, ping
from runtime.kafka_tokens import KeptToken
from runtime.settings import KafkaSettings, Settings
from schemas.errors import AccessRefusedError, UnavailableError
from schemas.topics import DEFAULT, RECORD_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
async def broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SecureKafka]:
    async with secure_kafka(tmp_path_factory.mktemp("tokens") / "kafka") as place:
        yield place


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with token_server(scope=SCOPE) as serving:
        yield serving


def with_tokens(place: SecureKafka, issuer: Issuer, **other: Any) -> KafkaSettings:
    given = {
        "bootstrap": place.addresses["SASL"], "security_protocol": "SASL_SSL", "ca_file": place.ca_file,
        "sasl_mechanism": "OAUTHBEARER", "oauth_token_url": issuer.url, "oauth_client_id": CLIENT,
        "oauth_client_secret": SECRET,
    }  # fmt: skip
    return KafkaSettings(**given | other)


async def test_every_client_gets_through_with_one_token(broker: SecureKafka, issuer: Issuer) -> None:
    found = with_tokens(broker, issuer)
    settings = Settings().model_copy(update={"kafka": found})
    await ping(found)
    await ensure_topics(found)
    producer = await open_producer(found, RECORD_BYTES_MAX)
    await producer.send_and_wait(DEFAULT.webhooks.name, b"value", b"key")
    await close_producer(producer, 2.0)

    async def reads_the_lag() -> bool:
        with suppress(UnavailableError):  # a young broker has no coordinator yet
            return sum((await lag.read_lag(settings)).values()) >= 1
        return False

    await until(reads_the_lag, "the lag is read")
    reader = BacklogReader(settings)
    assert sum((await reader.read()).lag.values()) >= 1
    await reader.close()
    assert all(one.check != "kafka" or one.ok for one in await doctor.kafka(settings))
    (reported,) = doctor_settings.kafka_findings(settings, 0.0)
    assert f"OAUTHBEARER as {CLIENT}" in reported.found
    assert len(issuer.asked) == 1, "clients share the token"


async def test_a_token_that_ended_is_fetched_anew(broker: SecureKafka, issuer: Issuer) -> None:
    issuer.seconds = 1.0
    found = with_tokens(broker, issuer)
    await ping(found)
    before = len(issuer.asked)
    await asyncio.sleep(issuer.seconds)
    await ping(found)
    assert len(issuer.asked) > before


async def test_a_token_that_ends_while_its_renewal_fails_opens_nothing_until_there_is_another(
    broker: SecureKafka, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka ends the connections of a token with it: what is to be sent waits, and goes as soon as there is another."""
    left: list[float] = []
    give = KeptToken.token

    async def noting(self: KeptToken) -> str:
        given = await give(self)
        left.append(self._ends_at - time.monotonic())
        return given

    monkeypatch.setattr(KeptToken, "token", noting)
    issuer.seconds = 2.0
    found = with_tokens(broker, issuer)
    await ensure_topics(found, [DEFAULT.webhooks])
    producer = await open_producer(found, RECORD_BYTES_MAX)
    await producer.send_and_wait(DEFAULT.webhooks.name, b"value", b"key")
    token = kafka_security._shared_tokens(found)
    assert isinstance(token, KeptToken)
    await asyncio.sleep(token._renew_at - time.monotonic())
    issuer.answers = [(503, b"")] * 1000
    issuer.pause_seconds = max(token._ends_at - time.monotonic(), 0.0) + 0.05
    with pytest.raises(AccessRefusedError, match="wants a token"):
        await ping(found)
    issuer.pause_seconds, asked = 0.0, len(issuer.asked)
    sending = asyncio.ensure_future(producer.send_and_wait(DEFAULT.webhooks.name, b"value", b"key"))
    await until(lambda: len(issuer.asked) >= asked + 3, "it is asked for again and again")
    assert not sending.done()
    issuer.answers, issuer.seconds = [], 300.0
    await sending
    await ping(found)
    await close_producer(producer, 2.0)
    assert min(left) > 0, "the broker is shown none that has ended"


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ({"oauth_client_secret": "kafka-topsecret-2"}, "refuses the client ratchet:client: 401 invalid_client"),
        ({"oauth_token_url": "http://127.0.0.1:1/token"}, "127.0.0.1:1/token gives none"),
    ],
)
async def test_where_there_is_no_token_it_is_reported_why(
    broker: SecureKafka, issuer: Issuer, other: dict[str, Any], expected: str
) -> None:
    with pytest.raises(AccessRefusedError, match=expected) as caught:
        await ping(with_tokens(broker, issuer, **other))
    assert "wants a token" in str(caught.value)
    assert "topsecret" not in str(caught.value)


async def test_a_token_that_the_broker_refuses_is_reported_for_that(broker: SecureKafka, issuer: Issuer) -> None:
    """The refusal is no error of the exchange (RFC 7628, 3.2.2); who does not look finds a closed connection."""
    issuer.scope = "mail"
    for attempt in (ping, ensure_topics, lambda found: open_producer(found, 1000)):
        with pytest.raises(AccessRefusedError, match="refuses the token of the client ratchet:client; check"):
            await attempt(with_tokens(broker, issuer))


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
async def signing_broker(tmp_path: Path, key: rsa.RSAPrivateKey) -> AsyncIterator[SecureKafka]:
    """Give a broker that validates signatures, issuer and audience by a file of keys."""
    keys = tmp_path / "keys.json"
    keys.write_bytes(key_set(key))
    module = "org.apache.kafka.common.security.oauthbearer"
    lines = {
        "sasl.jaas.config": f"{module}.OAuthBearerLoginModule required;",
        "sasl.server.callback.handler.class": f"{module}.OAuthBearerValidatorCallbackHandler",
        "sasl.oauthbearer.jwks.endpoint.url": keys.as_uri(),
        "sasl.oauthbearer.expected.audience": "kafka",
        "sasl.oauthbearer.expected.issuer": ISSUER,
    }
    allowed = "-Dorg.apache.kafka.sasl.oauthbearer.allowed"
    flags = (f"{allowed}.urls={keys.as_uri()}", f"{allowed}.files={keys}")
    prefixed = {f"listener.name.sasl.oauthbearer.{name}": value for name, value in lines.items()}
    async with secure_kafka(tmp_path / "kafka", prefixed, flags) as place:
        yield place


async def test_signed_tokens_are_validated_and_others_refused(
    signing_broker: SecureKafka, issuer: Issuer, key: rsa.RSAPrivateKey
) -> None:
    issuer.key = key
    found = with_tokens(signing_broker, issuer)
    await ensure_topics(found)
    producer = await open_producer(found, RECORD_BYTES_MAX)
    await producer.send_and_wait(DEFAULT.webhooks.name, b"value", b"key")
    await close_producer(producer, 2.0)
    foreign = rsa.generate_private_key(65537, 2048)
    for other in ({"key": foreign}, {"key": None}, {"key": key, "audience": "mail"}, {"key": key, "seconds": -60.0}):
        async with token_server(**other) as wrong:
            with pytest.raises(AccessRefusedError, match="refuses the token of the client ratchet:client"):
                await ping(with_tokens(signing_broker, wrong))
