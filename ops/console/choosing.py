"""Which dead letters a page means: the filters of `ratchet dlq`, read from a query or a form, and back; pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from ops.dlq_filters import LetterFilter, moment
from schemas.dead_letter import LetterStatus, Reason
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

FIELDS: Final = ("reason", "provider", "kind", "message", "payment", "since", "until", "ids", "status", "limit")
TEXT_LENGTH_MAX: Final = 400
LENGTH_MAX: Final = {"ids": 8000}
"""Characters of a field where that is not TEXT_LENGTH_MAX. What is longer is refused: a choice is never cut."""
IDS_MAX: Final = 1000
NUMBER_MAX: Final = 10_000_000
DIGITS_MAX: Final = 20
"""Digits of a number, zeros before it among them: Python refuses to read some thousands."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A choice as people wrote it, and what it means; `problem` is what is wrong with it, empty where nothing is."""

    written: dict[str, str]
    filters: LetterFilter
    problem: str = ""

    @property
    def query(self) -> str:
        """The choice as a query, to carry it on."""
        return urlencode(self.written)


def choose(source: Mapping[str, str]) -> Chosen:
    """Read a choice; what is wrong with it is shown, and then it means nothing."""
    written = {name: source[name].strip() for name in FIELDS if source.get(name, "").strip()}
    try:
        return Chosen(written, _filters(written))
    except SettingsError as error:
        return Chosen(written, LetterFilter(ids=()), str(error))


def _filters(written: Mapping[str, str]) -> LetterFilter:
    for name, text in written.items():
        if len(text) > LENGTH_MAX.get(name, TEXT_LENGTH_MAX):
            raise SettingsError(f"{name}: {len(text):,} characters are too many")
    return LetterFilter(
        reason=Reason(_one_of("reason", written["reason"], Reason)) if "reason" in written else None,
        provider=written.get("provider"),
        payment=written.get("payment"),
        since=moment(written.get("since"), "since"),
        until=moment(written.get("until"), "until"),
        ids=_ids(written["ids"]) if "ids" in written else None,
        status=LetterStatus(_one_of("status", written["status"], LetterStatus)) if "status" in written else None,
        limit=whole_number(written, "limit"),
        message=written.get("message"),
        kind=written.get("kind"),
    )


def _one_of(name: str, text: str, words: type[Reason | LetterStatus]) -> str:
    if text not in {word.value for word in words}:
        raise SettingsError(f"{name}: {text!r} is none of {', '.join(word.value for word in words)}")
    return text


def _ids(text: str) -> tuple[int, ...]:
    parts = text.replace(",", " ").split()
    if len(parts) > IDS_MAX or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):  # noqa: PLR2004
        raise SettingsError(f"ids: write numbers, at most {IDS_MAX} of them, with commas between")
    return tuple(int(part) for part in parts)


def whole_number(source: Mapping[str, str], name: str) -> int | None:
    """Read a number of a form; None where it is empty. Raises SettingsError for what is none."""
    text = source.get(name, "").strip()
    if not text:
        return None
    if len(text) > DIGITS_MAX or not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= NUMBER_MAX:
        raise SettingsError(f"{name}: {text!r} is no whole number from 1 to {NUMBER_MAX:,}")
    return int(text)


def rate(source: Mapping[str, str], name: str = "rate") -> float | None:
    """Read a rate a second of a form; None where it is empty. Raises SettingsError for what is none."""
    text = source.get(name, "").strip()
    try:
        value = float(text) if text else None
    except ValueError:
        raise SettingsError(f"{name}: {text!r} is no number") from None
    if value is not None and not (value > 0 and math.isfinite(value)):
        raise SettingsError(f"{name}: {text!r} is no number above 0")
    return value


def place(text: str) -> int | None:
    """Read where a page begins; raise SettingsError for what is no place."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):  # noqa: PLR2004 - a bigint's digits
        raise SettingsError(f"before: {text[:40]!r} is no number")
    return int(text)
