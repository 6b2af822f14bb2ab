"""Payments that turn out to be one: what they come to together, and how one row survives. Pure.

`consumer.resolve` finds them (`Target.same`): one event carried a reference of each. The survivor (`Target.payment`)
has the facts of all. The others keep their rows and their ledger and point to it, so every look-up of them leads there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from consumer.fold import project, united
from consumer.resolve import counts_more

if TYPE_CHECKING:
    from consumer.entries import Entries
    from consumer.grouping import Grouping
    from consumer.plan import Plan
    from consumer.resolve import Target
    from schemas.payment import Facts, Payment


def as_one(target: Target) -> Payment:
    """Return the payment as it would stand with all that is known of those that are the same one."""
    payment = target.payment
    if not target.same:
        return payment
    facts = facts_of(target)
    return replace(payment, facts=facts, projection=project(facts), currency=currency_of(target))


def facts_of(target: Target) -> Facts:
    """Return the facts of the payments that are the same one, joined."""
    return united(target.payment.facts, (other.facts for other in target.same))


def currency_of(target: Target) -> str | None:
    """Return the currency of the payments that are the same one, where any of them has one."""
    own = target.payment.currency
    return own or next((one.currency for one in target.same if one.currency), None)


def merchant_account_of(target: Target) -> str:
    """Return the merchant account of the payments that are the same one, where any of them has one."""
    own = target.payment.merchant_account
    return own or next((one.merchant_account for one in target.same if one.merchant_account), "")


def merge(target: Target, plan: Plan, grouping: Grouping, entries: Entries) -> None:
    """Point the payments that turned out to be the same one to their survivor, each with a ledger row that says so."""
    survivor = target.payment
    for other in target.same:
        other.merged_into = survivor.id
        plan.merges.append((other.id, survivor.id))
        survivor.provider_ref = counts_more(survivor, other.provider_ref)
        if survivor.client is None:
            survivor.reference = min(filter(None, (survivor.reference, other.reference)), default=None)
        grouping.merge(other, survivor)
        entries.add_change(other, "payment.merged", other.projection)
