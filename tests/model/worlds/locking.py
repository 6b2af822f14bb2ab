"""Three batches that share two payments, of which one is new."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumer_harness import records, webhook

from model.worlds.acting import actor, apply_batch, compared, open_problems

if TYPE_CHECKING:
    from model.arena import Arena
    from model.stepping import Process


MADE = webhook("payment.created", "a")
AUTHORIZED = [webhook("payment.authorized", "a"), webhook("payment.authorized", "b")]
CAPTURED = [webhook("payment.captured", "b", child="cb"), webhook("payment.captured", "a", child="ca")]


class Locking:
    """What one batch makes while another waits is locked in order by that one too."""

    name = "locking"
    says = "batches never deadlock with each other: all that one needs is locked in one sorted set"
    crashes = 0
    compared: tuple[tuple[str, str], ...] = ()
    finds = ("consumer-batch-locks-more-in-one-transaction",)

    async def seed(self, arena: Arena) -> None:
        await apply_batch(arena.plain_pool(), arena, records([webhook("payment.created", "b")], partition=3))

    def processes(self, arena: Arena) -> list[Process]:
        return [
            actor(arena, "created", records([MADE])),
            actor(arena, "authorized", records(AUTHORIZED, partition=1)),
            actor(arena, "captured", records(CAPTURED, partition=2)),
        ]

    async def finish(self, arena: Arena) -> None:
        """Nothing waits."""

    async def check(self, arena: Arena) -> list[str]:
        problems = await open_problems(arena, MADE, *AUTHORIZED, *CAPTURED)
        for row in (await arena.tables()).payments:
            problems += compared(row, authorized=1000, captured=1000)
        return problems
