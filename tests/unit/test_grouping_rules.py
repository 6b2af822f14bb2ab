"""The rules of a batch's groups one by one: who stands under a reference, whose an attempt is, what an intent shows."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from events import intent, standard, understood
from memory_tables import payment, stands_under
from msgspec.structs import replace

from consumer.entries import Entries
from consumer.fold import newer, project
from consumer.grouping import PAYMENTS_MAX, Grouping, adopted_by
from consumer.plan import Known, Member, Plan
from providers.core.payments import attempt, authorized, captured, refund, terms
from runtime.settings import ConsumerSettings
from schemas.facts import INTENT, Fact, FactKind, Ref, RefKind
from schemas.payment import Facts, Flag, Payment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from consumer.decode import Event
    from consumer.resolve import RefKey

pytestmark = pytest.mark.unit

SCOPE = ("standard_webhooks", "", "", True)
KEY: RefKey = (*SCOPE, RefKind.REFERENCE, "ORD-1")
FULL: RefKey = (*SCOPE, RefKind.SHARED, "ORD-1")
PROMISE, MEMBER = Member(1, groups=True), Member()


def of(*facts: Fact) -> Facts:
    return newer({}, facts)


def pay(number: int, *facts: Fact, **columns: Any) -> Payment:
    """Return a payment by the number of its id; its reference at the provider is `p` and that number."""
    known = of(*facts)
    columns = {"id": UUID(int=number), "provider_ref": f"p{number}", "currency": "EUR", **columns}
    return payment(facts=known, projection=project(known), **columns)


def promised(number: int, asked: int | None = 100, *own: Fact, **columns: Any) -> Payment:
    """Return the payment of an intent of so much."""
    facts = () if asked is None else (terms(INTENT, asked),)
    return pay(number, *facts, *own, **{"client": "shop", "provider_ref": None, **columns})


def paid(number: int, amount: int, **columns: Any) -> Payment:
    return pay(number, captured(f"c{number}", amount), terms(f"p{number}", amount), **columns)


class Batch:
    """Groups of one batch: those who stand under a reference, and the payments that it read."""

    def __init__(
        self,
        payments: Iterable[Payment] = (),
        groups: dict[RefKey, dict[UUID, Member]] | None = None,
        **settings: Any,
    ) -> None:
        self.known, self.plan = Known(payments={one.id: one for one in payments}, groups=groups or {}), Plan()
        entries = Entries(self.plan, dt.datetime(2026, 11, 28, tzinfo=dt.UTC), 1)
        self.grouping = Grouping(self.known, self.plan, entries, **settings)

    def work_out(self, *changed: Payment) -> list[tuple[int, str]]:
        """Work out the groups in which payments changed; return the ledger rows by payment and kind, in order."""
        self.plan.changed = {one.id: one for one in changed}
        self.grouping.work_out()
        return [(row.payment_id.int if row.payment_id else 0, row.event_type) for row in self.plan.rows]


def group(*intents: Payment, attempts: Iterable[Payment] = (), groups: bool = True) -> dict[UUID, Member]:
    """Return a group: promises from 1 in order, and payments without one."""
    promises = {one.id: Member(number, groups) for number, one in enumerate(intents, 1)}
    return {one.id: MEMBER for one in attempts} | promises


def worked_out(
    intents: Iterable[Payment], attempts: Iterable[Payment], *, groups: bool = True
) -> list[tuple[int, str]]:
    """Work one group out of which all have changed; return the ledger rows."""
    intents, attempts = list(intents), list(attempts)
    batch = Batch([*intents, *attempts], {KEY: group(*intents, attempts=attempts, groups=groups)})
    return batch.work_out(*intents, *attempts)


# --- what a batch begins with ------------------------------------------------------------------------------------


def test_an_intent_begins_with_what_its_attempts_show_and_the_marks_that_no_fact_raises() -> None:
    one = promised(1, 100, group_flags=(Flag.OVER_CAPTURED, Flag.PAID_AGAIN))
    tries = [pay(3, captured("b", 80, authorization="h"), authorized("h", 70), intent_id=one.id)]
    tries.append(pay(2, captured("a", 20), intent_id=one.id))
    stranger = paid(4, 5, intent_id=UUID(int=9))
    grouping = Batch([one, *tries, stranger], {KEY: {}}).grouping
    assert (one.projection.captured, one.projection.flags, one.group_flags) == (
        100,
        (Flag.OVER_CAPTURED,),
        ("paid_again",),
    )
    assert grouping.attempts_of(one) == [tries[1], tries[0]]
    assert grouping.attempts_of(stranger) == grouping.attempts_of(tries[0]) == []
    whole = grouping.whole(one)
    assert whole.facts == one.facts | tries[0].facts | tries[1].facts
    assert list(one.facts) == [("terms", INTENT)]
    assert grouping.whole(tries[0]) is tries[0]


def test_a_batch_that_read_no_group_leaves_its_intents_as_they_stand() -> None:
    one, piece = promised(1), paid(2, 20, intent_id=UUID(int=1))
    grouping = Batch([one, piece]).grouping
    assert (one.projection.captured, grouping.attempts_of(one)) == (0, [])
    assert grouping.whole(one) is one


def test_the_attempts_of_an_intent_are_those_that_stand() -> None:
    owner = UUID(int=1)
    pieces = [
        pay(2, intent_id=owner),
        pay(3),
        pay(4, intent_id=owner, merged_into=UUID(int=2)),
        pay(5, intent_id=owner),
    ]
    assert adopted_by(pieces) == {owner: [pieces[0], pieces[3]]}


# --- who is under a reference --------------------------------------------------------------------------------------


def reported(*refs: Ref) -> Event:
    event = understood(standard("payment.captured"))
    return replace(event, meaning=replace(event.meaning, refs=refs))


UNDER = reported(Ref(RefKind.REFERENCE, "ORD-1"))
CREATE = understood(intent(reference="ORD-1"))


def test_a_payment_stands_under_the_reference_and_the_shared_ids_that_an_event_names() -> None:
    batch, one = Batch(), pay(2)
    batch.grouping.stand(reported(Ref(RefKind.REFERENCE, "z"), Ref(RefKind.SHARED, "sub")), one)
    assert stands_under(batch.plan) == {
        ((*SCOPE, "reference", "z"), one.id): MEMBER,
        ((*SCOPE, "shared", "sub"), one.id): MEMBER,
    }
    assert batch.known.under == {(*SCOPE, "shared", "sub"): [one.id]}
    assert (batch.known.groups, one.reference) == ({}, "z")
    other = pay(3)
    batch.grouping.stand(reported(Ref(RefKind.SHARED, "sub"), Ref(RefKind.PAYMENT, "p")), other)
    assert batch.known.under == {(*SCOPE, "shared", "sub"): [one.id, other.id]}
    batch.grouping.stand(reported(Ref(RefKind.PAYMENT, "p")), pay(4))
    assert len(stands_under(batch.plan)) == 3


@pytest.mark.parametrize(
    ("client", "held", "shown", "noted"),
    [
        (None, None, "ORD-1", True),
        (None, "ORD-1", "ORD-1", False),
        (None, "A", "A", True),
        (None, "Z", "ORD-1", True),
        ("shop", None, None, True),
        ("shop", "Z", "Z", True),
    ],
)
def test_of_two_references_the_smaller_is_shown_and_an_intent_keeps_its_own(
    client: str | None, held: str | None, shown: str | None, *, noted: bool
) -> None:
    one, batch = pay(2, client=client, reference=held), Batch(groups={KEY: {}})
    batch.grouping.stand(UNDER, one)
    assert one.reference == shown
    assert batch.known.groups == {KEY: {one.id: MEMBER}}
    assert stands_under(batch.plan) == ({(KEY, one.id): MEMBER} if noted else {})


def test_who_stands_in_the_group_already_stays_as_it_is() -> None:
    one = pay(2)
    batch = Batch(groups={KEY: {one.id: PROMISE}})
    batch.grouping.stand(UNDER, one)
    assert (batch.known.groups, stands_under(batch.plan), one.reference) == ({KEY: {one.id: PROMISE}}, {}, None)


@pytest.mark.parametrize(
    ("payments", "promises", "full"),
    [(1, 0, False), (2, 0, True), (3, 0, True), (1, 1, False), (1, 2, False), (2, 1, True), (0, 3, False)],
)
def test_a_group_is_full_by_its_payments_its_promises_don_t_count(payments: int, promises: int, *, full: bool) -> None:
    members = {UUID(int=10 + n): PROMISE if n < promises else MEMBER for n in range(payments + promises)}
    one, batch = pay(2), Batch(groups={KEY: dict(members)}, payments_max=2)
    batch.grouping.stand(UNDER, one)
    assert stands_under(batch.plan) == {(FULL if full else KEY, one.id): MEMBER}
    assert batch.known.groups[KEY] == (members if full else {**members, one.id: MEMBER})
    assert one.reference == "ORD-1"


def test_where_no_setting_says_otherwise_a_group_has_as_many_as_the_setting_s_default() -> None:
    assert ConsumerSettings().payments_per_promise_max == PAYMENTS_MAX


# --- promises ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("others", "number"), [([], 1), ([None], 1), ([None, None], 1), ([1], 2), ([3, None, 2], 4)])
def test_a_promise_is_counted_after_the_newest_and_binds_the_reference(others: list[int | None], number: int) -> None:
    members = {UUID(int=10 + n): Member(promise) for n, promise in enumerate(others)}
    one, batch = pay(2, client="shop"), Batch(groups={KEY: dict(members)} if members else {})
    batch.grouping.stand(CREATE, one)
    assert batch.known.groups == {KEY: {**members, one.id: Member(number, groups=True)}}
    assert stands_under(batch.plan) == {(KEY, one.id): Member(number, groups=True)}
    assert batch.known.refs == batch.plan.bindings == {KEY: one.id}
    assert one.reference is None


def test_a_payment_under_the_reference_becomes_a_promise_once() -> None:
    one = pay(2, client="shop")
    batch = Batch(groups={KEY: {one.id: MEMBER}})
    batch.grouping.stand(CREATE, one)
    assert batch.known.groups[KEY][one.id].promise == 1
    stands_under(batch.plan).clear()
    batch.plan.bindings.clear()
    batch.grouping.stand(CREATE, one)
    assert (batch.known.groups[KEY][one.id].promise, stands_under(batch.plan), batch.plan.bindings) == (1, {}, {})


def test_an_intent_promises_its_own_reference_alone() -> None:
    refs = (Ref(RefKind.REFERENCE, "OTHER"), *CREATE.meaning.refs)
    of_two, batch = replace(CREATE, meaning=replace(CREATE.meaning, refs=refs)), Batch()
    one = pay(2, client="shop", reference="ORD-1")
    batch.grouping.stand(of_two, one)
    assert stands_under(batch.plan) == {
        ((*SCOPE, "reference", "OTHER"), one.id): MEMBER,
        (KEY, one.id): Member(1, groups=True),
    }


def test_a_promise_tells_whether_it_takes_attempts() -> None:
    assert CREATE.meaning.ownership is not None
    named = replace(CREATE, meaning=replace(CREATE.meaning, ownership=replace(CREATE.meaning.ownership, groups=False)))
    batch = Batch()
    batch.grouping.stand(named, pay(2, client="shop"))
    assert batch.known.groups == {KEY: {UUID(int=2): Member(1, groups=False)}}


# --- payments that are one ---------------------------------------------------------------------------------------


def test_who_stood_under_a_reference_hands_its_place_to_the_payment_that_it_is() -> None:
    other, survivor, second = pay(2), pay(3), (*SCOPE, RefKind.REFERENCE, "ORD-2")
    third = (*SCOPE, RefKind.REFERENCE, "ORD-3")
    groups: dict[RefKey, dict[UUID, Member]] = {
        KEY: {other.id: MEMBER},
        second: {other.id: MEMBER, survivor.id: PROMISE},
        third: {},
    }
    batch = Batch(groups=groups)
    batch.grouping.merge(other, survivor)
    assert batch.known.groups == {
        KEY: {other.id: MEMBER, survivor.id: MEMBER},
        second: {other.id: MEMBER, survivor.id: PROMISE},
        third: {},
    }


@pytest.mark.parametrize(
    ("own", "others", "kept"),
    [
        (None, None, None),
        (20, None, 20),
        (None, 20, 20),
        (20, 21, 21),
        (21, 20, 21),
        (20, 22, 22),
        (22, 20, 22),
        (21, 22, 22),
        (22, 23, 22),
        (23, 22, 22),
        (3, None, None),
        (None, 3, None),
        (3, 20, 20),
    ],
)
def test_one_payment_of_two_intents_is_the_earlier_promise_s(
    own: int | None, others: int | None, kept: int | None
) -> None:
    """20 is the second promise of one reference and the first of none, 21 the first; 22 and 23 promise nothing."""
    groups = {
        KEY: {UUID(int=21): Member(1), UUID(int=20): Member(2), UUID(int=22): MEMBER},
        (*SCOPE, RefKind.REFERENCE, "ORD-2"): {UUID(int=20): Member(3)},
    }
    other, survivor = pay(2, group_flags=("paid_again",)), pay(3)
    survivor.intent_id, other.intent_id = (None if one is None else UUID(int=one) for one in (own, others))
    Batch(groups=groups).grouping.merge(other, survivor)
    assert survivor.intent_id == (None if kept is None else UUID(int=kept))
    assert (other.intent_id, other.group_flags) == (None, ())


# --- what a group comes to ---------------------------------------------------------------------------------------


def test_only_groups_in_which_something_moved_are_worked_out_in_the_order_of_their_keys() -> None:
    intents, pieces = [promised(n) for n in (1, 2, 3)], [paid(n, 100) for n in (11, 12, 13)]
    keys: list[RefKey] = [(*SCOPE, RefKind.REFERENCE, name) for name in "CBA"]
    groups = {key: group(one, attempts=[piece]) for key, one, piece in zip(keys, intents, pieces, strict=True)}
    batch = Batch([*intents, *pieces], groups)
    rows = [(n, kind) for n in (3, 1) for n, kind in ((n + 10, "attempt.adopted"), (n, "intent.attempts"))]
    assert batch.work_out(pieces[0], intents[2]) == rows
    assert [one.intent_id for one in pieces] == [intents[0].id, None, intents[2].id]


def test_an_attempt_that_fits_is_adopted_and_the_intent_shows_it() -> None:
    one, piece = promised(1), paid(2, 100)
    assert worked_out([one], [piece]) == [(2, "attempt.adopted"), (1, "intent.attempts")]
    assert (piece.intent_id, piece.group_flags, one.group_flags) == (one.id, (), ())
    assert (one.projection.captured, one.provider_ref, one.version, piece.version) == (100, "p2", 1, 1)
    assert worked_out([one], [piece]) == []


def test_an_attempt_that_fits_no_more_is_released_and_flagged() -> None:
    one, first, second = promised(1, provider_ref="p3"), paid(2, 100), paid(3, 100, intent_id=UUID(int=1))
    rows = [(2, "attempt.adopted"), (3, "attempt.released"), (1, "intent.attempts")]
    assert worked_out([one], [first, second]) == rows
    assert (first.intent_id, first.group_flags) == (one.id, ())
    assert (second.intent_id, second.group_flags) == (None, (Flag.PAID_AGAIN,))
    assert (one.group_flags, one.provider_ref) == ((Flag.PAID_AGAIN,), "p2")


def test_a_flag_that_comes_and_goes_has_a_row_of_its_own() -> None:
    one, again = promised(1, provider_ref="p2"), paid(3, 101)
    first = paid(2, 100, intent_id=one.id)
    assert worked_out([one], [first, again]) == [(3, "payment.flagged"), (1, "intent.attempts")]
    again.facts |= of(refund("r", "succeeded", 101))
    again.projection = project(again.facts)
    assert worked_out([one], [first, again]) == [(3, "payment.flagged"), (1, "intent.attempts")]
    assert (again.group_flags, one.group_flags, again.intent_id) == ((), (), None)


def test_an_intent_has_each_flag_of_its_attempts_once_in_order() -> None:
    one = promised(1)
    pieces = [paid(2, 100), paid(3, 100), paid(4, 100), paid(5, 7, currency="USD")]
    worked_out([one], pieces)
    assert one.group_flags == (Flag.OTHER_CURRENCY, Flag.PAID_AGAIN)
    assert [piece.group_flags for piece in pieces] == [(), ("paid_again",), ("paid_again",), ("other_currency",)]


def test_a_payment_that_turned_out_to_be_another_counts_as_that_one_once() -> None:
    one, survivor = promised(1), paid(2, 60)
    gone = pay(3, merged_into=survivor.id)
    assert worked_out([one], [survivor, gone]) == [(2, "attempt.adopted"), (1, "intent.attempts")]
    assert (gone.intent_id, one.projection.captured) == (None, 60)


def test_who_belongs_to_a_client_or_to_an_intent_elsewhere_is_no_attempt() -> None:
    one, own, elsewhere = promised(1), paid(2, 20, client="shop"), paid(3, 20, intent_id=UUID(int=9))
    assert worked_out([one], [own, elsewhere]) == []
    assert (own.intent_id, elsewhere.intent_id, one.projection.captured) == (None, UUID(int=9), 0)


def test_the_newest_promise_takes_what_nobody_has_and_what_has_an_intent_stays() -> None:
    old, new = promised(7, reference="ORD-1"), promised(1)
    kept, free = paid(2, 20, intent_id=old.id), paid(3, 20)
    batch = Batch(
        [old, new, kept, free],
        {KEY: {new.id: Member(2, groups=True), old.id: PROMISE, kept.id: MEMBER, free.id: MEMBER}},
    )
    batch.work_out(free)
    assert (kept.intent_id, free.intent_id) == (old.id, new.id)
    assert (old.projection.captured, new.projection.captured) == (20, 20)


def test_what_an_earlier_promise_does_not_take_goes_to_the_newest_later_one_that_does() -> None:
    first, second, third = promised(7, 50), promised(6, 100), promised(5, 100)
    piece = paid(2, 80, intent_id=first.id)
    rows = worked_out([first, second, third], [piece])
    assert piece.intent_id == third.id
    assert [kind for number, kind in rows if number == 2] == ["attempt.adopted"]
    assert (first.group_flags, second.projection.captured, third.projection.captured) == ((), 0, 80)


def test_each_attempt_that_a_promise_does_not_take_is_handed_on() -> None:
    first, second = promised(7, 50), promised(6, 200)
    pieces = [paid(2, 80, intent_id=first.id), paid(3, 90, intent_id=first.id), paid(4, 50, intent_id=first.id)]
    worked_out([first, second], pieces)
    assert [one.intent_id for one in pieces] == [second.id, second.id, first.id]


def test_a_promise_of_another_merchant_account_takes_nothing() -> None:
    first, second = promised(7, 50, merchant_account="A"), promised(6, 100, merchant_account="B")
    mine, theirs, nobodys = paid(2, 50, merchant_account="A"), paid(3, 100, merchant_account="B"), paid(4, 1)
    worked_out([first, second], [mine, theirs, nobodys])
    assert [one.intent_id for one in (mine, theirs, nobodys)] == [first.id, second.id, None]
    anybody = promised(6, 100)
    mine = paid(2, 80, merchant_account="A", intent_id=first.id)
    worked_out([first, second, anybody], [mine])
    assert mine.intent_id == anybody.id


def test_what_no_later_promise_takes_stays_with_its_own() -> None:
    first, second = promised(7, 50), promised(6, 100, merchant_account="B")
    piece = paid(2, 80, intent_id=first.id)
    assert (2, "attempt.released") in worked_out([first, second], [piece])
    assert (piece.intent_id, piece.group_flags, first.group_flags) == (None, (Flag.PAID_AGAIN,), (Flag.PAID_AGAIN,))


# --- what an intent asks and shows -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "asked", "adopted"),
    [
        ((), 100, True),
        ((), 101, False),
        ((captured("o", 60),), 40, True),
        ((captured("o", 60),), 41, False),
        ((captured("o", 100),), 1, False),
        ((captured("o", 100),), 0, True),
        ((captured("o", 120),), 0, True),
        ((captured("o", 120),), 1, False),
    ],
)
def test_attempts_have_what_the_intent_asked_less_what_it_holds_itself(
    own: tuple[Fact, ...], asked: int, *, adopted: bool
) -> None:
    one = promised(1, 100, *own)
    piece = paid(2, asked) if asked else pay(2, attempt("t", "failed", amount=0))
    worked_out([one], [piece])
    assert piece.intent_id == (one.id if adopted else None)


@pytest.mark.parametrize(("asked", "adopted"), [(0, True), (1, False)])
def test_an_intent_of_no_terms_asks_nothing(asked: int, *, adopted: bool) -> None:
    for terms_ in ((), (Fact(FactKind.TERMS, INTENT, "asked"),)):
        one, piece = promised(1, None, *terms_), pay(2, attempt("t", "failed", amount=asked))
        worked_out([one], [piece])
        assert piece.intent_id == (one.id if adopted else None)


def test_an_intent_that_names_the_provider_s_payment_itself_adopts_none() -> None:
    one, empty, full = promised(1), pay(2, attempt("t", "failed", amount=0)), paid(3, 50)
    worked_out([one], [empty, full], groups=False)
    assert [(piece.intent_id, piece.group_flags) for piece in (empty, full)] == [(None, ()), (None, (Flag.PAID_AGAIN,))]


def test_an_attempt_in_another_currency_is_none_of_it() -> None:
    one, piece = promised(1), paid(2, 100, currency="USD")
    worked_out([one], [piece])
    assert (piece.intent_id, piece.group_flags) == (None, (Flag.OTHER_CURRENCY,))


@pytest.mark.parametrize(
    ("own", "refs", "shown"),
    [
        (None, ["b", "a"], "a"),
        (None, [None, "b"], "b"),
        (None, [None], None),
        (None, [], None),
        ("b", ["b", "a"], "a"),
        ("a", ["b", "a"], "a"),
        ("own", ["b", "a"], "own"),
        ("own", [], "own"),
    ],
)
def test_an_intent_shows_the_reference_of_its_first_attempt_unless_it_has_one_of_its_own(
    own: str | None, refs: list[str | None], shown: str | None
) -> None:
    one = promised(1, provider_ref=own)
    worked_out([one], [paid(2 + n, 10, provider_ref=ref) for n, ref in enumerate(refs)])
    assert one.provider_ref == shown


def test_the_reference_of_an_attempt_that_is_released_goes() -> None:
    one, piece = promised(1, 50, provider_ref="p2"), paid(2, 80, intent_id=UUID(int=1))
    assert worked_out([one], [piece]) == [(2, "attempt.released"), (1, "intent.attempts")]
    assert one.provider_ref is None


def test_the_row_of_an_intent_tells_how_it_stood_before() -> None:
    one, piece = promised(1), paid(2, 100)
    batch = Batch([one, piece], {KEY: group(one, attempts=[piece])})
    batch.work_out(piece)
    assert [(row.from_status, row.to_status) for row in batch.plan.rows] == [
        ("captured", "captured"),
        ("created", "captured"),
    ]
