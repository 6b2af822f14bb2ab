"""Which of two states of one child stands, whatever came first: the order in which money moves and comes undone."""

from __future__ import annotations

from itertools import combinations

import pytest

from consumer.fold import newer
from schemas.facts import RANKS, ChildState, Fact, FactKind

pytestmark = pytest.mark.unit

ORDERS: dict[FactKind, tuple[str, ...]] = {
    # A method that is taken at once, or by hand alone, is so whatever the account's setting says.
    FactKind.MODE: ("account", "manual", "automatic"),
    # An end is never open again; money ends every other end, or a paid try would be shown as failed.
    FactKind.ATTEMPT: ("created", "requires_action", "processing", "failed", "expired", "canceled", "succeeded"),
    FactKind.CAPTURE: ("pending", "succeeded"),
    # A reversal that was canceled gave the money back to the merchant.
    FactKind.REVERSAL: ("failed", "done", "canceled"),
    # What says which of cancel and refund it was beats `either`; a refund that came undone gave nothing back.
    FactKind.REFUND: ("pending", "either", "unbooked", "succeeded", "failed", "reversed", "canceled"),
    # A verdict beats what was open, and of two verdicts the one that leaves the merchant its money: it is the appeal's.
    FactKind.DISPUTE: ("inquiry", "open", "under_review", "undefended", "prevented", "lost", "won"),
    FactKind.VOID: ("failed", "expired", "canceled"),
    # What was closed is as good as paid, unless something says that it was given up.
    FactKind.END: ("closed", "expired", "canceled"),
}


@pytest.mark.parametrize("kind", ORDERS)
def test_of_two_states_of_a_child_the_later_stands_whatever_came_first(kind: FactKind) -> None:
    for pair in combinations(ORDERS[kind], 2):
        for first, second in (pair, pair[::-1]):
            known = newer({}, [Fact(kind, "k", first)])
            assert known | newer(known, [Fact(kind, "k", second)]) == {(kind, "k"): ChildState(pair[1])}, pair


def test_every_kind_of_several_states_has_an_order_here() -> None:
    assert {kind: set(states) for kind, states in RANKS.items() if len(states) > 1} == {
        kind: set(states) for kind, states in ORDERS.items()
    }
