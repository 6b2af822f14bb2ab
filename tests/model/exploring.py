"""Every interleaving of a world's processes: each state once, each step from it once.

A try begins with the world's own rows and takes steps until all processes are done. At each state it is asked who may
take a step: whoever stands at a gate. A statement that waits for a lock is no step that ends: its process is blocked,
and goes on by itself once the other one commits or rolls back. Where sessions wait for each other, the model waits
until Postgres has ended one of them.

Two orders that lead to the same state go on in the same way, so a state that was seen is not gone on from. A state is
what is committed, and of each process the answers that it got: the product's code does the same upon the same answers.
The order of the world's own notes belongs to it, for what holds may be about that order. Ids of transactions count by
their order alone. So the number of tries is that of the states' steps, and the number of interleavings, which is far
larger, is that of the ways through the graph.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model.database import Observer, Rows
    from model.stepping import Process

STABLE_SECONDS_MAX = 20.0
DEADLOCK_SECONDS = 0.01
"""After which time Postgres looks whether sessions wait for each other: `deadlock_timeout` of the model's database."""
REPEATS_MAX = 3
VACUUM_EVERY = 150

Choice = tuple[str, str]
"""`("step", process)` or `("crash", process)`."""


class World(Protocol):
    """What is explored."""

    name: str
    says: str
    crashes: int
    compared: tuple[tuple[str, str], ...]
    """Steps, by process and name, of which `check` asks which came first."""

    async def seed(self, arena: Arena) -> None:
        """Write what the world begins with."""

    def processes(self, arena: Arena) -> list[Process]:
        """Make and start the processes."""

    async def finish(self, arena: Arena) -> None:
        """Do, when all have ended, what happens by itself later on: who was left is woken, the rest is published."""

    async def check(self, arena: Arena) -> list[str]:
        """Return what does not hold."""


class Arena(Protocol):
    """What a world gets: the observer, connections by the names of processes, and notes of its own for each try."""

    observer: Observer
    hand: Observer
    settings: Any
    notes: list[Any]

    def process(self, name: str, *, may_crash: bool = False) -> Process: ...
    def plain_pool(self) -> Any: ...


class DivergedError(Exception):
    """The same steps led elsewhere: something outside the model had a hand in it."""


@dataclass(frozen=True)
class Violation:
    """An interleaving after which something does not hold."""

    path: tuple[Choice, ...]
    steps: tuple[str, ...]
    problems: tuple[str, ...]


@dataclass
class Explored:
    """What came of a world."""

    world: str
    tries: int = 0
    states: int = 0
    interleavings: int = 0
    longest: int = 0
    blocked: int = 0
    deadlocks: int = 0
    seconds: float = 0.0
    violations: list[Violation] = field(default_factory=list)


class Explorer:
    """Explores one world; `tries_max` bounds it, which a whole exploration never meets."""

    def __init__(self, world: World, arena: Any, *, until_found: bool = False, tries_max: int = 100_000) -> None:
        self._world, self._arena = world, arena
        self._until_found, self._tries_max = until_found, tries_max
        self._seen: dict[str, dict[Choice, str]] = {}
        self._looks: dict[tuple[Choice, ...], str] = {}
        """What was committed after these steps, as a digest: a statement that waits goes on with what it saw then."""
        self.found = Explored(world.name)

    async def run(self) -> Explored:
        """Explore; with `until_found` only until something does not hold."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self._arena.clear()
        await self._world.seed(self._arena)
        rows = await self._arena.observer.keep()
        waiting: list[tuple[Choice, ...]] = [()]
        root = ""
        while waiting and self.found.tries < self._tries_max:
            prefix = waiting.pop()
            for attempt in range(REPEATS_MAX):
                try:
                    first, further = await self._try(rows, prefix)
                    break
                except DivergedError:
                    if attempt == REPEATS_MAX - 1:
                        raise
            root = root or first
            waiting += further
            if self._until_found and self.found.violations:
                break
        self.found.states = len(self._seen)
        self.found.seconds = loop.time() - began
        if not waiting:
            self.found.interleavings = self._count(root)
        return self.found

    def _count(self, root: str) -> int:
        """Count the ways from the beginning to an end. No state comes twice on a way: a process only gets on."""

        @cache
        def ways(state: str) -> int:
            return sum(ways(after) for after in self._seen[state].values()) or 1

        return ways(root)

    async def _try(self, rows: Rows, prefix: Sequence[Choice]) -> tuple[str, list[tuple[Choice, ...]]]:
        """Go the way of `prefix`, then on to the end or to a state that was seen; return what else there is to try."""
        self.found.tries += 1
        if self.found.tries % VACUUM_EVERY == 0:
            await self._arena.observer.vacuum()
        await self._arena.begin(rows)
        processes = self._world.processes(self._arena)
        try:
            return await self._walk(processes, list(prefix))
        finally:
            await _end(processes)

    async def _walk(self, processes: list[Process], prefix: list[Choice]) -> tuple[str, list[tuple[Choice, ...]]]:
        further: list[tuple[Choice, ...]] = []
        path: list[Choice] = []
        steps: list[str] = []
        first = before = ""
        order: list[str] = []
        seen: Any = None
        while True:
            blocked = await self._until_stable(processes, order)
            choices = self._choices(processes)
            if len(path) >= len(prefix) - 1:
                seen = await self._look(processes, seen)
                self._looks[tuple(path)] = _digest(seen)
                state = _key((seen, self._order()), processes, blocked, self._world.crashes)
                first = first or state
                if before:
                    self._seen[before][path[-1]] = state
                new = state not in self._seen
                self._seen.setdefault(state, {})
                before = state
                if len(path) >= len(prefix):
                    if not new:
                        return first, further
                    self.found.blocked += bool(blocked)
                    further += [(*path, choice) for choice in choices[1:]]
            if not choices:
                await self._conclude(processes, path, steps)
                return first, further
            choice = prefix[len(path)] if len(path) < len(prefix) else choices[0]
            if choice not in choices:
                raise DivergedError(f"{self._world.name}: {choice} is not among {choices} after {steps}")
            path.append(choice)
            steps.append(await self._take(processes, choice, self._looks[tuple(path[:-1])]))

    def _order(self) -> tuple[Any, ...]:
        """Return in which order what the world looks at has happened: its notes, and the steps that it compares."""
        compared = dict.fromkeys(step for step in self._arena.steps if step in self._world.compared)
        return tuple(note[:2] for note in self._arena.notes), tuple(compared)

    async def _look(self, processes: list[Process], last: Any) -> Any:
        """Return what is committed; as long as all steps are inside of transactions it is what it was."""
        fresh = last is None or any(one.committed for one in processes)
        for one in processes:
            one.committed = False
        return await self._arena.observer.look() if fresh else last

    async def _take(self, processes: list[Process], choice: Choice, seen: str) -> str:
        what, name = choice
        process = next(one for one in processes if one.name == name)
        reported = f"{name}: {process.next}" if what == "step" else f"{name} ends before {process.next}"
        if what == "step":
            process.go_on(seen)
        else:
            process.end(crashed=True)
            await process.gone()
        return reported

    def _choices(self, processes: list[Process]) -> list[Choice]:
        ready = [one for one in processes if one.ready]
        choices: list[Choice] = [("step", one.name) for one in ready]
        if sum(one.crashed for one in processes) < self._world.crashes:
            choices += [("crash", one.name) for one in ready if one.may_crash]
        return choices

    async def _until_stable(self, processes: list[Process], order: list[str]) -> tuple[str, ...]:
        """Wait until each process stands at a gate, is done, or waits for one that does; return who waits, in order."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + STABLE_SECONDS_MAX
        while True:
            moving = [one for one in processes if not one.ready and not one.done]
            if not moving:
                order.clear()
                return ()
            for one in moving:
                one.moved.clear()
            waits = [asyncio.ensure_future(one.moved.wait()) for one in moving]
            await asyncio.wait(waits, timeout=0.003, return_when=asyncio.ALL_COMPLETED)
            for wait in waits:
                wait.cancel()
            moving = [one for one in processes if not one.ready and not one.done]
            blockers = await self._arena.observer.blockers([one.pid for one in moving]) if moving else {}
            still = [one for one in processes if not one.ready and not one.done]
            if still == moving and all(one.pid in blockers for one in moving) and not _in_circle(blockers):
                order[:] = [name for name in order if any(one.name == name for one in moving)]
                order += [one.name for one in moving if one.name not in order]
                return tuple(order)
            if loop.time() > deadline:
                raise DivergedError(f"{self._world.name}: {[one.in_flight for one in moving]} does not come to rest")

    async def _conclude(self, processes: list[Process], path: list[Choice], steps: list[str]) -> None:
        self.found.longest = max(self.found.longest, len(path))
        problems = [f"{one.name} ended with {one.failure!r}" for one in processes if one.failure is not None]
        deadlocks = sum(one.deadlocks for one in processes)
        self.found.deadlocks += deadlocks
        if deadlocks:
            problems.append(f"{deadlocks} deadlocks")
        await _end(processes)
        try:
            await self._world.finish(self._arena)
        except Exception as error:  # noqa: BLE001 - whatever it is, who goes on afterwards can't
            problems.append(f"who goes on afterwards ended with {error!r}")
        else:
            problems += await self._world.check(self._arena)
        if problems:
            self.found.violations.append(Violation(tuple(path), tuple(steps), tuple(problems)))


async def _end(processes: list[Process]) -> None:
    for one in processes:
        one.end()
    for one in processes:
        await one.gone()


def _in_circle(blockers: dict[int, list[int]]) -> bool:
    """Tell whether sessions wait for each other."""

    def leads_back(pid: int, start: int, passed: frozenset[int]) -> bool:
        return any(
            other == start or (other not in passed and leads_back(other, start, passed | {other}))
            for other in blockers.get(pid, ())
        )

    return any(leads_back(pid, pid, frozenset({pid})) for pid in blockers)


def _is_xid(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and value[0] == "xid" and isinstance(value[1], int)


def _key(seen: Any, processes: list[Process], blocked: tuple[str, ...], crashes: int) -> str:
    """Return a state as a short text: what is committed and what each process knows."""
    state = (
        seen,
        [
            (one.name, one.history, one.next if one.ready else None, one.in_flight, one.done, one.crashed)
            for one in processes
        ],
        blocked,
        crashes,
    )
    return _digest(state)


def _digest(state: Any) -> str:
    """Return a value as a short text in which ids of transactions stand by their order alone."""
    xids: set[int] = set()

    def find(value: Any) -> None:
        if _is_xid(value):
            xids.add(value[1])
        elif isinstance(value, tuple | list):
            for part in value:
                find(part)

    find(state)
    ranks = {xid: rank for rank, xid in enumerate(sorted(xids))}

    def ranked(value: Any) -> Any:
        if _is_xid(value):
            return ("xid", ranks[value[1]])
        if isinstance(value, tuple | list):
            return tuple(ranked(part) for part in value)
        return value

    return hashlib.sha256(repr(ranked(state)).encode()).hexdigest()
