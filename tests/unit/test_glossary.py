"""docs/glossary.md: each word once, and every closed vocabulary that pages, metrics, logs and commands show."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import markdown_pages as markdown
import pytest

from consumer.standstill import Cause
from ops.people import PersonRole
from ops.redrive_preview import PreviewAnswer
from ops.redrives import RedriveStatus
from ops.status import RoleState
from producers.ingress.publishing.publisher import Durability
from providers.core.contract import Trust
from runtime import breaker, metrics
from schemas.dead_letter import LetterStatus, Reason
from schemas.facts import CommandState
from schemas.intents import Command
from schemas.payment import Flag, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = pytest.mark.unit

PAGE = "docs/glossary.md"
TEXT = markdown.read(PAGE)
ROWS = markdown.rows(TEXT)
CLOSED: tuple[Iterable[str], ...] = (
    *(
        Outcome,
        Flag,
        Reason,
        LetterStatus,
        RedriveStatus,
        PreviewAnswer,
        CommandState,
        Command,
        Cause,
        RoleState,
        PersonRole,
    ),
    *(Durability, Trust, breaker.BreakerState, metrics.LANES, metrics.VERDICTS, metrics.PHASES),
)
WORDS_MIN = 150


def test_every_row_says_what_a_word_means_and_where_it_lives() -> None:
    assert len(ROWS) >= WORDS_MIN
    assert [row[0] for row in ROWS if len(row) != 3 or not row[1].endswith(".")] == []
    assert [row[0] for row in ROWS if len(markdown.links_in(row[2])) != 1] == []


def test_a_link_shows_the_file_that_it_leads_to() -> None:
    links = [link for row in ROWS for link in markdown.links_in(row[2])]
    assert [link for link in links if f"../{link.text}" != link.target.removesuffix("/__init__.py")] == []


def test_one_word_has_one_meaning() -> None:
    words = [word.strip(" `") for row in ROWS for word in re.split(r",", row[0])]
    assert sorted(word for word in set(words) if words.count(word) > 1) == []


@pytest.mark.parametrize("values", CLOSED, ids=lambda values: getattr(values, "__name__", None) or "-".join(values))
def test_every_value_that_is_shown_is_explained(values: Iterable[str]) -> None:
    shown = set(markdown.code_in(TEXT))
    assert [str(value) for value in values if str(value) not in shown] == []


def test_every_section_is_listed() -> None:
    listed = [link.target.removeprefix("#") for link in markdown.links_in(TEXT) if link.target.startswith("#")]
    assert set(listed) == markdown.anchors(PAGE) - {"glossary"}
