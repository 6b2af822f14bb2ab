"""Payloads as people may see them, in the console and on a terminal: secret and personal values masked; pure.

What a log masks is masked here too (`runtime.masking`). A payload needs more: phone numbers stand in fields without a
plus sign, in forms percent-encoded, in lists of names and values (M-Pesa's `Item`), in JSON inside a JSON text, and in
base64 (Braintree's `bt_payload`). What no parser takes (cut short, one byte that is no UTF-8) is looked through for
anything that reads like a name and its value: JSON, form, XML or `name: value`.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from runtime.masking import DEPTH_MAX, MASK, TEXT_LENGTH_MAX, is_secret_key, mask_text, mask_whole, masked
from runtime.terminal import REPLACEMENT, harmless

_PERSONAL_KEYS: Final = re.compile(
    r"phone|msisdn|mobile|e_?-?mail|^(?:from|to|waid|cvc2?|cvv2?|iban|pan|bic|bban|account.?number|verification.?value)$"
    r"|card.?holder|holder.?name|shopper.?name|customer.?name|full.?name|first.?name|last.?name|middle.?name"
    r"|given.?name|family.?name|birth",
    re.IGNORECASE,
)
_NAME_KEYS: Final = ("Name", "name", "key", "Key")
_VALUE_KEYS: Final = ("Value", "value")
_FORM: Final = re.compile(r"[\w.%+\[\]-]+=[^&\s]*(?:&[\w.%+\[\]-]+=[^&\s]*)*")
_NAMES: Final = (
    re.compile(r"(?P<quote>\\{0,3}[\"'])(?P<name>[^\"'\\]{1,100})(?P=quote)\s{0,8}[:=]\s{0,8}"),
    re.compile(r"(?<![\w.%\[\]\"'-])(?P<name>[\w.%\[\]-]{1,100})\s{0,8}[:=]\s{0,8}"),
    re.compile(r"<(?:[\w.-]{1,50}:)?(?P<name>[\w.-]{1,100})(?:\s[^<>]{0,200})?>"),
    re.compile(
        r"(?P<quote>\\{0,3}[\"'])(?:[Nn]ame|[Kk]ey)(?P=quote)\s{0,8}:\s{0,8}(?P=quote)(?P<name>[^\"'\\]{1,100})(?P=quote)"
        r"\s{0,8},\s{0,8}(?P=quote)[Vv]alue(?P=quote)\s{0,8}:\s{0,8}"
    ),
)
"""Where a value stands behind its name: JSON (also inside a JSON text), `name: value` and forms, XML, named values."""
_VALUE: Final = re.compile(
    r"\"(?:[^\"\\]|\\.)*\"?"  # a text, perhaps cut off
    r"|\\\"(?:[^\"\\]|\\{3}.|\\{2}|\\(?![\"\\]))*(?:\\\")?"  # the same inside a JSON text
    r"|'[^']*'?"
    r"|\[[^\[\]{}]*\]?|\{[^{}\[\]]*\}?"  # a list or an object of plain values
    r"|[^\s,;&\"'<>{}\[\]\\]+",
    re.DOTALL,
)
_CONTENT: Final = re.compile(r"[^<]+")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_\s-]{24,}={0,2}")
ENVELOPES_MAX: Final = 2
"""Envelopes inside one another that are opened."""
FIELDS_MAX: Final = 500
SEAM_LENGTH: Final = 4096
"""Characters beyond what is shown that are looked at too, so that no number or token is cut in two unseen."""
KEPT_DIGITS: Final = 2


@dataclass(frozen=True, slots=True)
class ShownPayload:
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


def mask_tree(value: Any, depth: int = 0, envelopes: int = ENVELOPES_MAX) -> Any:
    """Return decoded JSON with what is secret or personal masked."""
    if depth > DEPTH_MAX:
        return MASK
    if isinstance(value, list):
        return [mask_tree(item, depth + 1, envelopes) for item in value]
    if isinstance(value, str):
        return mask_loose(_cut(value), envelopes)
    if not isinstance(value, dict):
        return masked(value)
    name = _named(value)
    hidden = _VALUE_KEYS if name is not None and is_personal(name) else ()
    return {
        mask_text(key): MASK
        if item is not None and (is_personal(key) or key in hidden)
        else mask_tree(item, depth + 1, envelopes)
        for key, item in value.items()
    }


def mask_loose(text: str, envelopes: int = ENVELOPES_MAX) -> str:
    """Mask a text that no parser takes: what reads like a name and its value, by the name; the rest as in a log."""
    if envelopes and _BASE64.fullmatch(text.strip()):
        inner = _opened(text)
        if inner is not None:
            shown = _structured(inner, envelopes - 1)[1]
            return f"base64 of {mask_loose(inner, envelopes - 1) if shown is None else shown}"
    for names in _NAMES:
        text = _mask_behind(names, text)
    return mask_whole(text)


def _mask_behind(names: re.Pattern[str], text: str) -> str:
    """Mask every value whose name says that it is secret or personal."""
    parts, at = [], 0
    for found in names.finditer(text):
        if found.start() < at or not is_personal(found["name"]):
            continue
        value = (_CONTENT if found[0].endswith(">") else _VALUE).match(text, found.end())
        if value is not None and value[0].strip() not in ("null", ""):
            parts += [text[at : found.end()], MASK]
            at = value.end()
    return "".join((*parts, text[at:]))


def _opened(text: str) -> str | None:
    """Return what a base64 text says, or None where that is no text with structure."""
    plain = "".join(text.split()).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        inner = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return inner if inner.lstrip()[:1] in ("{", "[", "<") or _FORM.fullmatch(inner) else None


def _as_json(text: str, envelopes: int) -> str | None:
    """Return a JSON object or array, masked and indented, or None where the text is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    tree = mask_tree(value, 0, envelopes) if isinstance(value, dict | list) else None
    return None if tree is None else json.dumps(tree, indent=2, ensure_ascii=False)


def _as_form(text: str, envelopes: int) -> str | None:
    """Return a form's fields, masked, one a line, or None where the text is no form."""
    if not _FORM.fullmatch(text):
        return None
    fields = parse_qsl(text, keep_blank_values=True, errors="replace")
    return "\n".join(
        f"{mask_whole(name)} = {MASK if is_personal(name) else mask_loose(_cut(value), envelopes)}"
        for name, value in fields[:FIELDS_MAX]
    )


def _structured(text: str, envelopes: int = ENVELOPES_MAX) -> tuple[str, str | None]:
    """Return how a text reads, and it masked; None where it has no structure."""
    document = _as_json(text, envelopes)
    if document is not None:
        return "JSON", document
    fields = _as_form(text, envelopes)
    return ("text", None) if fields is None else ("form", fields)


def _cut(text: str, length_max: int = TEXT_LENGTH_MAX) -> str:
    return text if len(text) <= length_max else text[:length_max] + "..."


def show_payload(value: bytes | None, bytes_max: int) -> ShownPayload:
    """Return a record's value as people may see it, cut to about `bytes_max`; no control characters are left in it."""
    if not value:
        return ShownPayload("empty", "", 0)
    text = value.decode(errors="replace")
    form, shown = _structured(text) if REPLACEMENT not in text else ("bytes", None)
    if shown is None:
        looked_at = text[: bytes_max + SEAM_LENGTH]
        shown = mask_loose(looked_at)
        shown = shown if len(looked_at) == len(text) else shown[: max(0, len(shown) - SEAM_LENGTH)]
    shown = harmless(shown)
    return ShownPayload(
        form, shown[:bytes_max], len(value), len(text) > bytes_max + SEAM_LENGTH or len(shown) > bytes_max
    )


def show_text(value: bytes | str | None) -> str:
    """Return a key, a header or a name as people may see it."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else value or ""
    return harmless(mask_loose(text))


def show_headers(names: list[bytes], values: list[bytes]) -> list[tuple[str, str]]:
    """Return a record's headers as people may see them."""
    shown = []
    for name, value in zip(names, values, strict=True):
        text = show_text(name)
        shown.append((text, MASK if is_personal(text) else show_text(value)))
    return shown
