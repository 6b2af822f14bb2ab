"""What the command line and the console answer as JSON, and amounts as people read them. Pure."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from ops.payloads import show_headers, show_payload, show_text
from schemas.currencies import exponent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ops.redrives import Preview, RedriveProgress

PAYLOAD_BYTES_MAX: Final = 1024 * 1024
"""Bytes of a payload that are shown."""


def major(amount: int | None, currency: str | None) -> str:
    """Return an amount in the currency's own units, as in 12.50 EUR; empty for None."""
    if amount is None:
        return ""
    digits = exponent(currency or "")
    return f"{Decimal(amount).scaleb(-digits):,.{digits}f} {currency or ''}".strip()


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as JSON takes it: bytes in hex, jsonb as what it holds, everything else by its text."""
    shown: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, bytes):
            shown[name] = value.hex()
        elif name in ("facts", "metadata") and isinstance(value, str):
            shown[name] = json.loads(value)
        elif isinstance(value, list):
            shown[name] = value
        else:
            shown[name] = value if value is None or isinstance(value, int | float | str | bool) else str(value)
    return shown


def letter_document(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a dead letter with its payload, key and headers as people may see them."""
    payload = show_payload(row["value"], PAYLOAD_BYTES_MAX)
    headers = [list(pair) for pair in show_headers(row["header_names"], row["header_values"])]
    return _rest(row) | {"key": show_text(row["key"]), "payload": asdict(payload), "headers": headers}


def raw_document(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a dead letter with its bytes: key and value in base64, headers as they are."""
    names, values = row["header_names"], row["header_values"]
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in zip(names, values, strict=True)]
    encoded = {
        f"{name}_base64": None if row[name] is None else base64.b64encode(row[name]).decode()
        for name in ("key", "value")
    }
    return _rest(row) | encoded | {"headers": headers}


def _rest(row: Mapping[str, Any]) -> dict[str, Any]:
    return plain({name: row[name] for name in row if name not in ("key", "value", "header_names", "header_values")})


def redrive_document(seen: Preview, now: RedriveProgress | None) -> dict[str, Any]:
    """Return the JSON document of a redrive, or of a dry run (`now` of None)."""
    document = {
        "redrive_id": now.id if now else None,
        "matched": seen.matched,
        "published": now.published if now else 0,
        "messages": [asdict(one) for one in seen.messages],
        "left_out": [asdict(one) for one in seen.left_out],
        "would": seen.counts(),
    }
    return document | (progress_document(now) if now else {})


def progress_document(now: RedriveProgress) -> dict[str, Any]:
    """Return how a redrive stands, as JSON."""
    return {
        "status": now.status,
        "selected": now.selected,
        "skipped": now.skipped,
        "returned": now.returned,
        "failed": now.failed,
        "rate_per_second": now.rate_per_second,
        "stop_reason": now.stop_reason,
        "requested_by": now.requested_by,
        "started_at": now.started_at.isoformat() if now.started_at else None,
        "ended_at": now.ended_at.isoformat() if now.ended_at else None,
    }
