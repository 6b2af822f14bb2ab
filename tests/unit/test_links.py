"""Every link of every page leads somewhere: to a file of the checkout, and to a heading where it names one."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import markdown_pages as markdown
import pytest
from markdown_pages import ROOT, Link

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


def broken(link: Link, page: str) -> str | None:
    """Say what is wrong with a link of a page, or return None; what leads out of the checkout is not asked."""
    parts = urlsplit(link.target)
    if parts.scheme or parts.netloc:
        return None
    path = unquote(parts.path)
    found = ((ROOT / page).parent / path).resolve() if path else ROOT / page
    if path.startswith("/") or not found.is_relative_to(ROOT) or not found.exists():
        return f"{link.target}: there is no such file"
    if parts.fragment and (found.suffix != ".md" or parts.fragment not in anchors_of(found)):
        return f"{link.target}: there is no such heading"
    return None


def anchors_of(page: Path) -> frozenset[str]:
    return markdown.anchors(page.relative_to(ROOT).as_posix())


def test_there_are_pages_and_links() -> None:
    pages = markdown.pages()
    assert {"README.md", "RUNBOOK.md", "docs/security.md", "deploy/README.md"} <= set(pages)
    assert sum(len(markdown.links_in(markdown.read(page))) for page in pages) > 40


@pytest.mark.parametrize("page", markdown.pages())
def test_every_link_leads_somewhere(page: str) -> None:
    assert [why for link in markdown.links_in(markdown.read(page)) if (why := broken(link, page))] == []


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("RUNBOOK.md", None),
        ("RUNBOOK.md#kafka-is-down", None),
        ("#configuration", None),
        ("docs", None),
        ("https://example.com/nowhere#at-all", None),
        ("mailto:nobody@example.com", None),
        ("NOWHERE.md", "NOWHERE.md: there is no such file"),
        ("RUNBOOK.md#nothing", "RUNBOOK.md#nothing: there is no such heading"),
        ("#nothing", "#nothing: there is no such heading"),
        ("consumer/fold.py#L1", "consumer/fold.py#L1: there is no such heading"),
        ("../outside.md", "../outside.md: there is no such file"),
        ("/README.md", "/README.md: there is no such file"),
    ],
)
def test_a_broken_link_is_seen(target: str, why: str | None) -> None:
    assert broken(Link("", target), "README.md") == why


def test_what_is_a_link() -> None:
    text = 'See [one](a.md), ![a picture](b.png "its title"), [`code`](c.py) and `[none](d.md)`; [over\nlines](e.md#f).'
    assert [link.target for link in markdown.links_in(text)] == ["a.md", "b.png", "c.py", "e.md#f"]


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("Kafka is down", "kafka-is-down"),
        ("The ingress' cost", "the-ingress-cost"),
        ("`RATCHET_KAFKA__`", "ratchet_kafka__"),
        ("Card data (PCI DSS)", "card-data-pci-dss"),
        ("See [a page](b.md)", "see-a-page"),
    ],
)
def test_anchors_are_those_of_github(heading: str, anchor: str) -> None:
    assert markdown.slug(heading) == anchor


def test_tables() -> None:
    text = "| a | b |\n|---|---|\n| 1 | `x` |\n| 2 | [y](z) |\n\ntext | no row\n"
    assert markdown.rows(text) == [["1", "`x`"], ["2", "[y](z)"]]
