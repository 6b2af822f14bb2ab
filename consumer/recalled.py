"""What a batch says of events that providers' lists showed: which recall brought first, which came by webhook. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from consumer.decode import Event, identity, is_answer
from schemas.record import RECALL_HEADER
from schemas.topics import WEBHOOKS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from consumer.plan import Known
    from consumer.verdict import Dead
    from schemas.record import Record

Note = tuple[str, str, str]
"""(source, event id, what): an argument of note_recalled.sql."""

FIRST: Final = "first"
KNOWN: Final = "known"
WEBHOOK: Final = "webhook"


def recall_notes(items: Iterable[tuple[Record, Event | Dead]], known: Known) -> list[Note]:
    """Return what to note, before the batch is settled; `known` is what the ledger has of its events.

    An event comes by a webhook whatever becomes of it: a duplicate and a dead letter came too.
    """
    seen, notes = set(known.claims), []
    for record, item in items:
        if record.topic != WEBHOOKS.name or (isinstance(item, Event) and (item.hint or is_answer(item))):
            continue
        source, event_id, _ = identity(record) if not isinstance(item, Event) else (item.source, item.event_id, None)
        if source is None or event_id is None:
            continue
        by_recall = item.recalled if isinstance(item, Event) else record.header(RECALL_HEADER) is not None
        what = (KNOWN if (source, event_id) in seen else FIRST) if by_recall else WEBHOOK
        notes.append((source, event_id, what))
        seen.add((source, event_id))
    return notes
