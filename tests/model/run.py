"""Explore the worlds, and then each with a fix taken out, which it has to find: `make model`.

Exit status 1 where something does not hold in a world, or where a planted fault is not found.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import os
import shutil
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import structlog
from mutants.results import write_between

from model.arena import arena
from model.exploring import Explorer
from model.planting import taken_out
from model.worlds import WORLDS
from runtime.migrations import migrate_up
from runtime.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model.arena import Arena
    from model.exploring import Explored
    from runtime.stack import Endpoints

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "model.md"
MARKS = ("<!-- written by `make model`: begin -->\n", "<!-- written by `make model`: end -->")


class PostgresAlone(Stack):
    """The embedded Postgres without the other brokers, which no world needs."""

    def _names(self) -> tuple[str, ...]:
        return ("postgres",)


def at(dsn: str, name: str) -> str:
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


async def prepared(endpoints: Endpoints) -> tuple[str, str]:
    """Make a migrated database; return the superuser's and the application's way to it."""
    name, owner = f"model_{uuid.uuid4().hex[:12]}", urlsplit(endpoints.owner_dsn).username
    superuser = await asyncpg.connect(endpoints.superuser_dsn)
    await superuser.execute(f"create database {name} owner {owner}")
    await superuser.close()
    await migrate_up(at(endpoints.owner_dsn, name), str(urlsplit(endpoints.dsn).username))
    return at(endpoints.superuser_dsn, name), at(endpoints.dsn, name)


async def explore(name: str, field: Arena, fault: str | None = None) -> Explored:
    """Explore one world; with a fault until that is found."""
    with taken_out(fault):
        return await Explorer(WORLDS[name](), field, until_found=fault is not None).run()


def row_of(found: Explored, says: str) -> str:
    return (
        f"| `{found.world}` | {says} | {found.states:,} | {found.interleavings:,} | {found.longest} | "
        f"{found.deadlocks} | {found.seconds:.0f} s |"
    )


def table(found: Sequence[Explored], faults: Sequence[tuple[str, Explored]]) -> str:
    """Return what came of it as Markdown."""
    lines = [
        f"Run {dt.datetime.now(dt.UTC).date().isoformat()}.",
        "",
        "| world | what holds in every interleaving | states | interleavings | longest, in steps | deadlocks | time |",
        "|---|---|--:|--:|--:|--:|--:|",
        *(row_of(one, WORLDS[one.world].says) for one in found),
        "",
        "| with this planted fault | in the world | what went wrong | after tries | steps |",
        "|---|---|---|--:|--:|",
    ]
    for fault, one in faults:
        reported = one.violations[0].problems[0][:90] if one.violations else "**not found**"
        steps = len(one.violations[0].path) if one.violations else ""
        lines.append(f"| `{fault}` | `{one.world}` | {reported} | {one.tries} | {steps} |")
    return "\n".join(lines) + "\n"


async def work(options: argparse.Namespace) -> int:
    home = ROOT / ".ratchet-test" / f"model-{os.getpid()}"
    brokers = PostgresAlone(home)
    plain: list[Explored] = []
    faults: list[tuple[str, Explored]] = []
    try:
        ways = await prepared(await brokers.start())
        async with arena(*ways) as field:
            for name in options.worlds or WORLDS:
                if not options.faults:
                    plain.append(await explore(name, field))
                    tell(None, plain[-1])
                for fault in WORLDS[name].finds:
                    faults.append((fault, await explore(name, field, fault)))
                    tell(*faults[-1])
                if options.page:
                    write_between(PAGE, *MARKS, table(plain, faults))
    finally:
        await brokers.stop()
        shutil.rmtree(home, ignore_errors=True)
    bad = any(one.violations for one in plain) or not all(one.violations for _, one in faults)
    return int(bad)


def tell(fault: str | None, found: Explored) -> None:
    """Print one line, and the steps of what does not hold, or of how a fault was found."""
    verdict = f"{len(found.violations)} ends in which something does not hold" if found.violations else "all holds"
    if fault is not None:
        verdict = "found" if found.violations else "NOT FOUND"
    sys.stdout.write(
        f"{found.world:10} {fault or '-':45} {found.tries:6} tries {found.states:6} states {found.interleavings:12,} "
        f"interleavings {found.deadlocks:4} deadlocks {found.seconds:6.1f} s  {verdict}\n"
    )
    for one in found.violations[:1]:
        sys.stdout.write("".join(f"    {step}\n" for step in one.steps))
        sys.stdout.write("".join(f"    => {problem}\n" for problem in one.problems))
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="model", description=__doc__)
    parser.add_argument("worlds", nargs="*", metavar="WORLD", help=f"of {', '.join(WORLDS)}; all without one")
    parser.add_argument("--faults", action="store_true", help="only with the planted faults")
    parser.add_argument("--page", action="store_true", help=f"write the table of {PAGE.name}")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    return asyncio.run(work(parser.parse_args(arguments)))


if __name__ == "__main__":
    raise SystemExit(main())
