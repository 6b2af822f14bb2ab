"""A payment's row follows from its ledger, from what was merged into it and from its attempts, and nothing else."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from consumer.facts_json import dump_joined, dump_reported
from consumer.fold import newer, project
from consumer.rows import GROUP_FLAGS
from ops.audit_family import Family, check_row, families
from schemas.facts import Fact, FactKind
from schemas.payment import Flag

pytestmark = pytest.mark.unit

ONE, TWO = UUID(int=1), UUID(int=2)
CAPTURED, MORE = (Fact(FactKind.CAPTURE, key, "succeeded", amount) for key, amount in (("c", 500), ("d", 200)))
REFUNDED = Fact(FactKind.REFUND, "r", "succeeded", 900)


def rows(*facts: Fact) -> list[dict[str, Any]]:
    """Return a ledger row for each fact."""
    return [{"facts": dump_reported([fact])} for fact in facts]


def head(*facts: Fact, shown: tuple[Fact, ...] | None = None, **columns: Any) -> dict[str, Any]:
    """Return a payment that holds these facts; `shown` are those that its columns come to."""
    projection = project(newer({}, facts if shown is None else shown))
    found = {name: getattr(projection, name) for name in projection.__struct_fields__}
    whole = {"facts": dump_joined(newer({}, facts)), "anchor_facts": None, "merged_into": None, "client": None}
    return whole | found | {"flags": list(projection.flags)} | columns


def of(*facts: Fact) -> str:
    return dump_joined(newer({}, facts))


def test_what_its_ledger_reported_is_what_a_payment_holds_and_shows() -> None:
    assert check_row(head(CAPTURED, MORE), rows(CAPTURED, MORE), Family()) is None
    assert check_row(head(CAPTURED), rows(CAPTURED, MORE), Family()) == (
        "the payment does not hold what its ledger says: capture d"
    )
    assert check_row(head(CAPTURED, MORE), rows(CAPTURED), Family()) == (
        "the payment holds what no ledger row says: capture d"
    )
    assert check_row(head(CAPTURED, captured=501), rows(CAPTURED), Family()) == (
        "captured is 501, the facts come to 500"
    )


def test_what_retention_removed_counts_as_reported() -> None:
    kept = head(CAPTURED, MORE, anchor_facts=of(CAPTURED))
    assert check_row(kept, rows(MORE), Family()) is None
    assert "capture c" in (check_row(kept | {"anchor_facts": None}, rows(MORE), Family()) or "")


def test_what_was_merged_is_reported_and_what_attempts_hold_is_shown_alone() -> None:
    assert check_row(head(CAPTURED, MORE), rows(MORE), Family(merged=[of(CAPTURED)])) is None
    intent = head(MORE, shown=(CAPTURED, MORE))
    assert check_row(intent, rows(MORE), Family(attempts=[of(CAPTURED)])) is None
    assert "captured is 700" in (check_row(intent, rows(MORE), Family()) or "")
    stolen = head(CAPTURED, MORE)
    assert check_row(stolen, rows(MORE), Family(attempts=[of(CAPTURED)])) == (
        "the payment holds what no ledger row says: capture c"
    )


@pytest.mark.parametrize("where", ["facts", "anchor_facts", "merged", "attempts"])
def test_facts_that_nobody_can_read_are_a_finding(where: str) -> None:
    broken = {where: '{"tip:c": 1}'}
    family = Family(**{name: [text] for name, text in broken.items() if name in ("merged", "attempts")})
    columns = {name: text for name, text in broken.items() if name not in ("merged", "attempts")}
    assert check_row(head(CAPTURED) | columns, rows(CAPTURED), family) == "the payment's facts cannot be read"


def test_a_payment_of_a_family_is_in_it_once() -> None:
    """One that was merged is reported with the other, whatever intent it had."""
    found = families([
        {"merged_into": ONE, "intent_id": TWO, "facts": "a"},
        {"merged_into": ONE, "intent_id": None, "facts": "b"},
        {"merged_into": None, "intent_id": TWO, "facts": "c"},
        {"merged_into": None, "intent_id": None, "facts": "d"},
    ])  # fmt: skip
    assert found == {ONE: Family(merged=["a", "b"]), TWO: Family(attempts=["c"])}


@pytest.mark.parametrize(
    ("client", "merged_into", "asked"),
    [("shop", ONE, False), ("shop", None, True), (None, ONE, True), (None, None, True)],
)
def test_the_columns_of_a_merged_intent_alone_are_what_they_were(
    client: str | None,
    merged_into: UUID | None,
    asked: bool,  # noqa: FBT001
) -> None:
    wrong = head(CAPTURED, client=client, merged_into=merged_into, captured=501)
    assert (check_row(wrong, rows(CAPTURED), Family()) is not None) is asked


def test_a_payment_shows_its_own_flags_and_none_beside_them_but_its_groups() -> None:
    own = head(CAPTURED, REFUNDED)
    assert own["flags"], "more was refunded than captured"
    assert check_row(own, rows(CAPTURED, REFUNDED), Family()) is None
    assert check_row(own | {"flags": [*own["flags"], *GROUP_FLAGS]}, rows(CAPTURED, REFUNDED), Family()) is None
    foreign = next(flag for flag in Flag if flag not in GROUP_FLAGS and flag not in own["flags"])
    for flags in ([], list(GROUP_FLAGS), [*own["flags"], foreign]):
        why = check_row(own | {"flags": flags}, rows(CAPTURED, REFUNDED), Family())
        assert why == f"flags are {sorted(flags)}, the facts raise {sorted(own['flags'])}"
