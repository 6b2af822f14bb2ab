"""What would become of a record that an upstream service wants to publish: the consumer's own decoding, no effect.

A file holds the value alone, byte for byte, or a document `{"topic", "key", "headers", "value"}`, in which `value` is
JSON as it is to be published, or a JSON text that holds the value. Without a database that tells whether the record is
well formed and what it says; with one also what it would do now, by the dry run of a redrive.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from consumer.decode import decoded
from consumer.verdict import Dead
from ops.database import connected
from ops.dry_run import MADE_UP, DryRun
from ops.redrive_preview import prediction_of
from ops.snapshot_reader import SnapshotReader
from schemas.errors import SettingsError
from schemas.events import ALL as TYPES
from schemas.facts import RefKind
from schemas.record import Record
from schemas.topics import DEFAULT, Topics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from consumer.decode import DecodingTerms, Event
    from runtime.settings import Settings

RECORD_ID: Final = 1
"""The made-up offset of the record."""


class Written(msgspec.Struct, forbid_unknown_fields=True):
    """A record as a document. `headers` has names with texts, or with null for a header without a value."""

    value: msgspec.Raw
    topic: str | None = None
    key: str | None = None
    headers: dict[str, str | None] = {}


class CheckedRecord(msgspec.Struct, frozen=True):
    """What would become of a record.

    `would` is `take` where only the record itself was looked at and it is well formed, else as a redrive's dry run has
    it. `outcome` is the ledger's, or `parked`, `duplicate` or a dead letter's reason; `says` is what was understood.
    """

    topic: str
    would: Literal["take", "apply", "noop", "illegal", "orphan"]
    outcome: str | None
    why: str | None
    says: dict[str, Any] | None
    notes: tuple[str, ...] = ()


def record_of(
    content: bytes,
    *,
    topic: str | None = None,
    headers: Sequence[tuple[str, str]] = (),
    topics: Topics = DEFAULT,
) -> Record:
    """Return the record that a file describes; what is given beside it wins. Raises SettingsError for bad UTF-8."""
    written = _written(content)
    given = dict(headers) if written is None else {**written.headers, **dict(headers)}
    key = written.key if written else None
    guessed = topics.events.name if given.get("ce_type") in TYPES else topics.intents.name
    return Record(
        topic or (written.topic if written else None) or guessed,
        MADE_UP,
        RECORD_ID,
        int(time.time() * 1000),
        None if key is None else key.encode(),
        content.removesuffix(b"\n") if written is None else _value_of(written.value),
        tuple((name, None if value is None else value.encode()) for name, value in given.items()),
    )


def _written(content: bytes) -> Written | None:
    """Return the document that the content is, or None where it is a value."""
    try:
        found = msgspec.json.decode(content, type=Written)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return found if found.headers or found.topic or found.key is not None else None


def _value_of(raw: msgspec.Raw) -> bytes | None:
    """Return the value's bytes: of a JSON text what it holds, of null none."""
    text = bytes(raw).strip()
    if text == b"null":
        return None
    return str(msgspec.json.decode(text)).encode() if text.startswith(b'"') else text


def need_topic(name: str, topics: Topics) -> None:
    """Raise SettingsError where upstream services do not publish on a topic."""
    names = [topic.name for topic in topics.published]
    if name not in names:
        raise SettingsError(f"{name} is no topic that upstream services publish on; there are {', '.join(names)}")


def check_alone(record: Record, endpoints: DecodingTerms) -> CheckedRecord:
    """Say what the record by itself would come to. Pure."""
    _, item = decoded(record, endpoints)
    if isinstance(item, Dead):
        return CheckedRecord(record.topic, "illegal", item.reason, item.message, None)
    return CheckedRecord(record.topic, "take", None, None, summary_of(item), notes_on(item))


async def check_beside_ledger(record: Record, settings: Settings, endpoints: DecodingTerms) -> CheckedRecord:
    """Say what the record would do now to what stands in Postgres; nothing is locked or written."""
    alone = check_alone(record, endpoints)
    async with (
        connected(settings) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        fate = await DryRun(SnapshotReader(connection, settings), settings, None, set()).foretell(record)
    found = prediction_of(RECORD_ID, fate)
    return CheckedRecord(record.topic, found.would.value, found.outcome, found.why, alone.says, alone.notes)


def summary_of(event: Event) -> dict[str, Any]:
    """Return what was understood of a record: its identity, its payment, and the facts that it adds."""
    meaning = event.meaning
    return {
        "source": event.source,
        "event_id": event.event_id,
        "event_type": event.kind,
        "provider": None if meaning.commands else event.provider,
        "account": None if meaning.commands else event.account,
        "livemode": None if meaning.commands else event.livemode,
        "references": [{"kind": ref.kind.value, "reference": ref.ref} for ref in meaning.refs],
        "currency": meaning.currency,
        "amount": meaning.amount,
        "facts": [
            {"kind": one.kind.value, "key": one.key, "state": one.state, "amount": one.amount} for one in meaning.facts
        ],
    }


def notes_on(event: Event) -> tuple[str, ...]:
    """Return what is right and may be meant otherwise."""
    meaning, notes = event.meaning, list[str]()
    if event.record.header("ce_id") is None:
        notes.append(f"there is no header ce_id; the event's id is {event.event_id}")
    if meaning.asker is not None:
        notes.append("it waits for the payment's create where that has not come")
        if event.kind in ("intent.capture", "intent.refund") and meaning.amount is None:
            notes.append("it names no amount: all that is left")
    elif not meaning.opens:
        notes.append("it waits for its payment where that is not known")
    if event.record.key is None and any(ref.kind is not RefKind.SHARED for ref in meaning.refs):
        notes.append("it has no key; with the payment's reference as key a payment's records share a partition")
    return tuple(notes)
