"""An intent claims a payment by the provider's id while its capture and its refund come."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from settling import intent, intent_records, records, webhook

from model.worlds.acting import actor, compared, open_problems, settle, wake

if TYPE_CHECKING:
    from model.arena import Arena
    from model.stepping import Process

AUTHORIZED = webhook("payment.authorized", "pay")
CAPTURED = webhook("payment.captured", "pay", child="c")
REFUND = webhook("refund.succeeded", "pay", child="r", amount=400)
PROMISED = uuid.UUID("0195f000-0000-7000-8000-000000000001")


class Merging:
    """Three batches about one payment, of which two rows become one."""

    name = "merging"
    says = "a payment gives way to the row that its intent promised, and no event of it is lost or waits for ever"
    crashes = 0
    finds: tuple[str, ...] = ()

    async def seed(self, arena: Arena) -> None:
        await settle(arena.plain_pool(), arena, records([AUTHORIZED], partition=3))

    def processes(self, arena: Arena) -> list[Process]:
        return [
            actor(arena, "intent", intent_records([intent(PROMISED, provider_ref="pay")])),
            actor(arena, "capture", records([CAPTURED])),
            actor(arena, "refund", records([REFUND], partition=1)),
        ]

    async def finish(self, arena: Arena) -> None:
        await wake(arena.plain_pool(), arena)

    async def check(self, arena: Arena) -> list[str]:
        problems = await open_problems(arena, AUTHORIZED, CAPTURED, REFUND)
        survivors = [row for row in (await arena.books()).payments if row["merged_into"] is None]
        if len(survivors) != 1:
            return [*problems, f"{len(survivors)} payments"]
        return problems + compared(survivors[0], id=PROMISED, captured=1000, refunded=400, provider_ref="pay")
