"""`make bench-console`: each page and each reading command over a million payments and 100,000 open dead letters.

    python -m ops.bench.console_pages [--payments N] [--letters N] [--rounds N]

A real console is asked by HTTP and real commands are run, both against the bounds that people were promised.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import resource
import socket
import sys
import time
from statistics import median
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import aiohttp
import asyncpg
from rich.console import Console
from rich.table import Table

from ops.bench.filling import ROWS_PER_PAYMENT, fill
from ops.bench.stage import drop_database, make_database
from ops.console.rights import LEAST
from runtime.settings import load
from runtime.sql import statement
from runtime.stack import Stack
from schemas.errors import RatchetError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ops.bench.stage import Database

PAGE_SECONDS: Final = 0.3
COMMAND_SECONDS: Final = 1.0
START_SECONDS: Final = 30.0
PAYMENTS_DEFAULT: Final = 1_000_000
LETTERS_DEFAULT: Final = 100_000
ROUNDS_DEFAULT: Final = 7
FILES: Final = (".csv", ".json")
NO_PAGES: Final = ("/password",)
OWN: Final = tuple(
    path
    for (method, path), least in LEAST.items()
    if method == "GET" and least is not None and "{" not in path and not path.endswith(FILES) and path not in NO_PAGES
)
"""Every page that needs nothing in its address: one that is added is measured from then on."""
PAGES: Final = (
    *OWN,
    "/payments?status=captured",
    "/payments?status=failed",
    "/payments?provider=adyen",
    "/payments?reference=nobody",
    "/payments?amount=12.50+EUR",
    "/payments?dispute=any",
    "/payments/01900000-0000-7000-8000-000000000001",
    "/dead-letters?provider=adyen&status=open",
    "/dead-letters?reason=orphan&kind=CAPTURE",
    "/dead-letters?message=number+3",
    "/dead-letters/1",
)
NOT_THERE: Final = 1
"""How `payment show` ends for a name that nobody has: a look-up that finds nothing is measured too."""
COMMANDS: Final = (
    ("dlq", "list"),
    ("dlq", "list", "--message", "number 3"),
    ("dlq", "list", "--provider", "adyen", "--reason", "orphan"),
    ("dlq", "show", "1"),
    ("dlq", "redrives"),
    ("dlq", "notes"),
    ("payment", "list"),
    ("payment", "list", "--status", "failed"),
    ("payment", "show", "pi_nobody"),
    ("payment", "show", "01900000-0000-7000-8000-000000000001"),
    ("audit", "actions"),
    ("operator", "list"),
    ("operator", "tokens"),
)


class Took(NamedTuple):
    """How long one page or command took, in seconds: in the middle, and at worst.

    `cpu` are the seconds of CPU that a command took in the middle: what others do on the machine matters less to them.
    """

    middle: float
    worst: float
    bound: float
    cpu: float | None = None

    @property
    def kept(self) -> bool:
        """Whether the middle one is within the bound."""
        return self.middle <= self.bound


async def fill_all(database: Database, payments: int, letters: int) -> None:
    """Fill the database with payments, their ledger, and dead letters."""
    await fill(database, payments * ROWS_PER_PAYMENT)
    connection = await asyncpg.connect(database.superuser_dsn, server_settings={"statement_timeout": "0"})
    await connection.execute(statement("ops.bench", "fill_letters"), letters)
    await connection.execute("vacuum (analyze) dead_letters")
    await connection.close()


def _free_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


async def pages(environment: Mapping[str, str], rounds: int) -> dict[str, Took]:
    """Ask a console for each page; the deepest page that `older` leads to in a few steps too."""
    address = _free_address()
    named = {**os.environ, **environment, "RATCHET_CONSOLE__BIND": address}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "ops.cli", "console", env=named, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with aiohttp.ClientSession() as client:
            url = f"http://{address}"
            await _answers(client, url)
            deep = [await _deeper(client, url, path) for path in ("/payments", "/dead-letters")]
            return {path: await _ask(client, url + path, rounds) for path in (*PAGES, *deep)}
    finally:
        process.terminate()
        await process.wait()


async def _answers(client: aiohttp.ClientSession, url: str) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        try:
            async with client.get(f"{url}/payments") as answer:
                if answer.ok:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.2)
    raise RatchetError(f"the console did not answer within {START_SECONDS:g} s")


async def _deeper(client: aiohttp.ClientSession, url: str, path: str) -> str:
    """Follow `older` a few times; return where that leads."""
    for _ in range(5):
        async with client.get(url + path) as answer:
            found = re.search(r'class="button" href="([^"]+(?:after|before)=[^"]+)"', await answer.text())
        if not found:
            break
        path = found[1].replace("&amp;", "&")
    return path


async def _ask(client: aiohttp.ClientSession, address: str, rounds: int) -> Took:
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        async with client.get(address) as answer:
            await answer.read()
            if not answer.ok:
                raise RatchetError(f"{address} answered {answer.status}")
        seconds.append(time.perf_counter() - began)
    return Took(median(seconds), max(seconds), PAGE_SECONDS)


async def commands(environment: Mapping[str, str], rounds: int) -> dict[str, Took]:
    """Run each command as a process of its own, Python's start within."""
    found = {}
    for words in COMMANDS:
        seconds, cpu = [], []
        for _ in range(rounds):
            began, used = time.perf_counter(), _children_cpu()
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "ops.cli", *words, "--json",
                env={**os.environ, **environment}, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            _, errors = await process.communicate()
            seconds.append(time.perf_counter() - began)
            cpu.append(_children_cpu() - used)
            if process.returncode != (NOT_THERE if "nobody" in words[-1] else 0):
                raise RatchetError(f"ratchet {' '.join(words)} ended with {process.returncode}: {errors.decode()}")
        found[f"ratchet {' '.join(words)}"] = Took(median(seconds), max(seconds), COMMAND_SECONDS, median(cpu))
    return found


def _children_cpu() -> float:
    """Return the seconds of CPU of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def run(options: argparse.Namespace) -> dict[str, Took]:
    """Fill, ask, and leave the figures in RATCHET_HOME/bench-console.json."""
    home = load().home
    stack = Stack(home / "bench")
    endpoints = await stack.start()
    name = f"bench_console_{os.getpid()}"
    try:
        database = await make_database(endpoints, name)
        began = time.monotonic()
        await fill_all(database, options.payments, options.letters)
        sys.stderr.write(f"bench-console: filled in {time.monotonic() - began:.0f} s\n")
        environment = database.environment | {"RATCHET_HOME": str(home / "bench-console")}
        found = await pages(environment, options.rounds) | await commands(environment, options.rounds)
        document: dict[str, Any] = {
            "payments": options.payments,
            "dead_letters": options.letters,
            "seconds": {what: took._asdict() for what, took in found.items()},
        }
        (home / "bench-console.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    finally:
        with contextlib.suppress(Exception):  # what failed before is what people need to see
            await drop_database(endpoints, name)
        await stack.stop()
    return found


def show(found: Mapping[str, Took]) -> None:
    """Print a table of the figures."""
    table = Table("", "middle", "worst", "CPU", "bound", title="Seconds")
    for what, took in found.items():
        values = took.middle, took.worst, took.cpu
        figures: Sequence[str] = ["" if value is None else f"{value:.3f}" for value in values]
        table.add_row(what, *figures, f"{took.bound:g}" if took.kept else f"{took.bound:g} exceeded")
    Console(width=None if sys.stdout.isatty() else 110, markup=False).print(table)


def main() -> None:
    """Measure and print; exit 1 where a page or a command takes longer than people were promised."""
    parser = argparse.ArgumentParser(prog="bench-console", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--payments", type=int, default=PAYMENTS_DEFAULT)
    parser.add_argument("--letters", type=int, default=LETTERS_DEFAULT)
    parser.add_argument("--rounds", type=int, default=ROUNDS_DEFAULT, help="how often each is asked")
    found = asyncio.run(run(parser.parse_args()))
    show(found)
    sys.exit(0 if all(took.kept for took in found.values()) else 1)


if __name__ == "__main__":
    main()
