"""A payment's row with its timeline and its attempts: read for the command line and the console, and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ops.database import connected, fetch
from ops.documents import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ops.payment_search import PaymentPage
    from runtime.settings import Settings

FOUND_MAX: Final = 20
"""Payments that one reference may name before we stop listing them."""


@dataclass(frozen=True, slots=True)
class PaymentTimeline:
    """A payment's row, the ledger rows of its timeline and the attempts that it has adopted."""

    payment: Mapping[str, Any]
    timeline: Sequence[Mapping[str, Any]]
    attempts: Sequence[Mapping[str, Any]] = ()


async def find(settings: Settings, ref: str) -> list[dict[str, Any]]:
    """Return the payments that a reference names, merged ones as what they became."""
    async with connected(settings) as connection:
        return await fetch(connection, "find_payments", ref, FOUND_MAX)


async def attempts(settings: Settings, payment_id: Any) -> list[dict[str, Any]]:
    """Return the attempts that an intent's payment has adopted."""
    async with connected(settings) as connection:
        return await fetch(connection, "read_attempts", payment_id, FOUND_MAX)


async def timeline(settings: Settings, payment_id: Any) -> list[dict[str, Any]]:
    """Return the ledger rows of a payment and of those merged into it, oldest first."""
    async with connected(settings) as connection:
        return await fetch(connection, "read_timeline", payment_id, settings.ops.timeline_rows_max)


async def read_timelines(settings: Settings, payments: Sequence[Mapping[str, Any]]) -> list[PaymentTimeline]:
    """Read what happened to each of these payments."""
    return [
        PaymentTimeline(one, await timeline(settings, one["id"]), await attempts(settings, one["id"]))
        for one in payments
    ]


def timeline_document(one: PaymentTimeline) -> dict[str, Any]:
    """Return one payment with its timeline, and its attempts if any, as JSON."""
    shown = {"payment": plain(one.payment), "timeline": list(map(plain, one.timeline))}
    return shown | ({"attempts": list(map(plain, one.attempts))} if one.attempts else {})


def answer(found: Sequence[PaymentTimeline]) -> dict[str, Any]:
    """Return the JSON document: one payment with its timeline, and its attempts if any; or several of them."""
    shown = [timeline_document(one) for one in found]
    return shown[0] if len(shown) == 1 else {"payments": shown}


def page_document(found: PaymentPage) -> dict[str, Any]:
    """Return a page of payments as JSON."""
    return {"payments": [plain(row) for row in found.payments], "after": found.after}
