"""Five tasks of a night in a real Chromium, at most six clicks each from the board; axe-core; a phone; a keyboard.

Pictures of each task's end go to the folder that TESTS_PICTURES names, if any.
"""

from __future__ import annotations

import csv
import datetime as dt
import os
import uuid
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ops import redrives
from ops.redrives import LetterFilter, RedriveRequest
from schemas.dead_letter import Reason
from tests.integration import console_harness
from tests.integration.chromium import chromium
from tests.integration.console_harness import (
    CARD,
    LETTER,
    PASSWORD,
    PAYMENT_ID,
    Console,
    add_applicable,
    add_letter,
    console_settings,
    serving,
)
from tests.integration.console_visitor import PATIENCE_MS, Visitor, visiting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser

    from runtime.stack import Endpoints
    from tests.conftest import Database

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

place, owner, letters = console_harness.place, console_harness.owner, console_harness.letters
"""The fixtures of the console's tests: under these names pytest finds them."""

CLICKS_MAX = 6
PHONE = {"width": 390, "height": 844}
SCREENS_MAX = 3
AXE = (resources.files("axe_playwright_python") / "axe.min.js").read_text()
ADYEN_LETTERS = 45
ADYEN = LETTER.replace("'stripe'", "'adyen/shop'")
FAILED = """
insert into payments (id, provider, account, provider_ref, reference, status, refund_status, dispute_status, currency,
    amount, authorized, captured, refunded, disputed, version, facts, head_hash, head_xid, created_at, updated_at)
values ($1, $2, '', $5, 'ORD', $3, 'none', 'none', 'EUR', 1250, 0, 0, 0, 0, 1, '{}', '', 0, $4, $4)
"""
RECALL = """
insert into recall_orders (provider, account, since, until, dry_run, requested_by, because, status, started_at,
    ended_at, pages, known, new, history, kinds, first_at, last_at)
values ('stripe', '', now() - interval '2 d', now(), true, 'ada', 'ticket 7', 'done', now(), now(), 3, 40, 2, 1,
    '{"charge.succeeded": 2}', now() - interval '1 d', now() - interval '1 h')
returning id
"""


class Night:
    """A visitor whose clicks are counted from the board on."""

    def __init__(self, visitor: Visitor) -> None:
        self.visitor, self.page, self.clicks = visitor, visitor.page, 0

    async def click(self, what: str) -> None:
        self.clicks += 1
        await self.page.click(what)

    async def choose(self, what: str, value: str) -> None:
        self.clicks += 1
        await self.page.select_option(what, value)

    async def done(self, name: str) -> None:
        """Check that the task is done within its clicks, with nothing refused or failed; take a picture."""
        await picture(self.visitor, name)
        assert self.clicks <= CLICKS_MAX
        await self.visitor.check()


async def picture(visitor: Visitor, name: str) -> None:
    folder = os.environ.get("TESTS_PICTURES")
    if folder:
        await visitor.page.screenshot(path=f"{folder}/{name}.png", full_page=True)


@pytest.fixture(scope="module")
async def console(
    stack: Endpoints, place: Database, letters: list[int], owner: Any, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Console]:
    home = tmp_path_factory.mktemp("console")
    await fill_the_night(owner)
    async with serving(console_settings(home, stack.kafka, place.dsn, password=PASSWORD)) as found:
        yield found


async def fill_the_night(owner: Any) -> None:
    """Adyen's webhooks become dead letters, for the last minutes; payments failed at noon and before."""
    for number in range(ADYEN_LETTERS):
        body = f"adyen {number}".encode()
        await owner.fetchval(ADYEN, 1000 + number, body, f"evt_{number}", "AUTHORISATION", "undecodable", "no JSON")
    noon = dt.datetime.now(dt.UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    for hours, provider, status in ((1, "adyen", "failed"), (2, "adyen", "failed"), (-1, "adyen", "failed"),
                                    (1, "adyen", "captured"), (1, "mollie", "failed")):  # fmt: skip
        await owner.execute(FAILED, uuid.uuid4(), provider, status, noon + dt.timedelta(hours=hours), uuid.uuid4().hex)


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as found:
        yield found


@pytest.fixture
async def night(browser: Browser, console: Console) -> AsyncIterator[Night]:
    async with visiting(browser, console, viewport={"width": 1280, "height": 900}) as visitor:
        await visitor.sign_in()
        yield Night(visitor)


class TestTasksOfANight:
    async def test_which_provider_broke_and_since_when(self, night: Night) -> None:
        headline = night.page.locator(".headline", has_text="Adyen's webhooks have become dead letters since")
        await headline.wait_for()
        reported = await headline.inner_text()
        assert f"{ADYEN_LETTERS} of {ADYEN_LETTERS}, all undecodable" in reported
        await picture(night.visitor, "1-board")
        await night.click(".headline a >> text=Adyen")
        await night.page.wait_for_url("**/dead-letters?provider=adyen*")
        assert f"of {ADYEN_LETTERS} dead letters" in await night.page.inner_text("main")
        await night.done("1-which-provider-broke")

    async def test_all_payments_that_failed_at_adyen_since_noon_as_csv(self, night: Night) -> None:
        noon = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT12:00")
        await night.click("nav >> text=Payments")
        await night.choose("#status", "failed")
        await night.page.fill("#provider", "adyen")
        await night.page.fill("#since", noon)
        await night.click("form.filters button")
        await night.page.wait_for_selector("text=that fit")
        await picture(night.visitor, "2-failed-at-adyen")
        async with night.page.expect_download() as waiting:
            await night.click("text=CSV")
        saved = await (await waiting.value).path()
        rows = rows_of(Path(saved))
        assert len(rows) == 2
        assert {(row["provider"], row["status"]) for row in rows} == {("adyen", "failed")}
        await night.done("2-downloaded")

    async def test_redrive_only_what_would_be_applied(self, night: Night, owner: Any) -> None:
        good = await add_applicable(owner, "data_rejected")
        for _ in range(3):
            await add_letter(owner, "data_rejected")
        await night.click("#go-data_rejected")
        await night.click("text=Redrive these")
        await night.click("button >> text=Preview")
        await night.page.fill("#because", "mended")
        await picture(night.visitor, "3-preview")
        assert "3 others stay open" in await night.page.inner_text("main")
        await night.click("button:has-text('Redrive 1 dead letter')")
        await night.page.wait_for_selector("#progress")
        sent = await owner.fetch("select dead_letter_id from redrive_messages order by redrive_id desc limit 2")
        assert [row["dead_letter_id"] for row in sent] == [good]
        await night.done("3-redrive")

    async def test_who_redrove_what_yesterday(self, night: Night, owner: Any, console: Console) -> None:
        await add_letter(owner, "unexpected")
        order = RedriveRequest(LetterFilter(reason=Reason.UNEXPECTED), requested_by="grace", because="provider mended")
        begun = await redrives.start(owner, console.settings, order)
        await owner.execute(
            "update operator_actions set acted_at = acted_at - interval '1 day' where who = 'grace'"
        )  # as the schema's owner may; the chain shows it
        today = dt.datetime.now(dt.UTC)
        await night.click("nav >> text=Actions")
        await night.choose("#action", "redrive")
        await night.page.fill("#since", f"{today - dt.timedelta(days=1):%Y-%m-%d}")
        await night.page.fill("#until", f"{today:%Y-%m-%d}")
        await night.click("form.filters button")
        await night.page.wait_for_selector("td >> text=grace")
        rows = night.page.locator("tbody tr")
        assert await rows.count() == 1
        text = await rows.first.inner_text()
        assert f"redrive {begun.redrive_id}" in text
        assert "provider mended" in text
        await night.done("4-who-redrove-what")

    async def test_one_payload_unmasked_with_its_reason_found_in_the_audit(
        self, night: Night, letters: list[int]
    ) -> None:
        await night.click("nav >> text=Dead letters")
        await night.click("td[data-name=reason] a >> text=unknown kind >> nth=0")
        await night.click(f"td[data-name=letter] a >> text='{letters[0]}'")
        assert CARD not in await night.page.inner_text("main")
        await night.click("summary >> text=in clear")
        await night.page.fill("#because-unmask", "ticket 4711")
        await night.click("button >> text=Unmask")
        await night.page.wait_for_selector(f"text={CARD}")
        await picture(night.visitor, "5-in-clear")
        await night.click("nav >> text=Actions")
        row = night.page.locator("tbody tr", has_text="ticket 4711")
        await row.wait_for()
        assert f"dead letter {letters[0]}" in await row.inner_text()
        assert "emergency" in await row.inner_text()
        await night.done("5-in-the-audit")


def rows_of(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


async def paths(owner: Any, console: Console, letters: list[int]) -> list[str]:
    """Return every page, each with something on it."""
    await add_letter(owner, "unexpected")
    begun = await redrives.start(owner, console.settings, RedriveRequest(LetterFilter(reason=Reason.UNEXPECTED)))
    recall = await owner.fetchval(RECALL)
    return ["/", "/?span=day", "/payments", "/payments?provider=stripe", f"/payments/{PAYMENT_ID}", "/dead-letters",
            "/dead-letters?reason=undecodable", f"/dead-letters/{letters[0]}", "/redrives", "/redrives/new",
            f"/redrives/{begun.redrive_id}", "/redrives/new?preview=1&reason=undecodable", "/parked", "/commands",
            "/recall", f"/recall/{recall}", "/ledger", "/actions", "/people", "/notes",
            "/notes?reason=undecodable&source=adyen/shop&kind=AUTHORISATION", "/nowhere"]  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("wide", [1280, 390])
async def test_axe_finds_nothing(  # noqa: PLR0917 - fixtures and what they are tried with
    browser: Browser, console: Console, letters: list[int], owner: Any, scheme: Any, wide: int
) -> None:
    found: dict[str, Any] = {}
    viewport = {"width": wide, "height": 844}
    async with visiting(browser, console, viewport=viewport, color_scheme=scheme, reduced_motion="reduce") as visitor:
        await visitor.go("/login")
        found["/login"] = await broken_rules(visitor)
        await visitor.sign_in()
        for path in await paths(owner, console, letters):
            await visitor.go(path)
            await visitor.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
            found[path] = await broken_rules(visitor)
            width = await visitor.page.evaluate("document.documentElement.scrollWidth")
            assert width <= wide, f"{path} is {width} wide"
    assert {path: broken for path, broken in found.items() if broken} == {}


async def broken_rules(visitor: Visitor) -> list[Any]:
    """Return what axe-core finds wrong with a page: the rule, and the elements that break it."""
    await visitor.page.evaluate(AXE)
    answer = await visitor.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [(one["id"], [node["html"][:200] for node in one["nodes"][:5]]) for one in answer["violations"]]


async def test_the_first_ten_dead_letters_are_within_three_screens_of_a_phone(
    browser: Browser, console: Console
) -> None:
    async with visiting(browser, console, viewport=PHONE, has_touch=True) as visitor:
        await visitor.sign_in()
        await visitor.go("/dead-letters")
        await picture(visitor, "phone-dead-letters")
        tenth = visitor.page.locator("section[aria-labelledby=each] tbody tr").nth(9)
        box = await tenth.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= SCREENS_MAX * PHONE["height"]


async def test_a_redrive_by_keyboard_alone(browser: Browser, console: Console, owner: Any) -> None:
    await add_applicable(owner, "unexpected")
    async with visiting(browser, console, viewport={"width": 1280, "height": 900}) as visitor:
        await visitor.sign_in()
        await tab_to(visitor, "one.matches('nav a[href=\"/dead-letters\"]')")
        await visitor.page.keyboard.press("Enter")
        await visitor.page.wait_for_url("**/dead-letters")
        await tab_to(visitor, "one.textContent.startsWith('Redrive these')")
        await visitor.page.keyboard.press("Enter")
        await visitor.page.wait_for_url("**/redrives/new*")
        await tab_to(visitor, "one.id === 'reason'")
        await visitor.page.keyboard.type("unexpected")
        await tab_to(visitor, "one.textContent === 'Preview'")
        await visitor.page.keyboard.press("Enter")
        await visitor.page.wait_for_selector("#foreseen")
        await tab_to(visitor, "one.textContent.startsWith('Redrive 1 dead letter')")
        await visitor.page.keyboard.press("Enter")
        await visitor.page.wait_for_selector("#progress", timeout=PATIENCE_MS)
        await visitor.check()


async def tab_to(visitor: Visitor, wanted: str) -> None:
    """Press Tab until the element that is wanted has the focus; it must be seen to have it."""
    for _ in range(120):
        await visitor.page.keyboard.press("Tab")
        if await visitor.page.evaluate(f"((one) => {wanted})(document.activeElement)"):
            style = await visitor.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert style != "none", wanted
            return
    raise AssertionError(f"{wanted} can't be reached")
