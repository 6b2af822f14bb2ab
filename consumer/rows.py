"""Between the database's rows and our types: the arguments of the statements in `consumer/sql`. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from asyncpg.pgproto import pgproto

import providers
from consumer.commands import OpenCommand
from consumer.decode import identity
from consumer.facts_json import dump_joined, load_joined
from consumer.fold import project
from consumer.plan import Member
from consumer.resolve import RefKey, joining_of
from runtime.postgres_arrays import bytes_array, columns_of, plain_array, text_array
from schemas.command_room import Request
from schemas.facts import CommandState, RefKind
from schemas.payment import Flag, Payment
from schemas.record import REDRIVE_COUNT_HEADER, Record

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Container, Iterable, Mapping, Sequence
    from uuid import UUID

    import asyncpg

    from consumer.commands import CommandRow
    from consumer.plan import DedupeKey, Known, Letter, OwedMessage, Parking, Refetching
    from schemas.facts import CommandAnswer, DeliveryReport

REDRIVE_COUNT_MAX = 2**31 - 1
PAYMENT_REF_LENGTH_MAX = 255


def columns(rows: Iterable[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """Turn rows into `width` columns, the shape that `unnest` takes."""
    return [list(column) for column in columns_of(rows, width)]


def text_columns(rows: Iterable[tuple[str, ...]], width: int) -> list[str]:
    """Turn rows of texts into `width` array literals."""
    return [text_array(column) for column in columns_of(rows, width)]


def key_of(row: asyncpg.Record | Mapping[str, Any]) -> RefKey:
    """Read the key of a reference from the columns that it has."""
    place = (row["provider"], row["account"], row["merchant_account"])
    return (*place, row["livemode"], row["kind"], row["ref"])


def ref_columns(keys: Iterable[RefKey]) -> list[list[Any]]:
    """Return reference keys as sorted columns."""
    return columns(sorted(set(keys)), 6)


def ref_arrays(keys: Sequence[RefKey]) -> list[str]:
    """Return reference keys, in their order, as the arguments of the statements that take references."""
    return _ref_arrays(columns_of(keys, 6))


def _ref_arrays(columns: Sequence[Sequence[Any]]) -> list[str]:
    return [plain_array(column) if place == LIVEMODE else text_array(column) for place, column in enumerate(columns)]


def group_arrays(keys: Iterable[RefKey]) -> list[str]:
    """Return the keys of references as arguments of statements: provider, account, mode, reference."""
    provider, account, livemode, ref = columns_of(
        [(provider, account, livemode, ref) for provider, account, _, livemode, _, ref in sorted(keys)], 4
    )
    return [text_array(provider), text_array(account), plain_array(livemode), text_array(ref)]


def note_reported(known: Known, row: asyncpg.Record) -> None:
    """Take one processed or parked event in, as find_reported.sql gives it."""
    key = row["source"], row["event_id"]
    known.reported[key] = row["facts"]
    if row["meaning"] != providers.meaning_version(row["source"]):
        known.reread.add(key)


def groups_from(text: str | None) -> dict[RefKey, dict[UUID, Member]]:
    """Read groups as lock_refs.sql and find_groups.sql give them: a row of JSON a member."""
    groups: dict[RefKey, dict[UUID, Member]] = {}
    for provider, account, livemode, ref, payment_id, promise, adopts in json.loads(text or "[]"):
        group = groups.setdefault(_reference_key(provider, account, livemode, ref), {})
        group[pgproto.UUID(payment_id)] = Member(promise, adopts)
    return groups


def references_from(text: str | None) -> set[RefKey]:
    """Read references as lock_refs.sql and follow_chains.sql give them: a row of JSON each."""
    return {_reference_key(*place) for place in json.loads(text or "[]")}


def _reference_key(provider: str, account: str, livemode: bool, ref: str) -> RefKey:  # noqa: FBT001 - as the key has it
    return (provider, account, "", livemode, RefKind.REFERENCE, ref)


def note_commands(known: Known, found: Iterable[asyncpg.Record]) -> None:
    """Take the commands of the payments held in, as read_commands.sql gives them."""
    for row in found:
        request = Request(row["command"], row["amount"], row["seen"], row["attempt_id"])
        state = None if row["state"] is None else CommandState(row["state"])
        known.commands.setdefault(row["payment_id"], {})[row["command_id"]] = OpenCommand(request, state, row["over"])


def member_arrays(members: Mapping[tuple[RefKey, UUID], Member]) -> list[str]:
    """Return which payments come to stand under which references as the arguments of note_members.sql."""
    found = [
        (provider, account, livemode, kind, ref, payment_id, member.promise, member.groups)
        for ((provider, account, _, livemode, kind, ref), payment_id), member in sorted(members.items(), key=_first)
    ]
    return [_MEMBER_ARRAYS.get(place, text_array)(column) for place, column in enumerate(columns_of(found, 8))]


def _first(item: tuple[Any, Any]) -> Any:
    return item[0]


def dedupe_arrays(keys: Iterable[DedupeKey]) -> list[str]:
    """Return (source, event id) pairs as the arguments of find_reported.sql."""
    return [text_array(column) for column in columns_of(keys, 2)]


def payment_arrays(payments: Iterable[Payment], opened: Container[UUID]) -> list[str]:
    """Return payments, some of them `opened` now, as the first arguments of write_payments.sql, in id order."""
    columns = payment_columns(payments)
    arrays = [_PAYMENT_ARRAYS.get(place, text_array)(column) for place, column in enumerate(columns)]
    return [*arrays, plain_array(payment_id in opened for payment_id in columns[0])]


_PAYMENT_ARRAYS: Final[dict[int, Callable[[Any], str]]] = {
    **dict.fromkeys((0, 7, *range(12, 18), 20, 22, 23), plain_array),
    19: bytes_array,
}
"""How the columns that are no texts are written: ids, amounts, the version, the transaction, the mode; the hash."""
_MEMBER_ARRAYS: Final[dict[int, Callable[[Any], str]]] = dict.fromkeys((2, 5, 6, 7), plain_array)
GROUP_FLAGS: Final = frozenset({Flag.PAID_AGAIN, Flag.OTHER_CURRENCY, Flag.CONTRADICTION})
"""The flags that a payment's group gives it; contradiction and other currency may also be of its own."""
LIVEMODE: Final = 3
"""The place of the mode in a reference's key."""


def binding_arrays(bindings: Mapping[RefKey, UUID]) -> list[str]:
    """Return bindings as the last arguments of write_payments.sql."""
    *key, payment_ids = binding_columns(bindings)
    return [*_ref_arrays(key), plain_array(payment_ids)]


def payment_columns(payments: Iterable[Payment]) -> list[list[Any]]:
    """Return payments as the columns of write_payments.sql, in id order."""
    rows = []
    for payment in sorted(payments, key=lambda payment: payment.id):
        shown = payment.projection
        rows.append(
            (
                payment.id,
                payment.provider,
                payment.account,
                payment.provider_ref,
                payment.client,
                payment.reference,
                payment.phone,
                payment.merged_into,
                shown.status,
                shown.refund_status,
                shown.dispute_status,
                payment.currency,
                shown.amount,
                shown.authorized,
                shown.captured,
                shown.refunded,
                shown.disputed,
                payment.version,
                dump_joined(payment.facts),
                payment.head_hash,
                payment.head_xid,
                payment.merchant_account,
                payment.livemode,
                payment.intent_id,
                ",".join(flags_of(payment)),
            )
        )
    return columns(rows, 25)


def flags_of(payment: Payment) -> list[str]:
    """Return what of a payment does not add up, by itself and in its group, sorted."""
    return sorted({*payment.projection.flags, *payment.group_flags})


def payment_of(row: asyncpg.Record) -> Payment:
    """Read one payment of lock_refs.sql."""
    facts = load_joined(row["facts"])
    shown = project(facts)
    return Payment(
        id=row["id"],
        provider=row["provider"],
        account=row["account"],
        provider_ref=row["provider_ref"],
        client=row["client"],
        reference=row["reference"],
        phone=row["phone"],
        merged_into=row["merged_into"],
        currency=row["currency"],
        version=row["version"],
        facts=facts,
        projection=shown,
        head_hash=row["head_hash"],
        head_xid=row["head_xid"],
        merchant_account=row["merchant_account"],
        livemode=row["livemode"],
        intent_id=row["intent_id"],
        group_flags=tuple(flag for flag in row["flags"] if flag in GROUP_FLAGS and flag not in shown.flags),
    )


def binding_columns(bindings: Mapping[RefKey, UUID]) -> list[list[Any]]:
    """Return bindings as columns: the references' keys, then the payments."""
    return columns([(*key, payment_id) for key, payment_id in sorted(bindings.items())], 7)


def refetch_columns(refetches: Iterable[Refetching]) -> list[list[Any]]:
    """Return the payments to ask about, each once, as the columns of queue_refetches.sql."""
    wanted = {(one.provider, one.account, one.ref): one.reason for one in refetches}
    return columns([(*place, reason) for place, reason in sorted(wanted.items())], 4)


def message_columns(messages: Iterable[OwedMessage]) -> list[list[Any]]:
    """Return messages as the columns of queue_messages.sql."""
    values = [(one.payment_id, one.phone, one.template.value, one.child, one.amount) for one in messages]
    return columns(values, 5)


def report_columns(reports: Iterable[DeliveryReport]) -> list[list[Any]]:
    """Return reports as the columns of note_delivery_reports.sql; of several for one message the last word."""
    values: dict[str, str] = {}
    for one in reports:
        if values.get(one.message_id, "sent") == "sent":
            values[one.message_id] = one.status
    return columns(sorted(values.items()), 2)


def answer_columns(answers: Iterable[CommandAnswer]) -> list[list[Any]]:
    """Return answers to commands as the columns of answer_commands.sql; of several to one command the latest state."""
    order = list(CommandState)
    latest: dict[tuple[UUID, str], CommandAnswer] = {}
    for one in answers:
        known = latest.get((one.payment_id, one.command_id))
        if known is None or order.index(known.state) < order.index(one.state):
            latest[one.payment_id, one.command_id] = one
    return columns([(*key, one.state.value, one.reason) for key, one in sorted(latest.items(), key=_first)], 4)


def command_arguments(row: CommandRow) -> tuple[Any, ...]:
    """Return the arguments of insert_command.sql."""
    attempt = row.attempt
    return (
        row.payment_id,
        row.command_id,
        row.client,
        row.command,
        attempt.id,
        attempt.provider,
        attempt.account,
        attempt.merchant_account,
        attempt.livemode,
        attempt.provider_ref,
        row.reference,
        attempt.currency,
        row.amount,
        row.seen,
        row.reason,
        row.metadata,
        row.traceparent,
        row.refusal,
        row.asked_at,
        row.expires_at,
        row.relay_xid,
    )


def record_of(row: asyncpg.Record) -> Record:
    """Read the Kafka record that a parked event keeps byte for byte."""
    names = [name.decode(errors="surrogateescape") for name in row["header_names"]]
    return Record(
        topic=row["topic"],
        partition=row["partition"],
        offset=row["offset"],
        timestamp_ms=row["timestamp_ms"],
        key=row["key"],
        value=row["value"],
        headers=tuple(zip(names, row["header_values"], strict=True)),
    )


def _header_arrays(record: Record) -> tuple[list[bytes], list[bytes | None]]:
    return [name.encode(errors="surrogateescape") for name, _ in record.headers], [value for _, value in record.headers]


def parking_arguments(parking: Parking, now: dt.datetime, deadline: dt.datetime) -> tuple[Any, ...]:
    """Return the arguments of park_event.sql."""
    event, record = parking.event, parking.event.record
    return (
        event.source,
        event.event_id,
        event.kind,
        parking.waits.reason,
        parking.waits.detail,
        parking.facts,
        record.topic,
        record.partition,
        record.offset,
        record.timestamp_ms,
        record.key,
        record.value,
        *_header_arrays(record),
        now,
        deadline,
        providers.meaning_version(event.source),
        *ref_columns(joining_of(event)),
    )


def letter_arguments(letter: Letter, xid: int, now: dt.datetime) -> tuple[Any, ...]:
    """Return the arguments of bury_record.sql."""
    record = letter.record
    source, event_id, kind = identity(record)
    return (
        record.topic,
        record.partition,
        record.offset,
        letter.digest,
        record.timestamp_ms,
        record.key,
        record.value,
        *_header_arrays(record),
        source,
        event_id,
        kind,
        payment_ref_of(record),
        letter.reason,
        letter.message.replace("\x00", "\\0"),
        redrive_count_of(record),
        xid,
        now,
    )


def orphan_arguments(letter: Letter, refs: Iterable[RefKey]) -> tuple[Any, ...]:
    """Return the arguments of keep_orphan_refs.sql."""
    source, event_id, _ = identity(letter.record)
    return (source, event_id, letter.digest, *ref_arrays(sorted(refs)))


def payment_ref_of(record: Record) -> str | None:
    """Return the record's key as text, where it is one: what `dlq list --payment` looks for."""
    try:
        text = (record.key or b"").decode()
    except UnicodeDecodeError:
        return None
    return text if 0 < len(text) <= PAYMENT_REF_LENGTH_MAX and "\x00" not in text else None


def redrive_count_of(record: Record) -> int:
    """Return how often the record was redriven, as its header says; 0 where that is no number."""
    text = record.header(REDRIVE_COUNT_HEADER) or ""
    return min(int(text), REDRIVE_COUNT_MAX) if text.isascii() and text.isdigit() and len(text) <= 10 else 0  # noqa: PLR2004
