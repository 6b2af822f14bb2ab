"""A real browser for tests and screenshots: the machine's own Chromium, or Playwright's where it was installed."""

from __future__ import annotations

import os
import shutil
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import async_playwright

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def executable(playwright: Playwright) -> str | None:
    """Return where a Chromium is, or None."""
    own = Path(playwright.chromium.executable_path)
    return next((found for name in NAMES if (found := shutil.which(name))), str(own) if own.exists() else None)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Run a headless Chromium; skip the test where there is none."""
    async with async_playwright() as playwright:
        path = executable(playwright)
        if path is None:
            pytest.skip("no Chromium on this machine: install Debian's chromium, or run `playwright install chromium`")
        as_root = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses root otherwise
        browser = await playwright.chromium.launch(executable_path=path, args=["--disable-dev-shm-usage", *as_root])
        try:
            yield browser
        finally:
            await browser.close()
