"""Progress of what takes long, on standard error: a bar on a terminal, plain lines else."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LINES_EVERY_ITEMS = 10


def say(line: str) -> None:
    """Write one line to standard error."""
    sys.stderr.write(f"ratchet: {line}\n")
    sys.stderr.flush()


@contextmanager
def counting(title: str, total: int) -> Iterator[Callable[[], None]]:
    """Show how many of `total` items are done; the function yielded counts one and may be called from any thread."""
    if sys.stderr.isatty():
        with _bar(title, total) as advance:
            yield advance
    else:
        with _lines(title, total) as advance:
            yield advance


@contextmanager
def _bar(title: str, total: int) -> Iterator[Callable[[], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=total)
        yield lambda: progress.advance(task)


@contextmanager
def _lines(title: str, total: int) -> Iterator[Callable[[], None]]:
    done: list[None] = []

    def advance() -> None:
        done.append(None)
        count = len(done)
        if count % LINES_EVERY_ITEMS == 0 or count == total:
            say(f"{title}: {count} of {total}")

    say(f"{title}: 0 of {total}")
    yield advance
