"""Takes pictures of a running console: `python -m tests.console_shots URL FOLDER [payment reference]`.

Each page light and dark, wide and narrow. The README's two are `board-light-wide.png` and `payment-light-wide.png`.
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from tests.integration.chromium import chromium

if TYPE_CHECKING:
    from playwright.async_api import Page

WIDTHS: Final = {"wide": 1280, "narrow": 390}
SCHEMES: Final = ("light", "dark")
BOARD_SECONDS: Final = 12
"""How long the board is left open before its picture, so that its curves have something to show."""


async def paths_of(page: Page, url: str, ref: str) -> dict[str, str]:
    """Return the pages by name; payment and letter are the first that the console lists, or the one asked for."""
    await page.goto(f"{url}/payments?q={quote(ref)}")
    text = await page.content()
    payment = (
        page.url.removeprefix(url) if ref else next(iter(re.findall(r'href="(/payments/[^"]+)"', text)), "/payments")
    )
    await page.goto(f"{url}/dead-letters")
    letter = next(iter(re.findall(r'href="(/dead-letters/\d+)"', await page.content())), "/dead-letters")
    return {
        "board": "/",
        "payments": "/payments",
        "payment": payment,
        "letters": "/dead-letters",
        "letter": letter,
        "redrives": "/redrives",
        "redrive-preview": "/redrives/new?preview=1",
        "parked": "/parked",
        "ledger": "/ledger",
        "missing": "/nowhere",
    }


async def take(url: str, folder: Path, ref: str) -> None:
    """Take all pictures."""
    async with chromium() as browser:
        page = await browser.new_page()
        await page.goto(url)
        await page.wait_for_timeout(BOARD_SECONDS * 1000)
        paths = await paths_of(page, url, ref)
        await page.goto(f"{url}/ledger")
        await page.click("text=Check the ledger")
        for scheme in SCHEMES:
            for name, width in WIDTHS.items():
                one = await browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 800})
                for title, path in paths.items():
                    await one.goto(url + path)
                    await one.screenshot(path=folder / f"{title}-{scheme}-{name}.png", full_page=True)
                await one.close()


if __name__ == "__main__":
    Path(sys.argv[2]).mkdir(parents=True, exist_ok=True)
    asyncio.run(take(sys.argv[1].rstrip("/"), Path(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else ""))
