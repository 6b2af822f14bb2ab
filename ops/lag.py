"""How far the consumers are behind in each partition (high watermark less committed offset), and what holds it."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from runtime.kafka_ends import Ends
    from runtime.settings import Settings

PartitionLag = dict[tuple[str, int], int]


@dataclass(frozen=True, slots=True)
class PartitionState:
    """One partition: where it begins and ends, what the group committed, and whether a member of the group has it.

    `is_read` is also true where that is not known: while members come and go, and where no consumer runs at all.
    """

    topic: str
    partition: int
    ends: Ends
    committed: int | None
    is_read: bool

    @property
    def lag(self) -> int:
        """Offsets that are still to be read; zero at rest, behind the marker of a transaction too."""
        start = self.ends.begin if self.committed is None else max(self.committed, self.ends.begin)
        return max(0, self.ends.high - start)

    @property
    def name(self) -> str:
        return f"{self.topic}/{self.partition}"


@dataclass(frozen=True, slots=True)
class LagProblem:
    """Why a partition is not read as it should be, and what to do."""

    found: str
    advice: str


async def read_partitions(settings: Settings) -> list[PartitionState]:
    """Return all partitions that consumers read, sorted; raise UnavailableError where Kafka doesn't answer in time."""
    from runtime.kafka import opening
    from runtime.kafka_ends import STABLE, EndsReader, partitions_in

    seconds, topics = settings.ops.lookup_timeout_seconds, settings.kafka.topics
    async with opening(settings.kafka, seconds, "reading the lag"), EndsReader(settings.kafka, seconds) as reader:
        committed = await reader.committed(topics.group)
        group = await reader.group(topics.group)
        ends = await reader.ends(partitions_in(await reader.topics(topics.consumed_names)))
    return [
        PartitionState(
            place.topic, place.partition, found, committed.get(place), group.state != STABLE or place in group.held
        )
        for place, found in ends.items()
    ]


async def read_lag(settings: Settings) -> PartitionLag:
    """Return the lag of each partition; raise UnavailableError where Kafka does not answer in time."""
    return lag_of(await read_partitions(settings))


def lag_of(partitions: Sequence[PartitionState]) -> PartitionLag:
    """Return the lag of each partition."""
    return {(one.topic, one.partition): one.lag for one in partitions}


def by_topic(lag: PartitionLag, names: Iterable[str]) -> dict[str, int]:
    """Return the lag of each of these topics; a topic without partitions has none."""
    return {name: sum(behind for (topic, _), behind in lag.items() if topic == name) for name in names}


def problems(partitions: Sequence[PartitionState], settings: Settings, now: float | None = None) -> list[LagProblem]:
    """Return what keeps partitions from being read as they should be; `now` is unix seconds."""
    now = time.time() if now is None else now
    patience = settings.ops.transaction_notice_seconds
    return [found for one in partitions for found in _problems_of(one, now, patience)]


def _problems_of(one: PartitionState, now: float, patience_seconds: float) -> list[LagProblem]:
    found: list[LagProblem] = []
    ends, since = one.ends, one.ends.held_since
    if ends.stable < ends.high and (since is None or now - since > patience_seconds):
        shown = "" if since is None else f" since {_date(since)}"
        waiting = ends.high - max(ends.stable, one.committed or 0)
        found.append(
            LagProblem(
                f"an open transaction holds {one.name}{shown}: {waiting} offsets wait from {ends.stable} on",
                "see which publisher hangs; `kafka-transactions.sh find-hanging`, then `abort` (RUNBOOK: "
                "RatchetPartitionStandsStill)",
            )
        )
    if not one.is_read and one.lag:
        found.append(
            LagProblem(
                f"no consumer reads {one.name}: {one.lag} offsets wait",
                "consumers join the group anew by themselves within seconds; where it stays so, restart them",
            )
        )
    if one.committed is not None and one.committed < ends.begin:
        found.append(
            LagProblem(
                f"{ends.begin - one.committed} offsets of {one.name} were deleted before they were read: "
                f"{one.committed} to {ends.begin - 1}",
                "have their publishers send them again (RUNBOOK: RatchetRecordsSkipped)",
            )
        )
    if one.committed is not None and one.committed > ends.high:
        found.append(
            LagProblem(
                f"{one.name} ends at {ends.high}, before the committed offset {one.committed}: it was made anew or cut",
                "start a consumer: it reads the partition from its beginning",
            )
        )
    return found


def _date(at: float) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
