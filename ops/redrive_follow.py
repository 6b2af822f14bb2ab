"""Following a redrive that the relay carries out: a bar on a terminal, patience elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from typing import TYPE_CHECKING

from ops.database import connected
from ops.output import PlainConsole
from ops.redrives import progress
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from ops.redrives import RedriveProgress
    from runtime.settings import Settings


class ProgressBar:
    """How far a redrive is, on a terminal; silent elsewhere."""

    def __init__(self) -> None:
        self._show: RichProgress | None = None
        self._task: TaskID | None = None

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Show the bar while this lasts."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        if not sys.stderr.isatty():
            yield
            return
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        with Progress(*columns, console=PlainConsole(stderr=True)) as show:
            self._show, self._task = show, show.add_task("redrive", total=None)
            yield

    def move(self, now: RedriveProgress) -> None:
        """Show where it stands now."""
        if self._show is not None and self._task is not None:
            line = f"redrive {now.id} {now.status}" + (f", {now.returned} came back" if now.returned else "")
            done = now.published + now.skipped
            self._show.update(self._task, total=now.selected, completed=done, description=line)


async def follow(settings: Settings, redrive_id: int) -> RedriveProgress:
    """Return the redrive once it has ended.

    Raises UnavailableError when nothing moves for `follow_patience_seconds`, or for three letters' time at its rate.
    """
    bar, watch = ProgressBar(), ProgressWatch(settings.redrive.follow_patience_seconds)
    with bar.shown():
        while True:
            try:
                async with connected(settings) as connection:
                    while not (now := await progress(connection, redrive_id)).ended:
                        bar.move(now)
                        watch.look(now)
                        await asyncio.sleep(settings.redrive.follow_interval_seconds)
                    bar.move(now)
                    return now
            except UnavailableError as error:
                watch.miss(error)
                await asyncio.sleep(settings.redrive.follow_interval_seconds)


class ProgressWatch:
    """Notices that what is followed, a redrive or a reading, does not move, or can't be seen."""

    def __init__(self, patience_seconds: float) -> None:
        self._patience = patience_seconds
        self._moved_at = self._looked_at = time.monotonic()
        self._seen: object = ()

    def waited(self, seen: object) -> float:
        """Note what was seen; return for how many seconds that has not changed, 0 where it just did."""
        self._looked_at = time.monotonic()
        if seen != self._seen:
            self._seen, self._moved_at = seen, self._looked_at
        return self._looked_at - self._moved_at

    def look(self, now: RedriveProgress) -> None:
        """Note where a redrive stands; raise UnavailableError when it stands there for too long."""
        waited = self.waited((now.status, now.published, now.skipped))
        if waited > max(self._patience, 3 / now.rate_per_second):
            raise StandstillError(
                f"redrive {now.id} is {now.status} and nothing moved for {waited:.0f} s; is a relay at work "
                f"(`ratchet status`)? It goes on when there is one: `ratchet dlq redrive --resume {now.id}` follows it"
            )

    def miss(self, error: UnavailableError) -> None:
        """Note that nothing could be seen; raise the error when that lasts too long, or when it is a standstill."""
        if isinstance(error, StandstillError) or time.monotonic() - self._looked_at > self._patience:
            raise error


class StandstillError(UnavailableError):
    """Nothing moves; the message says what to look at."""
