"""The lane of redrives: publishes dead letters once more, as a job in `redrives` says.

A letter is marked `redriven` first, together with its audit row (`publishing`), then published, then the audit row says
`published`. Not the other way round: a letter that fails anew within milliseconds would be taken for a repetition of
the one still open (bury_record.sql), and the mark that follows would lose it. What a crash leaves as `publishing` is
published again before anything new, so each letter is in Kafka once at least; the ledger swallows what comes twice. A
job that is stopped meanwhile publishes nothing more: such letters are open again and wait for its resumption.

The record is the original: key, value and headers byte for byte, and `ratchet-redrive-count` in place of an older one.
Its time is the time of sending, or the topic's retention might delete it unread. A letter that is not open when its
turn comes is skipped, and the audit row says why.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from producers.relay.lanes import Batch
from producers.relay.rate_limiter import RateLimiter
from producers.relay.records import RelayedRecord, headers_of, refusal_of
from runtime.lease import guard
from runtime.sql import statement
from schemas.record import REDRIVE_COUNT_HEADER
from schemas.topics import DEFAULT, RECORD_BYTES_MAX, Topics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from producers.relay.lanes import Refused
    from producers.relay.records import Row
    from runtime.lease import Lease
    from runtime.postgres import Connection
    from runtime.settings import RedriveSettings, RelaySettings

NAME: Final = "redrives"
COUNT_MAX: Final = 2**31 - 1
"""The largest `redrive_count` that the column holds."""
ROOM_BYTES: Final = 1024
"""Room for Kafka's own framing and the header that is added, under the largest record that a topic takes."""

_log = structlog.get_logger()


def redriven_of(row: Row, topic: str) -> RelayedRecord:
    """Return the record of a letter that is redriven to a topic. Pure."""
    kept = [(name, value) for name, value in headers_of(row) if name != REDRIVE_COUNT_HEADER]
    count = str(min(row["redrive_count"] + 1, COUNT_MAX)).encode()
    return RelayedRecord(
        topic, row["key"], row["value"], (*kept, (REDRIVE_COUNT_HEADER, count)), None, row["partition"]
    )


@dataclass(frozen=True, slots=True)
class Sorted:
    """Letters whose turn it is: the records of those that go, and why the others do not. Keys are letter ids."""

    going: dict[int, RelayedRecord]
    skipped: dict[int, str]


def sort_out(rows: Sequence[Row], target_topic: str | None, topics: Topics = DEFAULT) -> Sorted:
    """Decide which letters can go: to the topic of ours that each came from, else to `target_topic`. Pure."""
    found = Sorted({}, {})
    for row in rows:
        topic = topics.consumed_topic(row["topic"]) or topics.consumed_topic(target_topic or "")
        if row["status"] != "open":
            found.skipped[row["id"]] = f"it is {row['status']} already"
        elif topic is None:
            found.skipped[row["id"]] = f"no topic is known to redrive it to: it came from {row['topic']}"
        elif row["value_left_out"]:
            bound = topic.record_bytes_max
            found.skipped[row["id"]] = f"it is larger than {bound} bytes, the most that {topic.name} takes"
        elif (record := redriven_of(row, topic.name)).size() + ROOM_BYTES > topic.record_bytes_max:
            found.skipped[row["id"]] = f"it has {record.size()} bytes, {topic.name} takes {topic.record_bytes_max}"
        else:
            found.going[row["id"]] = record
    return found


@dataclass(frozen=True, slots=True)
class RedriveMark:
    """What a batch finishes: these letters of this redrive."""

    redrive_id: int
    letter_ids: list[int]


class RedriveLane:
    """Letters on their way back, one job at a time, the oldest first; see `producers.relay.lanes.Lane`.

    Every write is fenced by the lease's token.
    """

    name = NAME
    compression: str | None = None

    def __init__(
        self,
        relay: RelaySettings,
        settings: RedriveSettings,
        lease: Lease,
        topics: Topics,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topics = topics
        self._relay = relay
        self._settings = settings
        self._lease = lease
        self._monotonic = monotonic
        self._limiter: tuple[int, RateLimiter] | None = None
        self._checked_at = -float("inf")

    async def read(self, connection: Connection, behind: Batch | None = None) -> Batch | None:
        """Take the next letters as the rate allows and mark them `redriven`; None where there are none now."""
        if behind is not None:
            return None
        job = await connection.fetchrow(statement("producers", "read_redrive"))
        if job is None:
            self._limiter = None
            return None
        if ending := await self._ending(connection, job):
            await self._end(connection, job["id"], *ending)
            return None
        if doubtful := await self._read(connection, "read_redrive_doubtful", job["id"], self._relay.batch_records_max):
            return self._batch(job, {row["id"]: self._record(row, job) for row in doubtful}, more=True)
        return await self._claim(connection, job)

    def reduced(self, record: RelayedRecord, error: Exception) -> RelayedRecord | None:  # noqa: ARG002 - see `Lane`
        """Return None: a letter goes back as it came or not at all; see `Lane`."""
        return None

    async def finish(self, connection: Connection, batch: Batch, lease: Lease, refused: Refused) -> None:
        """Note in the audit rows that Kafka has the records; raise LeaseLostError when another relay is at work.

        A letter that Kafka refuses is open again, and its audit row says why.
        """
        mark: RedriveMark = batch.mark
        returned = {mark.letter_ids[index]: refusal_of(batch.records[index], error) for index, error in refused.items()}
        published = [letter for letter in mark.letter_ids if letter not in returned]
        async with connection.transaction():
            await guard(connection, lease)
            await connection.execute(statement("producers", "finish_redrive_messages"), mark.redrive_id, published)
            if returned:
                await connection.execute(
                    statement("producers", "return_redrive_messages"),
                    mark.redrive_id,
                    list(returned),
                    list(returned.values()),
                )

    async def _read(
        self, connection: Connection, name: str, redrive_id: int, rows_max: int, *more: int
    ) -> Sequence[Row]:
        """Read letters of a job, bounded in rows and in bytes."""
        bounds = rows_max, self._relay.batch_bytes_max, *more
        return await connection.fetch(statement("producers", name), redrive_id, *bounds)

    async def _claim(self, connection: Connection, job: Row) -> Batch | None:
        limiter = self._limiter_of(job)
        allowed = limiter.allowed(self._monotonic())
        if not allowed:
            return None
        rows_max = min(allowed, self._relay.batch_records_max)
        async with connection.transaction():
            await guard(connection, self._lease)
            await connection.execute(statement("producers", "start_redrive"), job["id"])
            rows = await self._read(connection, "read_redrive_next", job["id"], rows_max, RECORD_BYTES_MAX)
            found = sort_out(rows, job["target_topic"], self._topics)
            if found.skipped:
                skipped = list(found.skipped), list(found.skipped.values())
                await connection.execute(statement("producers", "skip_redrive_messages"), job["id"], *skipped)
            if found.going:
                await connection.execute(statement("producers", "claim_redrive_messages"), job["id"], list(found.going))
        if not rows:
            await self._end(connection, job["id"], "done", None)
        if not found.going:
            return None
        limiter.take(len(found.going))
        return self._batch(job, found.going, more=allowed > rows_max)

    def _limiter_of(self, job: Row) -> RateLimiter:
        """Return the job's bucket; it begins empty whenever a relay begins with a job."""
        rate = min(job["rate_per_second"], self._settings.rate_per_second_max)
        if self._limiter is None or self._limiter[0] != job["id"]:
            self._limiter = job["id"], RateLimiter(rate, self._settings.burst_seconds, self._monotonic())
            self._checked_at = -float("inf")
        return self._limiter[1]

    async def _ending(self, connection: Connection, job: Row) -> tuple[str, str] | None:
        """Tell how the job must end before it is through, if it must: (status, reason)."""
        if job["stop_requested_by"] is not None:
            return "stopped", f"stopped by {job['stop_requested_by']}"
        now = self._monotonic()
        if now - self._checked_at < self._settings.failure_check_seconds:
            return None
        self._checked_at = now
        counted = await connection.fetchrow(statement("producers", "count_redrive_failures"), job["id"])
        return too_many(counted) if counted is not None else None

    async def _end(self, connection: Connection, redrive_id: int, status: str, reason: str | None) -> None:
        async with connection.transaction():
            await guard(connection, self._lease)
            await connection.execute(statement("producers", "requeue_redrive_messages"), redrive_id)
            await connection.execute(statement("producers", "count_redrive_failures"), redrive_id)
            await connection.execute(statement("producers", "end_redrive"), redrive_id, status, reason)
        self._limiter = None
        _log.info("redrive_ended", redrive_id=redrive_id, status=status, reason=reason)

    def _batch(self, job: Row, going: dict[int, RelayedRecord], *, more: bool) -> Batch:
        return Batch(len(going), list(going.values()), RedriveMark(job["id"], list(going)), more)

    def _record(self, row: Row, job: Row) -> RelayedRecord:
        """Return the record of a letter that was taken before: it could go then."""
        return redriven_of(row, row["topic"] if self._topics.consumed_topic(row["topic"]) else job["target_topic"])


def too_many(counted: Row) -> tuple[str, str] | None:
    """Tell whether more letters came back against the prediction than the job allows: (status, reason). Pure."""
    failed = counted["failed"] - counted["failed_before"]
    published = counted["published"] - counted["published_before"]
    if counted["policy"] != "stop_on_failures" or failed < counted["failures_min"]:
        return None
    if failed <= counted["failure_ratio_max"] * published:
        return None
    return "failed", (
        f"{failed} of {published} published letters came back although the dry run foresaw that they would not, "
        f"more than {counted['failure_ratio_max']:.0%}; look at the newest dead letters, then resume or order anew"
    )
