"""Holds a payment's row against its ledger: facts that the ledger reports, columns that follow from them. Pure.

A payment holds what its own ledger rows report, what had been reported when retention removed the oldest (the anchor
keeps it), and what the payments held that turned out to be it. Of an intent the columns show its own facts and those of
the attempts that it has adopted. The product's own functions join and project: what they give is what the row must be.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from consumer.facts_json import load_joined, load_reported
from consumer.fold import facts_of, newer, project, united
from consumer.rows import GROUP_FLAGS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from uuid import UUID

    from schemas.payment import Facts, Projection

UNREADABLE: Final = (msgspec.MsgspecError, KeyError)
"""What facts that nobody here has written raise when they are read: evidence, and no reason to stop."""
NAMED_MAX: Final = 3
"""Facts that a finding names."""


@dataclass(slots=True)
class Family:
    """The facts of the payments that make a row what it is: those merged into it, and the attempts that it adopted."""

    merged: list[str] = field(default_factory=list)
    attempts: list[str] = field(default_factory=list)


def families(rows: Iterable[Mapping[str, Any]]) -> dict[UUID, Family]:
    """Return each payment's family, of rows of read_families.sql."""
    found: dict[UUID, Family] = {}
    for row in rows:
        if row["merged_into"] is not None:
            found.setdefault(row["merged_into"], Family()).merged.append(row["facts"])
        elif row["intent_id"] is not None:
            found.setdefault(row["intent_id"], Family()).attempts.append(row["facts"])
    return found


def check_row(head: Mapping[str, Any], rows: Iterable[Mapping[str, Any]], family: Family) -> str | None:
    """Say what of a payment's row does not follow from its ledger, or return None."""
    try:
        held = load_joined(head["facts"])
        reported = load_joined(head["anchor_facts"] or "{}")
        merged = [load_joined(text) for text in family.merged]
        attempts = [load_joined(text) for text in family.attempts]
    except UNREADABLE:
        return "the payment's facts cannot be read"
    for row in rows:
        reported |= newer(reported, load_reported(row["facts"]))
    reported = united(reported, merged)
    shown = united(held, attempts)
    if missing := newer(shown, facts_of(reported)):
        return f"the payment does not hold what its ledger says: {_named(missing)}"
    if invented := newer(reported, facts_of(held)):
        return f"the payment holds what no ledger row says: {_named(invented)}"
    return _wrong_columns(head, project(shown))


def _named(facts: Facts) -> str:
    return ", ".join(f"{kind.value} {key}" for kind, key in list(facts)[:NAMED_MAX])


def _wrong_columns(head: Mapping[str, Any], wanted: Projection) -> str | None:
    """Name the columns that are not what the facts come to.

    Flags that a group gives a payment (GROUP_FLAGS) may stand beside its own. A payment that was merged shows what it
    came to by then, an intent with attempts that are the other's by now.
    """
    if head["merged_into"] is not None and head["client"] is not None:
        return None
    wrong = [
        f"{name} is {head[name]}, the facts come to {getattr(wanted, name)}"
        for name in wanted.__struct_fields__
        if name != "flags" and head[name] != getattr(wanted, name)
    ]
    own, shown = set(wanted.flags), set(head["flags"])
    if not own <= shown or not shown - own <= GROUP_FLAGS:
        wrong.append(f"flags are {sorted(shown)}, the facts raise {sorted(own)}")
    return "; ".join(wrong) or None
