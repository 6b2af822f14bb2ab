"""The database is copied, works on, and is put back as it was copied: Kafka's offsets stay what they were."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata
from consumer_harness import records, webhook

from consumer import poller, positions
from model.worlds.acting import apply_batch, compared, lane_of, open_problems, publish
from model.worlds.relaying import LEASE, drain
from schemas.topics import WEBHOOKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from model.arena import Arena
    from model.stepping import Process

EVENTS = (
    webhook("payment.captured", "pay", child="c0", amount=300),
    webhook("payment.captured", "pay", child="c1", amount=700),
)
"""One a partition."""
SECONDS_MAX = 60.0
COPIED = """
select 'processed', event_id, version from payment_logs
union all select 'noted', partition::text, next_offset from consumer_offsets
union all select 'published', name, id from relay_cursors
order by 1, 2
"""


class Group:
    """A consumer's client of Kafka, as far as committing and seeking go."""

    def __init__(self, process: Process | None, committed: dict[TopicPartition, int]) -> None:
        self._process, self._committed = process, committed
        self.at: dict[TopicPartition, int] = dict(committed)

    async def commit(self, offsets: Mapping[TopicPartition, tuple[int, str]]) -> None:
        if self._process is not None:
            await self._process.step("commit to Kafka", lambda: asyncio.sleep(0))
        self._committed.update({place: offset for place, (offset, _) in offsets.items()})

    @property
    def _coordinator(self) -> Group:
        return self

    async def fetch_committed_offsets(self, places: Iterable[TopicPartition]) -> dict[Any, OffsetAndMetadata]:
        return {place: OffsetAndMetadata(self._committed[place], "") for place in places if place in self._committed}

    def seek(self, place: TopicPartition, offset: int) -> None:
        self.at[place] = offset

    def assignment(self) -> set[TopicPartition]:
        return set()


class Restoring:
    """A consumer of two partitions, a relay, and somebody who copies the database and puts the copy back."""

    name = "restoring"
    says = "what the copy lacks is read again, and every event has its effect once"
    crashes = 0
    compared: tuple[tuple[str, str], ...] = ()
    finds: tuple[str, ...] = ("consumer-positions-newer-of-two", "consumer-positions-restore-without-any-epoch")

    def __init__(self) -> None:
        self.unnoticed = 0
        """Ends in which Kafka was not ahead of the copy, and a version was given twice in one epoch."""

    async def seed(self, arena: Arena) -> None:
        await apply_batch(arena.plain_pool(), arena, records([webhook("payment.authorized", "pay")], partition=3))
        await positions.StoredOffsets(arena.plain_pool()).note({(WEBHOOKS.name, number): 0 for number in (0, 1)})
        await arena.observer.run(
            "insert into leases (name, holder, token, expires_at) values ('relay', 'mine', 1, now() + interval '1 day')"
        )

    def processes(self, arena: Arena) -> list[Process]:
        kafka: dict[TopicPartition, int] = {}
        consumer, relay, disaster = (arena.process(name) for name in ("consumer", "relay", "disaster"))
        arena.notes.append(("kafka", "", kafka))
        consumer.start(_consume(arena, consumer, Group(consumer, kafka), (0, 1)))
        relay.start(publish(relay, arena, lane_of(arena, "changes"), LEASE, turns=1))
        disaster.start(_disaster(arena, disaster, [consumer, relay]))
        return [consumer, relay, disaster]

    async def finish(self, arena: Arena) -> None:
        """Another consumer goes on, with the partitions in the other order."""
        group = Group(None, arena.notes[0][2])
        await _consume(arena, None, group, (1, 0))
        await drain(arena, LEASE)

    async def check(self, arena: Arena) -> list[str]:
        problems = await open_problems(arena, *EVENTS)
        (payment,) = (await arena.tables()).payments
        problems += compared(payment, captured=1000, version=3)
        changes = [note[2] for note in arena.notes if note[0] == "published"]
        newest = max(changes, key=lambda one: (one.get("epoch") or 0, one["version"]))
        problems += compared(newest, captured=1000, version=3)
        given: dict[Any, set[str]] = {}
        for one in changes:
            given.setdefault((one.get("epoch"), one["version"]), set()).add(one["event_id"])
        twice = [
            f"version {version} of epoch {epoch} is {sorted(ids)}"
            for (epoch, version), ids in given.items()
            if len(ids) > 1
        ]
        ahead = next((note[2] for note in arena.notes if note[0] == "ahead"), False)
        self.unnoticed += bool(twice and not ahead)
        return problems + ["; ".join(sorted(twice)) for _ in [0] if twice and ahead]


async def _consume(arena: Arena, process: Process | None, group: Group, order: tuple[int, ...]) -> None:
    """Process what is there from where the partitions go on, and commit after each batch."""
    pool = arena.plain_pool() if process is None else arena.pool_of(process)
    checked = positions.Positions(positions.StoredOffsets(pool), SECONDS_MAX)
    reading = poller.Poller(group, checked, arena.settings.consumer, ())  # type: ignore[arg-type]
    places = [TopicPartition(WEBHOOKS.name, number) for number in order]
    if process is None:
        checked.assigned(places)
        assert await checked.check(group)  # type: ignore[arg-type]
    for place in places:
        if group.at.get(place, 0) > 0:
            continue
        span = reading.offsets.begin((place.topic, place.partition), 1)
        await apply_batch(pool, arena, records([EVENTS[place.partition]], partition=place.partition))
        reading.offsets.mark_processed([span])
        await reading.commit_all()


async def _disaster(arena: Arena, process: Process, others: list[Process]) -> None:
    copy: list[Any] = []

    async def keep() -> str:
        """Copy, and answer what is in the copy: two copies of different content are two states."""
        copy.append(await arena.hand.keep())
        return str([tuple(row) for row in await arena.hand.run(COPIED)])

    async def put_back() -> None:
        for one in others:
            one.end()
            await one.gone()
        kafka = arena.notes[0][2]
        await arena.hand.put_back(copy[0])
        noted = await arena.hand.run("select partition, next_offset from consumer_offsets")
        ours = {TopicPartition(WEBHOOKS.name, row["partition"]): row["next_offset"] for row in noted}
        arena.notes.append(("ahead", "", any(offset > ours.get(place, 0) for place, offset in kafka.items())))

    await process.step("copy", keep)
    await process.step("put back", put_back)
