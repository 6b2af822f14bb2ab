"""A refund's deadline has passed, and its payment comes at that moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumer_harness import records, webhook

from consumer import sweeper
from model.arena import NOW, Clock
from model.worlds.acting import actor, apply_batch, compared, open_problems, wake

if TYPE_CHECKING:
    from model.arena import Arena
    from model.stepping import Process

CAPTURED = webhook("payment.captured", "pay", child="c")
REFUND = webhook("refund.succeeded", "pay", child="r", amount=400)
LATER = NOW + 10 * 365 * 24 * 3600.0


class Burying:
    """One batch, and the sweeper that buries."""

    name = "burying"
    says = "what is about to be woken is not buried, and what was buried is applied when its payment comes"
    crashes = 1
    compared: tuple[tuple[str, str], ...] = (("capture", "commit"), ("sweeper", "take_expired"))
    finds = ("consumer-sweeper-buries-what-is-being-woken",)

    async def seed(self, arena: Arena) -> None:
        await apply_batch(arena.plain_pool(), arena, records([REFUND]))

    def processes(self, arena: Arena) -> list[Process]:
        burier = arena.process("sweeper")
        burier.start(_bury(arena, arena.pool_of(burier)))
        return [actor(arena, "capture", records([CAPTURED], partition=1), may_crash=True), burier]

    async def finish(self, arena: Arena) -> None:
        await apply_batch(arena.plain_pool(), arena, records([CAPTURED], partition=1))
        await wake(arena.plain_pool(), arena)

    async def check(self, arena: Arena) -> list[str]:
        problems = await open_problems(arena, CAPTURED, REFUND)
        tables = await arena.tables()
        for row in tables.payments:
            problems += compared(row, captured=1000, refunded=400)
        if tables.letters and arena.first("capture", "commit") < arena.first("sweeper", "take_expired"):
            problems.append("its payment was known, and it was buried")
        return problems


async def _bury(arena: Arena, pool: object) -> None:
    await sweeper.sweep(pool, Clock(LATER), records_max=10)  # type: ignore[arg-type]
