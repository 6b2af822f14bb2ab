"""docs/soak.md and docs/soak.svg out of the looks of a run: `python -m soak.page .ratchet/soak.jsonl`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from soak.chart import draw
from soak.slopes import Point, after_warm_up, later_half, per_event, slope_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from soak.slopes import Slope

PAGE: Final = Path(__file__).parents[2] / "docs" / "soak.md"
MIB: Final = 1024**2
ROLES: Final = ("ingress", "consumer", "relay", "dispatcher", "console", "up")
SERVERS: Final = ("kafka", "postgres", "redis")
TABLES_SHOWN_BYTES_MIN: Final = MIB
GROWS_LESS_THAN: Final = 1.25
"""Times what an event took in the first half: what it may take in the second."""


@dataclass(frozen=True, slots=True)
class Series:
    """A figure over the run: its name, its unit, how much it may rise an hour, and its points."""

    name: str
    unit: str
    tolerated: float
    points: list[Point]

    def verdict(self, slope: Slope | None, later: Slope | None) -> str:
        """Say in a word whether it creeps."""
        if slope is None:
            return "too short to tell"
        if slope.creeps(self.tolerated):
            return "levels off" if later is not None and not later.creeps(self.tolerated) else "**rises**"
        return "not decided" if slope.undecided(self.tolerated) else "no leak"


@dataclass(frozen=True, slots=True)
class Run:
    """A run as its file tells it; `end` is None where it was broken off."""

    head: dict[str, Any]
    looks: list[dict[str, Any]]
    end: dict[str, Any] | None


def read(file: Path) -> Run:
    """Read the file of a run."""
    lines = [json.loads(line) for line in file.read_text().splitlines() if line.endswith("}")]
    head = next((line["head"] for line in lines if "head" in line), {})
    end = next((line["end"] for line in lines if "end" in line), None)
    return Run(head, [line for line in lines if "second" in line], end)


def points(looks: Sequence[dict[str, Any]], value: Callable[[dict[str, Any]], tuple[float, int]]) -> list[Point]:
    """Return a figure's points; a look that lacks it is left out."""
    found = []
    for look in looks:
        try:
            one, life = value(look)
            found.append(Point(look["second"], float(one), life))
        except (KeyError, TypeError, ZeroDivisionError):
            continue
    return found


def of_process(looks: Sequence[dict[str, Any]], name: str, what: str, divided: float = 1.0) -> list[Point]:
    """Return what the looks say of a process; each process id is a life."""
    return points(looks, lambda look: (look["processes"][name][what] / divided, int(look["processes"][name]["pid"])))


def cost(looks: Sequence[dict[str, Any]], name: str) -> list[Point]:
    """Return the CPU time (ms) of a process for each event that was taken in that minute."""
    return points(looks, lambda look: (1000 * look["processes"][name]["cpu_seconds"] / look["events_since"], 0))


def series_of(looks: Sequence[dict[str, Any]]) -> Iterator[Series]:
    """Yield every figure that must not creep."""
    for name in ROLES:
        yield Series(f"memory of {name}", "MiB", 2.0, of_process(looks, name, "bytes", MIB))
    for name in SERVERS:
        yield Series(f"memory of {name}", "MiB", 20.0, of_process(looks, name, "bytes", MIB))
    for name in (*ROLES, *SERVERS):
        tolerated = 1.0 if name in ROLES else 20.0
        yield Series(f"open files of {name}", "files", tolerated, of_process(looks, name, "files"))
    for name in ROLES:
        yield Series(f"threads of {name}", "threads", 0.5, of_process(looks, name, "threads"))
    yield Series(
        "connections of Postgres", "sessions", 1.0, points(looks, lambda look: (sum(_some(look["connections"])), 0))
    )
    yield Series("processes of Postgres", "processes", 1.0, of_process(looks, "postgres", "processes"))
    yield Series(
        "dead rows of all tables",
        "rows",
        2000.0,
        points(looks, lambda look: (sum(one[2] for one in look["tables"].values()), 0)),
    )
    yield Series("lag of the consumer", "records", 5.0, points(looks, lambda look: (sum(look["lag"].values()), 0)))
    yield Series("p99 of an answer", "s", 0.1, points(looks, lambda look: (look["answered_p99_seconds"], 0)))
    yield Series("p99 from record to row", "s", 0.1, points(looks, lambda look: (look["applied_p99_seconds"], 0)))
    for name in (*ROLES[:-1], "kafka", "postgres"):
        yield Series(f"CPU of {name} an event", "ms", 0.5, cost(looks, name))


def row_of(series: Series) -> str:
    """Return a figure's row."""
    slope, later = slope_of(after_warm_up(series.points)), slope_of(later_half(series.points))
    verdict = series.verdict(slope, later)
    if slope is None:
        last = f"{series.points[-1].value:,.2f}" if series.points else ""
        return f"| {series.name} | {series.unit} | {last} | {last} | | | {verdict} |\n"
    levels = f"{slope.first:,.2f} | {slope.last:,.2f}"
    return f"| {series.name} | {series.unit} | {levels} | {moved(slope)} | {moved(later)} | {verdict} |\n"


def moved(slope: Slope | None) -> str:
    """Return a slope an hour with twice its error."""
    return "" if slope is None else f"{slope.per_hour:+,.2f} ± {2 * slope.error:,.2f}"


def sizes_of(looks: Sequence[dict[str, Any]], what: str) -> Iterator[str]:
    """Yield a row for each table or topic of some size: what an event adds to it, in each half of the run."""
    last = next((look[what] for look in reversed(looks) if what in look), {})
    for name, held in sorted(last.items(), key=lambda item: -_bytes(item[1])):
        if _bytes(held) < TABLES_SHOWN_BYTES_MIN:
            continue
        grown = per_event([(look["events"], _bytes(look[what][name])) for look in looks if name in look.get(what, {})])
        dead = f"{held[2]:,}" if isinstance(held, list) else ""
        if grown is None:
            yield f"| `{name}` | {_bytes(held) / MIB:,.1f} | {dead} | | | too short to tell |\n"
            continue
        even = grown[1] <= GROWS_LESS_THAN * max(grown[0], 1.0)
        yield (
            f"| `{name}` | {_bytes(held) / MIB:,.1f} | {dead} | {grown[0]:,.0f} | {grown[1]:,.0f} "
            f"| {'as many as events' if even else '**faster than events**'} |\n"
        )


def _some(counts: dict[str, int]) -> list[int]:
    """Return the counts; raise KeyError where there are none, as where nobody could be asked."""
    if not counts:
        raise KeyError
    return list(counts.values())


def _bytes(held: Any) -> float:
    return float(held[0] if isinstance(held, list) else held)


def reconciled(run: Run) -> str:
    """Say what came of it."""
    end = run.end
    if end is None:
        return "The run was broken off: nothing was compared.\n"
    outcome = ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in end["outcome"].items() if number)
    refused = ", ".join(f"{number:,} {name}" for name, number in end["refused"].items()) or "none"
    statuses = ", ".join(f"{number:,} x {status}" for status, number in end["statuses"].items())
    kills = ", ".join(f"{role} {number}" for role, number in sorted(Counter(role for _, role in end["killed"]).items()))
    problems = end["problems_all"]
    verdict = "nothing was lost, nothing has its effect twice" if not problems else f"**{problems:,} PROBLEMS**"
    listed = "".join(f"- {problem}\n" for problem in end["problems"])
    return (
        "At the end every event that was taken was looked for in the database, and every payment's row held against\n"
        f"its events: {verdict}.\n\n{listed}\n"
        f"- {end['requests']:,} requests: {statuses}; {end['unanswered']:,} times nobody answered, and the same was "
        f"sent again\n"
        f"- {end['events']:,} events were taken, {end['repeated']:,} of them again; they are: {outcome}\n"
        f"- must be refused and were: {refused}\n"
        f"- {end['payments']:,} payments whose events all went out, {end['intents']:,} intents, "
        f"{end['captures']:,} captures\n"
        f"- killed with SIGKILL: {kills or 'nobody'}\n"
    )


HEAD: Final = """# A soak: what creeps over hours

Written by `make soak HOURS=2`, not by hand. The product runs as `ratchet up` does, on brokers of its own; requests of
every provider come at one rate (genuine in any order, again, forged, altered, stale, too large, of no use, unsigned
hints, intents with captures), and every few minutes SIGKILL ends a role, which `up` starts again. PayPal's are forged
ones alone: its certificate would have to come from PayPal.

`{command}` of {at} (commit {commit}): {seconds:.0f} minutes at {rate:g} requests a second, on
{cores} cores ({machine}) that other work shared; Python {python}, Kafka {kafka}, Postgres 18; seed {seed}.

| command | does |
|---|---|
| `make soak HOURS=2 RATE=20 KILL_MINUTES=16` | the run, and this page |
| `make soak-page` | this page anew, from .ratchet/soak.jsonl |

![Memory, files, cost and size over the run](soak.svg)

## Reconciliation

"""
FOUND: Final = """
## What it has found

- 2026-11-27: the memory of the console rose by 25 MiB an hour, for a day: each look of its history kept a copy of a
  day's counted minutes. Only the newest look keeps them since, which tests/unit/test_console_board_poller.py holds; a
  run of a commit before that shows it as "rises".
- 2026-11-28: the relay's 2.5 MiB an hour were looked for, alone on a broker with 6,300 events one a batch. It has as
  many objects after 12,600 batches (11,651) as after 600 (11,900), and no cycle of garbage
  (tests/integration/test_relay_garbage.py). Resident memory rises by 3 MiB, ever slower; 3 MiB are free ones of glibc,
  which `malloc_trim` gives back. 0.6 MiB stay, statements that asyncpg keeps prepared, 100 a connection at most.
- 2026-11-28: what grew is known, from a relay among all roles at 50 requests a second, traced by tracemalloc for 200 s:
  of 640 KiB more, 420 are the table of keys whose partition is remembered, and most of the rest the keys themselves. It
  holds 16,384 keys at most (`runtime/kafka_partitions.py`), some 4 MiB, and so many new payments take an hour here.
  The ingress publishes by the same table, and rises by less.
"""
SLOPES: Final = """
## Figures that must not creep

A straight line by least squares through each life of a process (one that was killed begins anew), with one slope for
all lives; the first quarter of an hour of the run and ten minutes of a life don't count (a fifth of a shorter run).
"rises": the slope is above what is tolerated by two standard errors, and that of the later half as well; where that is
not, it "levels off". "not decided": it may be above it, by that error.

| figure | unit | first | last | slope an hour ± 2 errors | of the later half | verdict |
|---|---|--:|--:|--:|--:|---|
"""
SIZES: Final = """
## Figures that grow with the events

Ledger and topics grow, as they must: bytes that one event adds, in the first and in the second half of the run. Of
1 MiB and more.

| {what} | MiB at the end | dead rows | bytes an event, 1st half | 2nd half | grows |
|---|--:|--:|--:|--:|---|
"""


def page_of(run: Run) -> str:
    """Return the page."""
    seconds = run.looks[-1]["second"] / 60 if run.looks else 0.0
    text = HEAD.format(**run.head, seconds=seconds) + reconciled(run) + SLOPES
    text += "".join(row_of(series) for series in series_of(run.looks))
    text += SIZES.format(what="table, with indices") + "".join(sizes_of(run.looks, "tables"))
    return text + "\n" + SIZES.format(what="topic").split("\n\n", 2)[2] + "".join(sizes_of(run.looks, "topics")) + FOUND


def write(file: Path, page: Path = PAGE) -> None:
    """Write the page and its chart beside it."""
    run = read(file)
    page.write_text(page_of(run))
    draw(run.looks, page.with_suffix(".svg"))


if __name__ == "__main__":
    write(Path(sys.argv[1]), *map(Path, sys.argv[2:3]))
