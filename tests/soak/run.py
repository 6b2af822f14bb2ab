"""`make soak HOURS=2`: a `ratchet up` of its own under mixed traffic, a role killed now and then, a look every minute.

Writes one line a minute to .ratchet/soak.jsonl, the first says what is run and the last what came of it; then
docs/soak.md and its chart. Exit status 0 where nothing was lost or doubled, 1 otherwise, 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import json
import os
import platform
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

import psutil
from load.compare import lives_of
from load.compare import reconcile as draw_up_load
from load.effects import read_effects, until_at_rest
from load.run import free_address, product
from load.traffic import CLIENT, Traffic

from ops import reconciliation
from ops.database import connected
from ops.roles import ROLES
from ops.run_sample import choose_signers
from runtime.lifecycle import read_run_file
from runtime.settings import Settings
from runtime.stack.jars import kafka_version
from soak import others
from soak.page import PAGE, write
from soak.posting import Soaking
from soak.sampling import Sampler
from soak.traffic import Mixed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ops.sample.signing import Signer
    from soak.others import Invented

ROOT: Final = Path(__file__).parents[2]
OUT: Final = ROOT / ".ratchet" / "soak.jsonl"
LOOK_SECONDS: Final = 60.0
REST_SECONDS_MAX: Final = 300.0
PROBLEMS_SHOWN_MAX: Final = 50
ROWS: Final = """
select distinct provider, coalesce(provider_ref, '') as ref, captured from payments
where provider = any($1) and merged_into is null and provider_ref is not null
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says. `minutes` are those between two kills; none kills nobody."""

    hours: float
    rate: float
    minutes: float
    seed: int
    out: Path


def parsed(words: list[str]) -> Options:
    """Read the command line; leave with status 2 where it is wrong."""
    parser = argparse.ArgumentParser(prog="make soak ARGS=", description=__doc__)
    parser.add_argument("--hours", type=float, default=2.0, help="how long (%(default)s)")
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second (%(default)s)")
    parser.add_argument(
        "--kill-minutes", type=float, default=16.0, help="minutes between two kills of a role; 0: none (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=None, help="which payments; the same seed posts the same")
    parser.add_argument("--out", type=Path, default=OUT, help="the file of the looks (.ratchet/soak.jsonl)")
    found = parser.parse_args(words)
    if found.hours <= 0 or found.rate <= 0 or found.kill_minutes < 0:
        parser.error("--hours and --rate must be above 0, and --kill-minutes no less than 0")
    seed = found.seed if found.seed is not None else secrets.randbits(31)
    return Options(found.hours, found.rate, found.kill_minutes, seed, found.out)


@dataclass
class Soak:
    """One run: what it posts, looks at, kills, and writes down."""

    options: Options
    settings: Settings
    ingress: Soaking
    sampler: Sampler
    rng: Random
    begun: float = field(default_factory=time.monotonic)
    killed: list[tuple[float, str]] = field(default_factory=list)
    _queue: list[str] = field(default_factory=list)
    _seen: int = 0

    async def run(self) -> dict[str, Any]:
        """Soak until the time is over; return what came of it."""
        self.write(head_of(self.options))
        async with self.ingress.soaked(self.options.rate):
            watching = [asyncio.create_task(self._look()), asyncio.create_task(self._kill())]
            try:
                await asyncio.sleep(self.options.hours * 3600)
            finally:
                for task in watching:
                    task.cancel()
                await asyncio.gather(*watching, return_exceptions=True)
        end = await self.reconcile()
        self.write({"end": end})
        return end

    def write(self, document: dict[str, Any]) -> None:
        """Append a line."""
        with self.options.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(document, separators=(",", ":")) + "\n")

    async def _look(self) -> None:
        for number in range(1, 10**6):
            await asyncio.sleep(max(0.0, self.begun + number * LOOK_SECONDS - time.monotonic()))
            await self.ingress.once_more()
            seconds, found = time.monotonic() - self.begun, await self.sampler.look()
            events = self.ingress.events_taken
            found |= {
                "second": round(seconds, 1),
                "events": events,
                "events_since": events - self._seen,
                "answered_p99_seconds": self.ingress.slowest(0.99),
                "unanswered": self.ingress.unanswered,
                "killed": [[round(second, 1), role] for second, role in self.killed],
                "load": os.getloadavg()[0],
            }
            self._seen = events
            self.write(found)

    async def _kill(self) -> None:
        """Kill one role after the other, in an order that is drawn anew for each round."""
        if not self.options.minutes:
            return
        while True:
            await asyncio.sleep(self.options.minutes * 60 * self.rng.uniform(0.7, 1.3))
            if not self._queue:
                self._queue = self.rng.sample(sorted(ROLES), len(ROLES))
            role = self._queue.pop()
            file = read_run_file(self.settings.home, role)
            if file is not None and file.alive():
                with suppress(ProcessLookupError):
                    os.kill(file.pid, signal.SIGKILL)
                    self.killed.append((time.monotonic() - self.begun, role))

    async def reconcile(self) -> dict[str, Any]:
        """Wait for rest, and hold what was taken against the rows."""
        left = await until_at_rest(self.settings, REST_SECONDS_MAX)
        load_lives = lives_of(self.ingress.answers, self.ingress.traffic)
        sent = self.ingress.sent
        keys = {event.key for life in load_lives.values() for post in life.posts for event in post.events}
        keys |= {event.key for one in sent for event in one.post.events}
        stored = await reconciliation.read_stored(self.settings, keys, list(load_lives.values()))
        effects = await read_effects(self.settings)
        load = draw_up_load(self.ingress.answers, self.ingress.traffic, stored, effects, left)
        mixed = reconciliation.reconcile(sent, [], stored, {})
        async with connected(self.settings) as connection:
            rows = await connection.fetch(ROWS, list(others.OTHERS))
        captured = {(row["provider"], row["ref"]): row["captured"] for row in rows}
        assert self.ingress.mixed is not None, "what is posted is known at the start"
        problems = [*load.problems, *mixed.problems, *ends_of(self.ingress.mixed.ended, captured)]
        if self.ingress.waiting:
            problems.append(f"{len(self.ingress.waiting)} requests were never answered for good")
        self.options.out.with_suffix(".problems").write_text("".join(f"{problem}\n" for problem in problems))
        statuses = Counter(str(one.status) for one in [*self.ingress.answers, *sent])
        return {
            "requests": len(self.ingress.answers) + len(sent),
            "events": self.ingress.events_taken,
            "statuses": dict(sorted(statuses.items())),
            "outcome": dict(Counter(load.outcome) + Counter(mixed.outcome)),
            "refused": mixed.refused,
            "repeated": load.duplicates + mixed.duplicates,
            "intents": load.intents,
            "captures": load.captures,
            "payments": len(load_lives) + len(self.ingress.mixed.ended),
            "unanswered": self.ingress.unanswered,
            "killed": [[round(second, 1), role] for second, role in self.killed],
            "left": left,
            "problems": problems[:PROBLEMS_SHOWN_MAX],
            "problems_all": len(problems),
        }


def ends_of(payments: Iterable[Invented], captured: dict[tuple[str, str], int]) -> list[str]:
    """Name each payment of another provider whose row is missing, or holds another sum."""
    return [
        f"payment {one.ref} of {one.provider}: captured is {captured.get((one.provider, one.ref))}, not {others.AMOUNT}"
        for one in payments
        if one.ref and captured.get((one.provider, one.ref)) != others.AMOUNT
    ]


def head_of(options: Options) -> dict[str, Any]:
    """Say what is run, and on what."""
    commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True)  # noqa: PLW1510
    return {
        "head": {
            "at": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M"),
            "command": f"make soak HOURS={options.hours:g} RATE={options.rate:g} KILL_MINUTES={options.minutes:g}",
            "hours": options.hours,
            "rate": options.rate,
            "seed": options.seed,
            "commit": commit.stdout.strip(),
            "python": platform.python_version(),
            "kafka": kafka_version(),
            "cores": os.cpu_count(),
            "machine": f"{platform.system()} {platform.machine()}",
        }
    }


async def soak(
    options: Options, settings: Settings, url: str, signers: Mapping[str, Signer], *, api_key: str, up: int
) -> dict[str, Any]:
    """Run it against an ingress."""
    rng, now = Random(options.seed), int(time.time())
    ingress = Soaking(url, Traffic(options.seed, now), signers, api_key, mixed=Mixed(rng, now))
    return await Soak(options, settings, ingress, Sampler(settings, up), Random(options.seed + 1)).run()


def run(options: Options, home: Path) -> int:
    """Start the product, soak it, stop it, write the page; return the exit status."""
    api_key = secrets.token_urlsafe(24)
    signers, provider_secrets = choose_signers(Settings())
    own = {**provider_secrets, **others.environment(), "RATCHET_API_KEYS": json.dumps({CLIENT: api_key})}
    own["RATCHET_INGRESS__BIND"] = free_address()  # a role that is killed comes back at the same address
    with product(home, own) as (settings, url):
        end = asyncio.run(soak(options, settings, url, signers, api_key=api_key, up=_parent_of(home)))
    shown = f"{end['requests']:,} requests, {end['events']:,} events taken, {end['problems_all']} problems"
    print(f"soak: {shown}; see {options.out} and {PAGE}")  # noqa: T201 - a tool's output
    for problem in end["problems"]:
        print(f"  {problem}")  # noqa: T201
    write(options.out)
    return 1 if end["problems_all"] else 0


def _parent_of(home: Path) -> int:
    """Return the process that keeps the roles."""
    file = read_run_file(home, "ingress")
    assert file is not None, "an ingress that serves says where"
    return psutil.Process(file.pid).ppid()


def main(words: Sequence[str]) -> int:
    """Make room and run; the product is one of its own, not the one that is configured."""
    options = parsed(list(words))
    for name in [name for name in os.environ if name.upper().startswith("RATCHET_")]:
        del os.environ[name]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.unlink(missing_ok=True)
    home = Path(tempfile.mkdtemp(prefix="ratchet-soak-"))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return run(options, home)
    finally:
        if (home / "log").exists():
            shutil.copytree(home / "log", options.out.parent / "soak-log", dirs_exist_ok=True)
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
