"""The item of a webhook of Adyen's, as far as it is signed."""

from __future__ import annotations

from typing import Any

import msgspec


class Item(msgspec.Struct, rename="camel"):
    """The signed fields of an item."""

    psp_reference: Any = None
    original_reference: Any = None
    merchant_account_code: Any = None
    merchant_reference: Any = None
    amount: Any = None
    event_code: Any = None
    success: Any = None
