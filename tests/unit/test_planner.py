"""Any order, any repetition and any cut into batches gives the same tables."""

from __future__ import annotations

import gc
import weakref
from itertools import permutations
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from choices import in_any_order, in_batches, some_again
from events import (
    INTENT_ID,
    adyen,
    intent,
    record,
    standard,
    stripe_intent,
    understood,
)
from every_order import in_every_order, in_every_order_at_once
from histories import CAPTURED, HISTORIES, PLAIN, History
from hypothesis import given
from hypothesis import strategies as st
from memory_tables import MemoryTables, by_ref
from msgspec.structs import replace
from profiles import MANY, examples

from consumer.plan import Known, Letter, OrphanLetter, ParkedEvent
from consumer.planner import Planner
from consumer.resolve import keys_of
from consumer.verdict import Dead
from schemas.dead_letter import MESSAGE_LENGTH_MAX, Reason
from schemas.facts import Ref, RefKind
from schemas.payment import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from consumer.decode import Event
    from schemas.record import Record

pytestmark = pytest.mark.unit

OTHER_ID = UUID("01890000-0000-7000-8000-000000000002")


def processed(*batches: Sequence[Record]) -> MemoryTables:
    tables = MemoryTables()
    for batch in batches:
        tables.process(batch)
    return tables


def at_rest(tables: MemoryTables, history: History) -> None:
    """Assert that all is processed and that the one row is the history's."""
    assert not tables.parked
    assert not tables.letters
    assert tables.shown(history.row) == [history.row]
    assert len(tables.events) == len(history.records)


@pytest.mark.parametrize("history", HISTORIES, ids=lambda history: history.name)
def test_every_order_gives_one_row(history: History) -> None:
    for end in in_every_order(history.records):
        at_rest(end.tables, history)


@pytest.mark.parametrize("history", HISTORIES, ids=lambda history: history.name)
def test_every_order_in_one_batch_gives_the_same_row(history: History) -> None:
    for end in in_every_order_at_once(history.records):
        at_rest(end.tables, history)


@given(data=st.data())
@examples(MANY)
def test_any_order_repetition_and_cut_of_many_payments(data: st.DataObject) -> None:
    """Payments of one kind of provider share nothing; duplicates are known by their ids and make no row."""
    several = [
        data.draw(st.sampled_from([one for one in HISTORIES if one.name.startswith(provider)]))
        for provider in ("stripe", "adyen", "standard")
    ]
    once = [one for history in several for one in history.records]
    if sum(understood(one).meaning.ownership is not None for one in once) > 1:  # all intents have one id
        several = several[:2]
        once = [one for history in several for one in history.records]
    again = some_again(data.draw, once, 12)
    tables = processed(*in_batches(data.draw, in_any_order(data.draw, [*once, *again])))
    rows = sorted((history.row for history in several), key=by_ref)
    assert [{name: row[name] for name in like} for row, like in zip(tables.counted, rows, strict=True)] == rows
    assert not tables.parked
    assert not tables.letters
    assert tables.duplicates == len(again)
    assert tables.dedupe_keys() == sorted((understood(one).source, understood(one).event_id) for one in once)


def test_what_is_processed_is_gone_at_once_and_waits_for_no_collector() -> None:
    """Else a backlog of large records that park would fill the memory: the collector seldom looks for cycles."""
    gc.collect()
    gc.disable()
    try:
        planner = Planner(Known(), now=0.0, xid=1, facts_max=10)
        refund = standard("refund.succeeded", child="r")
        plan = planner.plan([(refund, understood(refund))])
        waited, gone = len(plan.parkings), weakref.ref(planner)
        del planner, plan
        assert (waited, gone()) == (1, None)
    finally:
        gc.enable()


def test_redelivery_changes_nothing() -> None:
    for history in HISTORIES:
        tables = processed(history.records)
        before = tables.digest()
        plan = tables.process(history.records)
        assert tables.digest() == before
        assert (plan.duplicates, plan.rows, plan.changed) == (len(history.records), [], {})


def naming(one: Record, *payments: str) -> tuple[Record, Event]:
    """Return a record whose event names several payments of a provider: they are one."""
    event = understood(one)
    refs = tuple(Ref(RefKind.PAYMENT, payment) for payment in payments)
    return one, replace(event, meaning=replace(event.meaning, refs=refs))


# --- duplicates and copies ----------------------------------------------------------------------------------------


def test_a_copy_with_equal_facts_and_other_bytes_is_a_duplicate() -> None:
    first = stripe_intent("succeeded", amount_received=1000)
    second = stripe_intent("succeeded", amount_received=1000, pending_webhooks=3)
    assert first.value != second.value
    for batches in ([[first], [second]], [[first, second]], [[second, first]]):
        tables = processed(*batches)
        assert (tables.duplicates, len(tables.ledger), tables.letters) == (1, 1, [])


def test_a_copy_with_other_facts_is_a_letter_and_the_first_stands() -> None:
    first = standard("payment.captured", event_id="msg_1")
    second = standard("payment.captured", amount=2000, event_id="msg_1")
    for batches in ([[first], [second]], [[first, second]]):
        tables = processed(*batches)
        assert [(one.record, one.reason) for one in tables.letters] == [(second, Reason.CONFLICT)]
        assert tables.only["captured"] == 1000


def test_a_copy_of_a_parked_event_is_a_duplicate_or_a_letter() -> None:
    waits = adyen("CAPTURE", "CAP1", 400)
    second = adyen("CAPTURE", "CAP1", 500)
    for batches in ([[waits], [waits], [second]], [[waits, waits, second]]):
        tables = processed(*batches)
        assert (len(tables.parked), tables.duplicates) == (1, 1)
        assert [(one.record, one.reason) for one in tables.letters] == [(second, Reason.CONFLICT)]
        tables.process([adyen("AUTHORISATION", "PAY"), waits])
        assert (tables.only["captured"], tables.parked, tables.duplicates) == (400, {}, 2)


def test_a_copy_with_money_of_an_event_that_was_empty_is_a_letter_and_not_lost() -> None:
    """Only what closes what is known may be empty the first time and not when it comes again."""
    paid = standard("payment.captured")
    event = understood(paid)
    tables = MemoryTables()
    tables.process_items([(paid, replace(event, meaning=replace(event.meaning, facts=())))])
    tables.process([paid])
    assert [(letter.reason, letter.record) for letter in tables.letters] == [(Reason.CONFLICT, paid)]


def test_same_id_of_another_source_is_another_event() -> None:
    tables = processed([standard("payment.created", event_id="1"), adyen("AUTHORISATION", "PAY", event_id="1")])
    assert len(tables.ledger) == 2


# --- waiting -----------------------------------------------------------------------------------------------------


def test_parked_events_wake_after_the_batch_that_brings_what_they_wait_for() -> None:
    tables = processed([adyen("REFUND", "REF1", 100)], [adyen("CAPTURE", "CAP1")])
    assert [one.waits.reason for one in tables.parked.values()] == [Reason.ORPHAN, Reason.ORPHAN]
    assert not tables.payments
    plan = tables.process([adyen("AUTHORISATION", "PAY")])
    assert len(plan.woken) == 2
    assert tables.outcomes() == ["applied"] * 3
    assert (tables.only["captured"], tables.only["refunded"]) == (1000, 100)


def test_what_does_not_add_up_is_folded_at_once_and_flagged_while_it_does_not() -> None:
    tables = processed([adyen("AUTHORISATION", "PAY"), adyen("CAPTURE", "CAP1", 600), adyen("CAPTURE", "CAP2", 600)])
    assert (tables.parked, tables.only["captured"], tables.outcomes()[-1]) == ({}, 1200, "conflict")
    tables.process([adyen("AUTHORISATION_ADJUSTMENT", "ADJ1", 1200)])
    assert (tables.only["captured"], tables.only["status"], tables.outcomes()[-1]) == (1200, "captured", "applied")


def test_a_refund_of_money_that_a_failed_capture_never_took_is_in_every_row() -> None:
    first = [adyen("AUTHORISATION", "PAY"), adyen("CAPTURE", "CAP1"), adyen("REFUND", "REF1")]
    second = [adyen("CAPTURE_FAILED", "CAP1"), adyen("REFUND", "REF2", 1)]
    for order in permutations([*first, *second]):
        tables = processed(*([one] for one in order))
        if order[0] is first[0]:
            assert (tables.parked, tables.letters) == ({}, [])
            row = tables.only
            assert (row["status"], row["captured"], row["refunded"]) == ("failed", 0, 1001)


def test_the_bound_of_facts_is_kept() -> None:
    tables = MemoryTables(facts_max=4)  # authorization, mode, capture, refund
    tables.process([adyen("AUTHORISATION", "PAY"), adyen("CAPTURE", "CAP1"), adyen("REFUND", "REF1")])
    tables.process([adyen("CAPTURE", "CAP2")])
    assert [one.reason for one in tables.letters] == [Reason.CONFLICT]
    assert tables.only["captured"] == 1000


def test_money_in_another_currency_is_seen_and_in_no_sum() -> None:
    tables = processed([standard("payment.captured")])
    wrong = standard("refund.succeeded", child="ref_1", currency="USD")
    for _ in range(2):
        tables.process([wrong])
    assert (tables.letters, tables.parked, tables.duplicates) == ([], {}, 1)
    assert tables.outcomes() == ["applied", "conflict"]
    assert (tables.only["captured"], tables.only["refunded"], tables.only["currency"]) == (1000, 0, "EUR")


def test_a_dispute_in_another_currency_shows_its_state_without_its_sum() -> None:
    for kind in ("dispute.funds_withdrawn", "dispute.opened"):
        tables = processed([standard("payment.captured")], [standard(kind, child="dis_1", currency="USD")])
        assert (tables.only["dispute_status"], tables.only["disputed"]) == ("open", 0)
        assert tables.only["flags"] == ["other_currency"]


def test_a_parked_event_of_another_currency_is_folded_when_it_wakes() -> None:
    tables = processed([adyen("CAPTURE", "CAP1", currency="USD")], [adyen("AUTHORISATION", "PAY")])
    assert (tables.parked, tables.letters, tables.only["captured"]) == ({}, [], 0)


def test_parked_event_wakes_by_a_name_that_only_it_carries() -> None:
    """The refund names the payment that the batch opens, and a second one that is known already."""
    refund = naming(standard("refund.succeeded", payment="pay_1", amount=300, child="ref_1"), "pay_1", "pay_2")
    tables = MemoryTables()
    tables.process_items([refund])
    assert len(tables.parked) == 1
    tables.process_items([(one, understood(one)) for one in [standard("payment.captured", payment="pay_1")]])
    assert not tables.parked
    assert (tables.only["refunded"], tables.only["captured"]) == (300, 1000)


# --- letters -----------------------------------------------------------------------------------------------------


def test_dead_items_are_letters_and_leave_their_neighbours_alone() -> None:
    broken = record("stripe", "evt_x", "payment_intent.created", b"no json")
    tables = processed([broken, standard("payment.captured")])
    assert [(one.record, one.reason) for one in tables.letters] == [(broken, Reason.UNDECODABLE)]
    assert tables.only["status"] == "captured"


def test_a_parked_event_that_is_no_longer_understood_is_a_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = adyen("CAPTURE", "CAP1")
    tables = processed([waits])
    opening = adyen("AUTHORISATION", "PAY")
    item = (opening, understood(opening))
    monkeypatch.setattr("consumer.planner.decode", lambda *_: Dead(Reason.UNKNOWN_KIND, "not any more"))
    plan = Planner(tables._read([item[1]], [*tables.parked]), now=1.79e9, xid=9, facts_max=10).plan([item])
    assert [(one.record, one.reason) for one in plan.letters] == [(waits, Reason.UNKNOWN_KIND)]
    assert plan.woken == list(tables.parked)


def test_a_parked_event_that_a_copy_under_other_references_has_overtaken_is_a_letter() -> None:
    """The ledger holds its id, and what stands there stands; it is decoded in vain no more."""
    waits = adyen("CAPTURE", "CAP1")
    known = Known(parked=[ParkedEvent(3, waits, understood(waits).event_id, processed=True)])
    plan = Planner(known, now=0.0, xid=1, facts_max=10).plan([])
    assert [(one.record, one.reason) for one in plan.letters] == [(waits, Reason.CONFLICT)]
    assert "in the ledger under other references" in plan.letters[0].message
    assert (plan.woken, plan.rows) == ([3], [])


def test_letter_is_cut_to_its_bound() -> None:
    one = standard("payment.created")
    plan = Planner(Known(), now=0, xid=1, facts_max=1).plan([(one, Dead(Reason.UNEXPECTED, "x" * 5000))])
    assert plan.letters[0].message == "x" * MESSAGE_LENGTH_MAX


def test_digest_tells_key_from_value_and_absent_from_empty() -> None:
    base = standard("payment.created")
    pairs: list[tuple[bytes | None, bytes | None]] = [
        *[(b"", b"ab"), (b"a", b"b"), (b"ab", b""), (None, b"ab"), (b"ab", None), (None, None), (b"", b"")],
        *[(b"1:a", b""), (b"", b"1:a")],
    ]
    digests = set()
    for key, value in pairs:
        changed = type(base)(base.topic, 0, 0, 0, key, value, ())
        digests.add(Letter(changed, Reason.FATAL, "").digest)
    assert len(digests) == len(pairs)
    assert {len(digest) for digest in digests} == {32}


# --- rows --------------------------------------------------------------------------------------------------------


def test_an_event_about_no_payment_is_a_row_of_its_own() -> None:
    tables = processed([record("stripe", "evt_c", "customer.updated", {"type": "customer.updated"})])
    (row,) = tables.ledger
    assert (row.payment_id, row.outcome, row.version, row.facts) == (None, Outcome.NOOP, None, "[]")
    assert not tables.payments


def test_row_says_what_the_event_did() -> None:
    tables = processed([standard("payment.authorized")], [standard("payment.captured")])
    row = tables.ledger[1]
    assert (row.from_status, row.to_status, row.version, row.amount) == ("authorized", "captured", 2, 1000)
    assert tables.ledger[0].from_status is None
    assert row.event_type == "payment.captured"
    assert row.relay_xid == 2


def test_relay_order_never_runs_back_for_a_payment() -> None:
    tables = processed([standard("payment.authorized")])
    tables.batches = -1  # a transaction that began earlier and commits later
    tables.process([standard("payment.captured")])
    assert [row.relay_xid for row in tables.ledger] == [1, 1]


# --- merges ------------------------------------------------------------------------------------------------------

MERGED: dict[str, Any] = {**PLAIN, **CAPTURED, "provider_ref": "pay_1", "client": "shop", "reference": "ORD-1"}
PARTS = [
    standard("payment.created"),
    standard("payment.authorized", reference="ORD-1"),
    standard("payment.captured"),
    standard("refund.succeeded", amount=100, child="ref_1"),
]


@pytest.mark.parametrize("provider_ref", ["pay_1", None])
@pytest.mark.parametrize("single", [True, False])
def test_an_intent_shows_the_money_whatever_came_first(single: bool, provider_ref: str | None) -> None:  # noqa: FBT001
    """With a provider_ref the intent is that payment; without one it groups the payments under its reference."""
    parts = [intent(reference="ORD-1", **({"provider_ref": provider_ref} if provider_ref else {})), *PARTS]
    for _, _, tables in in_every_order(parts) if single else in_every_order_at_once(parts):
        assert tables.only == {**MERGED, "refund_status": "partial", "refunded": 100}
        (survivor,) = [row for row in tables.payments.values() if row["client"]]
        assert survivor["id"] == INTENT_ID
        column = "merged_into" if provider_ref else "intent_id"
        assert all(row[column] == INTENT_ID for row in tables.payments.values() if row is not survivor)
        assert not tables.parked


LINK = naming(standard("payment.captured", event_id="link"), "pay_2", "pay_1")
"""Names two payments: they are one."""


def test_the_metadata_of_an_intent_is_kept_beside_its_payment() -> None:
    plan = MemoryTables().process([intent(INTENT_ID, metadata={"basket": "7"})])
    assert [(payment_id.bytes, text) for payment_id, text in plan.metadata.items()] == [
        (UUID(str(INTENT_ID)).bytes, '{"basket": "7"}')
    ]


def test_rows_that_no_client_was_promised_merge_into_the_older() -> None:
    tables = processed([standard("payment.created", payment="pay_2")], [standard("payment.created")])
    older = min(tables.payments)
    tables.process_items([LINK])
    assert tables.payments[older]["merged_into"] is None
    assert [row["merged_into"] for key, row in tables.payments.items() if key != older] == [older]
    assert [(row.source, row.event_type, row.version) for row in tables.ledger[-2:]] == [
        ("ratchet", "payment.merged", 2),
        ("standard_webhooks", "payment.captured", 2),
    ]
    assert tables.ledger[-1].outcome is Outcome.APPLIED
    tables.process(
        [standard("refund.succeeded", payment="pay_2", amount=1, child="r1"), standard("payment.authorized")]
    )
    assert (len(tables.counted), tables.only["captured"], tables.only["refunded"]) == (1, 1000, 1)


@pytest.mark.parametrize(("paid", "unpaid"), [("pay_1", "pay_2"), ("pay_2", "pay_1")])
def test_a_merge_that_adds_nothing_else_counts_as_a_version_of_the_survivor(paid: str, unpaid: str) -> None:
    """Whichever row survives: that with the money shows nothing that it did not show before."""
    tables = processed([standard("payment.captured", payment=paid)], [standard("payment.created", payment=unpaid)])
    again = standard("payment.captured", event_id="link", payment=paid)
    tables.process_items([naming(again, paid, unpaid)])
    row = tables.ledger[-1]
    assert (row.event_id, row.outcome, row.version, tables.only["captured"]) == ("link", Outcome.APPLIED, 2, 1000)


@pytest.mark.parametrize(("currency", "refunded"), [("EUR", 100), ("USD", 0)])
@pytest.mark.parametrize(("without", "having"), [("pay_1", "pay_2"), ("pay_2", "pay_1")])
def test_a_merge_keeps_the_currency(without: str, having: str, currency: str, refunded: int) -> None:
    """Whichever row survives: another one is no money of it, of the event that merges and of later ones."""
    unsaid = standard("payment.created", payment=without, currency=None, amount=None)
    tables = processed([unsaid], [standard("payment.captured", payment=having)])
    link = standard("refund.succeeded", event_id="link", child="r1", currency=currency, amount=100)
    tables.process_items([naming(link, "pay_2", "pay_1")])
    tables.process([standard("refund.succeeded", child="r2", currency="USD", amount=10)])
    row = tables.only
    assert (row["currency"], row["captured"], row["refunded"]) == ("EUR", 1000, refunded)


def test_an_orphan_whose_payment_is_still_unknown_stays_a_letter() -> None:
    known = Known(orphans=[OrphanLetter(7, understood(standard("refund.succeeded", child="r1")))])
    for key in keys_of(known.orphans[0].event):
        known.refs[key] = None
    plan = Planner(known, now=0.0, xid=1, facts_max=100).plan([])
    assert (plan.applied, plan.rows, plan.parkings, plan.letters) == ([], [], [], [])


def test_an_orphan_that_is_in_the_ledger_already_is_applied_where_it_says_the_same() -> None:
    """Its redelivery may have been processed meanwhile: nothing is written, and the letter is done with or stays."""
    refunded = standard("refund.succeeded", child="r1", amount=100)
    tables = processed([standard("payment.captured"), refunded])
    for amount, applied in ((100, [7]), (200, [])):
        again = replace(refunded, value=standard("refund.succeeded", child="r1", amount=amount).value)
        known = tables._read([understood(again)])
        known.orphans = [OrphanLetter(7, understood(again))]
        plan = Planner(known, now=0.0, xid=1, facts_max=100).plan([])
        assert (plan.applied, plan.rows, plan.parkings, plan.letters) == (applied, [], [], [])


def test_rows_of_two_currencies_stay_two() -> None:
    tables = processed([standard("payment.created", payment="pay_2", currency="USD")], [standard("payment.created")])
    tables.process_items([LINK])
    assert len(tables.counted) == 2


def test_a_merge_keeps_the_intent_that_had_adopted_the_attempt() -> None:
    tables = processed([intent(reference="ORD-1"), standard("payment.authorized", reference="ORD-1")])
    tables.process([standard("payment.created", payment="pay_2")])
    tables.process_items([LINK])
    assert (len(tables.counted), tables.only["client"], tables.only["captured"]) == (1, "shop", 1000)
    assert {row["intent_id"] for row in tables.payments.values() if row["merged_into"] is None} == {None, INTENT_ID}


@pytest.mark.parametrize("references", list(permutations(["A", "B"])))
def test_a_merge_shows_the_smaller_reference_and_a_promise_its_own(references: tuple[str, str]) -> None:
    """Whichever row survives, and in whichever order they came."""
    named = [standard("payment.created", payment=f"pay_{n}", reference=ref) for n, ref in enumerate(references, 1)]
    tables = processed(named)
    tables.process_items([LINK])
    assert tables.only["reference"] == "A"
    tables = processed([intent(provider_ref="pay_1", reference="Z")], named)
    tables.process_items([LINK])
    assert [row["reference"] for row in tables.counted] == ["Z"]


def test_two_promises_never_merge() -> None:
    tables = processed([intent(provider_ref="pay_1")], [intent(OTHER_ID, client="mall", provider_ref="pay_2")])
    tables.process_items([LINK])
    assert {(row["client"], row["captured"]) for row in tables.counted} == {("mall", 1000), ("shop", 0)}
    assert {tuple(row["flags"]) for row in tables.counted} == {("contradiction",)}


def test_two_promises_that_met_stay_flagged_and_are_flagged_once() -> None:
    tables = processed([intent(provider_ref="pay_1")], [intent(OTHER_ID, client="mall", provider_ref="pay_2")])
    tables.process_items([LINK])
    rows = [row for row in tables.ledger if row.event_type == "payment.flagged"]
    assert {(row.payment_id, row.facts) for row in rows} == {
        (INTENT_ID, f'[["meeting","{OTHER_ID}",["met"]]]'),
        (OTHER_ID, f'[["meeting","{INTENT_ID}",["met"]]]'),
    }
    record, event = LINK
    again = (record, replace(event, event_id="evt_again"))
    tables.process_items([again])
    tables.process([standard("payment.captured", payment="pay_1", event_id="evt_later")])
    assert len([row for row in tables.ledger if row.event_type == "payment.flagged"]) == 2
    assert {tuple(row["flags"]) for row in tables.counted} == {("contradiction",)}


def test_a_promise_with_attempts_keeps_what_it_met() -> None:
    """Its group is worked out anew after each event; what two promises met stands beside it."""
    tables = processed([intent(reference="ORD-1")], [intent(OTHER_ID, client="mall", provider_ref="pay_2")])
    tables.process([standard("payment.authorized", payment="pay_3", reference="ORD-1")])
    record, event = LINK
    named = (Ref(RefKind.ID, str(INTENT_ID)), Ref(RefKind.PAYMENT, "pay_2"))
    tables.process_items([(record, replace(event, meaning=replace(event.meaning, refs=named)))])
    tables.process([standard("payment.captured", payment="pay_3", event_id="evt_later", reference="ORD-1")])
    flags = {row["client"]: (row["flags"], row["captured"]) for row in tables.counted if row["client"]}
    assert all("contradiction" in shown for shown, _ in flags.values())
    assert len(flags) == 2


# --- scopes ------------------------------------------------------------------------------------------------------


def test_a_reference_joins_nothing() -> None:
    """Twelve months of a subscription carry one text; the third fails, and shows."""
    months = [standard("payment.captured", payment=f"pay_{month}", reference="SUB-1") for month in (1, 2)]
    for order in permutations([*months, standard("payment.failed", payment="pay_3", reference="SUB-1")]):
        tables = processed(order)
        assert [(row["provider_ref"], row["status"]) for row in tables.counted] == [
            ("pay_1", "captured"),
            ("pay_2", "captured"),
            ("pay_3", "failed"),
        ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"merchant_account": "acct_A"}, {"merchant_account": "acct_B"}),
        ({"livemode": True}, {"livemode": False}),
    ],
)
def test_names_of_two_merchants_or_modes_never_meet(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Even the provider's id is a name of its scope alone."""
    records = [standard("payment.captured", event_id=f"evt_{number}", reference="ORD-1") for number in (1, 2)]
    events = [
        (record, replace(understood(record), meaning=replace(understood(record).meaning, **scope)))
        for record, scope in zip(records, (one, other), strict=True)
    ]
    events = [(record, replace(event, livemode=event.meaning.livemode is not False)) for record, event in events]
    for order in permutations(events):
        known = Known(refs={key: None for _, event in order for key in keys_of(event)})
        plan = Planner(known, now=1.79e9, xid=9, facts_max=10).plan(order)
        assert [payment.projection.captured for payment in plan.opened.values()] == [1000, 1000]
        assert len({(payment.merchant_account, payment.livemode) for payment in plan.opened.values()}) == 2


# --- clients -----------------------------------------------------------------------------------------------------


def test_a_second_promise_of_one_reference_is_a_conflict_whoever_makes_it() -> None:
    ours = intent(client="shop", reference="ORD-1", provider_ref="pay_1")
    theirs = intent(OTHER_ID, client="mall", reference="ORD-1", provider_ref="pay_2")
    for first, second in permutations([ours, theirs]):
        tables = processed([first], [second])
        assert [(one.record, one.reason) for one in tables.letters] == [(second, Reason.CONFLICT)]
        assert len(tables.counted) == 1


def test_a_promise_that_ended_without_money_gives_its_reference_free() -> None:
    first = intent(reference="ORD-1")
    failed = standard("payment.failed", reference="ORD-1", payment="pay_1")
    tables = processed([first, failed], [intent(OTHER_ID, reference="ORD-1", client="mall")])
    assert not tables.letters
    tables.process([standard("payment.captured", reference="ORD-1", payment="pay_2")])
    assert {(row["client"], row["status"]) for row in tables.counted} == {("shop", "failed"), ("mall", "captured")}


def test_what_an_ended_promise_adopted_and_takes_no_more_goes_to_the_live_one() -> None:
    """A failed try tells no amount; its money, which comes later, fits the second promise alone."""
    first, failed = intent(reference="ORD-1"), standard("payment.failed", reference="ORD-1", amount=None)
    tables = processed([first, failed], [intent(OTHER_ID, reference="ORD-1", client="mall", amount=1500)])
    assert {row["intent_id"] for row in tables.payments.values() if row["client"] is None} == {INTENT_ID}
    tables.process([standard("payment.captured", reference="ORD-1", amount=1500)])
    assert {(row["client"], row["captured"]) for row in tables.counted} == {("shop", 0), ("mall", 1500)}
    assert {row["intent_id"] for row in tables.payments.values() if row["client"] is None} == {OTHER_ID}


def test_a_payment_of_another_merchant_account_than_every_promise_stays_alone() -> None:
    record = standard("payment.captured", reference="ORD-1")
    event = understood(record)
    elsewhere = replace(event, meaning=replace(event.meaning, merchant_account="acct_B"))
    tables = processed([intent(reference="ORD-1", merchant_account="acct_A")])
    tables.process_items([(record, elsewhere)])
    assert {(row["client"], row["captured"]) for row in tables.counted} == {("shop", 0), (None, 1000)}
    assert {row["intent_id"] for row in tables.payments.values()} == {None}


def test_an_intent_takes_only_a_payment_that_fits() -> None:
    """A client that names a stranger's payment gets none of its figures."""
    paid = [standard("payment.captured", amount=125000)]
    for theft in (intent(provider_ref="pay_1", amount=1), intent(provider_ref="pay_1", amount=125000, currency="USD")):
        tables = processed(paid, [theft])
        assert [one.reason for one in tables.letters] == [Reason.CONFLICT]
        assert (tables.only["client"], tables.only["captured"]) == (None, 125000)
    tables = processed(paid, [intent(provider_ref="pay_1", amount=125000)])
    assert (tables.only["client"], tables.only["captured"], tables.letters) == ("shop", 125000, [])
    tables.process([intent(OTHER_ID, client="mall", provider_ref="pay_1", amount=125000)])
    assert [one.reason for one in tables.letters] == [Reason.CONFLICT]


def test_an_attempt_of_another_intent_can_not_be_taken() -> None:
    tables = processed([intent(reference="ORD-1")], [standard("payment.captured", reference="ORD-1")])
    tables.process([intent(OTHER_ID, provider_ref="pay_1")])
    assert [one.reason for one in tables.letters] == [Reason.CONFLICT]
    assert (tables.only["client"], tables.only["captured"]) == ("shop", 1000)


def test_a_second_create_under_one_id_with_other_terms_is_a_conflict_and_never_a_merge() -> None:
    paid = [
        standard("payment.captured", payment="pay_1", amount=1000),
        standard("payment.captured", payment="pay_2", amount=2500),
    ]
    first = intent(provider_ref="pay_1", reference="ORD-A")
    for again in (
        intent(provider_ref="pay_2", reference="ORD-B", amount=2500, event_id="again"),
        intent(provider_ref="pay_1", reference="ORD-B", event_id="again"),
        intent(provider_ref="pay_1", reference="ORD-A", amount=999, event_id="again"),
        intent(provider_ref="pay_2", reference="ORD-A", event_id="again"),
    ):
        for batches in ([paid, [first], [again]], [[*paid, first, again]]):
            tables = processed(*batches)
            assert [(one.record, one.reason) for one in tables.letters] == [(again, Reason.CONFLICT)]
            assert sorted((row["client"] or "", row["captured"]) for row in tables.counted) == [
                ("", 2500),
                ("shop", 1000),
            ]


def test_one_clients_reference_twice_is_a_conflict() -> None:
    first, second = intent(reference="ORD-1"), intent(OTHER_ID, reference="ORD-1")
    for batches in ([[first], [second]], [[first, second]]):
        tables = processed(*batches)
        assert [(one.record, one.reason) for one in tables.letters] == [(second, Reason.CONFLICT)]
        assert len(tables.payments) == 1


def test_one_reference_at_two_providers_is_two_promises() -> None:
    tables = processed([intent(reference="ORD-1")], [intent(OTHER_ID, reference="ORD-1", provider="stripe")])
    assert (len(tables.payments), tables.letters) == (2, [])


def test_another_clients_payment_cannot_be_taken() -> None:
    theft = intent(client="mall", amount=1, event_id="theft")
    tables = processed([intent(reference="ORD-1")], [theft])
    assert [(one.record, one.reason) for one in tables.letters] == [(theft, Reason.CONFLICT)]
    assert (tables.only["client"], tables.only["amount"]) == ("shop", 1000)


def test_an_intent_reported_twice_under_other_ids_is_one() -> None:
    tables = processed([intent(reference="ORD-1")], [intent(reference="ORD-1", event_id="again")])
    assert (tables.outcomes(), len(tables.payments), tables.letters) == (["applied", "noop"], 1, [])


def test_a_command_moves_nothing() -> None:
    tables = processed([intent()], [intent(command="capture"), intent(OTHER_ID, command="refund")])
    assert tables.outcomes() == ["applied", "noop"]
    assert tables.ledger[1].payment_id == next(iter(tables.payments))
    assert [one.event.kind for one in tables.parked.values()] == ["intent.refund"], "its create may still come"
