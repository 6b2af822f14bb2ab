"""An intent names a payment by the provider's id while its capture and its refund come."""

from __future__ import annotations

import base64
import json
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from consumer_harness import Event, intent, intent_records, records, webhook

from model.worlds.acting import actor, apply_batch, compared, open_problems, wake
from schemas.record import Attributes

if TYPE_CHECKING:
    from model.arena import Arena
    from model.stepping import Process

FLUTTERWAVE = "flutterwave"
AUTHORIZED = webhook("payment.authorized", "pay")
CAPTURED = webhook("payment.captured", "pay", child="c")
REFUND = webhook("refund.succeeded", "pay", child="r", amount=400)


def flutterwave(event_id: str, kind: str, **data: Any) -> Event:
    """Return a webhook of a provider whose payments have two references: the shop's reference and the charge's id."""
    body = {"webhook_id": event_id, "timestamp": 1_790_000_299_123, "type": kind, "data": {"currency": "NGN", **data}}
    attributes = Attributes(source=FLUTTERWAVE, event_id=event_id, kind=kind, received_at=1_790_000_000.0)
    return Event(event_id, b"ORD", json.dumps(body).encode(), attributes.to_headers())


CHARGED = flutterwave("wbk_1", "charge.completed", id="chg_1", amount=10, status="succeeded", reference="ORD")
BY_CHARGE = flutterwave(
    "wbk_2", "refund.completed", id="rfd_1", charge_id="chg_1", amount_refunded=4, status="succeeded"
)
"""It names the charge alone, and not the reference that the intent gives."""


def braintree(kind: str, subject: str) -> Event:
    """Return a webhook of a provider some of whose events leave their merchant account out."""
    xml = f"<notification><kind>{kind}</kind><subject>{subject}</subject></notification>"
    form = {"bt_signature": "p|x", "bt_payload": base64.encodebytes(xml.encode()).decode()}
    attributes = Attributes(source="braintree", event_id=kind, kind=kind, received_at=1_790_000_000.0)
    return Event(kind, b"t1", urlencode(form).encode(), attributes.to_headers())


MONEY = "<amount>10.00</amount><currency-iso-code>EUR</currency-iso-code>"
SOLD = braintree(
    "transaction_disbursed",
    f"<transaction><id>t1</id><merchant-account-id>eur</merchant-account-id>{MONEY}</transaction>",
)
DISPUTED = braintree("dispute_opened", f"<dispute><id>d1</id>{MONEY}<transaction><id>t1</id></transaction></dispute>")
"""It says no merchant account."""


def paypal(kind: str, resource: dict[str, Any]) -> Event:
    """Return a webhook of a provider whose order may be several merchants'."""
    amount = {"currency_code": "EUR", "value": "10.00"}
    body = {"id": kind, "event_type": kind, "resource": {"amount": amount, **resource}}
    attributes = Attributes(source="paypal", event_id=kind, kind=kind, received_at=1_790_000_000.0)
    return Event(kind, b"O1", json.dumps(body).encode(), attributes.to_headers())


UNITS = [{"amount": {"currency_code": "EUR", "value": "10.00"}, "payee": {"merchant_id": "P1"}}]
APPROVED = paypal("CHECKOUT.ORDER.APPROVED", {"id": "O1", "purchase_units": UNITS})
TAKEN = paypal("PAYMENT.CAPTURE.COMPLETED", {"id": "C1", "supplementary_data": {"related_ids": {"order_id": "O1"}}})
"""It names its order, and not whose it is."""
PROMISED = uuid.UUID("0195f000-0000-7000-8000-000000000001")


class Merging:
    """Three batches about one payment, of which two rows become one."""

    name = "merging"
    says = "a payment gives way to the row that its intent promised, and no event of it is lost or waits for ever"
    crashes = 0
    compared: tuple[tuple[str, str], ...] = ()
    finds: tuple[str, ...] = ()

    async def seed(self, arena: Arena) -> None:
        await apply_batch(arena.plain_pool(), arena, records([AUTHORIZED], partition=3))

    def processes(self, arena: Arena) -> list[Process]:
        return [
            actor(arena, "intent", intent_records([intent(PROMISED, provider_ref="pay")])),
            actor(arena, "capture", records([CAPTURED])),
            actor(arena, "refund", records([REFUND], partition=1)),
        ]

    async def finish(self, arena: Arena) -> None:
        await wake(arena.plain_pool(), arena)

    async def check(self, arena: Arena) -> list[str]:
        problems = await open_problems(arena, AUTHORIZED, CAPTURED, REFUND)
        survivors = [row for row in (await arena.tables()).payments if row["merged_into"] is None]
        if len(survivors) != 1:
            return [*problems, f"{len(survivors)} payments"]
        return problems + compared(survivors[0], id=PROMISED, captured=1000, refunded=400, provider_ref="pay")


class Following(Merging):
    """A payment with two references is promised under one of them, while a refund names the other."""

    name = "following"
    says = "a name that the merge did not tell of leads to the payment that gave way, and on to its survivor"
    finds: tuple[str, ...] = ("consumer-batch-payment-is-not-locked",)

    async def seed(self, arena: Arena) -> None:
        await apply_batch(arena.plain_pool(), arena, records([CHARGED], partition=3))

    def processes(self, arena: Arena) -> list[Process]:
        create = intent(PROMISED, provider=FLUTTERWAVE, provider_ref="ORD", currency="NGN")
        return [
            actor(arena, "intent", intent_records([create])),
            actor(arena, "refund", records([BY_CHARGE], partition=1)),
        ]

    async def check(self, arena: Arena) -> list[str]:
        problems = await open_problems(arena, CHARGED, BY_CHARGE)
        survivors = [row for row in (await arena.tables()).payments if row["merged_into"] is None]
        if len(survivors) != 1:
            return [*problems, f"{len(survivors)} payments"]
        return problems + compared(survivors[0], id=PROMISED, captured=1000, refunded=400, provider_ref="ORD")


class Telling(Merging):
    """A sale says its merchant account, its dispute says none, and a client names it with the account."""

    name = "telling"
    says = "an event without a merchant account and an intent with one come to the row of the event that says it"
    finds: tuple[str, ...] = ("consumer-batch-names-lock-nothing",)

    async def seed(self, arena: Arena) -> None:
        """Begin with the row of the sale's id, as an event leaves it that waited in vain: no insert locks that."""
        await arena.plain_pool().execute(
            "insert into payment_refs (provider, account, merchant_account, livemode, kind, ref)"
            " values ('braintree', '', '', true, 'payment', 't1')"
        )

    def processes(self, arena: Arena) -> list[Process]:
        create = intent(PROMISED, provider="braintree", provider_ref="t1", merchant_account="eur")
        return [
            actor(arena, "intent", intent_records([create])),
            actor(arena, "sale", records([SOLD])),
            actor(arena, "dispute", records([DISPUTED], partition=1)),
        ]

    async def check(self, arena: Arena) -> list[str]:
        problems = await open_problems(arena, SOLD, DISPUTED)
        survivors = [row for row in (await arena.tables()).payments if row["merged_into"] is None]
        if len(survivors) != 1:
            return [*problems, f"{len(survivors)} payments"]
        return problems + compared(survivors[0], id=PROMISED, captured=1000, disputed=1000, merchant_account="eur")


class Gathering(Merging):
    """An order is proved to be one merchant's, its capture names no merchant, and a client names both."""

    name = "gathering"
    says = "a capture that stands under its order alone and the order that takes it in never miss each other"
    finds: tuple[str, ...] = ("consumer-batch-names-lock-nothing",)

    async def seed(self, arena: Arena) -> None:
        """Begin with the row of the order's name, as an event leaves it that waited in vain: no insert locks that."""
        await arena.plain_pool().execute(
            "insert into payment_refs (provider, account, merchant_account, livemode, kind, ref)"
            " values ('paypal', '', '', true, 'session', 'O1')"
        )

    def processes(self, arena: Arena) -> list[Process]:
        create = intent(PROMISED, provider="paypal", provider_ref="O1", merchant_account="P1")
        return [
            actor(arena, "intent", intent_records([create])),
            actor(arena, "order", records([APPROVED])),
            actor(arena, "capture", records([TAKEN], partition=1)),
        ]

    async def check(self, arena: Arena) -> list[str]:
        problems = await open_problems(arena, APPROVED, TAKEN)
        survivors = [row for row in (await arena.tables()).payments if row["merged_into"] is None]
        if len(survivors) != 1:
            return [*problems, f"{len(survivors)} payments"]
        return problems + compared(survivors[0], id=PROMISED, captured=1000, merchant_account="P1")
