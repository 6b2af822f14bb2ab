"""A payment as the intents API sees it: the columns of read_payment_view.sql; pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from schemas.command_room import Balance

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentView(Balance):
    """A payment as the ledger has it, or as its intent was recorded.

    `metadata` is JSON, or None; `commands` is a JSON array of `schemas.intent_answers.CommandShown`; `attempts` is one
    of those that the intent has adopted: balances, each with its `provider_ref`.
    """

    provider: str
    account: str
    provider_ref: str | None
    reference: str | None
    refund_status: str
    version: int
    created_at: dt.datetime
    updated_at: dt.datetime
    record_key: str
    merchant_account: str = ""
    livemode: bool = True
    flags: Sequence[str] = ()
    metadata: str | None = None
    commands: str = "[]"
    attempts: str = "[]"

    def adopted(self) -> list[Balance]:
        """Return what each adopted attempt holds."""
        found = [{name: one[name] for name in one if name != "provider_ref"} for one in json.loads(self.attempts)]
        return [Balance(**{**one, "id": UUID(one["id"])}) for one in found]
