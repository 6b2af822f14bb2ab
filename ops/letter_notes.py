"""Notes: what people know of a group of dead letters or of a redrive, and until when nobody is called for it.

A group is what `group_letters` shows: a reason, a source and a kind of event; a note on a redrive speaks of the dead
letters that came back from it. While a note stands, `ratchet_dead_letters_open` leaves its dead letters out, so their
alert is silent; `ratchet_dead_letters_noted`, the board and `ratchet status` still count them.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ops.database import fetch
from ops.operators import note_action, reason_of
from ops.payloads import show_text
from schemas.dead_letter import Reason
from schemas.errors import RatchetError, SettingsError

if TYPE_CHECKING:
    from ops.operators import Operator
    from runtime.postgres import Connection

DAYS_MAX: Final = 90
"""A note ends: what is known for longer than this is looked at again."""
TEXT_LENGTH_MAX: Final = 400


@dataclass(frozen=True, slots=True)
class Subject:
    """What a note speaks of: a redrive, or the group of open dead letters with this reason, source and kind."""

    reason: str | None = None
    source: str | None = None
    event_type: str | None = None
    redrive_id: int | None = None

    def text(self) -> str:
        """Return it as the audit names it."""
        if self.redrive_id is not None:
            return f"redrive {self.redrive_id}"
        return f"dead letters {' '.join(filter(None, (self.reason, self.source, self.event_type)))}"


@dataclass(frozen=True, slots=True)
class Note:
    """A note that stands, and how many open dead letters it speaks of."""

    id: int
    reason: str | None
    source: str | None
    event_type: str | None
    redrive_id: int | None
    note: str
    author: str
    made_at: dt.datetime
    silent_until: dt.datetime
    letters: int

    def is_of(self, reason: str, source: str | None, event_type: str | None) -> bool:
        """Tell whether it speaks of this group."""
        return (self.reason, self.source, self.event_type) == (reason, source, event_type)


def check(subject: Subject, until: dt.datetime | None, now: dt.datetime) -> dt.datetime:
    """Return until when it silences the alert; raise SettingsError for a note that can't be meant. Pure."""
    if (subject.reason is None) is (subject.redrive_id is None):
        raise SettingsError("a note speaks of a redrive or of a group of dead letters: name one of them")
    if subject.redrive_id is not None and (subject.source or subject.event_type):
        raise SettingsError("a note on a redrive speaks of all that came back from it; leave source and kind out")
    if subject.reason is not None and subject.reason not in {reason.value for reason in Reason}:
        raise SettingsError(f"reason: {subject.reason!r} is none of {', '.join(Reason)}")
    for text in (subject.source, subject.event_type):
        if text is not None and len(text) > TEXT_LENGTH_MAX:
            raise SettingsError(f"source, kind: {len(text):,} characters are too many")
    if until is None:
        raise SettingsError("until: say until when the note stands, as in 2026-11-28 or 2026-11-28T09:00Z")
    if not now < until <= now + dt.timedelta(days=DAYS_MAX):
        raise SettingsError(f"until: a note ends within {DAYS_MAX} days from now, and not before now")
    return until


async def add(
    connection: Connection, operator: Operator, subject: Subject, note: str, until: dt.datetime | None
) -> int:
    """Write a note; return its number. Raises RatchetError where there is nothing that it could speak of."""
    silent_until = check(subject, until, dt.datetime.now(dt.UTC))
    text = reason_of(note, "nobody has to be called (the note)")
    about = subject.reason, subject.source, subject.event_type, subject.redrive_id
    async with connection.transaction():
        rows = await fetch(connection, "add_letter_note", *about, text, operator.who, silent_until)
        if not rows:
            raise RatchetError(f"there is nothing to note: no {subject.text()} is open or was ordered")
        target = f"{subject.text()}, until {silent_until.isoformat(timespec='seconds')}"
        await note_action(connection, operator, "dead_letter.note", target, text)
    return int(rows[0]["id"])


async def end(connection: Connection, operator: Operator, note_id: int) -> None:
    """End a note before its time; raise RatchetError where none stands under that number."""
    async with connection.transaction():
        rows = await fetch(connection, "end_letter_note", note_id, operator.who)
        if not rows:
            raise RatchetError(f"no note {note_id} stands; `ratchet dlq notes` shows those that do")
        await note_action(connection, operator, "dead_letter.end_note", f"note {note_id}", rows[0]["note"])


async def list_notes(connection: Connection, limit: int, redrive_id: int | None = None) -> tuple[Note, ...]:
    """Return the notes that stand, the newest first; of one redrive where it is named. Texts are masked."""
    rows = await fetch(connection, "list_letter_notes", redrive_id, limit)
    return tuple(Note(**row | {"note": show_text(row["note"])}) for row in rows)
