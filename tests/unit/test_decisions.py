"""docs/decisions: every page has the same four parts and is listed; ARCHITECTURE.md stays short enough to be read."""

from __future__ import annotations

import re

import markdown_pages as markdown
import pytest

pytestmark = pytest.mark.unit

FOLDER = "docs/decisions"
LIST = f"{FOLDER}/README.md"
PAGES = [page for page in markdown.pages() if page.startswith(f"{FOLDER}/") and page != LIST]
PARTS = ["Context", "Decision", "Consequences", "Measurement"]
ARCHITECTURE_WORDS_MAX = 800


def title_of(page: str) -> str:
    return markdown.read(page).splitlines()[0].removeprefix("# ")


def test_their_numbers_have_no_hole() -> None:
    assert len(PAGES) > 30
    assert [int(page.split("/")[-1][:4]) for page in PAGES] == list(range(1, len(PAGES) + 1))


@pytest.mark.parametrize("page", PAGES)
def test_a_decision_has_its_parts(page: str) -> None:
    text = markdown.read(page)
    number, _, title = title_of(page).partition(". ")
    assert re.fullmatch(rf"{FOLDER}/{int(number):04d}-[a-z0-9-]+\.md", page)
    assert title
    assert re.findall(r"(?m)^## (.+)$", text) == PARTS
    assert all(part.strip() for part in re.split(r"(?m)^## .+$", text))


def test_every_decision_is_listed_under_its_title() -> None:
    listed = {f"{FOLDER}/{link.target}": link.text for link in markdown.links_in(markdown.read(LIST))}
    assert listed == {page: title_of(page) for page in PAGES}


def test_architecture_is_read_to_its_end() -> None:
    text = (markdown.ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert len(text.split()) <= ARCHITECTURE_WORDS_MAX, "what takes more words is a decision or a page of its own"
