"""An order of 1,000 has adopted a try that is authorized; both tries are captured at once, and one is given back."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from consumer_harness import intent, intent_records, records, webhook

from model.worlds.acting import actor, apply_batch, compared, open_problems

if TYPE_CHECKING:
    from model.arena import Arena
    from model.stepping import Process

AUTHORIZED = webhook("payment.authorized", "try-2", reference="ORD")
FIRST = webhook("payment.captured", "try-1", child="c1", reference="ORD")
SECOND = webhook("payment.captured", "try-2", child="c2")
REFUND = webhook("refund.succeeded", "try-2", child="r", amount=100)
ORDER = uuid.UUID("0195f000-0000-7000-8000-000000000002")


class Adopting:
    """Batches about two tries under one reference, and one about the first alone."""

    name = "adopting"
    says = "which try is the order's follows from what they hold, and never from who came first"
    crashes = 0
    compared: tuple[tuple[str, str], ...] = ()
    finds: tuple[str, ...] = ()

    async def seed(self, arena: Arena) -> None:
        pool = arena.plain_pool()
        await apply_batch(pool, arena, intent_records([intent(ORDER, reference="ORD")]))
        await apply_batch(pool, arena, records([AUTHORIZED], partition=3))

    def processes(self, arena: Arena) -> list[Process]:
        return [
            actor(arena, "first", records([FIRST])),
            actor(arena, "second", records([SECOND], partition=1)),
            actor(arena, "refund", records([REFUND], partition=2)),
        ]

    async def finish(self, arena: Arena) -> None:
        """Nothing waits."""

    async def check(self, arena: Arena) -> list[str]:
        problems = await open_problems(arena, AUTHORIZED, FIRST, SECOND, REFUND)
        by_ref = {row["provider_ref"]: row for row in (await arena.tables()).payments if row["id"] != ORDER}
        order = next(row for row in (await arena.tables()).payments if row["id"] == ORDER)
        problems += compared(order, captured=1000, status="captured")
        if set(by_ref) != {"try-1", "try-2"}:
            return [*problems, f"tries {sorted(by_ref)}"]
        return (
            problems
            + compared(by_ref["try-1"], intent_id=ORDER)
            + compared(by_ref["try-2"], intent_id=None, refunded=100)
        )
