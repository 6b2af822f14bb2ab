"""docs/site.py: links keep leading where they led, what is no page is shown, and nothing comes from another host."""

from __future__ import annotations

import runpy
import tomllib
from typing import TYPE_CHECKING

import pytest
from markdown_pages import ROOT, links_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.unit

SITE = ROOT / "docs" / "site.py"
WRITTEN = runpy.run_path(str(SITE))


def named(nav: object) -> Iterator[str]:
    """Return the pages that a navigation names."""
    match nav:
        case str(page):
            yield page
        case list(parts):
            yield from (page for part in parts for page in named(part))
        case dict(parts):
            yield from (page for part in parts.values() for page in named(part))


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    WRITTEN["Site"](folder).collect()
    return folder


def test_the_navigation_names_pages_that_are_there(collected: Path) -> None:
    config = tomllib.loads((ROOT / "docs" / "zensical.toml").read_text())
    assert [page for page in named(config["project"]["nav"]) if not (collected / page).exists()] == []


def test_every_link_within_the_site_leads_to_a_file_of_it(collected: Path) -> None:
    pages = [collected / WRITTEN["place_of"](page) for page in WRITTEN["pages"]()]
    assert len(pages) > 70
    links = [(page, link.target.partition("#")[0]) for page in pages for link in links_in(page.read_text())]
    inner = [(page, target) for page, target in links if target and ":" not in target]
    assert len(inner) > 300
    assert [f"{page}: {target}" for page, target in inner if not (page.parent / target).is_file()] == []


def test_what_is_no_page_is_shown_as_it_is(collected: Path) -> None:
    shown = (collected / "consumer" / "loop.py.md").read_text()
    assert (ROOT / "consumer" / "loop.py").read_text().rstrip("\n") in shown
    assert "](../consumer/loop.py.md)" in (collected / "docs" / "walkthrough.md").read_text()
    assert "](docs/decisions/index.md)" in (collected / "index.md").read_text()


def test_a_folder_lists_its_pages_by_their_titles(collected: Path) -> None:
    listed = (collected / "docs" / "providers" / "index.md").read_text()
    assert "- [Standard Webhooks](standard_webhooks.md)" in listed


@pytest.mark.parametrize("page", ["README.md", "ARCHITECTURE.md"])
def test_the_picture_fits_into_the_width_of_a_page(page: str) -> None:
    picture = (ROOT / page).read_text(encoding="utf-8").split("```\n")[1]
    assert "dispatcher" in picture
    assert [line for line in picture.splitlines() if len(line) > 88] == []


def test_code_has_no_links(collected: Path) -> None:
    code = "`[a](b.md)` and\n```sh\necho [a](b.md)\n```\n"
    assert WRITTEN["LINK"].sub(lambda match: match[0] if match["target"] is None else "", code) == code


@pytest.mark.parametrize(
    ("tag", "elsewhere"),
    [
        ('<script src="assets/a.js"></script>', False),
        ('<a href="https://example.com">', False),
        ('<script src="https://example.com/a.js"></script>', True),
        ('<img alt="" src="//example.com/a.png">', True),
        ('<link rel="stylesheet" href="https://example.com/a.css">', True),
    ],
)
def test_what_would_be_loaded_from_another_host_is_seen(tag: str, *, elsewhere: bool, tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(tag)
    assert bool(WRITTEN["loaded_from_elsewhere"](tmp_path)) is elsewhere
