"""Which attempts an intent adopts: a pure function of the attempts that stand under its reference.

An order is often paid in more than one piece: two tries, a gift card and a card, by mistake twice. What fits into what
the intent asked is its own; the rest stays apart. The order in which attempts are looked at is made of what they hold
and of the provider's ids, so the order in which they arrived does not matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from consumer.fold import asked, held
from schemas.payment import Flag

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from schemas.payment import Payment


class IntentTerms(msgspec.Struct, frozen=True):
    """What an intent asked: minor units of `currency`, to be paid to `merchant_account` ("" where it named none).

    `room` is how much of it attempts may still bring, None for all of it; where it is negative none is adopted.
    """

    amount: int
    currency: str | None = None
    merchant_account: str = ""
    room: int | None = None


class Attempt(msgspec.Struct, frozen=True):
    """A payment under an intent's reference, as far as adoption looks at it.

    `provider_ref` is the provider's id. `asked` is what it asked to begin with, None where that is unknown; `held` what
    it holds by now, minor units. `place` is its place in the order: with money captured, with money held, the rest.
    """

    id: UUID
    provider_ref: str
    currency: str | None
    merchant_account: str
    asked: int | None
    held: int
    place: int

    @property
    def order(self) -> tuple[int, bytes, str, UUID]:
        """The order in which attempts are looked at."""
        return self.place, self.provider_ref.encode(errors="surrogatepass"), self.merchant_account, self.id


class Adoption(msgspec.Struct, frozen=True):
    """Which attempts are the intent's, and the flags of others: they hold money, or are another merchant's."""

    adopted: frozenset[UUID]
    flags: dict[UUID, Flag]


def attempt_of(payment: Payment) -> Attempt:
    """Return what adoption looks at of a payment.

    What the payment shows tells it, but for how much of a hold that nobody captured is live still.
    """
    shown = payment.projection
    if shown.captured:
        holds, place = max(shown.captured - shown.refunded, 0), 0
    else:
        holds = held(payment.facts) if shown.authorized else 0
        place = 1 if holds else 2
    ref = payment.provider_ref or ""
    return Attempt(payment.id, ref, payment.currency, payment.merchant_account, asked(payment.facts), holds, place)


def adopt(wanted: IntentTerms, attempts: Iterable[Attempt]) -> Adoption:
    """Work out which attempts are the intent's.

    Those with money captured come first, then those that hold some, then the rest, each by the bytes of the provider's
    id. Each counts the smaller of what it holds and what it asked to begin with; one that does not fit into what is
    left is skipped and the next is tried; one that asked more than the intent by itself is none of it. The first that
    is adopted names the merchant account where the intent left it out.
    """
    room = wanted.amount if wanted.room is None else wanted.room
    merchant = wanted.merchant_account or None
    adopted: set[UUID] = set()
    flags: dict[UUID, Flag] = {}
    for one in sorted(attempts, key=lambda attempt: attempt.order):
        counted = one.held if one.asked is None else min(one.held, one.asked)
        if wanted.currency and one.currency and one.currency != wanted.currency:
            if one.held:
                flags[one.id] = Flag.OTHER_CURRENCY
        elif merchant is not None and one.merchant_account != merchant:
            flags[one.id] = Flag.CONTRADICTION
        elif counted > room or (one.asked or 0) > wanted.amount:
            if one.held:
                flags[one.id] = Flag.PAID_AGAIN
        else:
            adopted.add(one.id)
            room, merchant = room - counted, one.merchant_account
    return Adoption(frozenset(adopted), flags)
