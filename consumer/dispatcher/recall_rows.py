"""What a page of a provider's list becomes in Postgres: rows of the spool for what is new, in one transaction."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, NamedTuple

from runtime.sql import statement
from schemas.record import Recalled, Spooled, recalled

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import asyncpg

    from providers.core.recall import Listed, Listing
    from runtime.postgres import Connection

SPOOL_COLUMNS = ("topic", "key", "value", "header_names", "header_values")


class Shown(NamedTuple):
    """One event that a list showed, as its record, with its object's id where it is a state, and when it happened."""

    record: Recalled
    ref: str | None
    occurred_at: dt.datetime


def shown_of(items: Iterable[Listed], source: str, listing: Listing, asked_at: float) -> list[Shown]:
    """Return the records of a page's events, each id once."""
    found: dict[str, Shown] = {}
    for notification, occurred_at, ref in items:
        record = recalled(
            source,
            listing.name,
            notification.event_id,
            notification.kind,
            notification.payment_ref,
            notification.body,
            asked_at,
        )
        found.setdefault(record.event_id, Shown(record, ref, _moment(occurred_at)))
    return list(found.values())


def _moment(unix_seconds: float) -> dt.datetime:
    """Return a time that a list gave; one that no calendar has counts as none, like one that is not given."""
    try:
        return dt.datetime.fromtimestamp(unix_seconds, dt.UTC)
    except (ValueError, OverflowError, OSError):
        return dt.datetime.fromtimestamp(0.0, dt.UTC)


def _columns(shown: Sequence[Shown]) -> tuple[list[str], list[str], list[str | None], list[dt.datetime]]:
    return (
        [one.record.event_id for one in shown],
        [one.record.kind for one in shown],
        [one.ref for one in shown],
        [one.occurred_at for one in shown],
    )


async def open_cursor(  # noqa: PLR0913, PLR0917 - a list, whose it is, and a bound
    connection: Connection, provider: str, account: str, listing: str, source: str, spool_rows_max: int
) -> asyncpg.Record:
    """Return where the reading of a list stands, made where it was not there, with `spooled` up to a bound.

    Two jobs of the dispatcher and `ratchet recall` may make it at once: who comes second has no row, neither its own
    nor, by what its statement sees, that of the first. The next statement sees it.
    """
    sql, asked = statement("consumer.dispatcher", "open_cursor"), (provider, account, listing, source, spool_rows_max)
    row = await connection.fetchrow(sql, *asked) or await connection.fetchrow(sql, *asked)
    assert row is not None, "the statement makes the row where there is none"
    return row


async def spool_new(
    connection: Connection, topic: str, source: str, shown: Sequence[Shown], began_at: dt.datetime
) -> set[str]:
    """Spool what is not known for the topic, within the caller's transaction; return the ids of that."""
    if not shown:
        return set()
    sql = statement("consumer.dispatcher", "note_seen")
    new = {row["event_id"] for row in await connection.fetch(sql, source, *_columns(shown), began_at)}
    rows: list[Spooled] = [one.record.spooled(topic) for one in shown if one.record.event_id in new]
    if rows:
        await connection.copy_records_to_table("spool", records=rows, columns=SPOOL_COLUMNS)
    return new


async def new_of(connection: Connection, source: str, shown: Sequence[Shown]) -> set[str]:
    """Return the ids of what is not known, and change nothing."""
    ids = [one.record.event_id for one in shown]
    found = await connection.fetch(statement("consumer.dispatcher", "find_known"), source, ids)
    return set(ids) - {row["event_id"] for row in found}
