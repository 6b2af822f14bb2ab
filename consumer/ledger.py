"""The ledger's rows and the hash chain that runs through a payment's rows. Pure.

hash = SHA-256(previous row's hash of the same payment, then the row's content as canonical JSON). A payment keeps the
newest hash, so a changed, removed or inserted row shows. Rows of no payment have nothing before them. Content is what
the row says and the record's place in Kafka; rows that were written before the place was part of it have the digest of
`seal_without_place`. A row may have either, for while versions are exchanged consumers of both write.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import astuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from schemas.payment import Outcome, Status

_encode: Callable[[object], bytes] = msgspec.json.Encoder().encode
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


class LedgerEntry(msgspec.Struct, gc=False):
    """One row of `payment_logs`, its columns in order; `seal` completes it.

    `facts` is the text of `consumer.facts_json.dump_reported`. Amounts are minor units. `traceparent` is passed on;
    `meaning` is the version of the provider's meaning by which the facts were read. Neither is part of the hash, nor is
    `relay_xid`, which is another one after a restore into a new cluster.
    """

    payment_id: UUID | None
    source: str
    event_id: str
    event_type: str
    outcome: Outcome
    from_status: Status | None
    to_status: Status | None
    amount: int | None
    version: int | None
    facts: str
    topic: str
    partition: int
    offset: int
    occurred_at: dt.datetime | None
    recorded_at: dt.datetime
    relay_xid: int
    hash: bytes = b""
    traceparent: str | None = None
    meaning: int = 1

    def seal(self, before: bytes) -> bytes:
        """Set and return the row's hash; `before` is that of its payment's row before (b"" for the first)."""
        content = (*self._content(), self.topic, self.partition, self.offset)
        self.hash = hashlib.sha256(before + _encode(content)).digest()
        return self.hash

    def seal_without_place(self, before: bytes) -> bytes:
        """Set and return the hash that rows had before the place in Kafka was part of it."""
        self.hash = hashlib.sha256(before + _encode(self._content())).digest()
        return self.hash

    def _content(self) -> tuple[object, ...]:
        """Return what the row says, as the digests take it."""
        return (
            self.payment_id.hex if self.payment_id else None,
            self.source,
            self.event_id,
            self.event_type,
            self.outcome,
            self.from_status,
            self.to_status,
            self.amount,
            self.version,
            self.facts,
            None if self.occurred_at is None else (self.occurred_at - _EPOCH) // _MICROSECOND,
            _microseconds(self.recorded_at),
        )


@lru_cache(maxsize=8)
def _microseconds(moment: dt.datetime) -> int:
    """Return microseconds since 1970; a batch asks for one and the same moment again and again."""
    return (moment - _EPOCH) // _MICROSECOND


COLUMNS: Final = LedgerEntry.__struct_fields__
values_of: Final = astuple
"""From a row to the tuple that COPY takes."""


def timestamp(seconds: float | None) -> dt.datetime | None:
    """Return unix seconds as a time that Postgres can hold, or None where there is none."""
    if seconds is None or not 0 <= seconds < 253_402_300_800:  # noqa: PLR2004 - the year 10000
        return None
    return dt.datetime.fromtimestamp(seconds, dt.UTC)
