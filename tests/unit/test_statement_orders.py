"""What a bounded statement leaves out: it goes by an order without ties, or it is written down why any row will do.

Where two rows are alike in the order, the one that is left out is chance: a page that goes on behind the last row
misses it. Rows of one batch have one `created_at`, one `relay_xid` and one `updated_at`, so ties are the rule.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.unit.test_lock_clauses import FOLDERS, ROOT, order_before, plain

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

BOUND = re.compile(r"\b(?:limit|offset) (\$?\d+)")
LAST = re.compile(
    r"\b(?:id|parked_id|letter_id|dead_letter_id|payment_id|redrive_id|sample_id|dispute_id|epoch|ref|list|currency"
    r"|by 1)(?: desc)?(?: nulls (?:first|last))?$"
)
"""The last key of an order without ties: an id, or what is unique among the rows."""
AGAIN = "what is left out comes at the next turn, and no place is kept"
COUNT = "it counts how many there are, so many at most"
ONE = "it asks whether there is any; all of them say the same"
ANY = {
    "consumer/sql/find_bodies": ONE,
    "consumer/sql/find_parked": ONE,
    "consumer/sql/find_expired": AGAIN,
    "consumer/dispatcher/sql/claim_refetch": AGAIN,
    "consumer/dispatcher/sql/claim_sms": AGAIN,
    "consumer/dispatcher/sql/count_waiting": "some of those without a key are named in the log, not all",
    "consumer/dispatcher/sql/finish_sms": "a message has one last word",
    "consumer/dispatcher/sql/open_cursor": COUNT,
    "consumer/dispatcher/sql/queue_debits": AGAIN,
    "consumer/dispatcher/sql/queue_stale": AGAIN,
    "consumer/dispatcher/sql/take_recall_order": COUNT,
    "consumer/dispatcher/sql/trim_recalled": AGAIN,
    "producers/sql/delete_idempotency_records": AGAIN,
    "producers/sql/delete_commands": AGAIN,
    "producers/sql/queue_hint": COUNT,
    "producers/sql/read_changes": "a payment's id is one row",
    "producers/sql/read_states": "a payment's id is one row",
    "producers/sql/sample_waiting": COUNT,
    "ops/sql/foresee_parked": ONE,
    "ops/sql/forget_erased": AGAIN,
    "ops/sql/read_parking_clock": COUNT,
    "ops/sql/remove_body_claims": AGAIN,
    "ops/console/sql/count_open_letters": COUNT,
    "ops/console/sql/list_lost_windows": "the newest are shown, and there is no further page",
    "ops/console/sql/list_unanswered_commands": "the oldest are shown, and there is no further page",
    "ops/console/sql/read_queues": COUNT,
}
PLACE = re.compile(r"\(((?:\w+\.)?\w+, (?:\w+\.)?\w+)\) ([<>]) \(\$\d+")
"""A page that goes on behind a row: (a, b) > ($1, $2)."""


def statements() -> list[Path]:
    return [path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.sql"))]


def test_what_is_left_out_is_no_chance() -> None:
    by_chance = {
        f"{path.parent.relative_to(ROOT)}/{path.stem}"
        for path in statements()
        for found in BOUND.finditer(plain(path))
        if found[0] != "offset 0" and not LAST.search(order_before(plain(path), found.start()).strip())
    }
    assert by_chance == ANY.keys()


def test_a_page_goes_on_in_the_order_in_which_it_was_left() -> None:
    seen = 0
    for path in statements():
        text = plain(path)
        for found in PLACE.finditer(text):
            seen += 1
            columns, turned = found[1].split(", "), " desc" if found[2] == "<" else ""
            orders = re.findall(r"order by (.*?)(?: limit|$)", text[found.end() :])
            assert ", ".join(f"{one}{turned}" for one in columns) in orders, path
    assert seen >= 8
