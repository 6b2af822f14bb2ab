"""Amounts that a provider writes in major units, as text or number."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from providers.core.meaning import undecodable
from schemas.facts import AMOUNT_MAX

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
