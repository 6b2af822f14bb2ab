"""Events as records, paths, endpoints and problems: the pure parts of the ingress."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from producers.ingress import routes
from producers.ingress.answers import Refusal, of_problem, of_refusal
from producers.ingress.endpoints import open_endpoints
from producers.ingress.publishing import records
from producers.ingress.webhooks import declared_bytes, headers_of, target_of
from providers.core.contract import Notification, Trust
from runtime.settings import AccountSettings, ProviderSettings, Settings
from schemas import problems
from schemas.errors import SettingsError
from schemas.traceparent import well_formed

pytestmark = pytest.mark.unit

ARRIVAL = records.Arrival("stripe/acme", 1_700_000_000.25, "application/json", None)


def notification(**changes: Any) -> Notification:
    parts: dict[str, Any] = {"event_id": "evt_1", "kind": "k", "payment_ref": "pi_1", "body": b"{}"}
    return Notification(**(parts | changes))


def attributes(record: records.RelayedRecord) -> dict[str, str]:
    return {name: value.decode() for name, value in record.headers}


def test_an_event_becomes_a_record() -> None:
    (record,) = records.build([notification(body=b"\xff raw")], ARRIVAL, "acme.webhooks")
    assert (record.topic, record.key, record.value) == ("acme.webhooks", b"pi_1", b"\xff raw")
    assert attributes(record) == {
        "ce_specversion": "1.0",
        "ce_id": "evt_1",
        "ce_source": "stripe/acme",
        "ce_type": "k",
        "ce_time": "2023-11-14T22:13:20.250000+00:00",
        "content-type": "application/json",
        "ce_ratchettrust": "verified",
    }


def test_an_event_without_identity_gets_its_bodys_digest() -> None:
    bare = notification(event_id=None, kind=None, payment_ref=None, trust=Trust.HINT)
    (record,) = records.build([bare], ARRIVAL, "acme.webhooks")
    digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    assert attributes(record)["ce_id"] == digest
    assert record.key == digest.encode()
    assert attributes(record)["ce_type"] == "unknown"
    assert attributes(record)["ce_ratchettrust"] == "hint"


@given(st.text())
def test_every_identity_becomes_storable_and_stays_itself(text: str) -> None:
    stored = records.storable(text, 100)
    assert len(stored) <= 100
    assert "\x00" not in stored
    assert stored.encode().decode() == stored
    assert records.storable(text, 100) == stored


def test_identities_that_cannot_be_stored_give_way_to_their_digest() -> None:
    for bad in ("a\x00b", "x" * 401, "\ud800"):
        (record,) = records.build([notification(event_id=bad, payment_ref=bad, kind=bad)], ARRIVAL, "acme.webhooks")
        assert attributes(record)["ce_id"].startswith("sha256:")
        assert record.key.startswith(b"sha256:")
        assert attributes(record)["ce_type"].startswith("sha256:")
    assert records.storable("a\x00b", 9) != records.storable("a\x00c", 9)


@pytest.mark.parametrize(
    ("value", "passed_on"),
    [
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", True),
        ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", True),
        ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", False),
        ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", False),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", False),
        ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", False),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n", False),
        ("", False),
        (None, False),
    ],
)
def test_only_a_well_formed_traceparent_is_passed_on(value: str | None, *, passed_on: bool) -> None:
    assert well_formed(value) == (value if passed_on else None)


def test_content_types_are_printable() -> None:
    assert records.well_formed_content_type("text/plain; charset=utf-8") == "text/plain; charset=utf-8"
    for bad in (None, "", "a\x7f", "x" * 256):
        assert records.well_formed_content_type(bad) == "application/octet-stream"


@pytest.mark.parametrize(
    ("path", "provider", "account", "template"),
    [
        ("/webhooks/stripe", "stripe", "", "/webhooks/{provider}"),
        ("/webhooks/adyen/ACME", "adyen", "acme", "/webhooks/{provider}/{account}"),
        ("/webhooks/mpesa/s3cret", "mpesa", "", "/webhooks/{provider}/{secret}"),
        ("/webhooks/mpesa/Acme/s3cret", "mpesa", "acme", "/webhooks/{provider}/{account}/{secret}"),
    ],
)
def test_paths_name_their_endpoint(path: str, provider: str, account: str, template: str) -> None:
    assert routes.parse(path) == routes.WebhookPath(provider, account, template)


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/webhooks", "/webhooks/", "/webhooks/stripe/", "/webhooks/stripe/a/b", "/webhooks//a"),
        *("/webhooks/mpesa", "/webhooks/mpesa/", "/webhooks/mpesa/a/b/c", "/webhooks/mpesa//secret", "/other/stripe"),
    ],
)
def test_other_paths_name_none(path: str) -> None:
    assert routes.parse(path) is None


def settings_with(**providers: ProviderSettings) -> Settings:
    return Settings().model_copy(update={"providers": providers})


def test_only_endpoints_with_a_secret_are_open() -> None:
    secret = (SecretStr("aabb"),)
    found = open_endpoints(
        settings_with(
            stripe=ProviderSettings(secrets=secret, accounts={"none": AccountSettings()}),
            adyen=ProviderSettings(accounts={"Acme": AccountSettings(secrets=secret, merchant_accounts=("M",))}),
            github=ProviderSettings(secrets=(SecretStr(""),)),
        )
    )
    assert set(found) == {("stripe", ""), ("adyen", "acme")}
    assert found["adyen", "acme"].source == "adyen/acme"
    assert found["adyen", "acme"].config == {"merchant_accounts": ["M"]}
    assert "secrets" not in repr(found["stripe", ""])


def test_names_that_cannot_be_refuse_to_start() -> None:
    with pytest.raises(SettingsError, match="STRIPEE: there is no such provider"):
        open_endpoints(settings_with(stripee=ProviderSettings()))
    with pytest.raises(SettingsError, match="no account name"):
        open_endpoints(settings_with(stripe=ProviderSettings(accounts={"a/b": AccountSettings()})))


def test_requests_are_read_as_they_were_sent() -> None:
    scope = {
        "headers": [(b"x-a", b"1"), (b"x-b", b"\xe9"), (b"x-a", b"2")],
        "raw_path": b"/webhooks/a%2Fb",
        "query_string": b"x=%20y",
    }
    assert headers_of(scope) == {"x-a": ["1", "2"], "x-b": ["é"]}
    assert target_of(scope) == "/webhooks/a%2Fb?x=%20y"
    assert target_of(scope | {"query_string": b""}) == "/webhooks/a%2Fb"
    assert [declared_bytes({"content-length": [value]}) for value in ("12", "x", "")] == [12, 0, 0]
    assert declared_bytes({}) == 0


def test_every_problem_is_documented_once_and_renders() -> None:
    defined = {value for value in vars(problems).values() if isinstance(value, problems.Problem)}
    assert set(problems.CATALOGUE) == defined
    assert len({problem.slug for problem in problems.CATALOGUE}) == len(problems.CATALOGUE)
    for problem in problems.CATALOGUE:
        document = json.loads(problems.render(problem, "why", errors=[1]))
        assert document == {
            "type": problem.type,
            "title": problem.title,
            "status": problem.status,
            "detail": "why",
            "errors": [1],
        }
    assert problems.WINDOW_FULL.type == "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"


def test_a_503_says_when_to_come_again_and_a_closing_answer_says_so() -> None:
    headers = dict(of_refusal(Refusal(problems.NOTHING_DURABLE, "x", close=True), 7).raw_headers())
    assert (headers[b"retry-after"], headers[b"connection"]) == (b"7", b"close")
    headers = dict(of_problem(problems.UNKNOWN_PATH).raw_headers())
    assert b"retry-after" not in headers
    assert headers[b"content-type"] == b"application/problem+json"
