"""A payment: its closed vocabularies, its identity and the row that others read."""

from __future__ import annotations

import hashlib
import os
from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

if TYPE_CHECKING:
    from schemas.facts import ChildState, FactKind


class Status(StrEnum):
    """Where a payment stands; derived from its facts, never moved."""

    CREATED = "created"
    REQUIRES_ACTION = "requires_action"
    PROCESSING = "processing"
    AUTHORIZED = "authorized"
    PARTIALLY_CAPTURED = "partially_captured"
    CAPTURED = "captured"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"


class RefundStatus(StrEnum):
    """How much of the captured money went back."""

    NONE = "none"
    PENDING = "pending"
    PARTIAL = "partial"
    FULL = "full"


class DisputeStatus(StrEnum):
    """Where that dispute of the payment stands that needs somebody first."""

    NONE = "none"
    INQUIRY = "inquiry"
    OPEN = "open"
    UNDER_REVIEW = "under_review"
    WON = "won"
    LOST = "lost"
    PREVENTED = "prevented"


class Outcome(StrEnum):
    """What one event did to its payment; the ledger's column."""

    APPLIED = "applied"
    NOOP = "noop"
    LATE = "late"
    CONFLICT = "conflict"


class Flag(StrEnum):
    """What of a payment does not add up, derived from its facts; it goes when the missing fact comes."""

    OVER_CAPTURED = "over_captured"
    """Captured above what was authorized."""
    OVER_REFUNDED = "over_refunded"
    """Refunded above captured."""
    UNDERPAID = "underpaid"
    """Closed with less captured than asked for."""
    AMOUNT_DIFFERS = "amount_differs"
    """The intent's and the provider's totals differ."""
    PAID_AGAIN = "paid_again"
    """A payment under the same promise that was not adopted holds money."""
    OTHER_CURRENCY = "other_currency"
    """Money was reported in another currency; it is in no sum."""
    CONTRADICTION = "contradiction"
    """Facts of which one must be wrong."""


Facts = dict["tuple[FactKind, str]", "ChildState"]
"""All facts of a payment, joined: (kind, key) -> state."""


class Projection(msgspec.Struct, frozen=True, gc=False):
    """What the facts of a payment come to: the columns that users read. Amounts are minor units.

    Sums are what the provider reported; `flags`, sorted, tell what of them does not add up.
    """

    status: Status = Status.CREATED
    refund_status: RefundStatus = RefundStatus.NONE
    dispute_status: DisputeStatus = DisputeStatus.NONE
    amount: int = 0
    authorized: int = 0
    captured: int = 0
    refunded: int = 0
    disputed: int = 0
    flags: tuple[str, ...] = ()


class Payment(msgspec.Struct):
    """One payment as the consumer holds it under its row lock.

    `facts` are its own; `projection` is what they come to, of an intent together with those of the attempts that it has
    adopted. `intent_id` is, of an attempt, the intent's payment that has adopted it. `group_flags` are the flags that
    its group gives it, beside those that its facts raise. `head_hash` and `head_xid` are the hash and the relay_xid of
    its newest ledger row.
    """

    id: UUID
    provider: str
    account: str
    provider_ref: str | None = None
    client: str | None = None
    reference: str | None = None
    phone: str | None = None
    merged_into: UUID | None = None
    currency: str | None = None
    version: int = 0
    facts: Facts = msgspec.field(default_factory=dict)
    projection: Projection = Projection()
    head_hash: bytes = b""
    head_xid: int = 0
    merchant_account: str = ""
    livemode: bool = True
    intent_id: UUID | None = None
    group_flags: tuple[str, ...] = ()

    @property
    def shown(self) -> tuple[str | None, ...]:
        """What readers are shown of the payment beside its projection."""
        return self.currency, self.merchant_account, self.provider_ref, self.client, self.reference


def derived_id_bytes(timestamp_ms: int, name: str) -> bytes:
    """Make the 16 bytes of a UUIDv7 out of a name and a time: the same two always give the same id.

    So a payment that an event opens has the same id again when the event's record is read again after a restore. In
    place of random bits stand those of the name's digest.
    """
    digest = int.from_bytes(hashlib.sha256(name.encode(errors="surrogatepass")).digest()[:10], "big")
    return _uuid7(timestamp_ms, digest)


def new_payment_id(now_ms: int) -> UUID:
    """Make the id of a payment, as `new_id_bytes` does."""
    return UUID(bytes=new_id_bytes(now_ms))


def new_id_bytes(now_ms: int) -> bytes:
    """Make the 16 bytes of a UUIDv7 (RFC 9562, section 5.7): time-ordered, so that new payments share index pages."""
    return _uuid7(now_ms, int.from_bytes(os.urandom(10), "big"))


def _uuid7(now_ms: int, random: int) -> bytes:
    value = (now_ms & (1 << 48) - 1) << 80
    value |= 0x7 << 76 | (random >> 62 & 0xFFF) << 64 | 0b10 << 62 | random & (1 << 62) - 1
    return value.to_bytes(16, "big")
