"""What was searched for as a file: CSV or JSON, masked as a page is; pure.

A spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` for a formula (OWASP, CSV Injection): such a text gets
an apostrophe in front. Figures are no texts.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from ops.payloads import show_text
from schemas.currencies import exponent

PAYMENT_COLUMNS: Final = (
    "id", "created_at", "updated_at", "provider", "account", "merchant_account", "provider_ref", "client", "reference",
    "status", "refund_status", "dispute_status", "currency", "amount", "captured", "refunded", "disputed", "livemode",
    "flags",
)  # fmt: skip
LETTER_COLUMNS: Final = (
    "id", "created_at", "reason", "status", "source", "event_type", "event_id", "payment_ref", "message", "topic",
    "partition", "offset", "delivery_count", "redrive_count",
)  # fmt: skip
ACTION_COLUMNS: Final = ("id", "acted_at", "who", "origin", "action", "target", "because", "db_role")
MONEY: Final = ("amount", "captured", "refunded", "disputed")
"""Shown in the currency's own units, as in 12.50."""
FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")

Row = Mapping[str, Any]


def shown(row: Row, columns: tuple[str, ...]) -> dict[str, Any]:
    """Return the columns of a row as a file has them: money in major units, texts masked, all else by its text."""
    found: dict[str, Any] = {}
    for name in columns:
        value = row[name]
        if value is None or (isinstance(value, bool | int) and name not in MONEY):
            found[name] = value
        elif name in MONEY:
            digits = exponent(row["currency"] or "")
            found[name] = f"{Decimal(value).scaleb(-digits):.{digits}f}"
        elif isinstance(value, list):
            found[name] = [show_text(one) for one in value]
        else:
            found[name] = show_text(value if isinstance(value, str) else str(value))
    return found


def csv_lines(rows: list[dict[str, Any]], columns: tuple[str, ...], *, head: bool) -> str:
    """Return rows as CSV (RFC 4180), with the line of names where it is the head of a file."""
    text = io.StringIO()
    writer = csv.writer(text)
    if head:
        writer.writerow(columns)
    writer.writerows([_cell(name, row[name]) for name in columns] for row in rows)
    return text.getvalue()


def _cell(name: str, value: Any) -> Any:
    if isinstance(value, list):
        value = " ".join(value)
    unsafe = isinstance(value, str) and name not in MONEY and value.startswith(FORMULAS)
    return f"'{value}" if unsafe else value


def json_items(rows: list[dict[str, Any]], *, first: bool) -> str:
    """Return rows as items of a JSON list, with the comma in front where others stand before them."""
    items = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    return items if first or not rows else ",\n" + items
