"""What must not be seen: credentials, card and bank numbers, phone numbers, e-mail addresses; pure.

Every log line goes through it (`runtime.log`), and every payload that people are shown (`ops.payloads`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, Final
from urllib.parse import unquote_plus

MASK: Final = "[masked]"
DEPTH_MAX: Final = 16
"""How deep a value may nest; what lies deeper is masked whole."""
KEYS_CACHED_MAX: Final = 1024
"""How many keys' results are remembered: keys are few and come with every line."""
TEXT_LENGTH_MAX: Final = 32 * 1024
"""Characters of one value; the rest is cut off."""

_SECRET_KEYS: Final = re.compile(
    r"secret|passw|token|api_?-?key|authoriz|signature|credential|cookie|\bdsn\b|_dsn|private|\bpan\b|card_?number"
    r"|\bcvc|\bcvv|iban|verif-?_?hash",
    re.IGNORECASE,
)
_PUBLIC_KEYS: Final = frozenset({"authorized", "authorized_at", "fencing_token", "api_keys_count"})
_TOKENS: Final = re.compile(
    # Standard Webhooks, Stripe, Razorpay, Mollie and others of that form, GitHub, Slack
    r"\b(?:whsec|whpk|whsk|[spr]k_live|[spr]k_test|rzp_live|rzp_test|gh[pousr]|github_pat|xox[abpr]"
    # Shopify; Checkout.com; Flutterwave; Square
    r"|shp[a-z]{2}|[sp]k_sbox|FLW(?:SEC|PUB)K(?:_TEST)?|sq0[a-z]{3})[_-][A-Za-z0-9+/=_-]{6,}"
    r"|\b(?:live|test|sandbox)_[A-Za-z0-9]{20,}"  # Mollie, GoCardless
    r"|\b[sp]k_[A-Za-z0-9]{24,}"  # Checkout.com
    r"|\b[a-z]{2,5}_[A-Za-z0-9]+_secret_[A-Za-z0-9]{6,}"  # Stripe's client secrets
    r"|\baccess_token\$(?:production|sandbox)\$[A-Za-z0-9$]{6,}"  # Braintree
    r"|\bAQE[A-Za-z0-9+/=_.-]{20,}"  # Adyen
    r"|\bEAAA[A-Za-z0-9_-]{12,}"  # Square's access tokens
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"  # AWS
    r"|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*"  # JSON Web Tokens (RFC 7519)
    r"|\b(?:Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{6,}"
    r"|(?<=://)[^\s/@:]*:[^\s/@]+(?=@)"
    r"|(?<=/webhooks/mpesa/)[^\s?\"']+",
    re.IGNORECASE,
)
_TOKEN_HINTS: Final = re.compile(
    r"wh|live|test|gh|xox|box|shp|flw|sq0|EAAA|AKIA|ASIA|eyJ|AQE|k_|_s|\$|earer|asic|:/|/mpesa", re.IGNORECASE
)
"""What every token has, in any case: a cheap look before the dear one."""
_SHORTEST_SECRET: Final = 6
_WORD_LENGTH_MAX: Final = 24
_DIGIT: Final = re.compile(r"\d")
_PHONE: Final = re.compile(r"(?<![\w+])\+[1-9](?:[\s.()\u2010-\u2015-]{0,2}\d){6,14}(?!\d)")
_EMAIL: Final = re.compile(
    r"[A-Za-z0-9._%+'-]{1,64}(?:@|%40)(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24}"
)
_SETS_APART: Final = r"[\s._/+\u00ad\u00b7\u200b-\u200d\u2010-\u2015\u2022\u2027\u2060\u2219\ufeff-]"
"""What stands between a number's groups: blanks, also of forms (+) and without width, points, strokes and dashes."""
_CARD: Final = re.compile(rf"(?<!\d)\d(?:{_SETS_APART}{{0,3}}\d){{12,}}")
"""Runs begin at the start of a group of digits: one that began inside a group would hold fewer digits."""
_GROUP: Final = re.compile(r"\d+")
_CARD_DIGITS: Final = range(13, 20)
_CARD_NUMBER_MIN: Final = 10**12
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_ISSUERS: Final = re.compile(
    r"(?:4\d{15}|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}"
    r"|6(?:011|5\d\d|4[4-9]\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12})"
    r"(?=(?:(?:0[1-9]|1[0-2])(?:20)?[2-4]\d|(?:20)?[2-4]\d(?:0[1-9]|1[0-2]))\d{0,4}$)"
)
"""A card's number with the month of its expiry (MMYY, YYMM, MMYYYY, YYYYMM) and perhaps its code run together."""
_IBAN: Final = re.compile(r"(?<![A-Z0-9])[A-Z]{2}\d{2}(?:[\s-]?[A-Z0-9]){11,40}", re.IGNORECASE)
_APART: Final = re.compile(r"[\s-]")
_IBAN_HINT: Final = re.compile(r"[A-Z]{2}\d{2}[\s-]?[A-Z0-9]{4}", re.IGNORECASE)
_IBAN_LENGTHS: Final = {
    15: "NO", 16: "BE", 18: "DK FK FI FO GL NL SD", 19: "MK SI", 20: "AT BA EE KZ LT LU MN XK",
    21: "CH HR LI LV", 22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG", 25: "LY PT ST", 26: "IS TR", 27: "BI DJ FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HN HU LB NI PL SV", 29: "BR EG PS QA UA", 30: "JO KW MU YE", 31: "MT SC", 32: "LC", 33: "RU",
}  # fmt: skip
_IBAN_LENGTH: Final = {country: length for length, names in _IBAN_LENGTHS.items() for country in names.split()}
"""Characters of a country's IBAN (ISO 13616-1 and SWIFT's registry of it)."""


def luhn(digits: str) -> bool:
    """Tell whether the digits' check digit fits (ISO/IEC 7812-1, annex B)."""
    total = sum(int(digit) if index % 2 == 0 else _DOUBLED[int(digit)] for index, digit in enumerate(reversed(digits)))
    return total % 10 == 0


def mask_text(text: str) -> str:
    """Return the text without credentials, card numbers, IBANs, E.164 phone numbers and e-mail addresses.

    A card number has 13 to 19 digits that pass Luhn, with up to three signs that set groups apart between digits; an
    IBAN has its country's length and passes ISO 7064's check.
    """
    if len(text) < _SHORTEST_SECRET or (len(text) <= _WORD_LENGTH_MAX and not _DIGIT.search(text) and _is_clean(text)):
        return text
    if len(text) > TEXT_LENGTH_MAX:
        text = text[:TEXT_LENGTH_MAX] + "..."
    return mask_whole(text)


def mask_whole(text: str) -> str:
    """Mask a text as `mask_text` does, however long it is.

    Where only its percent-decoded spelling (a query's or a form's) shows what must not be seen, that is masked.
    """
    shown = _mask_as_written(text)
    if "%" in shown and (decoded := unquote_plus(shown)) != shown:
        masked_too = _mask_as_written(decoded)
        return shown if masked_too == decoded else masked_too
    return shown


def _mask_as_written(text: str) -> str:
    if _TOKEN_HINTS.search(text):
        text = _TOKENS.sub(MASK, text)
    if "+" in text:
        text = _PHONE.sub(MASK, text)
    if "@" in text or "%40" in text:
        text = _EMAIL.sub(MASK, text)
    if _IBAN_HINT.search(text):
        text = _mask_ibans(text)
    return _CARD.sub(_mask_card, text)


@lru_cache(maxsize=KEYS_CACHED_MAX)
def _is_clean(word: str) -> bool:
    """Tell whether a short text without digits is no secret; lines say the same few words all the time."""
    return "@" not in word and (not _TOKEN_HINTS.search(word) or not _TOKENS.search(word))


def _mask_ibans(text: str) -> str:
    """Mask every account number; what runs on behind it stays.

    What looks like the beginning of one may be a word before it (`AB12 DE89 3704...`), so the next group is tried too.
    """
    shown, at, look = [], 0, 0
    while match := _IBAN.search(text, look):
        end = _iban_end(match)
        if end is None:
            apart = _APART.search(text, match.start(), match.end())
            look = match.end() if apart is None else apart.end()
        else:
            shown += [text[at : match.start()], MASK]
            at = look = end
    return "".join((*shown, text[at:]))


def _iban_end(match: re.Match[str]) -> int | None:
    """Return where the account number ends that the match begins with, or None where it begins with none."""
    found = match[0]
    wanted = _IBAN_LENGTH.get(found[:2].upper(), 0)
    plain = _APART.sub("", found)[:wanted]
    if not plain or len(plain) < wanted or not _is_iban(plain):
        return None
    places = (place for place, sign in enumerate(found) if sign.isalnum())
    return match.start() + next(islice(places, wanted - 1, None)) + 1


def _is_iban(text: str) -> bool:
    """Tell whether the check digits fit (ISO 13616-1: the number's letters as 10 to 35, modulo 97 is 1)."""
    return text.isascii() and int("".join(str(int(sign, 36)) for sign in text[4:] + text[:4])) % 97 == 1


def _mask_card(match: re.Match[str]) -> str:
    """Mask every stretch of whole digit groups that makes a card number: dates and ids may stand right beside it."""
    run, groups = match[0], list(_GROUP.finditer(match[0]))
    shown, at, first = [], 0, 0
    while first < len(groups):
        last = _card_end(groups, first)
        if last is not None:
            shown += [run[at : groups[first].start()], MASK]
            at = groups[last].end()
        first = first + 1 if last is None else last + 1
    return "".join((*shown, run[at:]))


def _card_end(groups: Sequence[re.Match[str]], first: int) -> int | None:
    """Return the group that ends a card number begun at `first`, or None.

    Luhn's sum is kept for both parities of the length, so that a digit is looked at once.
    """
    sums, count = [0, 0], 0
    for last in range(first, min(len(groups), first + _CARD_DIGITS.stop)):
        group = groups[last][0]
        if count + len(group) >= _CARD_DIGITS.stop:
            break
        for sign in group:
            digit = int(sign)
            sums[count % 2] += digit
            sums[1 - count % 2] += _DOUBLED[digit]
            count += 1
        if count in _CARD_DIGITS and sums[(count - 1) % 2] % 10 == 0:
            return last
    run_together = _ISSUERS.match(groups[first][0])
    return first if run_together and luhn(run_together[0]) else None


def masked(value: Any, depth: int = 0) -> Any:
    """Return the value with everything secret masked; what JSON does not know becomes masked text."""
    kind = type(value)
    if kind is str:
        return mask_text(value)
    if value is None or kind is bool or (kind in (int, float) and -_CARD_NUMBER_MIN < value < _CARD_NUMBER_MIN):
        return value
    match value:
        case str():
            shown: Any = mask_text(value)
        case None | bool():
            shown = value
        case int() | float():
            shown = value if abs(value) < _CARD_NUMBER_MIN else _mask_number(value)
        case bytes() | bytearray() | memoryview():
            shown = f"<{len(value)} bytes>"
        case Mapping() | list() | tuple() | set() | frozenset():
            shown = MASK if depth >= DEPTH_MAX else _masked_container(value, depth)
        case _:
            shown = mask_text(str(value))
    return shown


def _masked_container(value: Any, depth: int) -> Any:
    if isinstance(value, Mapping):
        return {mask_text(str(key)): masked_item(key, item, depth) for key, item in value.items()}
    return [masked(item, depth + 1) for item in value]


def _mask_number(value: float) -> float | str:
    """Mask a card number that came as a number, whole or with a point."""
    text = mask_text(f"{value:.0f}" if isinstance(value, float) else str(value))
    return text if MASK in text else value


def masked_item(key: Any, item: Any, depth: int) -> Any:
    """Return what stands under a key: masked whole where the key says that it is secret."""
    return None if item is None else MASK if is_secret_key(str(key)) else masked(item, depth + 1)


@lru_cache(maxsize=KEYS_CACHED_MAX)
def is_secret_key(key: str) -> bool:
    """Tell whether a value under this key must not be shown, whatever it is."""
    return key.lower() not in _PUBLIC_KEYS and _SECRET_KEYS.search(key) is not None
