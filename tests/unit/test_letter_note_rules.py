"""Which notes on dead letters can be meant."""

from __future__ import annotations

import datetime as dt

import pytest

from ops.console.pages.notes import subject_of
from ops.letter_notes import DAYS_MAX, Subject, check
from schemas.errors import SettingsError

pytestmark = pytest.mark.unit

NOW = dt.datetime(2026, 11, 23, 3, 0, tzinfo=dt.UTC)
FRIDAY = NOW + dt.timedelta(days=4)
ORPHANS = Subject("orphan", "stripe", "charge.refunded")


@pytest.mark.parametrize("subject", [ORPHANS, Subject("orphan"), Subject(redrive_id=7)])
def test_it_stands_until_its_end(subject: Subject) -> None:
    assert check(subject, FRIDAY, NOW) == FRIDAY


@pytest.mark.parametrize(
    ("subject", "until", "expected"),
    [
        (Subject(), FRIDAY, "name one"),
        (Subject("orphan", redrive_id=7), FRIDAY, "name one"),
        (Subject(source="stripe"), FRIDAY, "name one"),
        (Subject(source="stripe", redrive_id=7), FRIDAY, "leave source and kind out"),
        (Subject("faild"), FRIDAY, "none of"),
        (Subject("orphan", "x" * 401), FRIDAY, "too many"),
        (ORPHANS, None, "say until when"),
        (ORPHANS, NOW, "not before now"),
        (ORPHANS, NOW + dt.timedelta(days=DAYS_MAX, seconds=1), "within 90 days"),
    ],
)
def test_what_cannot_be_meant(subject: Subject, until: dt.datetime | None, expected: str) -> None:
    with pytest.raises(SettingsError, match=expected):
        check(subject, until, NOW)


def test_what_a_form_speaks_of() -> None:
    assert subject_of({"reason": " orphan ", "source": "", "kind": "x"}) == Subject("orphan", None, "x")
    assert subject_of({"redrive": "7"}) == Subject(redrive_id=7)
    for text in ("x", "-1", "9" * 19, "\N{ARABIC-INDIC DIGIT SEVEN}"):
        with pytest.raises(SettingsError, match="no number"):
            subject_of({"redrive": text})


def test_what_the_audit_calls_it() -> None:
    assert ORPHANS.text() == "dead letters orphan stripe charge.refunded"
    assert Subject(redrive_id=7).text() == "redrive 7"
