"""Whose money it is where some events of a provider say a merchant account and others leave it out."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from itertools import combinations, permutations, product
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from uuid import UUID

import pytest
from choices import in_any_order, in_batches, picks, some_again
from events import INTENT_ID, intent, placed, record
from hypothesis import given
from hypothesis import strategies as st
from profiles import MOST, examples
from vector_events import Processed, processed

if TYPE_CHECKING:
    from schemas.record import Record

pytestmark = pytest.mark.unit

PROMISED = UUID("01890000-0000-7000-8000-000000000002")
MANY = 100_000
SALE, REFUND, DISPUTE = 1000, 300, 1000


@dataclass(frozen=True)
class Notice:
    """One event about a transaction: its `account` is None where it names none."""

    what: str
    of: str
    account: str | None

    @property
    def record(self) -> Record:
        kind, subject = SUBJECTS[self.what](self)
        return braintree(f"{self.what}:{self.of}:{self.account}", kind, subject)


def braintree(event_id: str, kind: str, subject: str) -> Record:
    xml = f"<notification><kind>{kind}</kind><subject>{subject}</subject></notification>"
    payload = base64.encodebytes(xml.encode()).decode()
    return record("braintree", event_id, kind, urlencode({"bt_signature": "p|x", "bt_payload": payload}).encode())


def money(amount: int) -> str:
    return f"<amount>{amount // 100}.{amount % 100:02}</amount><currency-iso-code>EUR</currency-iso-code>"


def whose(account: str | None) -> str:
    return f"<merchant-account-id>{account}</merchant-account-id>" if account else ""


def sale(own: str, account: str | None, amount: int = SALE) -> str:
    inside = f"<id>{own}</id><type>sale</type>{money(amount)}{whose(account)}<order-id>ORD-1</order-id>"
    return f"<transaction>{inside}</transaction>"


def credit(one: Notice) -> tuple[str, str]:
    of = f"<refunded-transaction-id>{one.of}</refunded-transaction-id>"
    inside = f"<id>cr-{one.of}</id><type>credit</type>{money(REFUND)}{whose(one.account)}{of}"
    return "transaction_disbursed", f"<transaction>{inside}</transaction>"


def failed_credit(one: Notice) -> tuple[str, str]:
    return "refund_failed", f"<transaction><id>cr-{one.of}</id>{money(REFUND)}</transaction>"


def dispute(one: Notice) -> tuple[str, str]:
    about = f"<transaction><id>{one.of}</id><order-id>ORD-1</order-id></transaction>"
    return "dispute_opened", f"<dispute><id>d-{one.of}</id>{money(DISPUTE)}{whose(one.account)}{about}</dispute>"


def reviewed(one: Notice) -> tuple[str, str]:
    """Return a dispute that names no transaction: its own id finds the payment."""
    return "dispute_under_review", f"<dispute><id>d-{one.of}</id>{money(DISPUTE)}{whose(one.account)}</dispute>"


def charge(one: Notice) -> tuple[str, str]:
    """Return a subscription's charge; the account of the subscription itself is that of the next one."""
    inside = sale(one.of, one.account).replace("</transaction>", "<status>settling</status></transaction>")
    lists = f"<transactions type='array'>{inside}</transactions>"
    body = f"<id>sub</id><merchant-account-id>next</merchant-account-id>{lists}"
    return "subscription_charged_successfully", f"<subscription>{body}</subscription>"


def local(one: Notice) -> tuple[str, str]:
    inside = sale(one.of, one.account).replace("</transaction>", "<status>settling</status></transaction>")
    return "local_payment_completed", f"<local-payment><payment-id>lp-{one.of}</payment-id>{inside}</local-payment>"


SUBJECTS = {
    "disbursed": lambda one: ("transaction_disbursed", sale(one.of, one.account)),
    "charged": charge,
    "local": local,
    "refund": credit,
    "refund failed": failed_credit,
    "dispute": dispute,
    "review": reviewed,
}
SALES = ("disbursed", "charged", "local")
OWNERS = {"t1": "eur", "t2": "usd", "t3": "eur"}
OTHERS = [what for many in range(4) for what in combinations(sorted(SUBJECTS), many)]
"""What else may be reported of a transaction: at most three things."""
ACCOUNTS = list(product([True, False], repeat=4))
"""Whether each of these names its account."""


@st.composite
def histories(draw: st.DrawFn) -> list[Notice]:
    """Return what is notices of each transaction, always a sale; each event names its account, or leaves it out."""
    notices = set()
    for own, owner in OWNERS.items():
        sale_of, others, accounts = draw(picks(SALES, OTHERS, ACCOUNTS))
        for what, named in zip(sorted({sale_of, *others}), accounts, strict=False):
            account = owner if named else None
            notices.add(Notice(what, own, "other" if what == "refund" and account else account))
    return sorted(notices, key=lambda one: (one.what, one.of))


def delivered(data: st.DataObject, records: list[Record]) -> Processed:
    """Deliver records in any order and any batches, some of them again."""
    again = some_again(data.draw, records, 3)
    found = processed(in_batches(data.draw, in_any_order(data.draw, [*records, *again])))
    assert not found.dead, [one.message for one in found.dead]
    return found


def account_of(notices: list[Notice], own: str) -> str:
    """Return the account that the sales and the dispute of a transaction say; a review alone is not known to be its."""
    about = [one for one in notices if one.of == own and not one.what.startswith("refund")]
    disputed = any(one.what == "dispute" for one in about)
    return max((one.account or "" for one in about if disputed or one.what != "review"), default="")


def expected(notices: list[Notice], own: str) -> dict[str, Any]:
    whats = {one.what for one in notices if one.of == own}
    failed = "refund failed" in whats
    return {
        "merchant_account": account_of(notices, own),
        "captured": SALE,
        "refunded": REFUND if "refund" in whats and not failed else 0,
        "disputed": DISPUTE if "dispute" in whats else 0,
        "dispute_status": "none" if "dispute" not in whats else "under_review" if "review" in whats else "open",
    }


def shown(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: row[name] for name in names}


@given(data=st.data(), notices=histories())
@examples(MOST)
def test_an_event_without_an_account_finds_its_payment_and_no_other(data: st.DataObject, notices: list[Notice]) -> None:
    """A refund that failed, or a dispute, waits where nothing else tells of it: it names no payment."""
    found = delivered(data, [one.record for one in notices])
    assert {one.kind for one in found.waiting} <= {"refund_failed", "dispute_under_review"}
    alive = [row for row in found.rows if row["merged_into"] is None]
    assert len(alive) == len(OWNERS)
    for own in OWNERS:
        (row,) = [one for one in alive if one["provider_ref"] == own]
        wanted = expected(notices, own)
        assert shown(row, *wanted) == wanted
        assert "contradiction" not in row["flags"]


@given(data=st.data(), notices=histories(), asked=st.sampled_from(["eur", "usd"]))
@examples(MOST)
def test_an_intent_adopts_what_is_known_to_be_its_merchant_account_s(
    data: st.DataObject, notices: list[Notice], asked: str
) -> None:
    order = intent(provider="braintree", merchant_account=asked, reference="ORD-1", amount=MANY)
    rows = delivered(data, [order, *(one.record for one in notices)]).rows
    ours = {own for own in OWNERS if account_of(notices, own) == asked}
    for own in OWNERS:
        (row,) = [row for row in rows if row["provider_ref"] == own and not (row["client"] or row["merged_into"])]
        assert row["intent_id"] == (INTENT_ID if own in ours else None), own
    (row,) = [row for row in rows if row["id"] == INTENT_ID]
    assert row["captured"] == SALE * len(ours)
    assert row["disputed"] == sum(expected(notices, own)["disputed"] for own in ours)


BY_ITS_DISPUTE = [Notice("dispute", "t1", None), Notice("local", "t1", None), Notice("review", "t1", "eur")]
BESIDE_IT = [Notice("disbursed", "t2", "usd"), Notice("disbursed", "t3", "eur")]


@given(data=st.data(), notices=histories() | st.just(BY_ITS_DISPUTE + BESIDE_IT), asked=st.sampled_from(["eur", "usd"]))
@examples(MOST)
def test_a_client_gets_the_payment_that_it_names_once_its_account_is_known(
    data: st.DataObject, notices: list[Notice], asked: str
) -> None:
    """`t1` is eur's: a client that names usd gets its own empty payment, whatever came without an account.

    The event that names the account must name the id that the client named: a review names its dispute alone.
    """
    create = intent(PROMISED, provider="braintree", merchant_account=asked, provider_ref="t1", amount=SALE)
    rows = delivered(data, [create, *(one.record for one in notices)]).rows
    (row,) = [row for row in rows if row["id"] == PROMISED]
    mine = account_of([one for one in notices if one.what != "review"], "t1") == asked
    nothing = {"captured": 0, "refunded": 0, "disputed": 0, "dispute_status": "none"}
    wanted = expected(notices, "t1") if mine else nothing
    assert shown(row, *wanted) == wanted
    assert row["merchant_account"] == asked
    alive = [row for row in rows if row["provider_ref"] == "t1" and not row["merged_into"]]
    assert len(alive) == (1 if mine else 2)
    assert sum(row["captured"] for row in alive) == SALE


def test_two_accounts_of_one_id_are_two_payments_and_both_are_flagged() -> None:
    """Which of them an event without an account goes to is decided by arrival; it goes to one of them."""
    records = [
        braintree("e1", "transaction_disbursed", sale("t1", "eur", 1000)),
        braintree("e2", "transaction_disbursed", sale("t1", "usd", 2000)),
        Notice("dispute", "t1", None).record,
    ]
    for order in permutations(records):
        for batches in ([[one] for one in (*order, *order)], [list(order), list(order)]):
            found = processed([placed(batch) for batch in batches])
            assert (found.dead, found.waiting) == ([], [])
            rows = sorted(found.rows, key=lambda row: str(row["merchant_account"]))
            assert [shown(row, "merchant_account", "captured") for row in rows] == [
                {"merchant_account": "eur", "captured": 1000},
                {"merchant_account": "usd", "captured": 2000},
            ]
            assert all(row["flags"] == ["contradiction"] for row in rows)
            assert sorted(row["disputed"] for row in rows) == [0, DISPUTE]
