"""The fast rule of the log masks all that the plain one masks: nothing else may differ between the two.

The plain rule stands here as the oracle: every pattern is tried on every text, and no verdict is remembered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from profiles import MANY, examples

from runtime import log, masking

pytestmark = pytest.mark.unit

TOKENS, PHONE, EMAIL, IBAN = masking._TOKENS, masking._PHONE, masking._EMAIL, masking._IBAN
"""What a secret looks like is stated once; what is held here is that no short cut misses one."""
CARD = re.compile(rf"\d(?:{masking._SETS_APART}{{0,3}}\d){{12,}}")
GROUP = re.compile(r"\d+")


def plain(text: str) -> str:
    """Return the text by the plain rule."""
    text = text if len(text) <= log.TEXT_LENGTH_MAX else text[: log.TEXT_LENGTH_MAX] + "..."
    text = as_written(text)
    decoded = unquote_plus(text)
    if "%" not in text or decoded == text:
        return text
    return text if as_written(decoded) == decoded else as_written(decoded)


def as_written(text: str) -> str:
    text = EMAIL.sub(log.MASK, PHONE.sub(log.MASK, TOKENS.sub(log.MASK, text)))
    return CARD.sub(plain_card, plain_ibans(text))


def plain_ibans(text: str) -> str:
    """Look for an account number at every character, not only where the rule's expression goes on."""
    shown, at = "", 0
    while at < len(text):
        match = IBAN.match(text, at)
        end = None if match is None else masking._iban_end(match)
        shown, at = (shown + text[at], at + 1) if end is None else (shown + log.MASK, end)
    return shown


def plain_card(match: re.Match[str]) -> str:
    run, groups = match[0], list(GROUP.finditer(match[0]))
    shown, at, first = "", 0, 0
    while first < len(groups):
        ends = [
            last for last in range(first, len(groups)) if fits("".join(group[0] for group in groups[first : last + 1]))
        ]
        if not ends and run_together(groups[first][0]):
            ends = [first]
        if ends:
            shown += run[at : groups[first].start()] + log.MASK
            at = groups[ends[0]].end()
            first = ends[0]
        first += 1
    return shown + run[at:]


def run_together(digits: str) -> bool:
    """Tell whether the digits are a card number of a known issuer with its expiry behind it."""
    found = masking._ISSUERS.match(digits)
    return found is not None and fits(found[0])


def fits(digits: str) -> bool:
    """Tell whether the digits are a card number, by the words of ISO/IEC 7812-1, annex B."""
    if not 13 <= len(digits) <= 19:
        return False
    doubled = [int(one) * (2 if place % 2 else 1) for place, one in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def plain_value(value: Any, depth: int = 0) -> Any:
    """Return a value by the plain rule."""
    if isinstance(value, str):
        return plain(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return plain(str(value)) if log.MASK in plain(str(value)) else value
    if depth >= log.DEPTH_MAX:
        return log.MASK
    if isinstance(value, Mapping):
        return {
            plain(key): log.MASK
            if item is not None and masking.is_secret_key.__wrapped__(key)
            else plain_value(item, depth + 1)
            for key, item in value.items()
        }
    return [plain_value(item, depth + 1) for item in value]


def with_check_digit(digits: str) -> str:
    return next(digits + last for last in "0123456789" if masking.luhn(digits + last))


CARDS = st.text("0123456789", min_size=12, max_size=18).map(with_check_digit)
SEPARATED = st.tuples(CARDS, st.lists(st.sampled_from(["", "", "", " ", ".", "-", "+", "%20"]), min_size=19)).map(
    lambda both: "".join(digit + between for digit, between in zip(both[0], both[1], strict=False))
)
PHONES = st.from_regex(r"\+[1-9]([ .()-]{0,2}[0-9]){5,15}", fullmatch=True)
SECRETS = st.sampled_from(
    [
        "whsec_",
        "WHPK-",
        "sk_live_",
        "Rk_Test_",
        "ghp_",
        "xoxb-",
        "XOXP-",
        "bearer ",
        "BASIC ",
        "://u:",
        "a://:",
        "shpat_",
        "FLWSECK-",
        "sq0csp-",
        "rzp_live_",
        "test_aaaaaaaaaaaaaaaa",
        "EAAAaaaaaaaa",
        "AKIAAAAAAAAA",
        "eyJaaaaaaaaaa.aaaa.",
        "pi_1_secret_",
        "pk_aaaaaaaaaaaaaaaaaaaa",
        "access_token$sandbox$",
        "AQEaaaaaaaaaaaaaaaa",
    ]
).flatmap(lambda kind: st.from_regex(r"[A-Za-z+/=_-]{4,12}@?", fullmatch=True).map(lambda rest: kind + rest))
MAILS = st.from_regex(r"[a-z.+%_-]{1,9}(@|%40)[a-z]{1,5}([.][a-z-]{1,4}){0,3}", fullmatch=True)
IBANS = st.sampled_from(
    ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "no9386011117947", "DE88370400440532013000"]
)
PATHS = st.sampled_from(["/webhooks/mpesa/", "/WEBHOOKS/Mpesa/", "/webhooks/mpe\u017fa/"]).map(
    lambda path: path + "hunter"
)
GLUE = st.sampled_from(
    ["", " ", "x", "+", "_", "-", ".", "1", "\u0663", "/", ":", "@", "\u212a", "\u00e9", '"', "\n", "\u017f", "\u0130"]
)
PIECES = st.one_of(
    CARDS, SEPARATED, PHONES, SECRETS, PATHS, MAILS, IBANS, GLUE, st.text(max_size=6), st.sampled_from(["paid", "pi_1"])
)
TEXTS = st.lists(PIECES, max_size=6).map("".join)
VALUES = st.recursive(
    st.one_of(TEXTS, st.none(), st.booleans(), st.integers(), CARDS.map(int), CARDS.map(lambda card: -int(card))),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@examples(MANY)
@given(TEXTS)
@example("1.4111111111111111")
@example("99 4111 1111 1111 1111 99")
@example("\u0664\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661")
@example("\u017fk_live_abcdefgh")
@example("ba\u017fic abcdefgh")
@example("/webhook\u017f/mpesa/hunter")
@example("xoxb-abcdef")
@example("BEARER\tabcdef")
@example("a://b:c@d")
def test_texts_are_masked_as_by_the_plain_rule(text: str) -> None:
    assert log.mask_text(text) == plain(text)
    assert log.mask_text(text) == plain(text), "what is remembered of a word says the same"


@examples(MANY)
@given(VALUES)
@example({"provider": None, "account": "+254712345678", "amount": 4111111111111111, "token": 1})
def test_values_are_masked_as_by_the_plain_rule(value: Any) -> None:
    assert log.masked(value) == plain_value(value)
