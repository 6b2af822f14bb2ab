"""Which payments are meant, and a page of them: what the console, the command line and /admin/v1 search by.

A page is found by where the one before it ended, never by counting, so that the last page costs no more than the first.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from ops.database import fetch
from ops.dlq_filters import moment
from schemas.currencies import exponent
from schemas.errors import SettingsError
from schemas.payment import DisputeStatus, Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.postgres import Connection

FIELDS: Final = (
    "status", "provider", "account", "mode", "since", "until", "dispute", "amount", "client", "reference"
)  # fmt: skip
TEXT_LENGTH_MAX: Final = 400
ANY: Final = "any"
MODES: Final = {"live": True, "test": False}
DISPUTES: Final = tuple(status.value for status in DisputeStatus if status is not DisputeStatus.NONE)
STATUSES: Final = tuple(status.value for status in Status)
AMOUNT_MAX: Final = 2**63 - 1
_NUMBER: Final = re.compile(r"(?:[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)(?:\.[0-9]+)?")
"""A comma stands between thousands and nowhere else: 12,50 would be read as 1250."""


@dataclass(frozen=True, slots=True)
class PaymentFilter:
    """A choice of payments; None means any. `since` is inclusive, `until` is not; `amount` is in minor units."""

    status: str | None = None
    provider: str | None = None
    account: str | None = None
    livemode: bool | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    disputes: tuple[str, ...] | None = None
    currency: str | None = None
    amount: int | None = None
    client: str | None = None
    reference: str | None = None

    def arguments(self) -> tuple[Any, ...]:
        """Return the first eleven arguments of `list_payments.sql`."""
        disputes = None if self.disputes is None else list(self.disputes)
        where = self.status, self.provider, self.account, self.livemode, self.since, self.until
        return *where, disputes, self.currency, self.amount, self.client, self.reference


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended: the time and the id of its last payment."""

    created_at: dt.datetime
    payment_id: UUID

    def text(self) -> str:
        """Return it as a query carries it."""
        microseconds = (self.created_at - EPOCH) // dt.timedelta(microseconds=1)
        return base64.urlsafe_b64encode(microseconds.to_bytes(8, "big") + self.payment_id.bytes).decode()


EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class PaymentPage:
    """Some payments, the newest first; `after` leads to the older ones, None where there are none."""

    payments: tuple[dict[str, Any], ...]
    after: str | None


def read_place(text: str | None) -> Place | None:
    """Read where a page begins; raise SettingsError for what is no place."""
    if not text:
        return None
    try:
        kept = base64.urlsafe_b64decode(text.encode())
        moved = dt.timedelta(microseconds=int.from_bytes(kept[:8], "big"))
        return Place(EPOCH + moved, UUID(bytes=kept[8:]))
    except (ValueError, binascii.Error, OverflowError):
        raise SettingsError(f"after: {text[:40]!r} is no place of a page; begin at the first one") from None


def read_filter(written: Mapping[str, str]) -> PaymentFilter:
    """Read a choice as people write it; raise SettingsError for what can't be meant."""
    for name, text in written.items():
        if len(text) > TEXT_LENGTH_MAX:
            raise SettingsError(f"{name}: {len(text):,} characters are too many")
    amount, currency = read_amount(written.get("amount"))
    dispute = _one_of("dispute", written.get("dispute"), (ANY, *DISPUTES))
    mode = _one_of("mode", written.get("mode"), tuple(MODES))
    return PaymentFilter(
        status=_one_of("status", written.get("status"), STATUSES),
        provider=written.get("provider"),
        account=written.get("account"),
        livemode=None if mode is None else MODES[mode],
        since=moment(written.get("since"), "since"),
        until=moment(written.get("until"), "until"),
        disputes=None if dispute is None else DISPUTES if dispute == ANY else (dispute,),
        currency=currency,
        amount=amount,
        client=written.get("client"),
        reference=written.get("reference"),
    )


def _one_of(name: str, text: str | None, words: tuple[str, ...]) -> str | None:
    if text is not None and text not in words:
        raise SettingsError(f"{name}: {text!r} is none of {', '.join(words)}")
    return text


def read_amount(text: str | None) -> tuple[int | None, str | None]:
    """Read an amount with its currency, as in 12.50 EUR; return it in minor units, and the currency."""
    if text is None:
        return None, None
    number, _, currency = text.partition(" ")
    currency = currency.strip().upper()
    if not (len(currency) == 3 and currency.isascii() and currency.isalpha()):  # noqa: PLR2004 - ISO 4217
        raise SettingsError(f"amount: {text!r} names no currency; write it as in 12.50 EUR")
    minor = _minor(number, currency)
    if minor is None:
        raise SettingsError(f"amount: {number!r} is no amount of {currency}; write it as in 12.50 EUR")
    return minor, currency


def _minor(number: str, currency: str) -> int | None:
    if _NUMBER.fullmatch(number) is None:
        return None
    minor = Decimal(number.replace(",", "")).scaleb(exponent(currency))
    return int(minor) if minor == minor.to_integral_value() and minor <= AMOUNT_MAX else None


async def list_payments(
    connection: Connection, filters: PaymentFilter, limit: int, after: Place | None = None
) -> PaymentPage:
    """Return the newest `limit` payments that fit, older than the place `after` where there is one."""
    place = (None, None) if after is None else (after.created_at, after.payment_id)
    rows = await fetch(connection, "list_payments", *filters.arguments(), *place, limit + 1)
    shown = tuple(rows[:limit])
    more = Place(shown[-1]["created_at"], shown[-1]["id"]).text() if len(rows) > limit else None
    return PaymentPage(shown, more)
