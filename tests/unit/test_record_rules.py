"""What a record is known by: its headers, an id and key that can be stored, an API's answer, what a list showed."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from producers.ingress.publishing import records
from providers.core.contract import Notification
from schemas.record import (
    EVENT_ID_LENGTH_MAX,
    KIND_LENGTH_MAX,
    SOURCE_LENGTH_MAX,
    Record,
    answer_of_api,
    digest,
    identity_of,
    readable,
    recalled,
    source_of,
    storable,
)

pytestmark = pytest.mark.unit

BODY, TOPIC = b'{"id": "p_1"}', "acme.webhooks"


def test_an_account_is_part_of_its_source() -> None:
    assert source_of("adyen", "acme") == "adyen/acme"
    assert source_of("adyen", "a b") == "adyen/a b"
    assert source_of("stripe", "") == "stripe"


# --- headers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        (("a", b"1"), ("b", b"2")),
        (("a", b"0"), ("a", b"1"), ("b", b"2")),
        (("a", b"1"), ("a", None), ("b", b"2"), ("c", None)),
        (("a", b"0"), ("c", None), ("a", b"1"), ("b", b"2")),
    ],
)
def test_of_several_headers_of_a_name_the_last_that_has_a_value_counts(headers: Any) -> None:
    record = Record(TOPIC, 0, 0, 0, None, None, headers)
    assert record.present() == {"a": b"1", "b": b"2"}
    assert [record.header(name) for name in "abc"] == ["1", "2", None]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"a" * 9, "a" * 9),
        (b"a" * 10, None),
        ("ü".encode() * 9, "ü" * 9),
        (b"a\x00b", None),
        (b"\xff", None),
        (b"", None),
        (None, None),
    ],
)
def test_a_header_is_read_within_so_many_characters(value: bytes | None, text: str | None) -> None:
    """Characters, as Postgres counts them: by bytes a name in Cyrillic would be none from half the length on."""
    assert readable(value, 9) == text


def test_each_header_of_an_identity_has_its_own_bound() -> None:
    bounds = {"ce_source": SOURCE_LENGTH_MAX, "ce_id": EVENT_ID_LENGTH_MAX, "ce_type": KIND_LENGTH_MAX}
    fitting = {name: b"x" * length for name, length in bounds.items()}
    assert identity_of(fitting) == tuple("x" * length for length in bounds.values())
    assert identity_of({name: value + b"x" for name, value in fitting.items()}) == (None, None, None)
    assert identity_of({}) == (None, None, None)


def test_what_can_not_be_stored_gives_way_to_a_digest_of_its_own() -> None:
    """Cut, or without what can't be stored, two events would be one: the second has no effect."""
    assert storable("x" * 9, 9) == "x" * 9
    others = ["x" * 9 + "a", "x" * 9 + "b", "a\x00", "a", "\ud800", "\ud801", "?", "\ufffd"]
    assert len({storable(text, 9) for text in others}) == len(others)
    assert storable("x" * 10, 9) == "sha256:" + hashlib.sha256(b"x" * 10).hexdigest()


# --- what an API answered ----------------------------------------------------------------------------------------


def answer(*, account: str = "acme", body: bytes = BODY, asked_at: float = 0.0, part: str = "") -> dict[str, str]:
    """Return the headers of an answer about `p_1`, once the rest of its row was seen to be right."""
    topic, key, value, names, values = answer_of_api(
        "adyen", account, "payment", "p_1", body=body, asked_at=asked_at, topic=TOPIC, part=part
    )
    assert (topic, key, value) == (TOPIC, b"p_1", body)
    return {name.decode(): value.decode() for name, value in zip(names, values, strict=True)}


def test_what_an_api_answers_is_an_event_of_the_account_that_was_asked() -> None:
    assert answer() == {
        "ce_specversion": "1.0",
        "ce_id": f"refetch:{hashlib.sha256(BODY).hexdigest()}",
        "ce_source": "adyen/acme",
        "ce_type": "payment",
        "ce_time": "1970-01-01T00:00:00+00:00",
        "content-type": "application/json",
        "ce_ratchettrust": "verified",
    }
    assert answer(account="")["ce_source"] == "adyen"


def test_an_answer_is_known_by_what_it_says() -> None:
    """By its payment alone the second answer would be a copy of the first, and what changed since be lost."""
    assert answer(asked_at=9.0)["ce_id"] == answer()["ce_id"], "the same again has no second effect"
    parts = [answer()["ce_id"], answer(body=b"{}")["ce_id"], answer(part="1")["ce_id"], answer(part="2")["ce_id"]]
    assert len(set(parts)) == 4


# --- what a list showed ------------------------------------------------------------------------------------------

LONG = "x" * 500
EVENTS: dict[str, tuple[str | None, str | None, str | None]] = {
    "whole": ("evt_1", "charge.captured", "pi_1"),
    "without a payment": ("evt_1", "charge.captured", None),
    "without an id": (None, "charge.captured", "pi_1"),
    "without anything": (None, None, None),
    "too long": (LONG, LONG, LONG),
    "not to be stored": ("a\x00", "b\x00", "c\x00"),
}


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_an_event_of_a_list_is_known_as_its_webhook_is(event: tuple[str | None, str | None, str | None]) -> None:
    """Under another id it had a second effect; under another key it stood in another partition than its payment."""
    event_id, kind, ref = event
    arrival = records.Arrival("stripe/acme", 1_700_000_000.0, "application/json", None)
    (webhook,) = records.build([Notification(event_id, kind, ref, BODY)], arrival, TOPIC)
    found = recalled("stripe/acme", "events", event_id, kind, ref, BODY, 1_700_000_000.0)
    assert (found.key, found.value, found.headers[:-1]) == (webhook.key, webhook.value, webhook.headers)
    assert found.headers[-1] == ("ce_ratchetrecall", b"events")
    headers = dict(found.headers)
    assert found.event_id.encode() == headers["ce_id"]
    assert (found.kind.encode() or b"unknown") == headers["ce_type"]


def test_events_of_a_list_that_have_no_id_are_known_by_their_bodies() -> None:
    one, other = (recalled("s", "events", None, "k", "pi_1", body, 0.0).event_id for body in (b"1", b"2"))
    assert (one, other) == (digest(b"1"), digest(b"2"))


def test_an_event_of_a_list_is_a_row_of_the_spool() -> None:
    found = recalled("s", "events", "evt_1", "k", "pi_1", BODY, 0.0)
    topic, key, value, names, values = found.spooled(TOPIC)
    assert (topic, key, value) == (TOPIC, b"pi_1", BODY)
    assert tuple(zip((name.decode() for name in names), values, strict=True)) == found.headers
