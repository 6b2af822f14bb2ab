"""Parts that run side by side in a role, one of which fails."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from schemas.errors import LeaseLostError


@dataclass
class Parts:
    """Parts that run until they are cancelled, and take a while to end; `failing` fails once all have begun."""

    failing: str
    expected: int
    begun: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    all_begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, name: str) -> None:
        self.begun.add(name)
        if len(self.begun) == self.expected:
            self.all_begun.set()
        try:
            if name == self.failing:
                await self.all_begun.wait()
                raise LeaseLostError(name)
            await asyncio.Event().wait()
        finally:
            for _ in range(5):
                await asyncio.sleep(0)
            self.ended.add(name)
