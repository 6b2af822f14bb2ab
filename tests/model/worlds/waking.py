"""A refund comes beside its payment's capture, one of them may crash, and a sweeper wakes at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumer_harness import records, webhook

from model.worlds.acting import actor, apply_batch, compared, open_problems, wake

if TYPE_CHECKING:
    from model.arena import Arena
    from model.stepping import Process

CAPTURED = webhook("payment.captured", "pay", child="c")
REFUND = webhook("refund.succeeded", "pay", child="r", amount=400)
EARLIER = webhook("refund.succeeded", "pay", child="r0", amount=100)
"""Waits already: the name has its row, so that only its lock keeps the others apart."""


class Waking:
    """Two batches and the sweeper."""

    name = "waking"
    says = "a refund waits for its payment, or is processed with it; whoever ends, it is woken in the end"
    crashes = 1
    compared: tuple[tuple[str, str], ...] = ()
    finds = (
        "consumer-batch-names-lock-nothing",
        "consumer-waking-mark-is-not-durable",
        "consumer-waking-mark-goes-before-the-waking",
    )

    async def seed(self, arena: Arena) -> None:
        await apply_batch(arena.plain_pool(), arena, records([EARLIER], partition=3))

    def processes(self, arena: Arena) -> list[Process]:
        sweeper = arena.process("sweeper")
        sweeper.start(wake(arena.pool_of(sweeper), arena, turns=1))
        return [
            actor(arena, "refund", records([REFUND])),
            actor(arena, "capture", records([CAPTURED], partition=1), may_crash=True),
            sweeper,
        ]

    async def finish(self, arena: Arena) -> None:
        """Deliver again what may not have been committed; then wake as the sweeper does."""
        await apply_batch(arena.plain_pool(), arena, records([REFUND]))
        await apply_batch(arena.plain_pool(), arena, records([CAPTURED], partition=1))
        await wake(arena.plain_pool(), arena)

    async def check(self, arena: Arena) -> list[str]:
        problems = await open_problems(arena, EARLIER, REFUND, CAPTURED)
        for row in (await arena.tables()).payments:
            problems += compared(row, captured=1000, refunded=500, version=3)
        return problems


class Meeting(Waking):
    """The same without crash and sweeper: small enough for every change."""

    name = "meeting"
    says = "the same with neither crash nor sweeper"
    crashes = 0
    compared: tuple[tuple[str, str], ...] = ()
    finds = ("consumer-batch-names-lock-nothing",)

    def processes(self, arena: Arena) -> list[Process]:
        return [actor(arena, "refund", records([REFUND])), actor(arena, "capture", records([CAPTURED], partition=1))]

    async def finish(self, arena: Arena) -> None:
        await wake(arena.plain_pool(), arena)
