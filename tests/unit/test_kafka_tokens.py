"""Tokens of OAUTHBEARER: how they are asked for, kept, renewed; and what is logged where there is none."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs
from token_server import CLIENT, SECRET, Issuer, token_server

from runtime.http import HttpAnswer
from runtime.kafka_security import TokenError, client_arguments, explain
from runtime.kafka_tokens import ClientCredentials, KeptToken, read_token
from runtime.settings import KafkaSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.unit

URL = "https://issuer.example/token"
BASE = {"bootstrap": "kafka:9093", "security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"}
OAUTH = BASE | {"oauth_token_url": URL, "oauth_client_id": CLIENT, "oauth_client_secret": SECRET}
PLAIN = BASE | {"sasl_mechanism": "PLAIN", "sasl_user": "shop", "sasl_password": "topsecret"}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with token_server() as serving:
        yield serving


def settings(issuer: Issuer, **more: Any) -> KafkaSettings:
    return KafkaSettings(**OAUTH | {"oauth_token_url": issuer.url, "oauth_scope": "kafka other"} | more)


async def test_a_token_is_asked_for_as_the_rfc_says_and_kept_while_it_lasts(issuer: Issuer) -> None:
    clock = Clock()
    provider = ClientCredentials(settings(issuer), clock)
    first = await provider.token()
    clock.now += issuer.seconds * 0.79
    assert await provider.token() == first
    assert issuer.asked == [
        {
            "grant_type": "client_credentials",
            "scope": "kafka other",
            "login": "ratchet%3Aclient:token-topsecret%2F%2B+1",
        }
    ]
    clock.now += issuer.seconds * 0.02
    assert await provider.token() != first, "it is renewed before it ends"
    assert len(issuer.asked) == 2


async def test_clients_that_ask_at_once_cause_one_call(issuer: Issuer) -> None:
    issuer.pause_seconds = 0.05
    provider = ClientCredentials(settings(issuer))
    found = await asyncio.gather(*(provider.token() for _ in range(20)))
    assert (len(set(found)), len(issuer.asked)) == (1, 1)


async def test_an_issuer_that_is_away_ends_nothing_before_the_token_does(issuer: Issuer) -> None:
    clock = Clock()
    provider = ClientCredentials(settings(issuer), clock)
    first = await provider.token()
    clock.now += issuer.seconds * 0.9
    issuer.answers = [(503, b""), (503, b"")]
    with capture_logs() as logs:
        assert await provider.token() == first
        assert await provider.token() == first, "and asks only now and then"
    assert [line["event"] for line in logs] == ["kafka_token_not_renewed"]
    assert len(issuer.asked) == 2
    clock.now += issuer.seconds * 0.11
    with pytest.raises(TokenError, match="answers 503"):
        await provider.token()
    assert await provider.token() not in ("", first)


async def test_a_token_s_life_began_when_it_was_asked_for() -> None:
    """An answer that takes long brings a token that is older by that, also while its renewal fails."""
    clock, lives, asked = Clock(), [100.0, None, None, 100.0], []

    class Slow(KeptToken):
        async def _fetch(self) -> tuple[str, float]:
            await asyncio.sleep(0)
            asked.append(clock.now - 1000.0)
            clock.now += 10.0
            if (seconds := lives.pop(0)) is None:
                raise TokenError("no answer")
            return f"token{len(asked)}", seconds

    provider = Slow(KafkaSettings(bootstrap="kafka:9092"), clock)
    assert await provider.token() == "token1"
    clock.now = 1000.0 + 79.9
    assert await provider.token() == "token1"
    clock.now = 1000.0 + 80.0
    with capture_logs():
        assert await provider.token() == "token1", "it is valid for a while yet"
        clock.now = 1000.0 + 89.0
        assert await provider.token() == "token1"
    clock.now = 1000.0 + 100.0
    assert await provider.token() == "token4", "none is used past its end, however lately its renewal failed"
    assert asked == [0.0, 80.0, 89.0, 100.0]


async def test_a_token_that_ends_while_its_renewal_fails_is_used_no_more() -> None:
    clock, lives = Clock(), [100.0, None]

    class Slow(KeptToken):
        async def _fetch(self) -> tuple[str, float]:
            await asyncio.sleep(0)
            if (seconds := lives.pop(0)) is None:
                clock.now += 5.0
                raise TokenError("nobody answered")
            return "token", seconds

    provider = Slow(KafkaSettings(bootstrap="kafka:9092"), clock)
    assert await provider.token() == "token"
    clock.now += 97.0
    with pytest.raises(TokenError, match="nobody answered"):
        await provider.token()


async def test_a_pause_after_a_failed_renewal_does_not_outlast_the_token() -> None:
    clock, lives = Clock(), [100.0, None, None]

    class Quick(KeptToken):
        async def _fetch(self) -> tuple[str, float]:
            await asyncio.sleep(0)
            if (seconds := lives.pop(0)) is None:
                raise TokenError("nobody answered")
            return "token", seconds

    provider = Quick(KafkaSettings(bootstrap="kafka:9092"), clock)
    assert await provider.token() == "token"
    clock.now += 99.0
    with capture_logs():
        assert await provider.token() == "token"
    clock.now += 1.0
    with pytest.raises(TokenError, match="nobody answered"):
        await provider.token()


async def test_a_token_that_says_no_life_is_used_once(issuer: Issuer) -> None:
    issuer.answers = [(200, b'{"access_token": "a.b."}'), (200, b'{"access_token": "c.d."}')]
    provider = ClientCredentials(settings(issuer))
    assert [await provider.token(), await provider.token()] == ["a.b.", "c.d."]


def test_loops_of_one_process_share_a_provider() -> None:
    async def twice(provider: ClientCredentials, url: str) -> None:
        await asyncio.gather(provider.token(), provider.token())

    async def run(held: list[ClientCredentials]) -> None:
        async with token_server(seconds=0.0, pause_seconds=0.02) as serving:
            held[:] = held or [ClientCredentials(settings(serving))]
            held[0]._settings = settings(serving)
            await twice(held[0], serving.url)

    held: list[ClientCredentials] = []
    asyncio.run(run(held))
    asyncio.run(run(held))


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (
            401,
            b'{"error": "invalid_client"}',
            "refuses the client ratchet:client: 401 invalid_client; check RATCHET_KAFKA__OAUTH",
        ),
        (400, b'{"error": "invalid_scope"}', "400 invalid_scope"),
        (404, b"<html>", "refuses the client ratchet:client: 404;"),
        (400, b'{"error": "<script>"}', "ratchet:client: 400;"),
        (500, b"", "answers 500"),
        (200, b"", "without an access_token"),
        (200, b'["access_token"]', "without an access_token"),
        (200, b'{"access_token": 7}', "without an access_token"),
        (200, b'{"access_token": "a\\u0001auth=b"}', "without an access_token"),
        (200, b'{"access_token": ""}', "without an access_token"),
    ],
)
def test_an_answer_without_a_token_is_reported_for_what_it_is(status: int, body: bytes, expected: str) -> None:
    with pytest.raises(TokenError) as caught:
        read_token(HttpAnswer(status, body), KafkaSettings(**OAUTH))
    reported = explain(caught.value, KafkaSettings(**OAUTH)) or ""
    assert reported.startswith("wants a token, and https://issuer.example/token")
    assert expected in reported
    assert SECRET not in reported


@pytest.mark.parametrize(
    ("lasts", "seconds"),
    [(300, 300.0), ("299.5", 299.5), (None, 0.0), (-1, 0.0), ("soon", 0.0), ([], 0.0)],
)
def test_how_long_a_token_lasts(lasts: object, seconds: float) -> None:
    body = json.dumps({"access_token": "a.b.c", "expires_in": lasts}).encode()
    assert read_token(HttpAnswer(200, body), KafkaSettings(**OAUTH)) == ("a.b.c", seconds)


async def test_an_issuer_that_hangs_is_waited_for_no_longer_than_a_client_may_take_to_open(issuer: Issuer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/token"
        hangs = settings(issuer, oauth_token_url=url, connect_timeout_seconds=0.05)
        async with asyncio.timeout(8.0):
            with pytest.raises(TokenError, match="gives none"):
                await ClientCredentials(hangs).token()


async def test_nobody_at_the_token_url_is_reported(issuer: Issuer) -> None:
    nobody = settings(issuer, oauth_token_url="http://127.0.0.1:1/token")
    with pytest.raises(TokenError, match=r"127\.0\.0\.1:1/token gives none .*OAUTH_TOKEN_URL"):
        await ClientCredentials(nobody).token()


def test_clients_of_a_process_share_one_token() -> None:
    one, other = (client_arguments(KafkaSettings(**OAUTH)) for _ in range(2))
    assert one["sasl_mechanism"] == "OAUTHBEARER"
    assert one["sasl_oauth_token_provider"] is other["sasl_oauth_token_provider"]
    assert "sasl_plain_username" not in one
    assert SECRET not in repr(KafkaSettings(**OAUTH))
    assert KafkaSettings(**OAUTH).login_name == CLIENT
    assert KafkaSettings(**PLAIN).login_name == "shop"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (BASE, "OAUTH_TOKEN_URL is not set, but RATCHET_KAFKA__SASL_MECHANISM is OAUTHBEARER"),
        (OAUTH | {"oauth_client_id": None}, "OAUTH_CLIENT_ID is not set"),
        (OAUTH | {"oauth_client_secret": None}, "OAUTH_CLIENT_SECRET is not set"),
        (OAUTH | {"oauth_client_secret": ""}, "oauth_client_secret"),
        (OAUTH | {"oauth_token_url": "http://issuer.example/token"}, "unencrypted"),
        (OAUTH | {"sasl_user": "shop"}, "SASL_USER is set, but RATCHET_KAFKA__SASL_MECHANISM is OAUTHBEARER"),
        (OAUTH | {"sasl_password": "topsecret"}, "SASL_PASSWORD is set, but RATCHET_KAFKA__SASL_MECHANISM is OAUTHB"),
        (
            PLAIN | {"oauth_client_secret": SECRET},
            "OAUTH_CLIENT_SECRET is set, but RATCHET_KAFKA__SASL_MECHANISM is PLA",
        ),
        (PLAIN | {"oauth_scope": "kafka"}, "OAUTH_SCOPE is set, but RATCHET_KAFKA__SASL_MECHANISM is PLAIN"),
        (OAUTH | {"security_protocol": "SSL"}, "SASL_MECHANISM is set, but RATCHET_KAFKA__SECURITY_PROTOCOL is SSL"),
    ],
)
def test_what_does_not_fit_together_is_refused(given: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError) as caught:
        KafkaSettings(**given)
    reported = str(caught.value.errors(include_input=False, include_url=False))
    assert expected in reported
    assert SECRET not in reported
    assert "topsecret" not in reported
