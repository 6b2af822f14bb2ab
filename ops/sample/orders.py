"""Orders: intents of the merchant's service, and the provider's payments under the same reference.

An order is paid in two pieces, twice by mistake, at the second try, or not taken yet. Its row must show what the
payments that it adopts come to, whether it came before them or after.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from uuid import UUID

from ops.sample.history import CURRENCIES, Course, End, PaymentHistory
from ops.sample.post import Life, Post, token

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

CLIENT: Final = "sample"
"""The client of the intents API that the orders are posted as; the signers hold its API key under this name."""
FLAG: Final = "paid_again"


class Paid(StrEnum):
    """How an order is paid."""

    IN_PIECES = "in_pieces"
    TWICE = "twice"
    AT_THE_SECOND_TRY = "at_the_second_try"
    RESERVED = "reserved"


@dataclass(frozen=True, slots=True)
class SampleOrder:
    """An order with its payments, and what the merchant's service posts for it."""

    life: Life
    payments: tuple[Life, ...]


def _histories(rng: Random, paid: Paid, total: int) -> tuple[tuple[Course, int], ...]:
    if paid is Paid.IN_PIECES:
        piece = rng.randint(1, total - 1)
        return ((Course.AUTOMATIC, piece), (Course.AUTOMATIC, total - piece))
    first = {Paid.TWICE: Course.AUTOMATIC, Paid.AT_THE_SECOND_TRY: Course.FAILED}
    if paid in first:
        return ((first[paid], total), (Course.AUTOMATIC, total))
    return ((Course.AUTHORIZED, total),)


def _left_out(paid: Paid, payments: tuple[Life, ...]) -> frozenset[str]:
    """Return the payments that the order does not adopt: of two that fit, the second by the bytes of its id."""
    names = sorted((one.provider_ref for one in payments), key=str.encode)
    return frozenset(names[1:]) if paid is Paid.TWICE else frozenset()


def order(
    rng: Random, provider: str, merchant_account: str, live: Callable[[Random, PaymentHistory, int], Life], now: int
) -> SampleOrder:
    """Return a random order at a merchant account; `live` turns its payments' histories into the provider's events."""
    paid, total, currency = rng.choice(list(Paid)), rng.randint(500, 250_000), rng.choice(CURRENCIES)
    reference = f"INTENT-{token(rng, 14)}"
    outline = PaymentHistory(Course.AUTOMATIC, total, currency, merchant_account=merchant_account, reference=reference)
    payments = []
    for course, amount in _histories(rng, paid, total):
        captures = (amount,) if course is Course.AUTOMATIC else ()
        failures = int(course is Course.FAILED)
        history = replace(outline, course=course, amount=amount, captures=captures, failures=failures)
        payments.append(live(rng, history, now))
    left_out = _left_out(paid, tuple(payments))
    captured = 0 if paid is Paid.RESERVED else total
    end = End(
        status="captured" if captured else "authorized",
        refund_status="none",
        currency=currency,
        amount=total,
        authorized=total,
        captured=captured,
        refunded=0,
        flags=(FLAG,) if left_out else (),
    )
    asked = {"amount": total, "currency": currency, "provider": provider, "reference": reference}
    if merchant_account:
        asked["merchant_account"] = merchant_account
    key = UUID(int=rng.getrandbits(128), version=4)
    post = Post(CLIENT, json.dumps(asked).encode(), (), message_id=str(key))
    return SampleOrder(
        Life(
            provider,
            reference,
            end,
            (post,),
            merchant_account,
            client=CLIENT,
            adopts=frozenset(one.provider_ref for one in payments) - left_out,
        ),
        tuple(
            replace(one, end=replace(one.end, flags=(FLAG,))) if one.provider_ref in left_out else one
            for one in payments
        ),
    )
