"""The console in a real Chromium: signing in, live figures, keyboard, narrow screens, and nothing from elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from playwright.async_api import expect

from ops import redrives
from ops.redrives import LetterFilter, RedriveRequest
from schemas.dead_letter import Reason
from tests.integration import console_harness
from tests.integration.chromium import chromium
from tests.integration.console_harness import (
    CARD,
    PASSWORD,
    PAYMENT_ID,
    Console,
    add_applicable,
    add_letter,
    console_settings,
    process_one_more,
    serving,
    status_of,
)
from tests.integration.console_visitor import PATIENCE_MS, Visitor, visiting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser

    from runtime.stack import Endpoints
    from tests.conftest import Database

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(180)]

place, owner, letters = console_harness.place, console_harness.owner, console_harness.letters
"""The fixtures of the console's tests: under these names pytest finds them."""

NARROWEST = 360
UNNAMED = """
() => [...document.querySelectorAll("input:not([type=hidden]), select, button, a, svg[role=img], [role=group]")]
    .filter((one) => !(one.labels?.length || one.textContent.trim() || one.ariaLabel
        || one.getAttribute("aria-labelledby")))
    .map((one) => one.outerHTML)
"""
"""What a screen reader would have no name for."""


@pytest.fixture(scope="module")
async def console(
    stack: Endpoints, place: Database, letters: list[int], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Console]:
    home = tmp_path_factory.mktemp("console")
    async with serving(console_settings(home, stack.kafka, place.dsn, password=PASSWORD)) as found:
        yield found


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as found:
        yield found


@pytest.fixture
async def visitor(browser: Browser, console: Console) -> AsyncIterator[Visitor]:
    async with visiting(browser, console, viewport={"width": 1280, "height": 900}) as found:
        yield found


async def test_the_board_lives(visitor: Visitor, owner: Any) -> None:
    await visitor.sign_in()
    figure = visitor.page.locator("#board tr", has_text="nothing new").locator("td.number")
    before = int(await figure.inner_text())
    for number in range(3):
        await process_one_more(owner, number)
    await expect(figure).to_have_text(str(before + 3), timeout=PATIENCE_MS)
    await add_letter(owner, "orphan")
    await expect(visitor.page.locator("#go-orphan")).to_be_visible(timeout=PATIENCE_MS)
    await visitor.check()


async def test_a_link_keeps_the_focus_while_the_board_renews_itself(visitor: Visitor) -> None:
    await visitor.sign_in()
    await visitor.page.focus("#go-unknown_kind")
    for _ in range(3):
        await visitor.page.wait_for_event("response", lambda answer: "/board/live" in answer.url)
    assert await visitor.page.evaluate("document.activeElement.id") == "go-unknown_kind"


async def test_a_payment_by_keyboard_alone(visitor: Visitor) -> None:
    await visitor.sign_in()
    page = visitor.page
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.className") == "skip"
    while await page.evaluate("document.activeElement.id") != "find":
        await page.keyboard.press("Tab")
    await page.keyboard.type("ch_1")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**/payments/{PAYMENT_ID}")
    assert await page.locator("svg.timeline .mark.applied").count() == 4
    tabs = 0
    while not await page.evaluate("document.activeElement.matches('svg.timeline a')"):
        await page.keyboard.press("Tab")
        tabs += 1
        assert tabs < 40, "the marks cannot be reached"
    await page.keyboard.press("Enter")
    await page.wait_for_url("**#row-*")
    assert await page.locator("tr:target").count() == 1
    await visitor.check()


async def test_a_hostile_letter_is_text(visitor: Visitor, letters: list[int]) -> None:
    await visitor.sign_in()
    await visitor.go("/dead-letters")
    await visitor.page.click(f"td a[href='/dead-letters/{letters[0]}'] >> nth=0")
    await visitor.page.wait_for_selector("pre.payload")
    text = await visitor.page.inner_text("main")
    assert "<script>alert(1)</script>" in text
    assert CARD not in text
    await visitor.check()


async def test_a_letter_is_given_up(visitor: Visitor, owner: Any) -> None:
    letter_id = await add_letter(owner, "conflict")
    await visitor.sign_in()
    await visitor.go(f"/dead-letters/{letter_id}")
    await visitor.page.fill("#because", "a test's leftover")
    await visitor.page.press("#because", "Enter")
    await visitor.page.wait_for_selector("text=Given up by emergency")
    assert await status_of(owner, letter_id) == "discarded"
    await visitor.check()


async def test_a_redrive_from_preview_to_stop(visitor: Visitor, owner: Any) -> None:
    await add_applicable(owner, "data_rejected")
    await visitor.sign_in()
    await visitor.go("/redrives/new")
    page = visitor.page
    await page.select_option("#reason", "data_rejected")
    await page.click("button:has-text('Preview')")
    await page.click("button:has-text('Redrive 1 dead letter')")
    await page.wait_for_selector("#progress #stop")
    redrive_id = int(page.url.rpartition("/")[2])
    await page.click("#stop")
    await page.wait_for_selector("#progress .badge:has-text('stopping')")
    await owner.execute("update redrives set status = 'stopped', ended_at = now() where id = $1", redrive_id)
    await page.wait_for_selector("#progress #resume")
    await visitor.check()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_page_fits_a_phone_and_names_its_parts(
    browser: Browser, console: Console, letters: list[int], owner: Any, scheme: Any
) -> None:
    await add_letter(owner, "unexpected")
    begun = await redrives.start(owner, console.settings, RedriveRequest(LetterFilter(reason=Reason.UNEXPECTED)))
    paths = ("/", "/payments", f"/payments/{PAYMENT_ID}", "/dead-letters", f"/dead-letters/{letters[0]}", "/redrives",
             f"/redrives/{begun.redrive_id}", "/redrives/new?preview=1", "/parked", "/ledger", "/actions",
             "/people")  # fmt: skip
    narrow = {"width": NARROWEST, "height": 740}
    async with visiting(browser, console, viewport=narrow, color_scheme=scheme) as visitor:
        await visitor.sign_in()
        for path in paths:
            await visitor.go(path)
            assert await visitor.page.evaluate("document.documentElement.scrollWidth") <= NARROWEST, path
            assert await visitor.page.locator("h1").count() == 1, path
            assert await visitor.page.evaluate(UNNAMED) == [], path
            await visitor.check()


async def test_it_says_so_when_the_console_is_gone_and_recovers(
    browser: Browser, stack: Endpoints, place: Database, letters: list[int], tmp_path: Any
) -> None:
    settings = console_settings(tmp_path, stack.kafka, place.dsn)
    page = await (await browser.new_context()).new_page()
    async with serving(settings) as first:
        await page.goto(first.url)
        await page.wait_for_selector("#board")
        address = first.url.removeprefix("http://")
        await expect(page.locator("#stale")).to_be_hidden()
    await expect(page.locator("#stale")).to_be_visible(timeout=PATIENCE_MS)
    again = settings.model_copy(update={"console": settings.console.model_copy(update={"bind": address})})
    async with serving(again):
        await expect(page.locator("#stale")).to_be_hidden(timeout=PATIENCE_MS)
    await page.context.close()
