"""What each type of an upstream event adds to a payment, fact by fact; who may report, and who may answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from events import INTENT_ID, record

from consumer.decode import DecodingTerms, Event, decode
from consumer.verdict import Dead
from schemas.events import EVENTS as TYPES
from schemas.facts import CommandState, Fact, FactKind, Ref, RefKind
from schemas.topics import EVENTS

if TYPE_CHECKING:
    from schemas.record import Record

pytestmark = pytest.mark.unit

STATED: dict[str, Any] = {"payment_id": "b-1", "reference": "ORD-1", "id": "c-1", "amount": 1000, "currency": "EUR"}


def reported(kind: str, *, source: str = "billing", **fields: Any) -> Record:
    """Return an event with those fields of `STATED` that its type has."""
    body = {name: value for name, value in (STATED | fields).items() if name in TYPES[kind].model_fields}
    return record(source, "e-1", kind, {k: v for k, v in body.items() if v is not None}, topic=EVENTS.name)


def event(one: Record, terms: DecodingTerms | None = None) -> Event:
    found = decode(one, terms or DecodingTerms())
    assert isinstance(found, Event), found
    return found


def refused(one: Record, terms: DecodingTerms | None = None) -> str:
    found = decode(one, terms or DecodingTerms())
    assert isinstance(found, Dead), found
    return found.message


@dataclass(frozen=True)
class Says:
    """What a type adds to a payment, whether it may open one, and whether it names a sum."""

    facts: tuple[Fact, ...]
    opens: bool = True
    sums: bool = True


def attempt(state: str) -> tuple[Fact, ...]:
    return Fact(FactKind.TERMS, "b-1", "asked", 1000), Fact(FactKind.ATTEMPT, "c-1", state, None, "b-1")


def refund(state: str) -> tuple[Fact, ...]:
    return (Fact(FactKind.REFUND, "c-1", state, 1000, "b-1"),)


def dispute(state: str) -> tuple[Fact, ...]:
    return (Fact(FactKind.DISPUTE, "c-1", state, None, "b-1"),)


SAYS = {
    "payment.created": Says(attempt("created")),
    "payment.requires_action": Says(attempt("requires_action")),
    "payment.processing": Says(attempt("processing")),
    "payment.failed": Says(attempt("failed")),
    "payment.authorized": Says((Fact(FactKind.AUTHORIZATION, "b-1", "authorized", 1000),)),
    "payment.captured": Says((Fact(FactKind.CAPTURE, "c-1", "succeeded", 1000, "b-1"),)),
    "payment.refunded": Says(refund("succeeded"), opens=False),
    "payment.canceled": Says((Fact(FactKind.END, "b-1", "canceled"),), sums=False),
    "payment.expired": Says((Fact(FactKind.END, "b-1", "expired"),), sums=False),
    **{f"refund.{one}": Says(refund(one), opens=False) for one in ("pending", "failed", "canceled", "reversed")},
    "dispute.opened": Says(dispute("open"), opens=False, sums=False),
    **{
        f"dispute.{one}": Says(dispute(one), opens=False, sums=False)
        for one in ("inquiry", "under_review", "won", "lost", "prevented")
    },
    "dispute.funds_withdrawn": Says(
        (*dispute("open"), Fact(FactKind.DISPUTE_OUT, "c-1", "withdrawn", 1000)), opens=False
    ),
    "dispute.funds_reinstated": Says(
        (*dispute("open"), Fact(FactKind.DISPUTE_IN, "c-1", "reinstated", 1000)), opens=False
    ),
}


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_adds_just_this(kind: str) -> None:
    """Each figure with the parent by which sums find it: a capture without its hold leaves the hold open."""
    says, meaning = SAYS[kind], event(reported(kind)).meaning
    assert meaning.facts == says.facts
    assert meaning.opens is says.opens
    assert meaning.waits
    assert meaning.livemode is True, "a service has to say that money is test money"
    assert (meaning.amount, meaning.currency) == ((1000, "EUR") if says.sums else (None, None))
    assert meaning.refs == (Ref(RefKind.PAYMENT, "b-1"), Ref(RefKind.REFERENCE, "ORD-1"))


def test_a_try_without_a_name_is_the_payments_only_one() -> None:
    meaning = event(reported("payment.failed", id=None)).meaning
    assert meaning.facts == (
        Fact(FactKind.TERMS, "b-1", "asked", 1000),
        Fact(FactKind.ATTEMPT, "b-1", "failed"),
    )
    silent = event(reported("payment.failed", amount=None, currency=None)).meaning
    assert silent.facts == (Fact(FactKind.ATTEMPT, "c-1", "failed", None, "b-1"),)
    assert (silent.amount, silent.currency) == (None, None)


@pytest.mark.parametrize("missing", ["amount", "currency"])
def test_a_sum_of_no_currency_and_a_currency_of_no_sum_are_refused(missing: str) -> None:
    assert "amount and currency belong together" in refused(reported("payment.failed", **{missing: None}))


def test_the_reason_of_a_refusal_is_one_line_that_fits() -> None:
    """It is what a provider answered: refused for its length or its breaks, the money it asked for was never free."""
    given = event(answer("command.refused", reason="no\r\n\tfunds \u200b" + "x" * 300)).meaning.answer
    assert given is not None
    assert given.reason == "no funds " + "x" * 246


@pytest.mark.parametrize("live", [True, False])
def test_test_money_of_a_service_stays_test_money(live: bool) -> None:  # noqa: FBT001
    found = event(reported("payment.captured", livemode=live))
    assert (found.livemode, found.meaning.livemode) == (live, live)


# --- who may report, and who may answer ---------------------------------------------------------------------------


def answer(kind: str = "command.done", *, source: str = "gateway", event_id: str = "a-1", **changes: Any) -> Record:
    body = {"id": str(INTENT_ID), "command_id": "c-1", **changes}
    return record(source, event_id, kind, body, topic=EVENTS.name)


NAMED = DecodingTerms(sources=frozenset({"billing"}), executors={"gateway": frozenset({"stripe/acme"})})


def test_who_may_answer_reports_no_payments_and_who_reports_answers_nothing() -> None:
    """Each list is for its own records: one who carries out commands must not make money of its own."""
    assert event(reported("payment.captured"), NAMED).provider == "billing"
    assert event(answer(), NAMED).source == "events/gateway"
    assert "gateway is none of RATCHET_SOURCES (billing)" in refused(
        reported("payment.captured", source="gateway"), NAMED
    )
    assert "billing is none of RATCHET_EXECUTORS (gateway)" in refused(answer(source="billing"), NAMED)


def test_an_empty_list_is_nobody_and_no_list_is_anybody() -> None:
    nobody = DecodingTerms(sources=frozenset(), executors={})
    assert "is none of RATCHET_SOURCES (none)" in refused(reported("payment.captured"), nobody)
    assert "is none of RATCHET_EXECUTORS (none)" in refused(answer(), nobody)
    assert event(reported("payment.captured")).provider == "billing"
    assert event(answer()).meaning.answer is not None
    for name in ("stripe", "ratchet", "intents", "events"):
        assert "is none of RATCHET_SOURCES" in refused(reported("payment.captured", source=name))
        assert "is none of RATCHET_EXECUTORS" in refused(answer(source=name))


def test_an_executor_that_is_listed_for_no_account_answers_for_none() -> None:
    """An empty list of accounts that passed for none given would let it answer for all."""
    terms = DecodingTerms(executors={"gateway": frozenset(), "other": frozenset({"stripe"})})
    for source, accounts in (("gateway", frozenset()), ("other", frozenset({"stripe"}))):
        given = event(answer(source=source), terms).meaning.answer
        assert given is not None
        assert given.accounts == accounts
    anybody = event(answer()).meaning.answer
    assert anybody is not None
    assert anybody.accounts is None


@pytest.mark.parametrize(
    ("kind", "state", "reason"),
    [
        ("command.accepted", CommandState.ACCEPTED, None),
        ("command.done", CommandState.DONE, None),
        ("command.refused", CommandState.REFUSED, "no funds"),
    ],
)
def test_an_answer_says_what_became_of_its_command(kind: str, state: CommandState, reason: str | None) -> None:
    found = event(answer(kind, **({"reason": reason} if reason else {})))
    given = found.meaning.answer
    assert given is not None
    assert (given.payment_id, given.command_id, given.state, given.reason) == (INTENT_ID, "c-1", state, reason)
    assert found.meaning.refs == (Ref(RefKind.ID, str(INTENT_ID)),)
    assert (found.meaning.facts, found.meaning.opens, found.livemode) == ((), False, True)


def test_each_part_of_an_answer_tells_it_from_another_under_its_id() -> None:
    """An answer has no facts to compare: without its digest another one under its id passed for a copy."""
    answers = [
        answer("command.accepted"),
        answer("command.done"),
        answer("command.done", id=str(UUID(int=5))),
        answer("command.done", command_id="c-2"),
        answer("command.done", event_id="a-2"),
        answer("command.refused", reason="no funds"),
        answer("command.refused", reason="no card"),
    ]
    digests = [event(one).digest for one in answers]
    assert None not in digests
    assert len(set(digests)) == len(answers)
    spaced = json.dumps({"command_id": "c-1", "id": str(INTENT_ID)}, indent=1).encode()
    copy = record("gateway", "a-1", "command.done", spaced, topic=EVENTS.name)
    assert event(copy).digest == event(answer()).digest, "however a copy spells the JSON"


def test_a_services_name_in_another_account_or_case() -> None:
    assert event(reported("payment.captured", source="billing/EU")).account == "eu"
    assert "RATCHET_SOURCES" in refused(reported("payment.captured", source="Stripe/acme"), NAMED)
    for account in ("a/b", "a\u200bb", "x" * 65):
        message = refused(record(f"billing/{account}", "e", "payment.captured", {}, topic=EVENTS.name))
        assert "the account in ce_source" in message
