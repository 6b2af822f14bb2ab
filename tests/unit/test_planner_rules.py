"""The rules of a batch one by one: what an event is taken for, what waits and wakes, what is asked, what a row says."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Any
from uuid import UUID

import msgspec
import pytest
from events import record, standard
from memory_tables import payment, stands_under

from consumer.copies import with_digest
from consumer.decode import Event
from consumer.facts_json import NO_FACTS, dump_reported
from consumer.fold import newer, project
from consumer.plan import Known, Letter, Member, OrphanLetter, ParkedEvent, Plan, Refetching
from consumer.planner import OTHER_COMMAND, OTHER_FACTS, Planner
from consumer.verdict import Dead
from providers.core.payments import authorized, captured, terms
from schemas.dead_letter import MESSAGE_LENGTH_MAX, Reason
from schemas.facts import (
    CommandAnswer,
    CommandAsked,
    CommandState,
    DeliveryReport,
    Fact,
    FactKind,
    Meaning,
    Ownership,
    Ref,
    RefKind,
    Tie,
)
from schemas.payment import Flag, Outcome, Payment
from schemas.sms import Template

pytestmark = pytest.mark.unit

NOW = 1_790_000_100.0
MOMENT = dt.datetime.fromtimestamp(NOW, dt.UTC)
ASKS, SILENT, ASKS_OF_UNKNOWN = "mollie", "github", "gocardless"
"""Providers whose API can be asked, whose can't, and which is asked about payments that no event opens."""
TOTAL = Fact(FactKind.REFUND_TOTAL, "pay_1", "succeeded", 4)
LISTED = Fact(FactKind.REFUND, "re_1", "succeeded", 4)
TAKEN = captured("c", 5)
MET = Fact(FactKind.MEETING, "x", "met")
DIGEST = b"d" * 32
DEAD = Dead(Reason.UNDECODABLE, "broken")


def ref_key(ref: str | None, provider: str = ASKS) -> tuple[str, str, str, bool, str, str]:
    """Return the key of a payment's reference."""
    return (provider, "", "", True, RefKind.PAYMENT, ref or "")


def pay(number: int, *facts: Fact, **columns: Any) -> Payment:
    """Return a payment by the number of its id, of one version; its reference is `pay_` and that number."""
    known = newer({}, facts)
    own = {"id": UUID(int=number), "provider": ASKS, "provider_ref": f"pay_{number}", "currency": "EUR", "version": 1}
    return payment(facts=known, projection=project(known), **{**own, **columns})


def knowing(*payments: Payment, **more: Any) -> Known:
    """Return what a batch knows that read these payments under their references."""
    refs = {ref_key(f"pay_{one.id.int}", one.provider): one.id for one in payments}
    return Known(payments={one.id: one for one in payments}, refs={**refs, **more.pop("refs", {})}, **more)


def event(
    number: int, *facts: Fact, payment_refs: tuple[str, ...] = ("pay_1",), provider: str = ASKS, **more: Any
) -> Event:
    """Return the event `evt_` and its number: what it says of the payment of these references."""
    columns = {one: more.pop(one) for one in ("digest", "hint", "named", "kind") if one in more}
    refs = more.pop("refs", tuple(Ref(RefKind.PAYMENT, ref) for ref in payment_refs))
    meaning = Meaning(refs=refs, facts=facts, **{"opens": True, "currency": "EUR", **more})
    one = record(provider, f"evt_{number}", "paid", b"{}")
    columns = {"kind": "paid", **columns}
    return Event(one, provider, f"evt_{number}", provider=provider, account="", meaning=meaning, **columns)


def planned(*events: Event, known: Known | None = None, facts_max: int = 100, **settings: Any) -> Plan:
    planner = Planner(known or Known(), now=NOW, xid=7, facts_max=facts_max, **settings)
    return planner.plan([(one.record, one) for one in events])


def booked(plan: Plan) -> list[str]:
    """Return the ids of the events that have a row."""
    return [row.event_id for row in plan.rows if row.source != "ratchet"]


def in_ledger(*facts: Fact, number: int = 1) -> dict[tuple[str, str], str]:
    return {(ASKS, f"evt_{number}"): dump_reported(facts)}


# --- what an event of a batch is taken for -----------------------------------------------------------------------


def test_what_is_dead_is_a_letter_cut_to_its_bound_and_its_neighbour_is_booked() -> None:
    one, long = event(1, TAKEN), Dead(Reason.UNDECODABLE, "x" * 2000)
    broken = record(ASKS, "evt_0", "paid", b"")
    plan = Planner(Known(), now=NOW, xid=7, facts_max=9).plan([(broken, long), (one.record, one)])
    assert plan.letters == [Letter(broken, Reason.UNDECODABLE, "x" * MESSAGE_LENGTH_MAX)]
    assert booked(plan) == ["evt_1"]
    assert (plan.woken, plan.applied, plan.duplicates, plan.parkings, plan.bodies) == ([], [], 0, [], [])


def test_what_nothing_ties_to_its_payment_is_a_letter_unless_it_is_in_the_ledger() -> None:
    one, held = event(1, TAKEN, tie=Tie(5, "c")), pay(1, terms("pay_1", 9))
    plan = planned(one, known=knowing(held))
    assert ([letter.reason for letter in plan.letters], booked(plan)) == ([Reason.CONFLICT], [])
    plan = planned(one, known=knowing(held, reported=in_ledger(TAKEN)))
    assert (plan.letters, plan.duplicates, plan.rows) == ([], 1, [])


def test_an_event_that_comes_again_is_a_duplicate_and_with_other_facts_a_letter() -> None:
    plan = planned(event(1, TAKEN), event(1, TAKEN))
    assert (booked(plan), plan.duplicates, plan.letters) == (["evt_1"], 1, [])
    other = event(1, captured("c", 6))
    plan = planned(event(1, TAKEN), other)
    assert (booked(plan), plan.duplicates) == (["evt_1"], 0)
    assert plan.letters == [Letter(other.record, Reason.CONFLICT, OTHER_FACTS)]


def test_a_copy_that_says_more_is_booked_under_an_id_of_its_own() -> None:
    plan = planned(event(1, TOTAL, LISTED), known=knowing(pay(1, TAKEN), reported=in_ledger(TOTAL)))
    (found,) = booked(plan)
    assert found.startswith("evt_1#")
    assert (plan.duplicates, plan.letters) == (0, [])


def test_another_body_under_an_unsigned_id_is_booked_under_its_own_and_noted() -> None:
    known, own = knowing(reported={(ASKS, "evt_1"): NO_FACTS}), with_digest("evt_1", DIGEST)
    plan = planned(event(1, TAKEN, digest=DIGEST), known=known)
    assert (booked(plan), plan.bodies, known.bodies) == ([own], [(ASKS, DIGEST, own)], {(ASKS, DIGEST)})


def test_the_body_of_what_waits_is_noted_and_that_of_a_letter_is_not() -> None:
    plan = planned(event(1, TAKEN, digest=DIGEST, opens=False))
    assert (plan.bodies, len(plan.parkings)) == ([(ASKS, DIGEST, "evt_1")], 1)
    plan = planned(event(1, TAKEN, digest=DIGEST), facts_max=0)
    assert (plan.bodies, [letter.reason for letter in plan.letters], plan.woken) == ([], [Reason.CONFLICT], [])


def test_a_hint_has_the_provider_asked_and_is_about_no_payment() -> None:
    plan = planned(event(1, hint=True, named="tr_1"))
    assert plan.refetches == [Refetching(ASKS, "", "tr_1", "hint")]
    (row,) = plan.rows
    assert (row.payment_id, row.outcome, row.from_status, row.to_status) == (None, Outcome.NOOP, None, None)
    assert (row.version, row.facts, row.recorded_at, row.relay_xid) == (None, "[]", MOMENT, 7)
    assert planned(event(1, hint=True, named="tr_1", provider=SILENT)).refetches == []


# --- waiting and waking ------------------------------------------------------------------------------------------


def test_what_waits_is_tried_again_after_each_that_moved_and_is_parked_once_nothing_does() -> None:
    last, next_to_last = (
        event(1, LISTED, payment_refs=("z",), opens=False),
        event(2, TAKEN, payment_refs=("y", "z"), opens=False),
    )
    first, never = (
        event(3, authorized("a", 5), payment_refs=("x", "y")),
        event(4, TOTAL, payment_refs=("w",), opens=False),
    )
    plan = planned(never, last, next_to_last, first)
    assert booked(plan) == ["evt_3", "evt_2", "evt_1"]
    assert [(one.event, one.facts, one.waits.reason) for one in plan.parkings] == [
        (never, dump_reported([TOTAL]), Reason.ORPHAN)
    ]
    assert (plan.woken, plan.letters, plan.applied) == ([], [], [])


def test_a_copy_of_what_waits_is_a_duplicate() -> None:
    plan = planned(event(1, TAKEN, opens=False), event(1, TAKEN, opens=False))
    assert (len(plan.parkings), plan.duplicates) == (1, 1)


WAITS = standard("refund.succeeded", payment="pay_1", child="r1", amount=1)


def parked(**more: Any) -> ParkedEvent:
    return ParkedEvent(3, WAITS, "msg_own", **more)


def test_a_parked_event_whose_payment_is_known_is_booked_under_its_own_id_and_gone() -> None:
    held = pay(1, TAKEN, provider="standard_webhooks")
    plan = planned(known=knowing(held, parked=[parked()]))
    assert (booked(plan), plan.woken, plan.parkings, plan.letters) == (["msg_own"], [3], [], [])
    assert held.projection.refunded == 1


def test_a_parked_event_that_waits_on_stays_as_it_is() -> None:
    plan = planned(event(1, TAKEN, opens=False), known=Known(parked=[parked()]))
    assert (booked(plan), plan.woken, plan.letters) == ([], [], [])
    assert [one.event.event_id for one in plan.parkings] == ["evt_1"]


@pytest.mark.parametrize(
    ("one", "facts_max", "reason"),
    [
        (parked(processed=True), 100, Reason.CONFLICT),
        (parked(dead=DEAD), 100, Reason.UNDECODABLE),
        (parked(processed=True, dead=DEAD), 100, Reason.CONFLICT),
        (parked(), 1, Reason.CONFLICT),
    ],
)
def test_a_parked_event_that_is_dead_is_a_letter_and_gone(one: ParkedEvent, facts_max: int, reason: Reason) -> None:
    plan = planned(known=knowing(pay(1, TAKEN, provider="standard_webhooks"), parked=[one]), facts_max=facts_max)
    assert [(letter.record, letter.reason) for letter in plan.letters] == [(WAITS, reason)]
    assert (plan.woken, plan.rows, plan.parkings) == ([3], [], [])


@pytest.mark.parametrize(
    ("reported", "known_facts", "facts_max", "applied", "rows"),
    [
        (event(1, LISTED, opens=False), {}, 100, [8], ["evt_1"]),
        (event(1, LISTED), in_ledger(LISTED), 100, [8], []),
        (event(1, LISTED), in_ledger(TAKEN), 100, [], []),
        (event(1, LISTED, payment_refs=("pay_2",), opens=False), {}, 100, [], []),
        (event(1, LISTED, tie=Tie(9, "z")), {}, 100, [], []),
        (event(1, LISTED), {}, 1, [], []),
    ],
    ids=["applies", "known", "known otherwise", "waits on", "nothing ties it", "the payment is full"],
)
def test_an_orphan_is_applied_where_it_can_be_and_else_stays_a_letter(
    reported: Event, known_facts: dict[tuple[str, str], str], facts_max: int, applied: list[int], rows: list[str]
) -> None:
    known = knowing(pay(1, TAKEN), reported=dict(known_facts), orphans=[OrphanLetter(8, reported)])
    plan = planned(known=known, facts_max=facts_max)
    assert (plan.applied, booked(plan), plan.letters, plan.parkings) == (applied, rows, [], [])


def test_an_orphan_of_an_unsigned_id_has_its_own_and_its_body_is_noted() -> None:
    one = event(1, LISTED, digest=DIGEST)
    plan = planned(known=knowing(pay(1, TAKEN), reported=in_ledger(TAKEN), orphans=[OrphanLetter(8, one)]))
    own = with_digest("evt_1", DIGEST)
    assert (plan.applied, booked(plan), plan.bodies) == ([8], [own], [(ASKS, DIGEST, own)])


# --- what the provider is asked ----------------------------------------------------------------------------------


def asked(plan: Plan) -> list[tuple[str, str]]:
    return [(one.ref, one.reason) for one in plan.refetches]


def test_what_an_event_says_there_is_more_of_is_asked_for_where_that_can_be() -> None:
    assert asked(planned(event(1, TAKEN, ask="tr_2"))) == [("tr_2", "stale")]
    assert asked(planned(event(1, TAKEN))) == []
    assert asked(planned(event(1, TAKEN, ask="tr_2", provider=SILENT))) == []
    assert asked(planned(event(1, ask="tr_2", order="o_1"))) == [("tr_2", "stale")]


@pytest.mark.parametrize(
    ("held", "reported", "refetches"),
    [
        ((), event(1, MET), [("pay_1", "contradiction")]),
        ((), event(1, MET, provider_ref="tr_9"), [("tr_9", "contradiction")]),
        ((), event(1, MET, kind="refetch.payment"), []),
        ((), event(1, TAKEN), []),
        ((MET,), event(1, TAKEN), []),
        ((MET,), event(1, Fact(FactKind.MEETING, "y", "met")), []),
    ],
)
def test_a_payment_that_comes_to_contradict_itself_is_read_again_once(
    held: tuple[Fact, ...], reported: Event, refetches: list[tuple[str, str]]
) -> None:
    assert asked(planned(reported, known=knowing(pay(1, *held)))) == refetches


ORDER_NAME = (ASKS, "", "", True, RefKind.SESSION, "o_1")


@pytest.mark.parametrize(
    ("columns", "meaning", "refs", "refetches"),
    [
        ({}, {}, {}, [("o_1", "stale")]),
        ({}, {}, {ORDER_NAME: None}, [("o_1", "stale")]),
        ({}, {}, {ORDER_NAME: UUID(int=1)}, []),
        ({"merchant_account": "M"}, {}, {}, []),
        ({}, {"merchant_account": "M"}, {}, []),
        ({}, {"sole": True}, {}, []),
        ({}, {"ask": "tr_2"}, {}, [("tr_2", "stale")]),
        ({}, {"order": None}, {}, []),
    ],
)
def test_an_order_of_which_nothing_tells_whose_it_is_is_asked_about(
    columns: dict[str, Any], meaning: dict[str, Any], refs: dict[Any, Any], refetches: list[tuple[str, str]]
) -> None:
    one = event(1, TAKEN, **{"order": "o_1", **meaning})
    assert asked(planned(one, known=knowing(pay(1, **columns), refs=refs))) == refetches


def test_an_event_about_no_payment_asks_for_no_order() -> None:
    assert asked(planned(event(1, order="o_1"))) == []


@pytest.mark.parametrize(
    ("reported", "refetches"),
    [
        (event(1, TAKEN, payment_refs=("a", "b"), opens=False, provider=ASKS_OF_UNKNOWN), [("a", "stale")]),
        (event(1, TAKEN, opens=False, provider=ASKS_OF_UNKNOWN, provider_ref="P"), [("P", "stale")]),
        (event(1, TAKEN, opens=False, payment_refs=(), provider=ASKS_OF_UNKNOWN), []),
        (event(1, TAKEN, opens=False), []),
    ],
)
def test_what_waits_is_asked_about_where_no_event_opens_such_payments(
    reported: Event, refetches: list[tuple[str, str]]
) -> None:
    plan = planned(reported)
    assert (asked(plan), len(plan.parkings)) == (refetches, 1)


@pytest.mark.parametrize(
    ("reported", "debits"),
    [
        (event(1, TAKEN, undoable_days=3, provider_ref="tr_9"), [(ASKS, "", "tr_9", 3)]),
        (event(1, TAKEN, undoable_days=3), [(ASKS, "", "pay_1", 3)]),
        (event(1, TAKEN, provider_ref="tr_9"), []),
        (event(1, TAKEN, undoable_days=3, payment_refs=("new",)), []),
        (event(1, TAKEN, undoable_days=3, provider_ref="tr_9", provider=SILENT), []),
    ],
)
def test_a_debit_is_watched_by_its_reference_where_its_provider_can_be_asked(
    reported: Event, debits: list[tuple[str, str, str, int]]
) -> None:
    assert planned(reported, known=knowing(pay(1))).debits == debits


# --- rows --------------------------------------------------------------------------------------------------------


def test_the_row_of_a_payment_s_first_event_comes_from_nothing_and_of_the_next_from_where_it_stood() -> None:
    known = Known()
    plan = planned(event(1, authorized("a", 5), amount=5), event(2, captured("c", 5, authorization="a")), known=known)
    rows = [(row.from_status, row.to_status, row.version, row.outcome, row.amount) for row in plan.rows]
    assert rows == [(None, "authorized", 1, Outcome.APPLIED, 5), ("authorized", "captured", 2, Outcome.APPLIED, None)]
    assert [row.facts for row in plan.rows] == [known.reported[ASKS, f"evt_{n}"] for n in (1, 2)]
    (one,) = plan.opened.values()
    assert plan.changed == known.payments == {one.id: one}
    assert (one.version, one.provider_ref, one.projection.captured) == (2, None, 5)
    assert plan.bindings == known.refs == {ref_key("pay_1"): one.id}


def test_what_says_nothing_new_has_a_row_without_a_version() -> None:
    one = pay(1, TAKEN, version=3)
    (row,) = planned(event(1), known=knowing(one)).rows
    assert (row.outcome, row.version, one.version, row.from_status) == (Outcome.NOOP, None, 3, "captured")


@pytest.mark.parametrize(
    "meaning",
    [
        {},
        {"currency": None, "merchant_account": "M"},
        {"currency": None, "provider_ref": "a"},
        {"currency": None, "refs": (Ref(RefKind.PAYMENT, "pay_1"), Ref(RefKind.REFERENCE, "ORD-1"))},
    ],
    ids=["currency", "merchant account", "provider's reference", "merchant's reference"],
)
def test_a_name_that_readers_are_shown_counts_as_a_version_once(meaning: dict[str, Any]) -> None:
    one = pay(1, TAKEN, currency=None)
    (row,) = planned(event(1, **meaning), known=knowing(one)).rows
    assert (row.outcome, row.version, one.version) == (Outcome.NOOP, 2, 2)
    one = pay(1, currency=None)
    (row,) = planned(event(1, TAKEN, **meaning), known=knowing(one)).rows
    assert (row.version, one.version) == (2, 2)


def test_a_payment_has_the_currency_and_the_merchant_account_that_are_reported_first() -> None:
    one = pay(1, currency=None)
    planned(event(1, TAKEN, merchant_account="M"), event(2, captured("d", 1), currency="USD"), known=knowing(one))
    assert (one.currency, one.merchant_account) == ("EUR", "M")


def test_a_payment_stands_under_the_reference_that_its_event_names() -> None:
    one = pay(1)
    refs = (Ref(RefKind.PAYMENT, "pay_1"), Ref(RefKind.REFERENCE, "ORD-1"))
    plan = planned(event(1, TAKEN, refs=refs), known=knowing(one))
    assert stands_under(plan) == {((ASKS, "", "", True, "reference", "ORD-1"), one.id): Member()}


def test_a_delivery_report_is_noted() -> None:
    report = DeliveryReport("m", "delivered")
    assert planned(event(1, delivery_report=report), event(2)).delivery_reports == [report]


# --- payments that are one, and that can't be --------------------------------------------------------------------


def test_an_event_that_shows_two_payments_to_be_one_counts_though_it_adds_no_fact() -> None:
    one, other = pay(1, captured("a", 5), currency=None), pay(2, captured("b", 7))
    plan = planned(event(1, payment_refs=("pay_1", "pay_2"), currency=None), known=knowing(one, other))
    assert plan.merges == [(other.id, one.id)]
    merged, row = plan.rows
    assert (merged.event_type, merged.payment_id) == ("payment.merged", other.id)
    assert (row.outcome, row.version, row.payment_id) == (Outcome.APPLIED, 2, one.id)
    assert (one.projection, one.currency, one.version) == (project(one.facts), "EUR", 2)
    assert (one.projection.captured, one.facts) == (12, newer({}, [captured("a", 5), captured("b", 7)]))


def test_payments_that_would_be_too_full_as_one_make_a_letter_of_the_event() -> None:
    known = knowing(pay(1, captured("a", 5)), pay(2, captured("b", 7)))
    plan = planned(event(1, payment_refs=("pay_1", "pay_2")), known=known, facts_max=1)
    assert ([letter.reason for letter in plan.letters], plan.rows, plan.merges) == ([Reason.CONFLICT], [], [])


def met(*numbers: int) -> list[Fact]:
    return [Fact(FactKind.MEETING, str(UUID(int=number)), "met") for number in numbers]


@pytest.mark.parametrize(
    ("facts", "facts_max", "flagged"),
    [
        (([], [], []), 100, [(1, 2), (2, 1), (1, 3), (3, 1)]),
        ((met(2), [], met(1)), 100, [(2, 1), (1, 3)]),
        (([TAKEN, TOTAL], [TAKEN], [TAKEN, TOTAL]), 2, [(2, 1)]),
        (([], [TAKEN, TOTAL], [TAKEN]), 2, [(1, 2), (1, 3), (3, 1)]),
    ],
)
def test_promises_that_one_event_names_are_flagged_once_for_each_other(
    facts: tuple[list[Fact], ...], facts_max: int, flagged: list[tuple[int, int]]
) -> None:
    promises = [pay(n, *own, client="shop") for n, own in enumerate(facts, 1)]
    plan = planned(event(9, payment_refs=("pay_1", "pay_2", "pay_3")), known=knowing(*promises), facts_max=facts_max)
    rows = [(row.payment_id, row.facts) for row in plan.rows if row.event_type == "payment.flagged"]
    assert rows == [(UUID(int=one), dump_reported(met(other))) for one, other in flagged]
    for one, _ in flagged:
        assert Flag.CONTRADICTION in promises[one - 1].projection.flags
    assert plan.merges == []


# --- clients: intents, messages, commands ------------------------------------------------------------------------


def owning(number: int, *facts: Fact, phone: str = "+4915100", metadata: str | None = None, **more: Any) -> Event:
    """Return an intent of payment 5 that names the provider's payment 1."""
    return event(number, *facts, ownership=Ownership(UUID(int=5), "shop", None, phone, metadata=metadata), **more)


def test_a_client_has_the_payment_that_it_owns_and_a_message_of_where_that_stands() -> None:
    plan = planned(owning(1, metadata='{"a":1}'), known=knowing(pay(1, TAKEN)))
    (one,) = plan.opened.values()
    assert (one.id, one.client, one.phone, one.projection.captured) == (UUID(int=5), "shop", "+4915100", 5)
    assert plan.metadata == {one.id: '{"a":1}'}
    assert [(message.phone, message.template) for message in plan.messages] == [("+4915100", Template.CAPTURED)]


def test_a_client_that_asks_again_changes_nothing_and_gets_no_message_again() -> None:
    one = pay(5, TAKEN, client="shop", phone="+4915100", provider_ref="pay_1")
    again = owning(2, phone="+4915199", metadata='{"a":1}')
    plan = planned(again, known=knowing(one, refs={ref_key("pay_1"): one.id}))
    assert (one.phone, plan.metadata, plan.messages, plan.letters) == ("+4915100", {}, [], [])
    assert booked(plan) == ["evt_2"]


def test_an_intent_without_metadata_has_none() -> None:
    assert planned(owning(1, TAKEN)).metadata == {}


def test_a_customer_gets_a_message_of_a_change_alone() -> None:
    one = pay(1, authorized("a", 5), client="shop", phone="+4915100")
    plan = planned(event(1, captured("c", 5, authorization="a")), event(2), known=knowing(one))
    assert [message.template for message in plan.messages] == [Template.CAPTURED]


CLIENT = (Ref(RefKind.ID, str(UUID(int=1))),)
OWN = ("ratchet", "", "", True, RefKind.ID, str(UUID(int=1)))


def command(number: int, amount: int) -> Event:
    asked = CommandAsked("refund", amount=amount)
    return event(number, refs=CLIENT, asker="shop", asked=asked, opens=False, currency=None)


def answered(number: int, command_id: str, state: CommandState) -> Event:
    answer = CommandAnswer(UUID(int=1), command_id, state)
    return event(number, refs=CLIENT, answer=answer, opens=False, currency=None)


def test_commands_are_taken_on_while_there_is_room_by_the_batch_s_clock() -> None:
    known = knowing(pay(1, captured("c", 10), client="shop"), refs={OWN: UUID(int=1)})
    plan = planned(command(1, 6), command(2, 6), command(3, 4), event(4), known=known, command_seconds=60)
    assert [(row.command_id, row.refusal is None) for row in plan.commands] == [
        *(("evt_1", True), ("evt_2", False), ("evt_3", True))
    ]
    row = plan.commands[0]
    assert (row.asked_at, row.expires_at, row.relay_xid) == (MOMENT, MOMENT + dt.timedelta(seconds=60), 7)
    assert list(known.commands[UUID(int=1)]) == ["evt_1", "evt_2", "evt_3"]
    assert plan.answers == []


def test_an_answer_is_noted_at_its_command_where_that_is_known() -> None:
    known = knowing(pay(1, captured("c", 10), client="shop"), refs={OWN: UUID(int=1)})
    refused = answered(2, "evt_1", CommandState.REFUSED)
    unknown = answered(3, "evt_0", CommandState.DONE)
    plan = planned(command(1, 6), refused, unknown, command(4, 10), known=known)
    assert plan.answers == [refused.meaning.answer, unknown.meaning.answer]
    states = {one: held.state for one, held in known.commands[UUID(int=1)].items()}
    assert states == {"evt_1": CommandState.REFUSED, "evt_4": None}
    assert [row.refusal for row in plan.commands] == [None, None]


def test_another_command_under_one_id_is_a_letter_of_its_own_words() -> None:
    known = knowing(pay(1, captured("c", 10), client="shop"), refs={OWN: UUID(int=1)})
    plan = planned(command(1, 6), command(1, 5), known=known)
    assert [letter.message for letter in plan.letters] == [OTHER_COMMAND]
    assert len(plan.commands) == 1


def test_a_letter_has_the_digest_by_which_rows_that_stand_are_found() -> None:
    """Rows and truncated letters have it from earlier versions: another order of its parts would find none of them."""
    keyed = msgspec.structs.replace(record(ASKS, "evt_1", "paid", b""), key=b"k", value=b"v1")
    bare = msgspec.structs.replace(keyed, key=None, value=b"")
    for one, parts in ((keyed, b"1:k2:v1"), (bare, b"-0:")):
        assert Letter(one, Reason.UNDECODABLE, "broken").digest == hashlib.sha256(parts).digest()
