"""Twilio's delivery reports name no payment but a message; a broken delivery is still a dead letter."""

from __future__ import annotations

import base64
import hmac

import pytest
from vector_events import meaning, refused

import providers
from schemas.errors import SignatureRejected
from schemas.facts import DeliveryReport, Meaning

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("case", ["event_sent", "event_delivered", "event_undelivered", "event_failed"])
def test_real_bodies(case: str) -> None:
    found = meaning("twilio", case)
    assert found == Meaning(delivery_report=found.delivery_report)
    assert found.delivery_report is not None
    assert found.delivery_report.status == case.removeprefix("event_")


@pytest.mark.parametrize(("kind", "body"), [("sent", b""), ("sent", b" \r\n"), ("", b"MessageSid=SM1")])
def test_undecodable(kind: str, body: bytes) -> None:
    assert refused("twilio", kind, body) == "undecodable"


def verified(body: bytes, signed: bytes) -> list[str | None]:
    mac = base64.b64encode(hmac.digest(b"token", b"https://shop.test/sms" + signed, "sha1")).decode()
    found = providers.verify(
        "twilio", headers={"X-Twilio-Signature": mac}, body=body, url="https://shop.test/sms", secrets=["token"], now=0
    )
    return [one.event_id for one in found]


def test_a_report_whose_fields_come_twice_is_the_same_report() -> None:
    """Twilio signs each pair once, so whoever repeats one on the way must not make the report say nothing."""
    once, twice = b"MessageSid=SM1&MessageStatus=sent", b"MessageSid=SM1&MessageSid=SM1&MessageStatus=sent"
    assert verified(once, b"MessageSidSM1MessageStatussent") == ["SM1:sent"]
    assert verified(twice, b"MessageSidSM1MessageStatussent") == ["SM1:sent"]
    report = Meaning(delivery_report=DeliveryReport("SM1", "sent"))
    assert providers.interpret("twilio", "sent", once) == providers.interpret("twilio", "sent", twice) == report
    other = b"MessageSid=SM1&MessageSid=SM2&MessageStatus=sent"
    assert providers.interpret("twilio", "sent", other) == Meaning(), "nothing tells of which message it is"


@pytest.mark.parametrize("sid", [b"SM1=", b"SM-1", b"SM1 ", b"", b"SM1%0A", b"%C3%A9"])
def test_a_message_s_id_is_letters_and_digits(sid: bytes) -> None:
    plain = {b"SM1%0A": b"SM1\n", b"%C3%A9": b"\xc3\xa9"}.get(sid, sid)
    with pytest.raises(SignatureRejected, match="MessageSid is no field of its own"):
        verified(b"MessageSid=" + sid + b"&MessageStatus=sent", b"MessageSid" + plain + b"MessageStatussent")
