"""Whose money an order of PayPal's is: one row a payee, whatever comes first and whichever events name no payee."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from itertools import permutations, product
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from choices import digits, in_any_order, in_batches, picks, some_again
from events import intent, placed, record, understood
from hypothesis import given
from hypothesis import strategies as st
from profiles import MANY, examples
from vector_events import Paper, facts, on_paper, refs

import providers
from consumer.decode import ANY, DecodingTerms, endpoints_of
from providers.core.refetch import Fetched
from providers.paypal.payees import parts_of
from providers.paypal.refetch import REFETCH
from providers.paypal.signature import notifications_of
from runtime.settings import AccountSettings, ProviderSettings, Settings
from runtime.settings.scopes import scopes_of
from schemas.errors import UninterpretableError
from schemas.topics import DEFAULT

if TYPE_CHECKING:
    from schemas.record import Record

pytestmark = pytest.mark.unit

SEVERAL = DecodingTerms(has_several_merchants=lambda *_: True)
"""The endpoint of a platform, which lists its merchants' accounts: what names no payee is nobody's yet."""
ORDER = "O1"
PROMISED = UUID("01890000-0000-7000-8000-000000000002")
PROMISED_TOO = UUID("01890000-0000-7000-8000-000000000003")
REFUND = 300


@dataclass(frozen=True)
class Taking:
    """One purchase unit, and the capture made of it; `named` tells whether the capture's own events name its payee."""

    capture: str
    account: str
    amount: int
    named: bool = True
    refunded: bool = False
    disputed: bool = False


def money(amount: int) -> dict[str, str]:
    return {"currency_code": "EUR", "value": f"{amount // 100}.{amount % 100:02}"}


def payee(account: str, *, by_email: bool = False) -> dict[str, str]:
    email = {"email_address": f"{account}@shop.example"}
    return email if by_email else {**email, "merchant_id": account}


def unit(one: Taking, *, listed: bool, by_email: bool = False) -> dict[str, Any]:
    captures = [{"id": one.capture, "status": "COMPLETED", "amount": money(one.amount)}]
    listing = {"reference_id": f"unit {one.capture}", "amount": money(one.amount)}
    listing |= {"payee": payee(one.account, by_email=by_email)}
    return listing | ({"payments": {"captures": captures}} if listed else {})


def order(takings: list[Taking], *, listed: bool, by_email: frozenset[str] = frozenset()) -> dict[str, Any]:
    units = [unit(one, listed=listed, by_email=one.account in by_email) for one in takings]
    return {"id": ORDER, "intent": "CAPTURE", "purchase_units": units}


def posted(kind: str, resource: dict[str, Any], event_id: str) -> list[Record]:
    """Return the records that one webhook makes."""
    body = json.dumps({"id": event_id, "event_type": kind, "resource": resource}).encode()
    return [record("paypal", str(one.event_id), str(one.kind), one.body) for one in notifications_of(body)]


def answered(resource: dict[str, Any], ref: str = ORDER) -> list[Record]:
    """Return the records that one answer of PayPal's API makes."""
    body = json.dumps(resource).encode()
    fetched = REFETCH.answer(ref, 200, body)
    assert isinstance(fetched, Fetched)
    ids = ["refetch:1", *(f"refetch:1:{part}" for part in fetched.further)]
    return [record("paypal", own, fetched.kind, body) for own in ids]


def captured(one: Taking) -> list[Record]:
    resource = {"id": one.capture, "amount": money(one.amount), **related()}
    return posted(
        "PAYMENT.CAPTURE.COMPLETED", resource | ({"payee": payee(one.account)} if one.named else {}), one.capture
    )


def related() -> dict[str, Any]:
    return {"supplementary_data": {"related_ids": {"order_id": ORDER}}}


def refunded(one: Taking, *, with_order: bool = False) -> list[Record]:
    links = [{"rel": "up", "href": f"https://api.paypal.com/v2/payments/captures/{one.capture}"}]
    resource = {"id": f"R{one.capture}", "status": "COMPLETED", "amount": money(REFUND), "links": links}
    return posted("PAYMENT.CAPTURE.REFUNDED", resource | (related() if with_order else {}), f"WH-R{one.capture}")


def disputed(*takings: Taking) -> list[Record]:
    named = [{"seller_transaction_id": one.capture, "seller": {"merchant_id": one.account}} for one in takings]
    own = "D" + "".join(one.capture for one in takings)
    body = {"dispute_id": own, "dispute_amount": money(500), "status": "OPEN", "disputed_transactions": named}
    return posted("CUSTOMER.DISPUTE.CREATED", body, f"WH-{own}")


def delivered(data: st.DataObject, records: list[Record], endpoints: DecodingTerms = SEVERAL) -> Paper:
    """Deliver records in any order and any batches, some of them again."""
    again = some_again(data.draw, records, 3)
    ledger = on_paper(in_batches(data.draw, in_any_order(data.draw, [*records, *again])), endpoints)
    assert not ledger.letters, [one.message for one in ledger.letters]
    return ledger


FLAGS = list(product([False, True], repeat=3))


@st.composite
def takings_of(draw: st.DrawFn, accounts: tuple[str, ...]) -> list[Taking]:
    """Return one or two purchase units a payee."""
    found = []
    for place, account in enumerate(accounts):
        many, *flags = draw(picks((1, 2), FLAGS, FLAGS))
        found += [
            Taking(f"C{place}{number}", account, 1000 + 100 * place + number, *flags[number]) for number in range(many)
        ]
    return in_any_order(draw, found)


def events_of(takings: list[Taking], data: st.DataObject, by_email: frozenset[str] = frozenset()) -> list[Record]:
    """Return what tells of an order: its completion, posted or read again, what came before, and events of captures."""
    listing = order(takings, listed=True, by_email=by_email)
    read_again, approved, *each = digits(data.draw, [2] * (2 + 2 * len(takings)))
    records = []
    if read_again:
        records += answered({**listing, "status": "COMPLETED"})
    else:
        records += posted("CHECKOUT.ORDER.COMPLETED", listing, "WH-COMPLETED")
    if approved:
        records += posted("CHECKOUT.ORDER.APPROVED", order(takings, listed=False, by_email=by_email), "WH-APPROVED")
    for one, by_itself, with_order in zip(takings, each[::2], each[1::2], strict=True):
        if by_itself:
            records += captured(one)
        if one.refunded:
            records += refunded(one, with_order=bool(with_order))
        if one.disputed:
            records += disputed(one)
    return records


def check(
    ledger: Paper, takings: list[Taking], accounts: tuple[str, ...], unnamed: frozenset[str] = frozenset()
) -> None:
    """Assert one row a payee, with its own sums."""
    assert not ledger.parked
    alive = {row["captured"]: row for row in ledger.payments.values() if row["merged_into"] is None}
    assert len(alive) == len(accounts), alive
    for account in accounts:
        own = [one for one in takings if one.account == account]
        row = alive[sum(one.amount for one in own)]
        assert row["merchant_account"] in (("", account) if account in unnamed else (account,))
        assert row["refunded"] == REFUND * sum(one.refunded for one in own)
        assert row["dispute_status"] == ("open" if any(one.disputed for one in own) else "none")
        assert (row["status"], row["flags"], row["provider_ref"]) == ("captured", [], ORDER)


@given(data=st.data(), accounts=st.sampled_from([("P1",), ("P1", "P2"), ("P1", "P2", "P3")]))
@examples(MANY)
def test_an_order_is_one_row_a_payee(data: st.DataObject, accounts: tuple[str, ...]) -> None:
    takings = data.draw(takings_of(accounts))
    check(delivered(data, events_of(takings, data)), takings, accounts)


@given(data=st.data(), accounts=st.sampled_from([("P1",), ("P1", "P2")]))
def test_a_payee_that_is_an_e_mail_address_alone_is_one_row_too(data: st.DataObject, accounts: tuple[str, ...]) -> None:
    takings = data.draw(takings_of(accounts))
    by_email = frozenset(data.draw(st.sets(st.sampled_from(accounts), min_size=1)))
    records = events_of(takings, data, by_email)
    assert not any("@" in text for one in records for _, value in one.headers if value for text in [value.decode()])
    check(delivered(data, records), takings, accounts, by_email)


@given(data=st.data())
@examples(MANY)
def test_an_order_of_one_payee_gathers_what_came_without_one(data: st.DataObject) -> None:
    """The order lists none of its captures, as when it is approved; refunds and disputes name captures alone."""
    takings = data.draw(takings_of(("P1",)))
    by_email = data.draw(st.sampled_from([frozenset(), frozenset({"P1"})]))
    records = posted("CHECKOUT.ORDER.APPROVED", order(takings, listed=False, by_email=by_email), "WH-APPROVED")
    for one in takings:
        records += captured(one)
        records += refunded(one, with_order=data.draw(st.booleans())) if one.refunded else []
        records += disputed(one) if one.disputed else []
    check(delivered(data, records), takings, ("P1",), by_email)


@given(data=st.data(), named=st.booleans())
def test_an_authorization_proves_an_order_to_be_one_payment(data: st.DataObject, named: bool) -> None:  # noqa: FBT001
    """An order with the intent AUTHORIZE has one purchase unit: its captures need no payee and no order."""
    listing = {"payee": payee("P1")} if named else {}
    held = {"id": "A1", "amount": money(3000), **related(), **listing}
    ids = {"supplementary_data": {"related_ids": {"order_id": ORDER, "authorization_id": "A1"}}}
    records = posted("PAYMENT.AUTHORIZATION.CREATED", held, "WH-A1")
    taken = data.draw(st.sampled_from([(), ("C1",), ("C1", "C2")]))
    for own in taken:
        records += posted("PAYMENT.CAPTURE.COMPLETED", {"id": own, "amount": money(1000), **ids}, f"WH-{own}")
    records += posted("PAYMENT.CAPTURE.COMPLETED", {"id": "C3", "amount": money(500), **related()}, "WH-C3")
    ledger = delivered(data, records)
    assert not ledger.parked
    (row,) = [row for row in ledger.payments.values() if row["merged_into"] is None]
    assert (row["captured"], row["merchant_account"]) == (1000 * len(taken) + 500, "P1" if named else "")


TWO = [Taking("C1", "P1", 1000, named=False), Taking("C2", "P2", 2000, named=False)]


def shown(ledger: Paper, *names: str) -> list[tuple[Any, ...]]:
    """Return these columns of the rows that were not merged, sorted."""
    alive = [row for row in ledger.payments.values() if row["merged_into"] is None]
    return sorted((tuple(row[name] for name in names) for row in alive), key=str)


def test_captures_that_nothing_tells_the_payee_of_stay_apart_and_their_order_is_asked_about() -> None:
    """Once the order is known to be of several payees, and lists no captures, nothing is asked in vain but that."""
    approved = posted("CHECKOUT.ORDER.APPROVED", order(TWO, listed=False), "WH-APPROVED")
    for records in permutations([*captured(TWO[0]), *captured(TWO[1]), *approved]):
        ledger = on_paper([placed([one]) for one in records], SEVERAL)
        rows = [("", 1000), ("", 2000), ("P1", 0), ("P2", 0)]
        assert shown(ledger, "merchant_account", "captured") == rows
        assert {one.ref for one in ledger.refetches} == {ORDER}
        assert len(ledger.refetches) == 2, "by each capture of which nothing is known"
        answer = placed(answered({**order(TWO, listed=True), "status": "COMPLETED"}), first=10)
        ledger = on_paper([*(placed([one]) for one in records), answer], SEVERAL)
        assert shown(ledger, "merchant_account", "captured") == [("P1", 1000), ("P2", 2000)]


def test_captures_whose_payee_is_known_ask_nothing() -> None:
    first = (
        *captured(replace(TWO[0], named=True)),
        *posted("CHECKOUT.ORDER.APPROVED", order(TWO[:1], listed=False), "A"),
    )
    ledger = on_paper([*([one] for one in first), captured(Taking("C9", "P1", 500, named=False))], SEVERAL)
    assert ledger.refetches == []
    assert shown(ledger, "merchant_account", "captured") == [("P1", 1500)]


def asked(payment_id: UUID, account: str | None, amount: int) -> Record:
    named = {} if account is None else {"merchant_account": account}
    return intent(payment_id, provider="paypal", provider_ref=ORDER, amount=amount, **named)


@given(data=st.data())
def test_an_intent_gets_the_part_of_the_payee_that_it_names(data: st.DataObject) -> None:
    takings = [replace(one, named=data.draw(st.booleans())) for one in TWO]
    records = [asked(PROMISED, "P1", 1000), asked(PROMISED_TOO, "P2", 2000), *events_of(takings, data)]
    ledger = delivered(data, records)
    rows = [(PROMISED, "P1", 1000, "captured"), (PROMISED_TOO, "P2", 2000, "captured")]
    assert shown(ledger, "id", "merchant_account", "captured", "status") == rows
    assert all(row["flags"] == [] for row in ledger.payments.values())


@given(data=st.data())
def test_an_intent_that_names_no_payee_never_has_the_money_of_two(data: st.DataObject) -> None:
    """It gets the payee whose event came first, so less than it asked for the whole order: never `captured`."""
    takings = [replace(one, named=data.draw(st.booleans())) for one in TWO]
    ledger = delivered(data, [asked(PROMISED, None, 3000), *events_of(takings, data)])
    (row,) = [row for row in ledger.payments.values() if row["id"] == PROMISED]
    assert (row["merchant_account"], row["captured"]) in {("P1", 1000), ("P2", 2000)}
    assert row["status"] == "partially_captured"
    assert sorted(row["captured"] for row in ledger.payments.values() if row["merged_into"] is None) == [1000, 2000]


@given(data=st.data())
def test_an_intent_that_names_another_payee_gets_nothing(data: st.DataObject) -> None:
    takings = [replace(TWO[0], named=data.draw(st.booleans()))]
    ledger = delivered(data, [asked(PROMISED, "P9", 1000), *events_of(takings, data)])
    rows = [("P1", 1000, "captured"), ("P9", 0, "created")]
    assert shown(ledger, "merchant_account", "captured", "status") == rows


def test_an_approval_that_was_not_captured_ends_each_payee_s_part() -> None:
    """It names units without their payees: an event of each unit, in every order with the order itself."""
    kind = "CHECKOUT.PAYMENT-APPROVAL.REVERSED"
    for takings in (TWO, [replace(one, account="P1") for one in TWO]):
        units = [{"reference_id": f"unit {one.capture}"} for one in takings]
        records = posted(kind, {"order_id": ORDER, "purchase_units": units}, "WH-END")
        assert len(records) == 2
        records += posted("CHECKOUT.ORDER.APPROVED", order(takings, listed=False), "WH-APPROVED")
        accounts = sorted({one.account for one in takings})
        for arrived in permutations(records):
            for batches in ([[one] for one in arrived], [list(arrived)]):
                ledger = on_paper((placed(batch) for batch in batches), SEVERAL)
                assert (ledger.letters, ledger.parked) == ([], {})
                assert shown(ledger, "merchant_account", "status") == [(one, "canceled") for one in accounts]


def test_an_order_and_a_capture_that_contradict_each_other_are_both_flagged() -> None:
    """The order is one payee's, the capture another's: two rows, and neither has money of the other's."""
    records = [
        *captured(Taking("C1", "P2", 1000)),
        *posted("CHECKOUT.ORDER.APPROVED", order(TWO[:1], listed=False), "A"),
    ]
    for arrived in permutations(records):
        ledger = on_paper(([one] for one in arrived), SEVERAL)
        rows = [("P1", 0, ["contradiction"]), ("P2", 1000, ["contradiction"])]
        assert shown(ledger, "merchant_account", "captured", "flags") == rows


def meanings(resource: dict[str, Any], kind: str = "CHECKOUT.ORDER.COMPLETED") -> list[Any]:
    found = posted(kind, resource, "WH-1")
    return [providers.interpret("paypal", kind, one.value or b"", one.header("ce_id") or "") for one in found]


def test_what_the_parts_of_an_order_say() -> None:
    first, second = meanings(order([TWO[1], TWO[0]], listed=True))
    names = [("payment", ORDER), ("session", f"{ORDER}:{_digest('unit C1')}"), ("shared", ORDER), ("capture", "C1")]
    assert refs(first) == names
    assert (first.merchant_account, second.merchant_account, first.order, first.sole) == ("P1", "P2", ORDER, False)
    assert facts(first) == {("terms", ORDER, "asked", "1000"), ("capture", "C1", "succeeded", "1000")}
    assert (second.amount, second.provider_ref) == (2000, ORDER)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def test_units_without_a_payee_among_others_are_a_part_of_their_own() -> None:
    """Addresses tell payees apart, and one that another unit tells the account of is that account's."""
    whole = order([*TWO, Taking("C3", "P1", 500), Taking("C4", "P4", 700)], listed=False, by_email=frozenset({"P4"}))
    del whole["purchase_units"][2]["payee"]["merchant_id"]
    whole["purchase_units"].append({"reference_id": "x", "amount": money(100)})
    meant = meanings(whole)
    assert sorted((one.merchant_account, one.amount) for one in meant) == [
        ("", 100),
        ("", 700),
        ("P1", 1500),
        ("P2", 2000),
    ]
    assert all(one.order is None for one in meant if not one.merchant_account)
    assert not any("@" in ref.ref for one in meant for ref in one.refs)


P1, P2, MAIL = {"merchant_id": "P1"}, {"merchant_id": "P2"}, {"email_address": "one@shop.example"}
BOTH, OTHER_MAIL = {"merchant_id": "P1", "email_address": "One@Shop.example"}, {"email_address": "two@shop.example"}


@pytest.mark.parametrize(
    ("payees", "expected"),
    [
        ([P1, None], [("", "1"), ("P1", "0")]),
        ([None, P1], [("", "0"), ("P1", "1")]),
        ([P1, {}, P2], [("", "1"), ("P1", "0"), ("P2", "2")]),
        ([P1, {"email_address": ""}], [("", "1"), ("P1", "0")]),
        ([{"merchant_id": ""}, MAIL], [("", "0"), ("", "1")]),
        ([P1, P2], [("P1", "0"), ("P2", "1")]),
        ([P1, MAIL], [("", "1"), ("P1", "0")]),
        ([MAIL, OTHER_MAIL], [("", "0"), ("", "1")]),
        ([MAIL, BOTH], [("P1", "01")]),
        ([P1, MAIL, BOTH], [("P1", "012")]),
        ([BOTH, OTHER_MAIL, None], [("", "1"), ("", "2"), ("P1", "0")]),
        ([None, None, P1], [("", "01"), ("P1", "2")]),
    ],
)
def test_only_what_a_unit_names_makes_it_a_payee_s(payees: list[Any], expected: list[tuple[str, str]]) -> None:
    """An account and an address may each be absent (`payee_base` of checkout_orders_v2): nothing is no payee's name."""
    units = [{"reference_id": str(place), "payee": one} for place, one in enumerate(payees)]
    parts = parts_of({"id": ORDER, "purchase_units": units})
    assert sorted((part.account, "".join(part.unit_names)) for part in parts) == expected


@pytest.mark.parametrize("listing", [["same", "same"], [None, "x"], [7, "x"]])
def test_units_whose_names_are_no_ids_go_by_their_places(listing: list[Any]) -> None:
    whole = order(TWO, listed=False)
    for named, name in zip(whole["purchase_units"], listing, strict=True):
        named["reference_id"] = name
    sessions = [
        ref.ref for one in meanings(whole, "CHECKOUT.ORDER.APPROVED") for ref in one.refs if ref.kind == "session"
    ]
    assert sessions == [f"{ORDER}:0", f"{ORDER}:1"]


def test_more_payees_than_may_be_copied_are_refused() -> None:
    """A body of 1 MiB would be copied for each of its payees."""
    many = [Taking(f"C{place}", f"P{place}", 100) for place in range(10)]
    whole = order(many, listed=False) | {"padding": "x" * 900_000}
    (one,) = posted("CHECKOUT.ORDER.APPROVED", whole, "WH-1")
    with pytest.raises(UninterpretableError, match="10 payees, too many"):
        providers.interpret("paypal", "CHECKOUT.ORDER.APPROVED", one.value or b"", "WH-1")


# --- an endpoint of one merchant ---------------------------------------------------------------------------------


@given(data=st.data(), with_order=st.booleans(), named=st.booleans())
@examples(MANY)
def test_captures_of_one_merchant_s_order_are_its_payment_also_where_no_event_of_the_order_comes(
    data: st.DataObject,
    with_order: bool,  # noqa: FBT001
    named: bool,  # noqa: FBT001
) -> None:
    """PayPal's Payments v2.5 lists no payee of a capture, and many endpoints get captures alone."""
    takings = [replace(one, named=named) for one in data.draw(takings_of(("P1",)))]
    amount = sum(one.amount for one in takings)
    records = [asked(PROMISED, None, amount)]
    if with_order:
        records += posted("CHECKOUT.ORDER.APPROVED", order(takings, listed=False), "WH-APPROVED")
    for one in takings:
        records += captured(one)
        records += refunded(one, with_order=data.draw(st.booleans())) if one.refunded else []
        records += disputed(one) if one.disputed else []
    ledger = delivered(data, records, ANY)
    account = "P1" if with_order or named else ""
    assert not ledger.parked
    assert shown(ledger, "id", "captured", "merchant_account", "flags") == [(PROMISED, amount, account, [])]
    assert ledger.refetches == [], "nothing is open that the API would have to tell"


def test_captures_without_a_payee_meet_no_second_merchant_s_money_once_the_order_says_whose_they_are() -> None:
    """Of an endpoint that should have listed its merchants: what came too late to be distinguished is flagged."""
    for first in (order(TWO, listed=True), None):
        records = [
            *(posted("CHECKOUT.ORDER.COMPLETED", first, "WH-1") if first else []),
            *captured(TWO[0]),
            *captured(TWO[1]),
        ]
        ledger = on_paper([placed([one]) for one in records])
        if first:
            assert shown(ledger, "merchant_account", "captured") == [("P1", 1000), ("P2", 2000)]
        else:
            assert shown(ledger, "merchant_account", "captured") == [("", 3000)]
            last = posted("CHECKOUT.ORDER.COMPLETED", order(TWO, listed=True), "WH-1")
            ledger = on_paper([placed([one]) for one in [*records, *last]])
            assert all("contradiction" in flags for _, flags in shown(ledger, "id", "flags"))


def test_an_order_s_unit_that_names_no_capture_keeps_its_own_names_at_one_merchant_s_endpoint() -> None:
    """Only a capture may take its order for its payment; a unit is found by its name within the order."""
    units = [{"reference_id": f"unit-{one.capture}"} for one in TWO]
    records = posted("CHECKOUT.PAYMENT-APPROVAL.REVERSED", {"order_id": ORDER, "purchase_units": units}, "WH-END")
    for one, taking in zip(records, TWO, strict=True):
        meant = understood(one).meaning
        assert (refs(meant), meant.order) == ([("session", f"{ORDER}:unit-{taking.capture}")], ORDER)


@pytest.mark.parametrize(("listed", "several"), [((), False), (("P1",), False), (("P1", "P2"), True)])
def test_an_endpoint_that_lists_two_merchants_is_a_platform_s(listed: tuple[str, ...], several: bool) -> None:  # noqa: FBT001
    account = AccountSettings(merchant_accounts=listed)
    settings = Settings(providers={"paypal": ProviderSettings(accounts={"acme": account})})
    found = endpoints_of(scopes_of(settings), DEFAULT)
    assert found.has_several_merchants("paypal", "acme") is several
    assert not found.has_several_merchants("paypal", "")
