"""Amounts that a provider writes in major units, or in minor units that are not those of ISO 4217."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from providers.core.meaning import undecodable
from schemas.currencies import exponent
from schemas.facts import AMOUNT_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schemas.facts import Meaning

_PLAIN: Final = re.compile(r"[0-9]{1,16}(?:\.[0-9]{1,8})?\Z")


def minor_units(value: object, decimals: int, what: str) -> int:
    """Turn `"10.50"` or 10.5 into 1050 at two decimals; raise `undecodable` for anything that is not exact.

    A float is read by its shortest decimal text, which is what the sender wrote.
    """
    text = value if isinstance(value, str) else repr(value) if isinstance(value, int | float) else ""
    if not _PLAIN.match(text):
        raise undecodable(f"{what} is no amount")
    scaled = Decimal(text).scaleb(decimals)
    if scaled != scaled.to_integral_value() or scaled > AMOUNT_MAX:
        raise undecodable(f"{what} has more decimals than its currency, or is out of range")
    return int(scaled)


def in_iso_units(amount: int, currency: str, decimals: Mapping[str, int]) -> int:
    """Turn a provider's minor units into those of ISO 4217; `decimals` names the currencies where the two differ.

    What ISO 4217 has no unit for is rounded (half to even): no fact is lost for a fraction that nobody can pay. Raises
    `undecodable` where the result is out of range.
    """
    theirs = decimals.get(currency)
    if theirs is None:
        return amount
    scaled = Decimal(amount).scaleb(exponent(currency) - theirs).to_integral_value(ROUND_HALF_EVEN)
    if scaled > AMOUNT_MAX:
        raise undecodable(f"an amount of {currency} is out of range")
    return int(scaled)


def meaning_in_iso_units(meaning: Meaning, decimals: Mapping[str, int]) -> Meaning:
    """Return a meaning whose amounts are a provider's minor units in those of ISO 4217; see `in_iso_units`."""
    currency = meaning.currency or ""
    if currency not in decimals:
        return meaning

    def scaled(amount: int | None) -> int | None:
        return None if amount is None else in_iso_units(amount, currency, decimals)

    facts = tuple(replace(fact, amount=scaled(fact.amount)) for fact in meaning.facts)
    return replace(meaning, amount=scaled(meaning.amount), facts=facts)
