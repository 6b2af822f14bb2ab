"""Bodies of intents requests: what is taken, what is refused and where, and what tells two requests apart."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from producers.ingress.intents.answers import Declined
from producers.ingress.intents.bodies import ParsedCommand, need_endpoint, read
from runtime.settings import ClientSettings, ProviderSettings
from runtime.settings.scopes import Scopes
from schemas import metadata
from schemas.intents import Cancel, Capture, Command, Intent

pytestmark = pytest.mark.unit

ID = UUID(int=7)
INTENT: dict[str, Any] = {"amount": 100, "currency": "EUR", "provider": "stripe"}


def parsed(document: Any, command: Command = Command.CREATE, payment_id: UUID | None = None) -> ParsedCommand:
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    found = read(command, payment_id, raw, 20)
    assert isinstance(found, ParsedCommand), found
    return found


def declined(document: Any, command: Command = Command.CREATE) -> list[dict[str, str]]:
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    found = read(command, None, raw, 20)
    assert isinstance(found, Declined)
    assert (found.problem.slug, found.problem.status) == ("invalid-body", 422)
    return list(found.members["errors"])


def test_an_intent_is_read() -> None:
    intent = parsed({**INTENT, "account": "ACME"}).body
    assert isinstance(intent, Intent)
    assert (intent.amount, intent.account, intent.capture) == (100, "acme", "manual")


@pytest.mark.parametrize("command", [Command.CAPTURE, Command.CANCEL, Command.REFUND])
def test_no_body_is_an_empty_one(command: Command) -> None:
    assert parsed(b"", command, ID).fingerprint == parsed(b" {} ", command, ID).fingerprint


def test_defects_are_named_by_pointer_and_bounded() -> None:
    assert [one["pointer"] for one in declined({"amount": 0, "currency": "EUR"})] == ["#/amount", "#/provider"]
    assert declined({**INTENT, "a/b~c": 1})[0]["pointer"] == "#/a~1b~0c"
    assert len(declined({str(number): 1 for number in range(100)})) == 20
    assert len(declined({**INTENT, "x" * 5000: 1})[0]["pointer"]) <= 201


def test_a_misspelt_field_is_reported_with_the_one_that_was_meant() -> None:
    assert declined({"ammount": 100}, Command.REFUND) == [
        {
            "pointer": "#/ammount",
            "detail": "there is no such field; did you mean amount? "
            "There are amount, attempt_id, currency, metadata, reason",
        }
    ]


SCOPES = Scopes(
    {
        "stripe": ProviderSettings.model_validate({"secrets": ["whsec_1"], "mode": "test"}),
        "github": ProviderSettings.model_validate({"secrets": ["gh"]}),
        "adyen": ProviderSettings.model_validate(
            {
                "accounts": {
                    "acme": {"secrets": ["aa"], "merchant_accounts": ["AcmeShop"]},
                    "many": {"secrets": ["aa"], "merchant_accounts": ["One", "Two"]},
                }
            }
        ),
    },
    {"shop": ClientSettings(accounts=("adyen/acme", "adyen/many"))},
)


def scoped(client: str, **fields: Any) -> Any:
    body = parsed({**INTENT, **fields}).body
    assert isinstance(body, Intent)
    return need_endpoint(body, client, SCOPES)


@pytest.mark.parametrize(
    ("client", "expected", "pointer", "word"),
    [
        ("any", {"provider": "nobody"}, "#/provider", "stripe"),
        ("any", {"provider": "github"}, "#/provider", "must be one of"),
        ("any", {"provider": "mollie"}, "#/provider", "not configured"),
        ("any", {"provider": "adyen"}, "#/provider", "not configured"),
        ("any", {"provider": "adyen", "account": "else"}, "#/account", "not configured"),
        ("shop", {"provider": "stripe"}, "#/provider", "no account of this client's"),
        ("shop", {"provider": "adyen", "account": "acme", "merchant_account": "Else"}, "#/merchant_account", "acme"),
    ],
)
def test_an_intent_names_an_endpoint_that_is_the_clients(
    client: str, expected: dict[str, Any], pointer: str, word: str
) -> None:
    found = scoped(client, **expected)
    assert isinstance(found, Declined)
    assert (found.problem.slug, found.problem.status) == ("invalid-body", 422)
    (defect,) = found.members["errors"]
    assert (defect["pointer"], word in defect["detail"]) == (pointer, True)


def test_what_an_intent_leaves_out_is_the_endpoints() -> None:
    acme = scoped("shop", provider="adyen", account="ACME")
    many = scoped("shop", provider="adyen", account="many", livemode=False)
    assert [(one.merchant_account, one.livemode) for one in (acme, many, scoped("any"))] == [
        ("AcmeShop", True),
        ("", False),
        ("", False),
    ]
    assert scoped("any", livemode=True).livemode is True


@pytest.mark.parametrize("amount", [0, -1, 10**14 + 1, 2**63, 10**30, 10.5, 1e300, "100", True, None, [1]])
def test_amounts_that_are_none(amount: Any) -> None:
    assert declined({**INTENT, "amount": amount})[0]["pointer"] == "#/amount"


def test_a_whole_number_may_be_written_with_a_point() -> None:
    body = parsed({**INTENT, "amount": 100.0}).body
    assert isinstance(body, Intent)
    assert (body.amount, type(body.amount)) == (100, int)


@pytest.mark.parametrize("currency", ["eur", "EURO", "XAU", "XXX", "AAA", "", 978])
def test_currencies_that_are_none(currency: Any) -> None:
    assert declined({**INTENT, "currency": currency})[0]["pointer"] == "#/currency"


@pytest.mark.parametrize(
    "body",
    [
        b"[",
        b"\xff",
        b"NaN",
        b"1",
        b"null",
        b'{"amount": 1e999}',
        b'{"a": "\\ud800"}',
        b'{"provider":"stripe","amount":1,"amount":2,"currency":"EUR"}',
        b'{"provider":"stripe","amount":1,"currency":"EUR","metadata":{"a":1,"a":2}}',
        b'{"a": ' + b"1" * 5000 + b"}",
        b"[" * 1_000_000,
        b'{"a":' * 500_000 + b"1" + b"}" * 500_000,
    ],
)
def test_what_is_no_json_object(body: bytes) -> None:
    assert declined(body)[0]["pointer"] == "#"


@pytest.mark.parametrize("depth", [5, 60, 500, 900])
def test_what_is_deep_and_still_json_is_metadata_that_is_not(depth: int) -> None:
    body = (
        b'{"amount": 1, "currency": "EUR", "provider": "stripe", "metadata": '
        + b'{"a":' * depth
        + b"1"
        + b"}" * (depth + 1)
    )
    assert declined(body)[0]["pointer"] in ("#/metadata", "#")


@given(st.binary(max_size=200))
def test_no_bytes_raise(body: bytes) -> None:
    for command in Command:
        assert isinstance(read(command, ID, body, 20), ParsedCommand | Declined)


def test_a_fingerprint_tells_requests_apart() -> None:
    same = [parsed(INTENT), parsed(dict(reversed(INTENT.items()))), parsed(json.dumps(INTENT, indent=2).encode())]
    same += [parsed(json.dumps(INTENT).replace("100", how).encode()) for how in ("100.0", "1e2", "1.00E+2", "100.000")]
    nested = [parsed(json.dumps({**INTENT, "metadata": {"a": [1]}}).replace("[1]", how).encode())
              for how in ("[1]", "[1.0]", "[10e-1]")]  # fmt: skip
    assert len({one.fingerprint for one in same}) == len({one.fingerprint for one in nested}) == 1
    others = [
        parsed({**INTENT, "metadata": {"a": [True]}}),
        parsed({**INTENT, "metadata": {"a": ["1"]}}),
        parsed({**INTENT, "metadata": {"a": [1.5]}}),
        nested[0],
        parsed({**INTENT, "amount": 101}),
        parsed({**INTENT, "metadata": {"a": 1}}),
        *(parsed({}, command, ID) for command in (Command.CAPTURE, Command.CANCEL, Command.REFUND)),
        parsed({}, Command.CAPTURE, UUID(int=8)),
        parsed({"amount": 1}, Command.CAPTURE, ID),
    ]
    assert len({one.fingerprint for one in (*same, *others)}) == 1 + len(others)


def test_a_command_takes_nothing_that_it_does_not_know() -> None:
    assert declined({"surprise": 1}, Command.CANCEL)[0]["pointer"] == "#/surprise"
    assert Capture(amount=1, currency="EUR").amount == 1
    assert Cancel(reason="why not").reason == "why not"


@pytest.mark.parametrize(
    ("expected", "why"),
    [
        ({"a": "x" * 501}, "longer than 500"),
        ({"x" * 65: 1}, "longer than 64"),
        ({"a": "\x00"}, "NUL"),
        ({"a": 2**53}, "number beyond"),
        ({"a": -(2**53)}, "number beyond"),
        ({"a": [{"b": [2**53]}]}, "number beyond"),
        ({"a": ["\x00"]}, "NUL"),
        ({"a\x00": 1}, "NUL"),
        ({"a": {"b\x00": 1}}, "NUL"),
        ({f"{number}": "ü" * 500 for number in range(50)}, "over 65536 bytes"),
        ({"a": float("nan")}, "number beyond"),
        ({"a": {"b": {"c": {"d": {}}}}}, "nested deeper"),
        ({str(number): 1 for number in range(51)}, "more than 50"),
        ({"a": [1] * 51}, "more than 50"),
        ({"a": object()}, "no JSON"),
        ({f"{number}": {f"{inner}": "x" * 500 for inner in range(50)} for number in range(3)}, "over 65536 bytes"),
    ],
)
def test_metadata_is_bounded_in_every_direction(expected: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Intent.model_validate({**INTENT, "metadata": expected})


def test_metadata_at_its_bounds_is_taken() -> None:
    whole = {"a": "x" * 500, "b" * 64: metadata.NUMBER_MAX, "c": [1] * 50, "d": dict.fromkeys(map(str, range(50)), "")}
    assert Intent.model_validate({**INTENT, "metadata": whole}).metadata == whole


def test_metadata_is_any_json_within_its_bounds() -> None:
    reported = {"a": [None, True, 1, 1.5, "x", {"b": {}}], "c": {"d": {"e": [1]}} | {"f": -metadata.NUMBER_MAX}}
    assert Intent.model_validate({**INTENT, "metadata": reported}).metadata == reported
