"""What `ratchet up` shows while it runs: a live board on a terminal, a line now and then elsewhere; standard error."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ops.output import PlainConsole, say
from ops.status import StatusReport, figures_table, gather, roles_table, trouble_lines
from schemas.errors import RatchetError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from rich.console import Console, RenderableType

    from ops.run_sample import Run
    from runtime.settings import Settings


def rate(before: int, after: int, seconds: float) -> float:
    """Return events a second between two looks, 0 where no time went by."""
    return max(0, after - before) / seconds if seconds > 0 else 0.0


def progress_line(run: Run) -> str:
    """Say in a line how far the sample is."""
    progress = run.progress
    shown = f"sample: {progress.sent:,} of {progress.total:,} requests posted, {progress.accepted:,} accepted"
    shown += f", {progress.refused:,} refused"
    return shown + (f", {progress.retried:,} tried again" if progress.retried else "")


def board(status: StatusReport, run: Run | None, events_per_second: float) -> RenderableType:
    """Return the board: roles, lag, counts, rate, and how far the sample is."""
    figures = Table.grid(padding=(0, 4))
    figures.add_row(figures_table("lag", status.lag), figures_table("counts", status.counts))
    parts: list[RenderableType] = [roles_table(status.roles), figures, f"{events_per_second:,.0f} ledger rows a second"]
    if run is not None:
        bar = Table.grid()  # a bar alone ends without a line break, and the board would lose count of its lines
        bar.add_row(ProgressBar(total=max(1, run.progress.total), completed=run.progress.sent, width=60))
        parts += [progress_line(run), bar]
    parts += trouble_lines(status)
    return Group(*parts, Text("Ctrl-C stops everything, roles first.", style="dim"))


class Reporter:
    """Reports what happens. `report` takes a sentence at any time, also while the board is up."""

    def __init__(self, settings: Settings, *, live: bool) -> None:
        self._settings = settings
        self._console: Console | None = PlainConsole(stderr=True) if live else None
        self._live: Live | None = None
        self.run: Run | None = None

    def report(self, sentence: str) -> None:
        """Report one sentence."""
        if self._console is None:
            say(sentence)
        else:
            self._console.print(sentence, highlight=False)

    @contextlib.asynccontextmanager
    async def showing(self) -> AsyncIterator[None]:
        """Show how things go while the context lasts."""
        show = self._show_board if self._console else self._show_lines
        task = asyncio.create_task(show())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _show_lines(self) -> None:
        last = ""
        while True:
            await asyncio.sleep(self._settings.ops.report_interval_seconds)
            line = progress_line(self.run) if self.run else ""
            if line != last:
                self.report(line)
                last = line

    async def _show_board(self) -> None:
        ledger, at = 0, time.monotonic()
        with Live(console=self._console, transient=True, auto_refresh=False) as live:
            while True:
                with contextlib.suppress(RatchetError):
                    status = await gather(self._settings)
                    now, rows = time.monotonic(), status.counts.get("ledger", ledger)
                    live.update(board(status, self.run, rate(ledger, rows, now - at) if ledger else 0.0), refresh=True)
                    ledger, at = rows, now
                await asyncio.sleep(self._settings.ops.board_interval_seconds)


def wants_board(*, as_json: bool, isatty: Callable[[], bool] = sys.stderr.isatty) -> bool:
    """Tell whether people look on: a terminal, and no JSON asked for."""
    return not as_json and isatty()
