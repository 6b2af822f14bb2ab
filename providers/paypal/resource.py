"""Reading PayPal's resources, of versions 1 and 2 alike.

Version 2 writes an amount as `{"currency_code", "value"}` and names what belongs together in
`supplementary_data.related_ids`; version 1 (`payments_payment_v1.json` of PayPal's API specifications) writes
`{"currency", "total"}`, and names it in `parent_payment`, `sale_id`, `capture_id` and links. Version 1 writes what is
given back below zero.
"""

from __future__ import annotations

from typing import Any, Final

from providers.core.meaning import id_or_none, maybe_id, need_currency, need_id
from providers.core.payments import if_given, major_units
from providers.core.reading import value_at
from providers.paypal.links import linked

Resource = dict[str, Any]

_CAPTURES: Final = ("captures", "capture", "sale")
"""The collections that hold captures: of version 2, and the two of version 1."""


def money(value: Any, what: str, *, given_back: bool = False) -> tuple[int, str]:
    """Return an amount in minor units and its currency; what is given back may stand below zero."""
    currency = need_currency(value_at(value, "currency_code") or value_at(value, "currency"), f"{what}.currency_code")
    given = value_at(value, "value")
    given = value_at(value, "total") if given is None else given
    if given_back and isinstance(given, str):
        given = given.removeprefix("-")
    return major_units(given, currency, f"{what}.value"), currency


def maybe_money(value: Any, what: str) -> tuple[int, str | None]:
    """Return an amount in minor units and its currency, or 0 and None where one of them is absent; see `summed`."""
    parts = (
        (value_at(value, "currency_code"), value_at(value, "currency")),
        (value_at(value, "value"), value_at(value, "total")),
    )
    given = [next((one for one in part if one is not None), None) for part in parts]
    return if_given(lambda: money(value, what), *given)


def listed(value: Any) -> list[Resource]:
    """Return the objects of a list; anything else is as good as absent."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def related(resource: Resource, name: str) -> str | None:
    """Return an id that version 2 says belongs to the resource."""
    return maybe_id(value_at(resource, "supplementary_data", "related_ids", name), name)


def payment_of(resource: Resource) -> str | None:
    """Return the order, or version 1's payment, that a resource belongs to; a subscription's has none."""
    order = related(resource, "order_id")
    if order or resource.get("billing_agreement_id"):
        return order
    return maybe_id(resource.get("parent_payment"), "parent_payment")


def order_of(resource: Resource) -> str | None:
    """Return the order that a resource belongs to; a subscription's and version 1's have none."""
    return related(resource, "order_id")


def whole_of(resource: Resource) -> str | None:
    """Return version 1's payment that a resource belongs to, which is one payment, or None."""
    return None if order_of(resource) else payment_of(resource)


def reference_of(resource: Resource) -> str | None:
    """Return the merchant's reference, which PayPal keeps unique; None where it is none that can be kept."""
    return id_or_none(resource.get("invoice_id") or resource.get("invoice_number") or None)


def authorization_of(capture: Resource) -> str | None:
    """Return the authorization that a capture was made of, or None."""
    links = capture.get("links")
    return (
        related(capture, "authorization_id")
        or linked(links, "up", "authorizations")
        or linked(links, "authorization", "authorization")
    )


def capture_of(resource: Resource) -> str:
    """Return the capture or sale that a refund or a reversal names, or raise `undecodable`."""
    links = resource.get("links")
    found = linked(links, "up", "captures") or related(resource, "capture_id")
    given = found or resource.get("sale_id") or resource.get("capture_id")
    return need_id(given or linked(links, "sale", "sale") or linked(links, "capture", "capture"), "the capture's link")


def is_capture(resource: Resource, own: str) -> bool:
    """Tell whether a resource says of itself that it is a capture or a sale."""
    return any(linked(resource.get("links"), "self", collection) == own for collection in _CAPTURES)
