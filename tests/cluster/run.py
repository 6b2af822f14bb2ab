"""`make cluster`: play scenarios, print what was seen, keep it in tests/cluster/seen.json, write docs/faults.md.

Exit status 0 where nothing was lost, doubled or buried in any of those played; 1 otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from load.effects import verdict_of
from load.traffic import Traffic

from cluster import scenarios
from cluster.given import API_KEY, given, point_at
from cluster.page import page_of
from cluster.watching import LoadedIngresses, Watch, figures_of, stopped

if TYPE_CHECKING:
    from cluster.given import Given
    from cluster.scenarios import Scenario

WEBHOOKS_PER_SECOND, WISHES_PER_SECOND = 40.0, 3.0
BEFORE_SECONDS = 6.0
AFTER_SECONDS = 12.0
LOOK_SECONDS = 12.0
"""How long after the fault the commands are asked what is wrong."""
REST_SECONDS_MAX = 90.0
KEPT = Path("tests/cluster/seen.json")
LOGS = Path(".ratchet/cluster")
PAGE = Path("docs/faults.md")


@dataclass
class Seen:
    """What was seen in one scenario."""

    name: str
    told: str
    at: str
    figures: dict[str, Any]
    problems: list[str]
    webhooks: int
    intents: int
    refused: dict[str, int]
    letters: int
    copies: int
    rest_seconds: float
    restarts: int
    load_average: float
    doctor: str = ""
    status: str = ""
    asked_seconds: float = 0.0
    """From the fault until the commands had answered: they start slowly on a busy machine."""
    unready: dict[str, str] = field(default_factory=dict)
    away: list[str] = field(default_factory=list)
    stuck_afterwards: dict[str, str] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Tell whether nothing was lost, doubled or buried."""
        return not self.problems and not self.letters


async def records_in(found: Given) -> int:
    """Return how many records the webhooks' topic holds."""
    from aiokafka import AIOKafkaConsumer, TopicPartition

    consumer = AIOKafkaConsumer(bootstrap_servers=found.bootstrap_direct())
    await consumer.start()
    try:
        places = [TopicPartition("payments.webhooks", number) for number in range(4)]
        return sum((await consumer.end_offsets(places)).values())
    finally:
        await consumer.stop()


async def play(one: Scenario, home: Path) -> Seen:
    """Start everything, load it, break it, mend it, and compare with what was taken."""
    async with given(home, one) as found:
        traffic = Traffic(seed=int(time.time()), now=int(time.time()))
        urls = tuple(f"http://127.0.0.1:{found.ports[name]}" for name in ("ingress1", "ingress2"))
        ingresses = LoadedIngresses(urls[0], traffic, found.signers, API_KEY, urls=urls)
        watch = Watch(found.databases)
        watching = asyncio.create_task(watch.run())
        try:
            begun = time.monotonic()
            async with ingresses.under_load(WEBHOOKS_PER_SECOND, WISHES_PER_SECOND):
                await asyncio.sleep(BEFORE_SECONDS)
                fault = time.monotonic()
                asked = asyncio.create_task(ask_later(found))
                await one.begin(found)
                await asyncio.sleep(max(0.0, fault + one.seconds - time.monotonic()))
                commands = await asked  # what they tell is of the fault, not of its end
                await one.end(found)
                heal = found.heal_at or time.monotonic()
                await asyncio.sleep(AFTER_SECONDS)
            ended = time.monotonic()
            await ingresses.send_again()
            if not found.databases.a.held:
                point_at(found, "pg_b")
            rest = time.monotonic()
            verdict = await verdict_of(found.settings, ingresses.answers, traffic, rest_seconds_max=REST_SECONDS_MAX)
            rested = time.monotonic() - rest
            await asyncio.sleep(1)
            afterwards = await found.fleet.readiness()
            taken = sum(answer.accepted for answer in ingresses.answers if answer.what == "webhook" and answer.taken)
            copies = await records_in(found) - taken
        finally:
            await stopped(watching)
            keep_logs(found, one.name)
        return Seen(
            name=one.name,
            told=one.fault,
            at=dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M"),
            figures=asdict(figures_of(ingresses, watch, begun=begun, ended=ended, fault=fault, heal=heal)),
            problems=[*verdict.problems, *(["what was refused is refused still"] if ingresses.waiting else [])],
            webhooks=sum(answer.taken for answer in ingresses.answers if answer.what == "webhook"),
            intents=verdict.intents,
            refused=verdict.refused,
            letters=len(watch.letters),
            copies=copies,
            rest_seconds=rested,
            restarts=sum(member.ends for member in found.fleet.members.values()),
            load_average=os.getloadavg()[0],
            doctor=commands["doctor"],
            status=commands["status"],
            asked_seconds=commands["seconds"],
            unready=commands["unready"],
            away=commands["away"],
            stuck_afterwards=not_ready(afterwards),
        )


def not_ready(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Return why those that are not ready are not."""
    return {
        name: str(reported.get("reason") or reported)[:300]
        for name, reported in found.items()
        if reported.get("status") != 200
    }


async def ask_later(found: Given) -> dict[str, Any]:
    """Wait for a while after the fault, then ask what an operator would ask."""
    begun = time.monotonic()
    await asyncio.sleep(LOOK_SECONDS)
    probes = await found.fleet.readiness()
    commands = await found.commands()
    return {
        "doctor": commands["doctor"]["found"],
        "status": commands["status"]["found"],
        "unready": not_ready(probes),
        "away": away_of(probes),
        "seconds": time.monotonic() - begun,
    }


def away_of(found: dict[str, dict[str, Any]]) -> list[str]:
    """Return what `/readyz?verbose` of any role names as away."""
    return sorted({one for reported in found.values() for one in reported.get("facts", {}).get("away", [])})


def keep_logs(found: Given, name: str) -> None:
    """Keep what the roles logged."""
    for member in found.fleet.members.values():
        folder = LOGS / name
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(member.home / "role.log", folder / f"{member.name}.log")


def remember(*seen: Seen) -> list[dict[str, Any]]:
    """Put them among what earlier runs have seen, one of each name; return all in order."""
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    kept |= {one.name: asdict(one) for one in seen}
    KEPT.write_text(json.dumps(kept, indent=1) + "\n")
    return [kept[one.name] for one in scenarios.ALL if one.name in kept]


def tell(seen: Seen) -> None:
    """Print one scenario's line."""
    figures = seen.figures
    print(  # noqa: T201 - a tool's output
        f"{seen.name}: {'ok' if seen.good else 'PROBLEMS ' + str(seen.problems[:5])}; {seen.webhooks} webhooks, "
        f"{seen.intents} intents, refused {seen.refused}, letters {seen.letters}, copies {seen.copies}; "
        f"gap {figures['gap']:.1f} longest {figures['longest']:.1f} p50 {figures['p50']:.2f}; back "
        f"{figures['back_from_fault']:.1f} s after the fault, {figures['back_from_heal']:.1f} s after the mending; "
        f"ingress p99 {figures['ingress_p99_worst'] * 1000:.0f} ms, longest {figures['ingress_longest']:.1f} s; rest "
        f"{seen.rest_seconds:.1f} s, restarts {seen.restarts}, load {seen.load_average:.1f}\n"
        f"   slowest (after the fault, taking): {figures['ingress_slowest']}\n"
        f"   after {seen.asked_seconds:.0f} s: doctor: {seen.doctor}\n   status: {seen.status}\n"
        f"   away: {seen.away}\n   unready: {seen.unready}\n   afterwards: {seen.stuck_afterwards}"
    )


def parsed(words: list[str]) -> list[Scenario]:
    """Read the command line; no scenario where the page alone is to be written anew."""
    parser = argparse.ArgumentParser(prog="make cluster ARGS=", description=__doc__)
    parser.add_argument(
        "names", nargs="*", help=f"which scenarios (all): {', '.join(one.name for one in scenarios.ALL)}"
    )
    parser.add_argument("--page", action="store_true", help="write the page anew from what was seen; play nothing")
    given = parser.parse_args(words)
    if given.page:
        return []
    names = given.names
    known = {one.name: one for one in scenarios.ALL}
    if unknown := [name for name in names if name not in known]:
        parser.error(f"no such scenario: {', '.join(unknown)}")
    return [known[name] for name in names] if names else list(scenarios.ALL)


def main(words: list[str]) -> int:
    """Play those named."""
    for name in [name for name in os.environ if name.upper().startswith("RATCHET_")]:
        del os.environ[name]
    good = True
    PAGE.write_text(page_of(remember()))
    for one in parsed(words):
        home = Path(tempfile.mkdtemp(prefix="ratchet-cluster-"))
        try:
            seen = asyncio.run(play(one, home))
        except Exception as error:  # noqa: BLE001 - the others are played, and the run fails
            good = False
            print(f"{one.name}: not played to its end", *traceback.format_exception(error), sep="\n")  # noqa: T201
            continue
        finally:
            shutil.rmtree(home, ignore_errors=True)
        tell(seen)
        good = good and seen.good
        PAGE.write_text(page_of(remember(seen)))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
