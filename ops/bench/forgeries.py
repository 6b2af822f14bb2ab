"""`make forgeries`: mutated genuine requests against the one function that checks all signatures.

    python -m ops.bench.forgeries [--count N] [--seconds N] [--family NAME] [--vectors DIR] [--seed N] [--json]

A forgery is a genuine request in which something was changed: a number, a bit, a header, another request's signature.
It has to be refused, with SignatureRejected and a known reason. Where what was changed is not signed (the order of a
form's fields, a header that proves nothing), the request still proves what the genuine one did: it is not counted.

Exit status: 0 all were refused, 1 one was not, or something else than SignatureRejected came up, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import count as count_from
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table

from ops.bench.forging import FAMILIES, forge, proves_nothing_new, samples
from producers.providers import REASONS
from schemas.errors import SignatureRejected

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ops.bench.forging import ForgerySample

COUNT_DEFAULT: Final = 1_000_000
SECONDS_DEFAULT: Final = 900
SEED_DEFAULT: Final = 20_261_123
CHUNK: Final = 5_000
"""Forgeries of one task of a worker."""
LOOK_EVERY: Final = 200
"""Attempts between two looks at the clock."""
SHOWN_MAX: Final = 20
"""Failures that are shown whole."""
FAILURE_LENGTH_MAX: Final = 4_000
VECTORS: Final = Path(__file__).parents[2] / "tests" / "contract" / "vectors"


@dataclass(slots=True)
class ForgeryTally:
    """What became of the forgeries of one provider in one family. `seconds` is a worker's time."""

    forgeries: int = 0
    bad_signature: int = 0
    accepted: int = 0
    other_exceptions: int = 0
    unchanged: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)

    def add(self, other: ForgeryTally) -> None:
        """Add another task's tally."""
        self.forgeries += other.forgeries
        self.bad_signature += other.bad_signature
        self.accepted += other.accepted
        self.other_exceptions += other.other_exceptions
        self.unchanged += other.unchanged
        self.seconds += other.seconds
        self.failures = [*self.failures, *other.failures][:SHOWN_MAX]


@dataclass(frozen=True, slots=True)
class Task:
    """A worker's share: so many forgeries of one provider in one family, till a moment of the monotonic clock."""

    vectors: Path
    family: str
    provider: str
    count: int
    seed: int
    deadline: float


def attack(task: Task) -> ForgeryTally:
    """Make the forgeries of one task and see what becomes of them."""
    genuine = samples(task.vectors, task.family)[task.provider]
    chance, tally, began = random.Random(task.seed), ForgeryTally(), time.perf_counter()  # noqa: S311 - nothing is secret
    for attempt in count_from():
        if tally.forgeries >= task.count or (attempt % LOOK_EVERY == 0 and time.monotonic() > task.deadline):
            break
        count(forge(chance, genuine), genuine, tally)
    tally.seconds = time.perf_counter() - began
    return tally


def count(forged: ForgerySample, genuine: Sequence[ForgerySample], tally: ForgeryTally) -> None:
    """Verify one forgery, and count what became of it."""
    try:
        found = forged.verified()
    except SignatureRejected as refused:
        tally.forgeries += 1
        tally.bad_signature += refused.reason == "bad_signature"
        if refused.reason not in REASONS or refused.detail.startswith("checking raised"):
            _fail(tally, forged, f"{refused} from {refused.__cause__!r}", accepted=False)
    except Exception as error:  # noqa: BLE001 - that there is none is what is measured
        tally.forgeries += 1
        _fail(tally, forged, repr(error), accepted=False)
    else:
        if proves_nothing_new(forged, found, genuine):
            tally.unchanged += 1
        else:
            tally.forgeries += 1
            _fail(tally, forged, f"accepted as {[one.event_id for one in found]}", accepted=True)


def _fail(tally: ForgeryTally, forged: ForgerySample, what: str, *, accepted: bool) -> None:
    tally.accepted += accepted
    tally.other_exceptions += not accepted
    if len(tally.failures) < SHOWN_MAX:
        shown = {"url": forged.url, "headers": forged.headers, "body": forged.body}
        tally.failures.append(f"{forged.provider}: {what}: {shown}"[:FAILURE_LENGTH_MAX])


def _tasks(family: str, options: argparse.Namespace) -> list[Task]:
    """Split a family's forgeries over its providers, and theirs into tasks; every task has a seed of its own."""
    providers = list(samples(options.vectors, family))
    tasks: list[Task] = []
    deadline = time.monotonic() + options.seconds
    for place, provider in enumerate(providers):
        left = (options.count + place) // len(providers)
        while left > 0:
            share = min(CHUNK, left)
            seed = hash((options.seed, list(FAMILIES).index(family), place, left))
            tasks.append(Task(options.vectors, family, provider, share, seed, deadline))
            left -= share
    return tasks


def run_family(pool: ProcessPoolExecutor, family: str, options: argparse.Namespace) -> dict[str, ForgeryTally]:
    """Attack one family; return a tally a provider."""
    tasks = _tasks(family, options)
    tallies = {task.provider: ForgeryTally() for task in tasks}
    for task, tally in zip(tasks, pool.map(attack, tasks), strict=True):
        tallies[task.provider].add(tally)
    return tallies


def show(rows: Iterable[tuple[str, str, ForgeryTally]], walls: dict[str, float]) -> None:
    """Print the table on standard output."""
    table = Table(title="Forged requests", title_justify="left")
    table.add_column("family")
    table.add_column("provider")
    for name in ("forgeries", "bad signature", "accepted", "other exceptions", "unchanged", "seconds"):
        table.add_column(name, justify="right")
    last = ""
    for family, provider, tally in rows:
        reached = f"{tally.bad_signature / tally.forgeries:.0%}" if tally.forgeries else "-"
        counts = (f"{tally.forgeries:,}", reached, f"{tally.accepted:,}", f"{tally.other_exceptions:,}")
        label = f"{FAMILIES[family]} ({walls[family]:.0f} s)" if family != last else ""
        table.add_row(label, provider, *counts, f"{tally.unchanged:,}", f"{tally.seconds:.1f}")
        last = family
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="forgeries", description="Mutated requests against every signature check.")
    parser.add_argument("--count", type=int, default=COUNT_DEFAULT, help="forgeries a family")
    parser.add_argument("--seconds", type=float, default=SECONDS_DEFAULT, help="wall time a family may take")
    parser.add_argument("--family", action="append", choices=sorted(FAMILIES), help="only this one; may be repeated")
    parser.add_argument("--vectors", type=Path, default=VECTORS, help="folder of the genuine requests")
    parser.add_argument("--seed", type=int, default=SEED_DEFAULT)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of the table")
    options = parser.parse_args(arguments)
    if options.count < 1 or options.workers < 1:
        parser.error("--count and --workers are at least 1")
    if not any(samples(options.vectors, family) for family in FAMILIES):
        parser.error(f"{options.vectors} holds no vectors of a known provider")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Attack the families asked for; return the exit status."""
    options = _options(arguments)
    rows: list[tuple[str, str, ForgeryTally]] = []
    walls: dict[str, float] = {}
    with ProcessPoolExecutor(options.workers) as pool:
        for family in options.family or FAMILIES:
            began = time.monotonic()
            tallies = run_family(pool, family, options)
            walls[family] = time.monotonic() - began
            rows += [(family, provider, tally) for provider, tally in tallies.items()]
            made = sum(tally.forgeries for tally in tallies.values())
            sys.stderr.write(f"{family}: {made:,} forgeries in {walls[family]:.1f} s\n")
    report(rows, walls, as_json=options.json)
    return int(any(tally.accepted or tally.other_exceptions for _, _, tally in rows))


def report(rows: list[tuple[str, str, ForgeryTally]], walls: dict[str, float], *, as_json: bool) -> None:
    """Print the figures, and on standard error what went wrong."""
    if as_json:
        figures: list[dict[str, Any]] = [
            {"family": family, "provider": name, **asdict(tally)} for family, name, tally in rows
        ]
        sys.stdout.write(json.dumps({"families": walls, "rows": figures}) + "\n")
    else:
        show(rows, walls)
    for _, _, tally in rows:
        for failure in tally.failures:
            sys.stderr.write(f"{failure}\n")


if __name__ == "__main__":
    sys.exit(main())
