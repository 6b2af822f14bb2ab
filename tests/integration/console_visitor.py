"""A watched page of the console in a real browser: what it asked for, what went wrong, how often somebody clicked."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.integration.console_harness import PASSWORD, Console

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, ConsoleMessage, Page, Request

PATIENCE_MS = 20_000
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));
"""


@dataclass
class Visitor:
    """A page, and what went wrong in it. Without slots: Playwright leaves its wrappers of methods on the object."""

    page: Page
    url: str
    wrong: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def watch(self) -> None:
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("console", self._reported)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("dialog", lambda dialog: self.wrong.append(f"a script ran: {dialog.message}"))
        self.page.on("request", self._asked)

    def _reported(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(message.text)

    def _asked(self, request: Request) -> None:
        self.hosts.add(urlsplit(request.url).netloc)

    async def go(self, path: str) -> None:
        await self.page.goto(self.url + path)

    async def sign_in(self) -> None:
        await self.go("/")
        await self.page.keyboard.press("Tab")  # the name has the focus, and stays empty for the emergency password
        await self.page.keyboard.type(PASSWORD)
        await self.page.keyboard.press("Enter")
        await self.page.wait_for_selector("#board")

    async def check(self) -> None:
        """Fail where anything was refused, failed, or came from elsewhere."""
        assert await self.page.evaluate("window.violations") == []
        assert self.wrong == []
        assert self.hosts == {urlsplit(self.url).netloc}


@asynccontextmanager
async def visiting(browser: Browser, console: Console, **context: Any) -> AsyncIterator[Visitor]:
    """Open a watched page in a browser context of its own."""
    opened = await browser.new_context(**context)
    try:
        await opened.add_init_script(WATCH)
        found = Visitor(await opened.new_page(), console.url)
        found.watch()
        yield found
    finally:
        await opened.close()
