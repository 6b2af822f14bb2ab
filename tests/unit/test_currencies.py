"""Our table of currencies against ISO's own, as the package `iso4217` brings it."""

from __future__ import annotations

import pytest
from iso4217 import Currency

from ops.documents import major
from schemas.currencies import DECIMALS, exponent

pytestmark = pytest.mark.unit

UNITS_OF_ACCOUNT = {"XAD"}
"""Listed with a minor unit, and nobody pays in it: the Arab Accounting Dinar."""


def test_the_table_is_that_of_iso_4217() -> None:
    listed = {one.code: one.exponent for one in Currency if one.exponent is not None}
    assert {code: listed[code] for code in listed.keys() - UNITS_OF_ACCOUNT} == DECIMALS


def test_a_currency_that_was_withdrawn_has_two_decimals() -> None:
    assert "BGN" not in DECIMALS
    assert exponent("BGN") == 2


def test_people_see_the_decimals_of_the_same_table_and_no_digit_is_lost() -> None:
    assert major(12345, "CLF") == "1.2345 CLF"
    assert major(9_007_199_254_740_993, "EUR") == "90,071,992,547,409.93 EUR"
    assert major(9_007_199_254_740_993, "JPY") == "9,007,199,254,740,993 JPY"
