"""Payloads as people may see them: card numbers, phone numbers and secrets masked, everything else as it came; pure.

What a log masks is masked here too (`runtime.log`). A payload needs more: phone numbers stand in fields without a plus
sign, in forms percent-encoded, and in lists of names and values (M-Pesa's `Item`).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from runtime.log import DEPTH_MAX, MASK, is_secret_key, mask_text, masked

_PERSONAL_KEYS: Final = re.compile(
    r"phone|msisdn|mobile|e_?-?mail|^(?:from|to|waid|cvc2?|iban)$|card.?holder|holder.?name|shopper.?name",
    re.IGNORECASE,
)
_NAME_KEYS: Final = ("Name", "name", "key", "Key")
_VALUE_KEYS: Final = ("Value", "value")
_FORM: Final = re.compile(r"[\w.%+\[\]-]+=[^&\s]*(?:&[\w.%+\[\]-]+=[^&\s]*)*")
FIELDS_MAX: Final = 500
KEPT_DIGITS: Final = 2


@dataclass(frozen=True, slots=True)
class Shown:
    """A payload as it is shown. `form` says how it was read: JSON, form, text, bytes or empty."""

    form: str
    text: str
    bytes_total: int
    cut: bool = False


def phone(number: str | None) -> str:
    """Return a phone number with its country's beginning and its end alone."""
    return "" if not number else f"{number[:4]} ••• {number[-KEPT_DIGITS:]}"


def is_personal(key: str) -> bool:
    """Tell whether what stands under this key is not shown."""
    return is_secret_key(key) or _PERSONAL_KEYS.search(key) is not None


def _named(value: dict[str, Any]) -> str | None:
    """Return the name of a pair that is written as `{"Name": .., "Value": ..}`, or None."""
    if not any(key in value for key in _VALUE_KEYS):
        return None
    return next((value[key] for key in _NAME_KEYS if isinstance(value.get(key), str)), None)


def mask_tree(value: Any, depth: int = 0) -> Any:
    """Return decoded JSON with what is secret or personal masked."""
    if depth > DEPTH_MAX:
        return MASK
    if isinstance(value, list):
        return [mask_tree(item, depth + 1) for item in value]
    if not isinstance(value, dict):
        return masked(value)
    name = _named(value)
    hidden = _VALUE_KEYS if name is not None and is_personal(name) else ()
    return {
        mask_text(key): MASK if item is not None and (is_personal(key) or key in hidden) else mask_tree(item, depth + 1)
        for key, item in value.items()
    }


def _as_json(text: str) -> str | None:
    """Return a JSON object or array, masked and indented, or None where the text is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return json.dumps(mask_tree(value), indent=2, ensure_ascii=False) if isinstance(value, dict | list) else None


def _as_form(text: str) -> str | None:
    """Return a form's fields, masked, one a line, or None where the text is no form."""
    if not _FORM.fullmatch(text):
        return None
    fields = parse_qsl(text, keep_blank_values=True)
    lines = [f"{name} = {MASK if is_personal(name) else mask_text(value)}" for name, value in fields[:FIELDS_MAX]]
    return "\n".join(lines)


def show_payload(value: bytes | None, bytes_max: int) -> Shown:
    """Return a record's value as people may see it, cut to about `bytes_max`."""
    if not value:
        return Shown("empty", "", 0)
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return Shown("bytes", mask_text(value[:bytes_max].decode(errors="replace")), len(value), len(value) > bytes_max)
    document, fields = _as_json(text), _as_form(text)
    form, whole = (
        ("JSON", document) if document is not None else ("form", fields) if fields is not None else ("text", None)
    )
    shown = mask_text(text) if whole is None else whole
    return Shown(form, shown[:bytes_max], len(value), len(shown) > bytes_max)


def show_headers(names: list[bytes], values: list[bytes]) -> list[tuple[str, str]]:
    """Return a record's headers as people may see them."""
    shown = []
    for name, value in zip(names, values, strict=True):
        text = name.decode(errors="replace")
        shown.append((text, MASK if is_personal(text) else mask_text(value.decode(errors="replace"))))
    return shown
