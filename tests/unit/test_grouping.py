"""An intent and the attempts under its reference: any order of any history of them gives the same rows."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID, uuid4

import pytest
from choices import in_any_order, in_batches, picks
from events import INTENT_ID, intent, standard, understood
from hypothesis import given
from hypothesis import strategies as st
from memory_tables import MemoryTables
from msgspec.structs import replace
from profiles import MOST, examples

from consumer.adoption import Attempt, IntentTerms, adopt, attempt_of
from consumer.decode import Event, decode
from consumer.grouping import Grouping
from consumer.plan import Known, Member, Plan
from consumer.rows import payment_of
from schemas.facts import Ref, RefKind
from schemas.payment import Flag, Payment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from schemas.record import Record

pytestmark = pytest.mark.unit

ASKED = 100
ORDER = intent(reference="ORD-1", amount=ASKED)


class Try(NamedTuple):
    """One payment under the reference: what it asked, and how it went on."""

    name: str
    asked: int
    currency: str
    steps: tuple[str, ...]

    @property
    def records(self) -> list[Record]:
        return [_record(self, step) for step in self.steps]

    @property
    def captured(self) -> int:
        return self.asked if "payment.captured" in self.steps else 0

    @property
    def held(self) -> int:
        """What it holds, by plain arithmetic."""
        if self.captured:
            return self.captured - (self.captured // 2 if "refund.succeeded" in self.steps else 0)
        return self.asked if "payment.authorized" in self.steps else 0

    @property
    def place(self) -> int:
        return 0 if self.captured else 1 if self.held else 2


def _record(one: Try, step: str) -> Record:
    amount, child = one.asked, None
    if step == "refund.succeeded":
        amount, child = one.asked // 2, f"{one.name}-r1"
    if step == "payment.failed":
        child = f"{one.name}-t1"
    return standard(step, payment=one.name, amount=amount, currency=one.currency, reference="ORD-1", child=child)


def model(tries: Iterable[Try]) -> tuple[set[str], set[str], set[str]]:
    """Return which tries the order adopts, which were paid again, and which are in another currency; by hand."""
    room, adopted, again, foreign = ASKED, set(), set(), set()
    for one in sorted(tries, key=lambda one: (one.place, one.name.encode())):
        if one.currency != "EUR":
            foreign |= {one.name} if one.held else set()
        elif min(one.held, one.asked) <= room and one.asked <= ASKED:
            adopted.add(one.name)
            room -= min(one.held, one.asked)
        elif one.held:
            again.add(one.name)
    return adopted, again, foreign


STEPS = [
    ("payment.created",),
    ("payment.created", "payment.failed"),
    ("payment.created", "payment.authorized"),
    ("payment.created", "payment.authorized", "payment.captured"),
    ("payment.created", "payment.captured", "refund.succeeded"),
]
NAMES = ("pay_1", "pay_2", "pay_3", "pay_10", "pay_é")
AMOUNTS = (20, 40, 60, 80, 100, 140)
TRIES = picks(NAMES, AMOUNTS, ("EUR", "EUR", "EUR", "USD"), STEPS).map(lambda drawn: Try(*drawn))


def marks(row: dict[str, Any]) -> list[str]:
    """Return the flags that a group gives."""
    return [flag for flag in row["flags"] if flag in (Flag.PAID_AGAIN, Flag.OTHER_CURRENCY)]


def at_rest(tables: MemoryTables, tries: Sequence[Try]) -> None:
    """Assert that rows are what the model says."""
    adopted, again, foreign = model(tries)
    for one in tries:
        row = tables.row_of(one.name)
        assert row["intent_id"] == (INTENT_ID if one.name in adopted else None), one
        flags = ["paid_again"] if one.name in again else ["other_currency"] if one.name in foreign else []
        assert marks(row) == flags, one
    order = tables.payments[INTENT_ID]
    assert order["captured"] == sum(one.captured for one in tries if one.name in adopted)
    expected = ([Flag.OTHER_CURRENCY] if foreign else []) + ([Flag.PAID_AGAIN] if again else [])
    assert marks(order) == expected


@given(data=st.data())
@examples(MOST)
def test_any_order_of_any_attempts_gives_the_same_rows(data: st.DataObject) -> None:
    tries = data.draw(st.lists(TRIES, min_size=1, max_size=4, unique_by=lambda one: one.name))
    records = [ORDER, *(record for one in tries for record in one.records)]
    tables = MemoryTables()
    for batch in in_batches(data.draw, in_any_order(data.draw, records)):
        tables.process(batch)
    assert not tables.letters
    at_rest(tables, tries)


def processed(*records: Record) -> MemoryTables:
    tables = MemoryTables()
    for one in records:
        tables.process([one])
    return tables


def paid(name: str, amount: int) -> Record:
    return standard("payment.captured", payment=name, amount=amount, reference="ORD-1")


def test_a_gift_card_and_a_card_are_one_order() -> None:
    for order in permutations([ORDER, paid("card", 80), paid("gift", 20)]):
        tables = processed(*order)
        assert (tables.only["client"], tables.only["captured"], tables.only["status"]) == ("shop", 100, "captured")
        assert tables.payments[INTENT_ID]["flags"] == []


def test_an_order_paid_twice_is_two_whatever_came_first() -> None:
    for order in permutations([ORDER, paid("one", 100), paid("two", 100)]):
        tables = processed(*order)
        assert [(row["provider_ref"], row["captured"]) for row in tables.counted] == [("one", 100), ("two", 100)]
        assert [row["flags"] for row in (tables.payments[INTENT_ID], tables.row_of("two"))] == [[Flag.PAID_AGAIN]] * 2
        assert tables.row_of("one")["flags"] == []


def test_a_failed_try_shows_until_another_is_paid() -> None:
    failed = standard("payment.failed", payment="a", amount=100, reference="ORD-1")
    tables = processed(ORDER, failed)
    assert tables.payments[INTENT_ID]["status"] == "failed"
    tables.process([paid("b", 100)])
    assert tables.payments[INTENT_ID]["status"] == "captured"
    assert {row["intent_id"] for row in tables.payments.values()} == {None, INTENT_ID}


def test_adoption_is_taken_back_and_reported() -> None:
    """The second payment is smaller by its name: the first is released, and each change has its version."""
    tables = processed(ORDER, paid("b", 100))
    assert tables.row_of("b")["intent_id"] == INTENT_ID
    tables.process([paid("a", 100)])
    assert (tables.row_of("a")["intent_id"], tables.row_of("b")["intent_id"]) == (INTENT_ID, None)
    reported = [(row.event_type, row.event_id) for row in tables.ledger if row.source == "ratchet"]
    assert [kind for kind, _ in reported[:2]] == ["attempt.adopted", "intent.attempts"]
    assert sorted(kind for kind, _ in reported[2:]) == ["attempt.adopted", "attempt.released", "intent.attempts"]
    assert reported[0][1] == f"{tables.row_of('b')['id']}:2"


def test_the_rows_of_one_batch_tell_of_a_change_once() -> None:
    tables = MemoryTables()
    tables.process([ORDER, paid("a", 20), paid("b", 30), paid("c", 50)])
    reported = [row.payment_id for row in tables.ledger if row.source == "ratchet"]
    assert len(reported) == len(set(reported)) == 4
    tables.process([paid("a", 20)])
    assert len(tables.ledger) == 8


def attempt(number: int, **columns: Any) -> Attempt:
    defaults = {
        "provider_ref": f"p{number}",
        "currency": "EUR",
        "merchant_account": "",
        "asked": 100,
        "held": 0,
        "place": 2,
    }
    return Attempt(id=UUID(int=number), **{**defaults, **columns})


def adopted(wanted: IntentTerms, *attempts: Attempt) -> tuple[set[int], dict[int, str]]:
    found = adopt(wanted, attempts)
    numbers: set[UUID] = set(found.adopted)
    return {one.int for one in numbers}, {one.int: flag for one, flag in found.flags.items()}


def test_what_counts_of_an_attempt_is_the_smaller_of_what_it_asked_and_holds() -> None:
    tip = attempt(1, asked=80, held=95, place=0)
    assert adopted(IntentTerms(100, "EUR"), tip, attempt(2, asked=20, held=20, place=0)) == ({1, 2}, {})
    assert adopted(IntentTerms(100, "EUR"), attempt(1, asked=None, held=95, place=0)) == ({1}, {})
    assert adopted(IntentTerms(90, "EUR"), attempt(1, asked=None, held=95, place=0)) == (set(), {1: Flag.PAID_AGAIN})


def test_one_that_asked_more_than_the_intent_is_never_adopted() -> None:
    assert adopted(IntentTerms(100, "EUR"), attempt(1, asked=101)) == (set(), {})
    assert adopted(IntentTerms(100, "EUR"), attempt(1, asked=101, held=1, place=0)) == (set(), {1: Flag.PAID_AGAIN})
    assert adopted(IntentTerms(0, "EUR"), attempt(1, asked=None), attempt(2, asked=0)) == ({1, 2}, {})


def test_money_comes_first_and_what_does_not_fit_is_skipped() -> None:
    captured, held, small = (
        attempt(3, asked=60, held=60, place=0),
        attempt(1, asked=60, held=60, place=1),
        attempt(2, asked=40, held=40, place=1),
    )
    assert adopted(IntentTerms(100, "EUR"), held, small, captured) == ({2, 3}, {1: Flag.PAID_AGAIN})


def test_an_attempt_shows_money_first_then_a_hold_then_none() -> None:
    """`place` and `held` as a payment shows them: a failed try gives way to one whose hold may still be captured."""
    tables = MemoryTables()
    tables.process(
        [
            *(standard(f"payment.{state}", payment=state, amount=60) for state in ("captured", "authorized", "failed")),
            standard("payment.captured", payment="refunded", amount=60),
            standard("refund.succeeded", payment="refunded", amount=25, child="r"),
            *(standard("payment.captured", payment=name, amount=60) for name in ("empty", "over")),
            standard("refund.succeeded", payment="empty", amount=60, child="e"),
            standard("refund.succeeded", payment="over", amount=70, child="o"),
        ]
    )
    found = {
        one.provider_ref: (one.place, one.held) for one in map(attempt_of, map(payment_of, tables.payments.values()))
    }
    others = {"captured": (0, 60), "authorized": (1, 60), "failed": (2, 0)}
    assert found == others | {"refunded": (0, 35), "empty": (0, 0), "over": (0, 0)}


def test_a_second_merchant_account_is_a_contradiction() -> None:
    one = attempt(1, merchant_account="A", asked=50, held=50, place=0)
    other = attempt(2, merchant_account="B", asked=50)
    assert adopted(IntentTerms(100, "EUR"), other, one) == ({1}, {2: Flag.CONTRADICTION})
    assert adopted(IntentTerms(100, "EUR", "B"), other, one) == ({2}, {1: Flag.CONTRADICTION})
    nobodys = attempt(1, asked=50, held=50, place=0)
    assert adopted(IntentTerms(100, "EUR"), other, nobodys) == ({1}, {2: Flag.CONTRADICTION}), "none is one too"


def test_other_money_is_never_added() -> None:
    assert adopted(IntentTerms(100, "EUR"), attempt(1, currency="USD")) == (set(), {})
    assert adopted(IntentTerms(100, "EUR"), attempt(1, currency="USD", held=1)) == (set(), {1: Flag.OTHER_CURRENCY})
    assert adopted(IntentTerms(100, None), attempt(1, currency="USD")) == ({1}, {})
    assert adopted(IntentTerms(100, "EUR", room=-1), attempt(1, held=5)) == (set(), {1: Flag.PAID_AGAIN})


def test_attempts_whose_intent_was_not_read_change_nothing() -> None:
    """A batch reads an intent together with its attempts; attempts alone make no group."""
    tables = MemoryTables()
    tables.process([ORDER, standard("payment.captured", amount=ASKED, reference="ORD-1")])
    attempt = next(one for one in map(payment_of, tables.payments.values()) if one.intent_id is not None)
    known = Known(payments={attempt.id: attempt}, groups={("stripe", "", "", True, "reference", "X"): {}})
    grouping = Grouping(known, Plan(), None)  # type: ignore[arg-type]
    assert grouping.whole(attempt) is attempt


def test_a_full_group_takes_no_more_and_what_comes_then_stands_apart_under_the_reference() -> None:
    tables = MemoryTables()
    tables.process([ORDER])
    known = tables._read([], [])
    key = next(iter(tables.members))[0]
    members = {uuid4(): Member() for _ in range(2)}
    known.groups[key] = {INTENT_ID: Member(1, groups=True), **members}
    plan = Plan()
    grouping = Grouping(known, plan, None, payments_max=2)  # type: ignore[arg-type]
    event = decode(standard("payment.captured", amount=1, reference="ORD-1"))
    assert isinstance(event, Event)
    payment = Payment(uuid4(), "stripe", "")
    grouping.stand(event, payment)
    assert payment.id not in known.groups[key]
    assert [kind for (*_, kind, _), _ in plan.members] == [RefKind.SHARED]
    Grouping(known, Plan(), None, payments_max=3).stand(event, payment)  # type: ignore[arg-type]
    assert payment.id in known.groups[key]


def test_what_an_intent_holds_itself_leaves_that_much_less_for_attempts() -> None:
    """An event that names the intent's own row brings its money there; attempts get what is left of what was asked."""
    tables = processed(ORDER)
    own = standard("payment.captured", payment="own", amount=60)
    event = understood(own)
    named = (Ref(RefKind.ID, str(INTENT_ID)), *event.meaning.refs)
    tables.process_items([(own, replace(event, meaning=replace(event.meaning, refs=named)))])
    tables.process([paid("large", 60), paid("small", 40)])
    assert (tables.row_of("small")["intent_id"], tables.row_of("large")["intent_id"]) == (INTENT_ID, None)
    assert tables.payments[INTENT_ID]["captured"] == 100
    assert [marks(tables.payments[INTENT_ID]), marks(tables.row_of("large"))] == [[Flag.PAID_AGAIN]] * 2


@pytest.mark.parametrize(("first", "second"), list(permutations(["pay_1", "pay_2"])))
def test_attempts_of_two_intents_that_are_one_go_to_the_same_intent_whichever_row_survives(
    first: str, second: str
) -> None:
    later = UUID(int=INTENT_ID.int + 1)
    tables = processed(ORDER, intent(later, client="mall", reference="ORD-2", amount=ASKED))
    tables.process([standard("payment.authorized", payment=first, amount=30, reference="ORD-1")])
    tables.process([standard("payment.authorized", payment=second, amount=30, reference="ORD-2")])
    assert [tables.row_of(name)["intent_id"] for name in (first, second)] == [INTENT_ID, later]
    link = standard("payment.captured", event_id="link", amount=30)
    event = understood(link)
    refs = (Ref(RefKind.PAYMENT, "pay_2"), Ref(RefKind.PAYMENT, "pay_1"))
    tables.process_items([(link, replace(event, meaning=replace(event.meaning, refs=refs)))])
    (survivor,) = [row for row in tables.payments.values() if row["client"] is None and row["merged_into"] is None]
    assert survivor["intent_id"] == INTENT_ID
    assert [tables.payments[one]["captured"] for one in (INTENT_ID, later)] == [30, 0]
