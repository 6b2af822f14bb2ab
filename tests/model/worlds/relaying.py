"""Two batches write, one of them slow, while the relay publishes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from consumer_harness import records, webhook

from model.worlds.acting import actor, apply_batch, lane_of, open_problems, publish
from runtime.lease import Lease

if TYPE_CHECKING:
    from consumer_harness import Event

    from model.arena import Arena
    from model.stepping import Process

LEASE = Lease("relay", "mine", 1)


AUTHORIZED = webhook("payment.authorized", "pay")
SLOW = webhook("payment.captured", "pay", child="c1", amount=300)
FAST = webhook("payment.created", "other")
MADE = webhook("payment.created", "new")
BOTH = [webhook("payment.created", "a"), webhook("payment.authorized", "new"), SLOW]
"""Its own name, made first, gives it the id of a transaction while it waits for the next one."""
LAST = webhook("payment.captured", "pay", child="c2", amount=700)


class Relaying:
    """The order of (relay_xid, id) under transactions that commit in any order."""

    name = "relaying"
    says = "every change is published, none is skipped, and those of one payment in the order of their versions"
    crashes = 0
    compared: tuple[tuple[str, str], ...] = ()
    events: tuple[Event, ...] = (AUTHORIZED, SLOW, FAST)
    finds: tuple[str, ...] = ("relay-unsettled-rows-are-passed",)

    async def seed(self, arena: Arena) -> None:
        await apply_batch(arena.plain_pool(), arena, records([AUTHORIZED], partition=3))
        await arena.observer.run(
            "insert into leases (name, holder, token, expires_at) values ('relay', 'mine', 1, now() + interval '1 day')"
        )

    def processes(self, arena: Arena) -> list[Process]:
        relay = arena.process("relay")
        relay.start(publish(relay, arena, lane_of(arena, "changes"), LEASE, turns=2))
        return [actor(arena, "slow", records([SLOW])), actor(arena, "fast", records([FAST], partition=1)), relay]

    async def finish(self, arena: Arena) -> None:
        await drain(arena, LEASE)

    async def check(self, arena: Arena) -> list[str]:
        return await open_problems(arena, *self.events) + await order_problems(arena)


class Ordering(Relaying):
    """Three batches, of which one got its transaction id long before it could lock the payment that another changed."""

    name = "ordering"
    says = "what an older transaction changes later stands later, so a payment's changes keep their order"
    events = (AUTHORIZED, MADE, *BOTH, LAST)
    finds: tuple[str, ...] = ()

    def processes(self, arena: Arena) -> list[Process]:
        return [
            actor(arena, "made", records([MADE])),
            actor(arena, "both", records(BOTH, partition=1)),
            actor(arena, "last", records([LAST], partition=2)),
        ]


async def drain(arena: Arena, lease: Lease) -> None:
    """Publish what is left."""
    lane = lane_of(arena, "changes")
    async with arena.plain_pool().acquire() as connection:
        while (found := await lane.read(connection)) is not None:
            from model.worlds.acting import reported

            arena.notes += [("published", "drain", reported(record)) for record in found.records]
            await lane.finish(connection, found, lease, {})


async def order_problems(arena: Arena) -> list[str]:
    """Return what a reader of `payments.changes` could not bear."""
    changes: list[dict[str, Any]] = [note[2] for note in arena.notes if note[0] == "published"]
    problems = []
    for payment in (await arena.tables()).payments:
        versions = [one["version"] for one in changes if one["payment_id"] == str(payment["id"])]
        first_seen = list(dict.fromkeys(versions))
        if first_seen != list(range(1, payment["version"] + 1)):
            problems.append(f"{payment['provider_ref']}: versions {versions} of {payment['version']}")
    return problems
