"""Copies of one event, each rule alone: which is a duplicate, which contradicts, which says more."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest
from events import INTENT_ID, standard, understood
from memory_tables import payment
from msgspec.structs import replace

from consumer.copies import agrees, richer_id, under_own_id, with_digest
from consumer.facts_json import NO_FACTS, dump_reported
from consumer.plan import Known
from schemas.facts import Fact, FactKind
from schemas.record import EVENT_ID_LENGTH_MAX

if TYPE_CHECKING:
    from uuid import UUID

    from consumer.decode import Event

pytestmark = pytest.mark.unit

TOTAL = Fact(FactKind.REFUND_TOTAL, "pay_1", "succeeded", 400)
LISTED = Fact(FactKind.REFUND, "re_1", "succeeded", 400)
SOURCE, EVENT_ID, DIGEST = "standard_webhooks", "msg_1", hashlib.sha256(b"body").digest()


def event(*facts: Fact, digest: bytes | None = None, **meaning: Any) -> Event:
    """Return the event `msg_1` that reports these facts."""
    one = understood(standard("payment.captured", event_id=EVENT_ID))
    return replace(one, digest=digest, meaning=replace(one.meaning, facts=facts, **meaning))


def known(*facts: Fact, **more: Any) -> Known:
    """Return what a batch knows of `msg_1`: it reported these facts."""
    return Known(reported={(SOURCE, EVENT_ID): dump_reported(facts)}, **more)


def test_an_event_under_an_id_that_is_taken_has_sixteen_characters_of_its_digest_and_fits_the_column() -> None:
    assert with_digest(EVENT_ID, DIGEST) == f"{EVENT_ID}#{DIGEST.hex()[:16]}"
    longest = with_digest("x" * EVENT_ID_LENGTH_MAX, DIGEST)
    assert longest == "x" * (EVENT_ID_LENGTH_MAX - 17) + f"#{DIGEST.hex()[:16]}"
    assert len(longest) == EVENT_ID_LENGTH_MAX


def test_a_copy_that_says_all_that_is_known_and_more_has_an_id_of_what_it_says() -> None:
    both = hashlib.sha256(dump_reported([TOTAL, LISTED]).encode()).digest()
    assert richer_id(event(TOTAL, LISTED), known(TOTAL)) == with_digest(EVENT_ID, both)


@pytest.mark.parametrize(
    ("one", "held"),
    [
        (event(TOTAL, LISTED), Known()),
        (event(TOTAL), known(TOTAL)),
        (event(TOTAL), known(TOTAL, LISTED)),
        (event(LISTED, Fact(FactKind.VOID, "a", "failed")), known(TOTAL)),
        (event(), known(TOTAL)),
        (event(TOTAL, LISTED, digest=DIGEST), known(TOTAL)),
        (event(TOTAL, LISTED), known(TOTAL, reread={(SOURCE, EVENT_ID)})),
    ],
    ids=["new", "the same", "less", "other facts", "nothing", "an unsigned id", "read by another version"],
)
def test_no_other_copy_has_an_id_of_its_own(one: Event, held: Known) -> None:
    assert richer_id(one, held) is None


def test_another_body_under_an_unsigned_id_that_is_taken_has_an_id_of_its_own() -> None:
    other = event(TOTAL, digest=DIGEST)
    assert under_own_id(other, known(TOTAL)).event_id == with_digest(EVENT_ID, DIGEST)
    for one, held in (
        (event(TOTAL), known(TOTAL)),
        (other, Known()),
        (other, known(TOTAL, bodies={(SOURCE, DIGEST)})),
        (event(digest=DIGEST, asker="shop"), known()),
    ):
        assert under_own_id(one, held) is one


@pytest.mark.parametrize(
    ("one", "held", "expected"),
    [
        (event(TOTAL), Known(), None),
        (event(TOTAL), known(TOTAL), True),
        (event(TOTAL), known(TOTAL, LISTED), True),
        (event(TOTAL), known(LISTED), False),
        (event(TOTAL, digest=DIGEST), known(LISTED, bodies={(SOURCE, DIGEST)}), True),
        (event(TOTAL, digest=DIGEST), known(LISTED), False),
        (event(TOTAL), known(LISTED, reread={(SOURCE, EVENT_ID)}), True),
        (event(asker="shop"), known(), False),
        (event(TOTAL, waits=False), Known(reported={(SOURCE, EVENT_ID): NO_FACTS}), True),
        (event(TOTAL, waits=False), known(LISTED), False),
        (event(TOTAL), Known(reported={(SOURCE, EVENT_ID): NO_FACTS}), False),
    ],
    ids=[
        *(
            "new",
            "the same",
            "less",
            "other facts",
            "a body that is known",
            "another body",
            "another version's reading",
        ),
        *(
            "a command of other words",
            "what had nothing to close",
            "what closed something else",
            "what reported nothing",
        ),
    ],
)
def test_a_copy_agrees_by_its_facts(one: Event, held: Known, expected: object) -> None:
    assert agrees(one, held) is expected


def test_a_body_is_known_of_its_own_sender_alone() -> None:
    """Two senders may say the same in the same bytes: each is an event of its own."""
    held = Known(bodies={("standard_webhooks/acme", DIGEST)})
    assert agrees(event(TOTAL, digest=DIGEST), held) is None
    assert under_own_id(event(TOTAL, digest=DIGEST), known(TOTAL, bodies=held.bodies)).event_id != EVENT_ID
    assert agrees(event(TOTAL, digest=DIGEST), Known(bodies={(SOURCE, DIGEST)})) is True


def test_another_command_is_none_that_was_read_by_another_version() -> None:
    """Of a command no facts are compared, so that nothing else tells the two apart."""
    one = event(asker="shop", digest=DIGEST)
    assert agrees(one, known(reread={(SOURCE, EVENT_ID)})) is False
    assert agrees(one, known(bodies={(SOURCE, DIGEST)}, reread={(SOURCE, EVENT_ID)})) is True


def test_a_copy_of_money_in_another_currency_is_a_duplicate() -> None:
    """The ledger holds of it what was folded: that it was seen."""
    taken = Fact(FactKind.CAPTURE, "c", "succeeded", 5, "pay_1")
    seen = Fact(FactKind.OTHER_CURRENCY, "c", "seen", 5, "USD")
    refs: dict[Any, UUID | None] = {("standard_webhooks", "", "", True, "payment", "pay_1"): INTENT_ID}
    for currency, same in (("EUR", True), (None, False)):
        held = known(seen, refs=refs, payments={INTENT_ID: payment(currency=currency)})
        assert agrees(event(taken, currency="USD"), held) is same
    assert agrees(event(taken, currency="USD"), known(seen)) is False, "of no payment that is known"
