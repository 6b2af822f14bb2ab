"""Only what the meaning needs may be required: each field of each known payload is taken away, null, too long, or odd.

An event that still tells which payment it is about and what happened is understood without it. `NEEDED` are the fields
that tell just that; those of `SUMS` are needed where a sum is reported, and nowhere else; a provider's own ids of
`IDS` may be missing, and a text that can be none is refused. Odd is a value of another type than the field has: it
counts as absent, but for `FIGURES`, which may be absent and are never guessed at where they stand there unread.
"""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlencode

import pytest
from discovery import events_of
from playing import record_of

import providers
from schemas.errors import UninterpretableError
from schemas.facts import FactKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemas.facts import Fact

pytestmark = pytest.mark.unit

HISTORIES: Final = Path(__file__).parent / "histories"
LONG: Final = "x" * 300
ODD: Final[dict[str, Any]] = {
    "number": 7,
    "decimal": 1.5,
    "boolean": True,
    "text": "odd",
    "list": ["odd"],
    "object": {"odd": "odd"},
}
"""Values of every type that JSON has, to stand where another belongs."""
LEAF: Final = re.compile(r"<([a-z0-9-]+)(?: [^>]*)?>([^<]*)</\1>")

NEEDED: Final[dict[str, str]] = {
    "adyen": "eventCode pspReference success",
    "braintree": "id kind",
    "checkout": "data data.action_id data.id data.payment_id id payment payment.id status type",
    "flutterwave": "data data.charge_id data.id data.reference data.status data.tx_ref type",
    "gocardless": (
        "action links links.payment links.refund payments payments.amount payments.currency payments.id "
        "payments.status refunds refunds.amount refunds.currency refunds.id refunds.status resource_type"
    ),
    "mollie": (
        "_embedded _embedded.chargebacks.#.id _embedded.entity _embedded.entity.id "
        "_embedded.entity.paymentId _embedded.payments.#.id _embedded.payments.#.status "
        "_embedded.refunds.#.id _embedded.refunds.#.status amount amount.currency "
        "amount.value entityId id status type"
    ),
    "mpesa": (
        "CheckoutRequestID Result Result.ReferenceData Result.ReferenceData.ReferenceItem "
        "Result.ReferenceData.ReferenceItem.Key Result.ReferenceData.ReferenceItem.Value "
        "Result.ResultParameters Result.ResultParameters.ResultParameter "
        "Result.ResultParameters.ResultParameter.# Result.ResultParameters.ResultParameter.#.Key "
        "Result.ResultParameters.ResultParameter.#.Value ResultCode"
    ),
    "paypal": (
        "event_type id resource resource.dispute_id resource.id resource.links resource.links.# "
        "resource.links.#.href resource.links.#.rel resource.purchase_units resource.purchase_units.# "
        "resource.purchase_units.#.payments.captures.#.id state"
    ),
    "paystack": (
        "data data.id data.reference data.refund_reference data.resolution data.status data.transaction "
        "data.transaction.reference data.transaction_reference event"
    ),
    "razorpay": (
        "event payload payload.payment_link payload.payment_link.entity payload.payment_link.entity.id "
        "payload.dispute payload.dispute.entity payload.dispute.entity.id "
        "payload.dispute.entity.payment_id payload.payment payload.payment.entity payload.payment.entity.id "
        "payload.refund payload.refund.entity payload.refund.entity.id payload.refund.entity.payment_id "
        "payload.refund.entity.status"
    ),
    "shopify": ("id kind order_id status transactions transactions.#.id transactions.#.order_id transactions.#.status"),
    "square": (
        "data data.object data.object.dispute data.object.dispute.disputed_payment "
        "data.object.dispute.disputed_payment.payment_id data.object.dispute.id data.object.dispute.state "
        "data.object.payment data.object.payment.id data.object.payment.status data.object.refund "
        "data.object.refund.id data.object.refund.payment_id data.object.refund.status type"
    ),
    "standard_webhooks": "data data.dispute_id data.id data.order_id data.payment_id data.refund_id data.status type",
    "stripe": (
        "data data.object data.object.amount_refunded data.object.captured data.object.id data.object.status id status "
        "type"
    ),
}
SUMS: Final[dict[str, str]] = {
    "adyen": "amount amount.currency amount.value",
    "braintree": "amount currency-iso-code",
    "checkout": "data.amount data.currency",
    "flutterwave": "data.amount data.amount_refunded data.currency",
    "mollie": (
        "_embedded.entity.amount _embedded.entity.amount.currency _embedded.entity.amount.value "
        "_embedded.entity.amountCaptured.currency _embedded.entity.amountCaptured.value "
        "_embedded.payments.#.amount _embedded.payments.#.amount.currency _embedded.payments.#.amount.value "
        "_embedded.refunds.#.amount _embedded.refunds.#.amount.currency _embedded.refunds.#.amount.value "
        "amountCaptured.currency amountCaptured.value"
    ),
    "paypal": (
        "amount amount.currency amount.total "
        "resource.amount resource.amount.currency resource.amount.currency_code resource.amount.total "
        "resource.amount.value resource.purchase_units.#.amount "
        "resource.purchase_units.#.amount.currency_code resource.purchase_units.#.amount.value "
        "resource.purchase_units.#.payments.captures.#.amount "
        "resource.purchase_units.#.payments.captures.#.amount.currency_code "
        "resource.purchase_units.#.payments.captures.#.amount.value"
    ),
    "paystack": "data.amount data.currency",
    "razorpay": (
        "payload.payment.entity.amount payload.payment.entity.currency payload.refund.entity.amount "
        "payload.refund.entity.currency"
    ),
    "shopify": (
        "amount currency current_total_price_set.presentment_money.amount "
        "current_total_price_set.presentment_money.currency_code total_price transactions.#.amount "
        "transactions.#.currency"
    ),
    "square": (
        "data.object.payment.total_money.amount data.object.payment.total_money.currency "
        "data.object.refund.amount_money data.object.refund.amount_money.amount "
        "data.object.refund.amount_money.currency"
    ),
    "standard_webhooks": "data.amount data.currency data.total_amount",
    "stripe": (
        "amount amount_received currency data.object.amount data.object.amount_capturable data.object.amount_received "
        "data.object.currency"
    ),
}
FIGURES: Final[dict[str, str]] = {
    "mollie": "_embedded.entity.amountCaptured amountCaptured",
    "shopify": "current_total_price",
    "square": "data.object.payment.total_money",
    "stripe": "data.object.amount_captured data.object.payment_method_details.card.amount_authorized",
}
IDS: Final[dict[str, str]] = {
    "adyen": "originalReference",
    "braintree": "payment-id refunded-transaction-id type",
    "gocardless": "refunds.links.payment",
    "paypal": (
        "resource.dispute_outcome.outcome_code resource.parent_payment resource.status "
        "resource.supplementary_data.related_ids.authorization_id "
        "resource.supplementary_data.related_ids.order_id"
    ),
    "razorpay": "payload.payment.entity.order_id payload.payment_link.entity.order_id",
    "shopify": "current_total_price",
    "standard_webhooks": "data.capture_id",
    "stripe": (
        "data.object.charge data.object.last_payment_error.charge "
        "data.object.last_payment_error.payment_method.id data.object.latest_charge "
        "data.object.payment_intent data.object.payment_method"
    ),
}


def is_a_sum(fact: Fact) -> bool:
    """Tell whether money of the fact's own amount moved."""
    reported = {
        FactKind.AUTHORIZATION: {"authorized"},
        FactKind.ADJUSTMENT: {"adjusted"},
        FactKind.CAPTURE: {"succeeded"},
        FactKind.CAPTURE_TOTAL: {"succeeded"},
        FactKind.REVERSAL: {"done"},
        FactKind.REFUND: {"succeeded", "either", "unbooked"},
        FactKind.REFUND_TOTAL: {"succeeded"},
    }
    of_an_order = fact.kind is FactKind.END and fact.parent is not None
    return of_an_order or fact.state in reported.get(fact.kind, set())


def samples(provider: str) -> Iterator[tuple[str, bytes]]:
    """Return kind and body of what the provider sends or its API answers, of everything that says something."""
    seen = set()
    for one in events_of(provider):
        if one.trust == "verified":
            seen.add((one.kind or "", one.body))
    path = HISTORIES / f"{provider}.jsonl"
    for line in path.read_text().splitlines() if path.exists() else ():
        for place, step in enumerate(json.loads(line)["steps"]):
            if isinstance(step, list) or "intent" not in step:
                record = record_of(provider, place, step)
                seen.add((record.header("ce_type") or "", record.value or b""))
    yield from sorted(seen)


def mutations(body: bytes) -> Iterator[tuple[str, str, bytes]]:
    """Return (path, how, body) of the body with each field of it gone, null, too long, or odd."""
    if body.startswith(b"bt_"):
        payload = parse_qs(body.decode())["bt_payload"][0]
        yield from _of_a_document(base64.b64decode(payload).decode())
        return
    whole = json.loads(body)
    for path in _paths(whole, ()):
        for how in ("gone", "null", "long", *ODD):
            changed = json.loads(body)
            if _change(changed, path, how):
                yield ".".join("#" if isinstance(one, int) else one for one in path), how, json.dumps(changed).encode()


def _of_a_document(xml: str) -> Iterator[tuple[str, str, bytes]]:
    for found in LEAF.finditer(xml):
        name = found[1]
        changes = {"gone": "", "null": f'<{name} nil="true"/>', "long": f"<{name}>{found[2]}{LONG}</{name}>"}
        changes |= {"text": f"<{name}>odd</{name}>", "object": f"<{name}><odd>odd</odd></{name}>"}
        for how, text in changes.items():
            changed = xml[: found.start()] + text + xml[found.end() :]
            yield name, how, urlencode({"bt_payload": base64.b64encode(changed.encode())}).encode()


def _paths(value: Any, before: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in inner:
        yield (*before, name)
        yield from _paths(one, (*before, name))


def _change(whole: Any, path: tuple[Any, ...], how: str) -> bool:
    """Change one place; False where it can't be so: only a text can be long, nothing is odd in its own type."""
    for name in path[:-1]:
        whole = whole[name]
    if how == "gone":
        del whole[path[-1]]
    elif how == "null":
        whole[path[-1]] = None
    elif how in ODD:
        if type(whole[path[-1]]) is type(ODD[how]):
            return False
        whole[path[-1]] = ODD[how]
    elif isinstance(whole[path[-1]], str):
        whole[path[-1]] += LONG
    else:
        return False
    return True


def refused(provider: str) -> Iterator[tuple[str, str, bool, str]]:
    """Return (path, how, whether the event tells a sum, kind) of every mutation that nothing was understood of."""
    for kind, body in samples(provider):
        try:
            facts = providers.interpret(provider, kind, body).facts
        except (UninterpretableError, ValueError):
            continue
        for path, how, changed in mutations(body) if facts else ():
            try:
                providers.interpret(provider, kind, changed)
            except UninterpretableError:
                yield path, how, any(map(is_a_sum, facts)), kind


@pytest.mark.parametrize("provider", sorted(NEEDED))
def test_only_what_the_meaning_needs_is_required(provider: str) -> None:
    needed, sums, figures, ids = (set(table.get(provider, "").split()) for table in (NEEDED, SUMS, FIGURES, IDS))
    unread = {*ODD, "long"}
    lost = {
        (path, how, kind)
        for path, how, tells_a_sum, kind in refused(provider)
        if path not in needed
        and not (tells_a_sum and (path in sums or (path in figures and how in unread)))
        and not (how in ("long", "text") and path in ids)
    }
    assert not lost
