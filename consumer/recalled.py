"""What a batch says of events that providers' lists showed: which recall brought first, which came by webhook. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import providers
from consumer.decode import Event, identity, is_answer
from providers.core.recall import EVENT_ID_PREFIX
from schemas.payment import Outcome
from schemas.record import RECALL_HEADER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from consumer.plan import Known, Plan
    from consumer.verdict import Dead
    from schemas.record import Record

Note = tuple[str, str, str]
"""(source, event id, what): an argument of note_recalled.sql."""

FIRST: Final = "first"
KNOWN: Final = "known"
WEBHOOK: Final = "webhook"
_NOTHING_NEW: Final = frozenset({Outcome.NOOP, Outcome.LATE})


def recall_notes(items: Iterable[tuple[Record, Event | Dead]], known: Known, webhooks: str) -> list[Note]:
    """Return what to note, before the batch is processed.

    `known` is what the ledger has of its events, `webhooks` the name of the topic that they come from.

    An event comes by a webhook whatever becomes of it: a duplicate and a dead letter came too.
    """
    seen, notes = set(known.reported), []
    for record, item in items:
        if record.topic != webhooks or (isinstance(item, Event) and (item.hint or is_answer(item))):
            continue
        source, event_id, _ = identity(record) if not isinstance(item, Event) else (item.source, item.event_id, None)
        if source is None or event_id is None:
            continue
        by_recall = item.recalled if isinstance(item, Event) else record.header(RECALL_HEADER) is not None
        what = (KNOWN if (source, event_id) in seen else FIRST) if by_recall else WEBHOOK
        notes.append((source, event_id, what))
        seen.add((source, event_id))
    return notes


def news_of(notes: Iterable[Note], plan: Plan) -> list[Note]:
    """Return the notes without states of objects that brought nothing new: webhooks had reported those."""
    stale = {(row.source, row.event_id) for row in plan.rows if row.outcome in _NOTHING_NEW}
    return [one for one in notes if not (one[1].startswith(EVENT_ID_PREFIX) and one[:2] in stale)]


def objects_named(items: Iterable[tuple[Record, Event | Dead]]) -> list[tuple[str, str]]:
    """Return (source, reference) of what webhooks name, of providers whose lists are of objects and not of events."""
    return sorted(
        {
            (item.source, ref.ref)
            for _, item in items
            if isinstance(item, Event) and not item.recalled and not is_answer(item) and _lists_objects(item.provider)
            for ref in item.meaning.refs
        }
    )


def _lists_objects(provider: str) -> bool:
    found = providers.find(provider)
    return found is not None and found.recall is not None and any(one.objects for one in found.recall.lists)
