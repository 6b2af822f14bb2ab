"""The machine's zone changes nothing: no time without a zone is read as local, and none is shown so.

Chatham is 12:45 or 13:45 ahead of UTC, Newfoundland 3:30 or 2:30 behind; ruff's DTZ sees to the times that we make.
"""

from __future__ import annotations

import ast
import datetime as dt
import json
import time
from typing import TYPE_CHECKING, Final

import pytest
from outside import intent
from source_files import ROOT

from consumer.decode import Event, decode
from consumer.dispatcher.sender import SmsMessage
from consumer.dispatcher.twilio import _is_older
from consumer.ledger import timestamp
from ops import doctor_settings, lag
from ops.console.words import utc
from ops.dlq_filters import moment
from providers.core.payments import iso_seconds
from providers.core.recall import instant, unix_seconds
from runtime.http import retry_after_seconds
from schemas.record import Attributes, Record
from schemas.topics import WEBHOOKS

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.unit

AT: Final = 1_790_000_100.0
"""2026-09-21T14:15:00Z."""
UTC_TIME: Final = dt.datetime(2026, 9, 21, 14, 15, tzinfo=dt.UTC)


@pytest.fixture(params=["America/St_Johns", "Pacific/Chatham"], autouse=True)
def elsewhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the process live in another zone."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    assert time.localtime(AT).tm_hour != UTC_TIME.hour
    try:
        yield
    finally:
        monkeypatch.undo()
        time.tzset()


def test_times_of_providers_are_read_by_their_zone_and_without_one_never_as_local() -> None:
    assert unix_seconds("2026-09-21T14:15:00") == unix_seconds("2026-09-21T16:15:00+02:00") == AT
    assert iso_seconds("2026-09-21T16:15:00+02:00") == AT
    assert iso_seconds("2026-09-21T14:15:00") is None, "it is shown, and nobody knows where it was written"
    assert instant(AT) == "2026-09-21T14:15:00Z"


def test_what_people_type_without_a_zone_is_utc() -> None:
    assert moment("2026-09-21T14:15", "--since") == moment("2026-09-21T16:15+02:00", "--since") == UTC_TIME


def test_what_is_shown_and_kept_is_utc() -> None:
    assert timestamp(AT) == UTC_TIME
    local = UTC_TIME.astimezone()
    assert local.utcoffset() != dt.timedelta()
    assert utc(local) == "2026-09-21 14:15:00"
    assert lag._date(AT) == "2026-09-21 14:15:00 UTC"
    assert doctor_settings._date(AT) == "2026-09-21 14:15 UTC"


@pytest.mark.parametrize("date", ["Mon, 21 Sep 2026 14:15:30 GMT", "Mon, 21 Sep 2026 14:15:30 -0000"])
def test_how_long_an_api_wants_to_be_left_alone_counts_in_utc(date: str) -> None:
    """RFC 5322 writes -0000 for UTC of which the local zone is not known; Python reads that as no zone at all."""
    assert retry_after_seconds(date, UTC_TIME) == 30.0


@pytest.mark.parametrize("zone", ["+0000", "-0000"])
def test_a_message_that_twilio_lists_is_dated_in_utc(zone: str) -> None:
    message = SmsMessage(to_number="+15550001111", text="x", mark="x", not_before=UTC_TIME)
    assert _is_older({"date_created": f"Mon, 21 Sep 2026 14:14:59 {zone}"}, message)
    assert not _is_older({"date_created": f"Mon, 21 Sep 2026 14:15:00 {zone}"}, message)


@pytest.mark.parametrize(
    ("written", "version"), [(b"16:15:00+02:00", "1790000100"), (b"14:15:00Z", "1790000100"), (b"14:15:00", "")]
)
def test_an_answer_of_an_api_counts_from_when_it_was_asked_for(written: bytes, version: str) -> None:
    """A time without a zone tells nothing: then the answer outdoes no event."""
    headers = dict(Attributes("stripe", "refetch:1", "refetch.payment_intent", AT).to_headers())
    headers["ce_time"] = b"2026-09-21T" + written
    value = json.dumps(intent("pi_1")).encode()
    event = decode(Record(WEBHOOKS.name, 0, 0, 0, b"pi_1", value, tuple(headers.items())))
    assert isinstance(event, Event)
    assert event.event_id.partition("@")[2] == version


READS_TEXT: Final = ("fromisoformat", "parsedate_to_datetime", "strptime")
OWN_TEXT: Final = frozenset({
    ("ops/archive.py", "of"),  # a manifest of ours: isoformat() of a time in UTC
    ("ops/seal.py", "_check"),  # the head of a seal of ours
    ("ops/server.py", "_revived"),  # times of our own interface for programs, which have their zone
    ("clients/python/ratchet_client/execute.py", "expired"),  # of a command's record
})  # fmt: skip
"""Functions that read what we have written ourselves, with its zone."""
PRODUCT: Final = ("clients/python", "consumer", "ops", "producers", "providers", "runtime", "schemas")


def test_whoever_reads_a_time_from_text_says_what_one_without_a_zone_is() -> None:
    """Ruff's DTZ knows the makers of naive times, but not those that give one because a text has no zone."""
    found = {
        (str(path.relative_to(ROOT)), function)
        for folder in PRODUCT
        for path in (ROOT / folder).rglob("*.py")
        if "fromisoformat" in (text := path.read_text()) or "parsedate_to_datetime" in text
        for function in readers_of_text(ast.parse(text))
    }
    assert found == OWN_TEXT


def readers_of_text(tree: ast.AST) -> list[str]:
    """Return the functions that read a time from text and never look at its zone."""
    names = []
    for one in ast.walk(tree):
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef):
            attributes = {node.attr for node in ast.walk(one) if isinstance(node, ast.Attribute)}
            called = attributes | {node.id for node in ast.walk(one) if isinstance(node, ast.Name)}
            if called & set(READS_TEXT) and "tzinfo" not in attributes:
                names.append(one.name)
    return names
