"""Guesses of the console's password from all over one IPv6 site: they are those of one sender."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.console_harness import PASSWORD, console_settings, serving
from tests.integration.test_console_pages import AWAY, DSN_AWAY, Browser

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.integration

TRIES = 3
GUESSES = 20


async def test_addresses_of_one_ipv6_site_share_their_tries(tmp_path: Any, record_figure: Callable[..., None]) -> None:
    guarded = {"password": PASSWORD, "trusted_proxies": ["127.0.0.1"], "login_tries_max": TRIES}
    statuses: Counter[int] = Counter()

    async def guess(address: str, password: str) -> int:
        async with Browser(console, **{"x-forwarded-for": address}) as browser:
            return (await browser.sign_in(password))[0]

    async with serving(console_settings(tmp_path, AWAY, DSN_AWAY, **guarded)) as console:
        for number in range(GUESSES):
            statuses[await guess(f"2001:db8:0:1::{number:x}", "wrong")] += 1
        assert await guess("2001:db8:0:1::ffff", PASSWORD) == 429, "it has to wait too"
        assert await guess("2001:db8:0:2::1", PASSWORD) == 303
    record_figure(guesses=GUESSES, compared=statuses[401], asked_to_wait=statuses[429])
    assert statuses == {401: TRIES, 429: GUESSES - TRIES}
