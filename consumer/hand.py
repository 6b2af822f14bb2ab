"""The watch over the record that is in hand, alone: a process that hangs with it ends itself.

It hangs where the event loop stands still, or where nothing is asked of Postgres for longer than any statement may
take. The interpreter's own timer ends it (`faulthandler`): that works also where the record holds the interpreter's
lock, and it writes where every thread stands to standard error. So the end is the record's, as a crash would be, and
comes before anybody else would replace the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import time
from typing import TYPE_CHECKING, Final

from runtime.postgres_session import Activity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOOK_SECONDS: Final = 0.5
"""How often the loop shows that it lives."""


def end_after(seconds: float) -> None:
    """Let the process end by itself after so long, unless this is called again or it is disarmed before."""
    faulthandler.dump_traceback_later(seconds, exit=True)


class HandWatch:
    """Ends the process when it hangs for `hang_seconds_max` while a record is in hand, alone.

    `patience_seconds` is how long a single statement may take: so long nothing new needs to be attempted.
    """

    def __init__(
        self,
        hang_seconds_max: float,
        patience_seconds: float,
        *,
        arm: Callable[[float], None] = end_after,
        disarm: Callable[[], None] = faulthandler.cancel_dump_traceback_later,
    ) -> None:
        self.activity = Activity()
        self._hang_seconds_max = hang_seconds_max
        self._patience_seconds = patience_seconds
        self._arm, self._disarm = arm, disarm
        self.held = False

    @property
    def acts_after_seconds(self) -> float:
        """How long nothing may be attempted at most before the process has ended."""
        return self._patience_seconds + self._hang_seconds_max + 2 * LOOK_SECONDS

    @contextlib.contextmanager
    def holding(self) -> Iterator[None]:
        """Watch for as long as the record is in hand."""
        self.activity.note()
        self.held = True
        self._arm(self._hang_seconds_max)
        try:
            yield
        finally:
            self.held = False
            self._disarm()

    def look(self, now: float, *, waiting: bool) -> None:
        """Show that the loop lives; `waiting` says that Postgres is away, and that this is why nothing happens."""
        if self.held and (waiting or now - self.activity.at <= self._patience_seconds):
            self._arm(self._hang_seconds_max)

    async def keep(self, waiting: Callable[[], bool]) -> None:
        """Look again and again, for as long as the role runs."""
        while True:
            self.look(time.monotonic(), waiting=waiting())
            await asyncio.sleep(LOOK_SECONDS)
