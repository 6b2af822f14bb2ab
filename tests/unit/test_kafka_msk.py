"""Tokens of AWS_MSK_IAM: signed as AWS publishes it, in the form that its own signers give, renewed in time."""

from __future__ import annotations

import base64
import datetime as dt
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import botocore.auth
import pytest
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import ClientError
from pydantic import ValidationError

from ops.doctor_settings import kafka_findings
from runtime import kafka_msk, kafka_security
from runtime.kafka_msk import SignedUrl, signed_url
from runtime.kafka_security import TokenError, client_arguments, explain
from runtime.settings import KafkaSettings, Settings
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

BASE = {"bootstrap": "b-1.example:9098", "security_protocol": "SASL_SSL", "sasl_mechanism": "AWS_MSK_IAM"}
MSK = BASE | {"aws_region": "eu-central-1"}
KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267"
MOMENT = dt.datetime(2015, 8, 30, 12, 36, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def without_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep this machine's own AWS variables and files out, and ask no instance's address."""
    for name in ("AWS_PROFILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


@pytest.fixture
def at_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: MOMENT)


@pytest.mark.usefixtures("at_the_moment")
@pytest.mark.parametrize(
    ("token", "signature"),
    [
        (None, "e93c787ed7f371d5c6b165c1b38ede9550f4dce4144713e844b25b7192d3865d"),
        (TOKEN, "7ff2b50b376cb4d151970630573d6291dc128cc5c2a12ffb237f73cc53f67b6c"),
    ],
)
def test_a_url_is_signed_as_the_suite_of_aws_has_it(token: str | None, signature: str) -> None:
    """get-vanilla and get-vanilla-with-session-token of AWS's signing test suite, signed in the query."""
    found = signed_url(
        "https://example.amazonaws.com/", ReadOnlyCredentials(KEY, SECRET, token), "service", "us-east-1", 3600
    )
    assert parse_qs(urlsplit(found).query)["X-Amz-Signature"] == [signature]


@pytest.mark.usefixtures("at_the_moment")
async def test_a_token_is_the_signed_url_of_the_connect_action() -> None:
    token = await SignedUrl(KafkaSettings(**MSK)).token()
    assert "=" not in token
    url = urlsplit(base64.urlsafe_b64decode(token + "==").decode())
    assert (url.scheme, url.netloc, url.path) == ("https", "kafka.eu-central-1.amazonaws.com", "/")
    query = parse_qs(url.query)
    signature = query.pop("X-Amz-Signature")
    assert query == {
        "Action": ["kafka-cluster:Connect"],
        "X-Amz-Algorithm": ["AWS4-HMAC-SHA256"],
        "X-Amz-Credential": [f"{KEY}/20150830/eu-central-1/kafka-cluster/aws4_request"],
        "X-Amz-Date": ["20150830T123600Z"],
        "X-Amz-Expires": ["900"],
        "X-Amz-SignedHeaders": ["host"],
        "User-Agent": ["ratchet"],
    }
    assert len(signature[0]) == 64


async def test_a_token_is_kept_and_renewed_before_its_credentials_can_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    stamps = iter(MOMENT + dt.timedelta(minutes=minute) for minute in range(5))
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: next(stamps))
    provider = SignedUrl(KafkaSettings(**MSK), lambda: now[0])
    first = await provider.token()
    now[0] += 479
    assert await provider.token() == first
    now[0] += 2
    assert await provider.token() != first


class Rotated:
    """Credentials of a role: new ones each time that they are asked for."""

    method = "assume-role"

    def __init__(self) -> None:
        self.given = 0

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        self.given += 1
        return ReadOnlyCredentials(f"{KEY}{self.given}", SECRET, TOKEN)


async def test_each_token_is_signed_with_the_credentials_of_its_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A role's change every few hours: those of the start would be refused for ever after."""
    rotated, now = Rotated(), [1000.0]
    monkeypatch.setattr(kafka_msk, "credentials_of", lambda _session: rotated)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    provider, found = SignedUrl(KafkaSettings(**MSK), lambda: now[0]), []
    for _ in range(2):
        token = await provider.token()
        query = parse_qs(urlsplit(base64.urlsafe_b64decode(token + "==").decode()).query)
        found.append(query["X-Amz-Credential"][0].split("/"))
        assert query["X-Amz-Security-Token"] == [TOKEN]
        now[0] += 600.0
    assert [one[0] for one in found] == [f"{KEY}1", f"{KEY}2"]
    assert {one[2] for one in found} == {"eu-central-1"}, "the cluster's region, whatever the process's own"


async def test_a_service_of_aws_that_refuses_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_session: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "not yours"}}, "AssumeRole")

    monkeypatch.setattr(kafka_msk, "credentials_of", refuse)
    with pytest.raises(TokenError, match="AccessDenied"):
        await SignedUrl(KafkaSettings(**MSK)).token()


async def test_no_credentials_are_reported_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(TokenError, match="no credentials") as caught:
        await SignedUrl(KafkaSettings(**MSK)).token()
    assert "service account" in str(explain(caught.value, KafkaSettings(**MSK)))


async def test_half_a_key_and_an_aws_that_does_not_answer_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(TokenError, match="Partial credentials"):
        await SignedUrl(KafkaSettings(**MSK)).token()
    monkeypatch.setattr(SignedUrl, "_sign", lambda _: _waits())
    with pytest.raises(TokenError, match="did not come in time"):
        await SignedUrl(KafkaSettings(**MSK, connect_timeout_seconds=0.01)).token()


def _waits() -> str:
    time.sleep(0.1)
    return ""


def test_the_client_gets_oauthbearer_and_one_token_a_process() -> None:
    one, other = (client_arguments(KafkaSettings(**MSK)) for _ in range(2))
    assert one["sasl_mechanism"] == "OAUTHBEARER"
    assert one["sasl_oauth_token_provider"] is other["sasl_oauth_token_provider"]
    assert isinstance(one["sasl_oauth_token_provider"], SignedUrl)
    assert "sasl_plain_username" not in one


def test_without_the_extra_the_mechanism_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_security, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r"ratchet-payments\[aws\]"):
        client_arguments(KafkaSettings(**MSK, group="without"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (BASE, "AWS_REGION is not set, but RATCHET_KAFKA__SASL_MECHANISM is AWS_MSK_IAM"),
        (MSK | {"aws_region": "Frankfurt"}, "aws_region"),
        (MSK | {"security_protocol": "SASL_PLAINTEXT"}, "SECURITY_PROTOCOL is SASL_PLAINTEXT"),
        (MSK | {"sasl_user": "shop"}, "SASL_USER is set, but RATCHET_KAFKA__SASL_MECHANISM is AWS_MSK_IAM"),
        (MSK | {"sasl_password": "topsecret"}, "SASL_PASSWORD is set"),
        (MSK | {"oauth_scope": "kafka"}, "OAUTH_SCOPE is set"),
        (
            BASE | {"sasl_mechanism": "PLAIN", "sasl_user": "a", "sasl_password": "b", "aws_region": "eu-central-1"},
            "AWS_REGION is set, but RATCHET_KAFKA__SASL_MECHANISM is PLAIN",
        ),
    ],
)
def test_what_does_not_fit_together_is_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        KafkaSettings(**given)
    assert message in str(caught.value)


def test_a_refusal_names_the_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = kafka_security.SaslAuthenticationFailed("no")
    assert "kafka-cluster:Connect" in str(explain(refused, KafkaSettings(**MSK)))
    (found,) = kafka_findings(Settings().model_copy(update={"kafka": KafkaSettings(**MSK)}), 0.0)
    assert "AWS_MSK_IAM in eu-central-1" in found.found
    assert kafka_msk.identity_found() == "AWS credentials by env"
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(TokenError):
        kafka_msk.identity_found()
