"""Whatever was genuinely signed is taken, whatever its shape; what a signature leaves open is refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers import providers
from providers import all_named_by_hint, interpret, named_by_hint
from schemas.errors import SignatureRejected

if TYPE_CHECKING:
    from collections.abc import Callable

    from providers.core.contract import Notification

pytestmark = pytest.mark.unit

KEY = "key with ümlaut"
URL = "https://shop.test/webhooks/x?tenant=a%20b"


def _mac(message: bytes, algorithm: str = "sha256") -> bytes:
    return hmac.digest(KEY.encode(), message, algorithm)


SIGNERS: Final[dict[str, tuple[str, Callable[[bytes], str]]]] = {
    "checkout": ("cko-signature", lambda body: _mac(body).hex()),
    "flutterwave": ("flutterwave-signature", lambda body: base64.b64encode(_mac(body)).decode()),
    "github": ("x-hub-signature-256", lambda body: "sha256=" + _mac(body).hex()),
    "gocardless": ("webhook-signature", lambda body: _mac(body).hex()),
    "mollie": ("x-mollie-signature", lambda body: "sha256=" + _mac(body).hex()),
    "paystack": ("x-paystack-signature", lambda body: _mac(body, "sha512").hex()),
    "razorpay": ("x-razorpay-signature", lambda body: _mac(body).hex()),
    "shopify": ("x-shopify-hmac-sha256", lambda body: base64.b64encode(_mac(body)).decode()),
    "square": ("x-square-hmacsha256-signature", lambda body: base64.b64encode(_mac(URL.encode() + body)).decode()),
}

ODD = st.sampled_from(
    [
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"{}",
        b"{",
        b"\xff",
        b'{"events":7}',
        b'{"event":{},"data":[]}',
        b'{"data":{"id":true}}',
    ]
)


@pytest.mark.parametrize("provider", sorted(SIGNERS))
@given(body=ODD | st.binary(max_size=80))
def test_a_genuine_body_of_any_shape_is_one_event(provider: str, body: bytes) -> None:
    name, sign = SIGNERS[provider]
    (notification,) = providers.verify(provider, headers={name: sign(body)}, body=body, url=URL, secrets=[KEY], now=0)
    assert (notification.body, notification.payment_ref) == (body, None)
    assert notification.event_id is None


@pytest.mark.parametrize("ours", [0, 1, 2])
@pytest.mark.parametrize("provider", sorted(SIGNERS))
def test_a_signature_in_any_line_of_its_header_proves(provider: str, ours: int) -> None:
    """A sender that rotates its key, or a proxy, may write the header once for each; a field's lines are its values."""
    name, sign = SIGNERS[provider]
    lines = [sign(b"other %d" % number) for number in range(3)]
    lines[ours] = sign(b"{}")
    (found,) = providers.verify(provider, headers={name: lines}, body=b"{}", url=URL, secrets=[KEY], now=0)
    assert found.trust == "verified"
    del lines[ours]
    with pytest.raises(SignatureRejected, match="no signature fits"):
        providers.verify(provider, headers={name: lines}, body=b"{}", url=URL, secrets=[KEY], now=0)


@pytest.mark.parametrize("ours", [0, 1, 2])
@pytest.mark.parametrize("prefix", ["webhook", "svix"])
def test_a_standard_webhooks_signature_in_any_line_proves(prefix: str, ours: int) -> None:
    mac = base64.b64encode(_mac(b"m1.1790000000.{}")).decode()
    lines = ["v1," + base64.b64encode(bytes([number]) * 32).decode() for number in range(3)]
    lines[ours] = f"v1a,{'A' * 86}== v1,{mac}"
    headers = {f"{prefix}-id": "m1", f"{prefix}-timestamp": "1790000000", f"{prefix}-signature": lines}
    secret = "whsec_" + base64.b64encode(KEY.encode()).decode()
    now = 1_790_000_000
    (found,) = providers.verify("standard_webhooks", headers=headers, body=b"{}", url=URL, secrets=[secret], now=now)
    assert found.event_id == "m1"


@pytest.mark.parametrize("body", [b"", b"null", b"{}", b'{"events":7}', b"\xff"])
def test_a_signed_gocardless_body_that_lists_no_events_is_kept_as_one_event_of_no_kind(body: bytes) -> None:
    headers = {"Webhook-Signature": SIGNERS["gocardless"][1](body)}
    (found,) = providers.verify("gocardless", headers=headers, body=body, url=URL, secrets=[KEY], now=0)
    assert (found.event_id, found.kind, found.payment_ref, found.body) == (None, None, None, body)


@pytest.mark.parametrize("broken", [b"caf\xe9", rb"half \ud83d"])
def test_gocardless_items_keep_their_bytes(broken: bytes) -> None:
    items = [b'{"id": "EV1", "note": "' + broken + b'"}', b"7", b'{ "id":"EV2","links":{"payment":"PM1"} }']
    body = b'{"meta":{"note":"' + broken + b'"},"events":[ ' + b" ,\n".join(items) + b"]}"
    headers = {"Webhook-Signature": SIGNERS["gocardless"][1](body)}
    found = providers.verify("gocardless", headers=headers, body=body, url=URL, secrets=[KEY], now=0)
    assert [one.body for one in found] == items
    assert [(one.event_id, one.payment_ref) for one in found] == [("EV1", None), (None, None), ("EV2", "PM1")]


CONTROLS = "\x1b[2J\x07\t\r\n\x08\x9b31m\u202e\u2066"
"""What a terminal obeys, all of ECMA-48's forms, and marks that turn the direction of text."""


def test_control_characters_in_a_signed_reference_stay_and_the_payment_is_read() -> None:
    reference = f"ORD-7{CONTROLS}"
    data = {"id": "chg_1", "reference": reference, "amount": 10, "currency": "KES", "status": "succeeded"}
    body = json.dumps({"webhook_id": "wbk_1", "type": "charge.completed", "data": data}).encode()
    name, sign = SIGNERS["flutterwave"]
    headers = {name: sign(body)}
    (found,) = providers.verify("flutterwave", headers=headers, body=body, url=URL, secrets=[KEY], now=0)
    assert (found.event_id, found.payment_ref, found.body) == ("wbk_1", reference, body)
    meaning = interpret("flutterwave", "charge.completed", body)
    assert {ref.ref for ref in meaning.refs} == {reference, "chg_1"}, "what is cleaned would be another's"
    assert [fact.kind for fact in meaning.facts]


@pytest.mark.parametrize("sign", sorted(set(CONTROLS) - set("[2J31m")))
def test_an_unsigned_id_with_a_control_character_names_nothing(sign: str) -> None:
    def body(own: str) -> bytes:
        return json.dumps({"event": "charge.completed", "data": {"id": own}}).encode()

    assert named_by_hint("flutterwave", body(f"1{sign}")) is None
    assert all_named_by_hint("flutterwave", body(f"1{sign}")) == ()
    assert all_named_by_hint("flutterwave", body("1")) == (("1", None),)


@pytest.mark.parametrize(("items", "reason"), [(1_000, "an item has no amount"), (1_001, "more than 1000 items")])
def test_items_of_adyen_are_counted_before_they_are_taken_apart(items: int, reason: str) -> None:
    """Adyen sends a few, and each of a stranger's would be read before its signature turns out to be none."""
    item = json.dumps({"NotificationRequestItem": {"additionalData": {"hmacSignature": "A" * 43 + "="}}})
    body = b'{"notificationItems":[' + ",".join([item] * items).encode() + b"]}"
    with pytest.raises(SignatureRejected, match=reason):
        providers.verify("adyen", headers={}, body=body, url=URL, secrets=["AB" * 32], now=0)


def _braintree_form(xml: bytes) -> bytes:
    payload = base64.encodebytes(xml).decode()
    mac = hmac.new(hashlib.sha1(KEY.encode()).digest(), payload.encode(), "sha1").hexdigest()
    return urlencode({"bt_signature": f"pub|{mac}", "bt_payload": payload}).encode()


@pytest.mark.parametrize(
    ("xml", "event_id", "kind", "payment_ref"),
    [
        (b"<a>", None, None, None),
        (b"<a/>", None, None, None),
        (b"\xff\xfe", None, None, None),
        (b"<notification><kind>check</kind></notification>", None, "check", None),
        (
            b"<notification><kind>k</kind><subject><subscription><id>s1</id></subscription></subject></notification>",
            "k:s1",
            "k",
            None,
        ),
        (b'<!DOCTYPE x [<!ENTITY e "boom">]><notification><kind>&e;</kind></notification>', None, None, None),
        (b"<n>" * 100_000, None, None, None),
    ],
)
def test_braintree_takes_any_signed_document(
    xml: bytes, event_id: str | None, kind: str | None, payment_ref: str | None
) -> None:
    body = _braintree_form(xml)
    (found,) = providers.verify("braintree", headers={}, body=body, url=URL, secrets=[f"pub|{KEY}"], now=0)
    assert (found.event_id, found.kind, found.payment_ref) == (event_id, kind, payment_ref)


def test_braintree_payload_twice_is_no_proof() -> None:
    body = _braintree_form(b"<a/>") + b"&bt_payload=PGIvPg%3D%3D"
    with pytest.raises(SignatureRejected, match="malformed_header"):
        providers.verify("braintree", headers={}, body=body, url=URL, secrets=[f"pub|{KEY}"], now=0)


def _twilio(fields: bytes, joined: str, url: str = URL) -> list[Notification]:
    signature = base64.b64encode(_mac(url.encode() + joined.encode(), "sha1")).decode()
    return providers.verify(
        "twilio", headers={"X-Twilio-Signature": signature}, body=fields, url=url, secrets=[KEY], now=0
    )


@pytest.mark.parametrize(
    ("fields", "joined"),
    [
        (b"MessageSi=dSM1&MessageStatus=sent", "MessageSidSM1MessageStatussent"),
        (b"From=1MessageSidSM1&MessageStatus=sent", "From1MessageSidSM1MessageStatussent"),
        (b"MessageSid=SM1&MessageStatus=sentSmsSidSM1", "MessageSidSM1MessageStatussentSmsSidSM1"),
        (
            b"MessageSid=SM1&MessageStatus=failed&MessageStatus=sent",
            "MessageSidSM1MessageStatusfailedMessageStatussent",
        ),
        (b"MessageSid=&MessageStatus=sent", "MessageSidMessageStatussent"),
    ],
)
def test_twilio_fields_with_moved_borders(fields: bytes, joined: str) -> None:
    with pytest.raises(SignatureRejected, match="malformed_body"):
        _twilio(fields, joined)


def test_twilio_takes_other_callbacks_and_urls_without_a_host() -> None:
    (inbound,) = _twilio(b"MessageSid=SM1&SmsStatus=received", "MessageSidSM1SmsStatusreceived")
    (odd,) = _twilio(b"MessageSid=SM1&MessageStatus=sent", "MessageSidSM1MessageStatussent", "https://[::1]/x")
    assert [(one.event_id, one.kind) for one in (inbound, odd)] == [(None, None), ("SM1:sent", "sent")]


@pytest.mark.parametrize("settings_header", ["", "key=k", "algorithm=HMAC_SHA1,algorithm=HMAC_SHA256", "algorithm="])
def test_twilio_settings_must_name_one_algorithm(settings_header: str) -> None:
    headers = {"X-Twilio-Signature": "x", "X-Twilio-Webhooks-Signature-Settings": settings_header}
    with pytest.raises(SignatureRejected, match="unsupported_algorithm"):
        providers.verify("twilio", headers=headers, body=b"", url=URL, secrets=[KEY], now=0)


@pytest.mark.parametrize(
    ("provider", "headers"),
    [
        ("twilio", {"X-Twilio-Signature": "x"}),
        ("braintree", {}),
        ("mollie", {"Content-Type": "application/x-www-form-urlencoded"}),
    ],
)
def test_a_form_of_a_stranger_is_bounded(provider: str, headers: dict[str, str]) -> None:
    with pytest.raises(SignatureRejected, match="malformed_body: the form has more than"):
        providers.verify(provider, headers=headers, body=b"a=1&" * 200_000, url=URL, secrets=["a|b"], now=0)


def test_mpesa_path_may_name_an_account() -> None:
    body = b'{"TransID":"R1","TransactionType":"Buy Goods","BillRefNumber":""}'
    for end, fits in {
        "acme/s3cret": True,
        "s3cret?x=1": True,
        "../s3cret": False,
        "a/b/s3cret": False,
        "s3cret/": False,
    }.items():
        url = f"https://h.test/mpesa/webhooks/mpesa/{end}"
        if fits:
            (found,) = providers.verify("mpesa", headers={}, body=body, url=url, secrets=["s3cret"], now=0)
            assert (found.event_id, found.kind, found.payment_ref) == ("R1", "Buy Goods", None)
            continue
        with pytest.raises(SignatureRejected, match="bad_signature"):
            providers.verify("mpesa", headers={}, body=body, url=url, secrets=["s3cret"], now=0)
