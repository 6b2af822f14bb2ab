"""The supervisor of the brokers: starts them together, brings the dead back, stops them together."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from runtime.settings import StackSettings
from runtime.stack import guard, identity, jars, kafka, leftovers, ports, postgres, redis, state, status
from runtime.stack import layout as layouts
from runtime.stack.broker import BrokerServer, last_words
from runtime.stack.ports import LOOPBACK, Kept
from runtime.stack.progress import say
from runtime.stack.state import Endpoints, StackState
from schemas.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runtime.stack.guard import Guard
    from runtime.stack.status import BrokerStatus

Result = TypeVar("Result")

NAMES: Final = (kafka.NAME, postgres.NAME, redis.NAME)
WITHOUT_REDIS: Final = (
    "no package has a Redis for this machine; running without one: rate limits count in each process, and leases "
    "are taken in Postgres alone"
)
READY_POLL_SECONDS: Final = 0.05


def endpoints_of(kept: Kept) -> Endpoints:
    """Return where a home's brokers answer."""
    port = kept.ports[postgres.NAME]
    return Endpoints(
        kafka=f"{LOOPBACK}:{kept.ports[kafka.NAME]}",
        dsn=postgres.dsn(postgres.APP_ROLE, kept.app_password, port),
        owner_dsn=postgres.dsn(postgres.OWNER_ROLE, kept.owner_password, port),
        superuser_dsn=postgres.dsn(postgres.SUPERUSER, kept.superuser_password, port, "postgres"),
        redis=redis.url(kept.ports[redis.NAME], kept.redis_password) if redis.available() else None,
        process_dsns={
            process: postgres.dsn(postgres.role_of(process), password, port)
            for process, password in kept.process_passwords.items()
        },
    )


class Stack:
    """The embedded brokers of one home, started and owned by this process.

    `cache` is the folder of fetched jars that homes share; by default one in the tools' cache of the user.
    All methods raise StackError with what to do. Not for use from two event loops.
    """

    def __init__(self, home: Path, settings: StackSettings | None = None, cache: Path | None = None) -> None:
        self._layout = layouts.at(home)
        self._settings = settings or StackSettings()
        self._cache = cache
        self._lock: int | None = None
        self._kept: Kept | None = None
        self._state: StackState | None = None
        self._brokers: dict[str, BrokerServer] = {}
        self._guards: dict[str, Guard] = {}
        self._turns = {name: asyncio.Lock() for name in NAMES}

    def endpoints(self) -> Endpoints:
        """Return where the brokers answer; StackError before `start`."""
        if self._state is None:
            raise StackError(f"the stack of {self._layout.home} is not started")
        return self._state.endpoints

    async def start(self) -> Endpoints:
        """Start all of them and return when each answers. On failure, or if cancelled, what was started is stopped."""
        self._take_home()
        try:
            await self._in_thread(self._clear_and_keep)
            await asyncio.gather(*(self._bring_up(name) for name in self._names()))
        except BaseException:
            await self.stop()
            raise
        return self.endpoints()

    async def stop(self) -> None:
        """Stop all of them and give the home free. May be called at any time, and twice."""
        for turn in self._turns.values():
            await turn.acquire()
        try:
            await asyncio.gather(*(self._in_thread(one.stop) for one in self._guards.values()))
            self._guards.clear()
            self._brokers.clear()
            if self._state is not None:
                self._layout.state.unlink(missing_ok=True)
                self._state = None
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None
        finally:
            for turn in self._turns.values():
                turn.release()

    async def status(self) -> dict[str, BrokerStatus]:
        """Return how each broker is; takes the probe's time-out at most, also when one hangs."""
        return await status.of(self._state, self._kept, self._settings.probe_timeout_seconds)

    def dead(self) -> list[str]:
        """Return the names of brokers that were started and do not run any more."""
        return [name for name, one in self._guards.items() if not one.alive()]

    async def restart(self, name: str) -> None:
        """Stop a broker if it runs, and start it again at the same address; return when it answers."""
        if name not in self._turns:
            raise StackError(f"there is no broker {name}; there are {', '.join(NAMES)}")
        async with self._turns[name]:
            if name not in self._guards:
                raise StackError(f"{name} is not started")
            await self._start_again(name)

    async def revive(self) -> list[str]:
        """Start every dead broker again, all at once, at the same address; return their names."""
        names = self.dead()
        await asyncio.gather(*(self._revive_one(name) for name in names))
        return names

    async def _revive_one(self, name: str) -> None:
        async with self._turns[name]:
            if name in self._guards and not self._guards[name].alive():
                await self._start_again(name)

    async def _start_again(self, name: str) -> None:
        await self._in_thread(self._guards[name].stop)
        await self._run(self._brokers[name])

    def _take_home(self) -> None:
        layouts.make_ready(self._layout)
        self._lock = leftovers.take_lock(self._layout.lock)
        if self._lock is None:
            owner = state.read(self._layout.state)
            who = f" (pid {owner.owner.pid})" if owner else ""
            raise StackError(
                f"a stack already runs in {self._layout.home}{who}; stop it with `ratchet stack down`, "
                "or set RATCHET_HOME to another folder"
            )

    def _clear_and_keep(self) -> None:
        old = state.read(self._layout.state)
        leftovers.wait_until_gone(self._layout, NAMES, old, self._settings.leftover_wait_seconds)
        self._kept = ports.keep(self._layout.kept)
        owner = identity.of(os.getpid())
        assert owner is not None, "this process runs"
        self._state = StackState(owner=owner, endpoints=endpoints_of(self._kept))

    def _names(self) -> tuple[str, ...]:
        """Return the brokers that this machine can run."""
        if self.endpoints().redis is not None:
            return NAMES
        say(WITHOUT_REDIS)
        return tuple(name for name in NAMES if name != redis.NAME)

    def _prepare(self, name: str) -> BrokerServer:
        assert self._kept is not None
        folder = self._layout.broker(name)
        if name == redis.NAME:
            return redis.prepare(folder, self._kept)
        if name == postgres.NAME:
            return postgres.prepare(folder, self._kept)
        return kafka.prepare(folder, self._kept, self._cache or jars.default_cache(self._layout.home), self._settings)

    async def _bring_up(self, name: str) -> None:
        async with self._turns[name]:
            self._brokers[name] = await self._in_thread(lambda: self._prepare(name))
            await self._run(self._brokers[name])

    async def _run(self, broker: BrokerServer) -> None:
        self._guards[broker.name] = await self._in_thread(lambda: self._spawn(broker))
        self._note(broker.name, ready=False)
        await self._wait_until_ready(broker)
        if broker.after_start:
            await broker.after_start()
        self._note(broker.name, ready=True)

    def _spawn(self, broker: BrokerServer) -> Guard:
        one = guard.start(broker, self._settings)
        self._guards[broker.name] = one
        return one

    def _note(self, name: str, *, ready: bool) -> None:
        assert self._state is not None
        servers = {**self._state.servers, name: self._guards[name].server}
        names = self._state.ready | {name} if ready else self._state.ready - {name}
        self._state = replace(self._state, servers=servers, ready=names)
        state.write(self._layout.state, self._state)

    async def _wait_until_ready(self, broker: BrokerServer) -> None:
        assert self._kept is not None
        deadline = time.monotonic() + self._settings.start_timeout_seconds
        while not await status.answers(broker.name, self._kept, self._settings.probe_timeout_seconds):
            if not self._guards[broker.name].alive():
                why = last_words(broker.log) or "it wrote nothing"
                raise StackError(f"{broker.name} ended at its start: {why}; see {broker.folder}")
            if time.monotonic() > deadline:
                raise StackError(
                    f"{broker.name} does not answer at {broker.address} after "
                    f"{self._settings.start_timeout_seconds:.0f} s; see {broker.folder}"
                )
            await asyncio.sleep(READY_POLL_SECONDS)

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        """Do blocking work in a thread; a cancellation waits for it, so that nothing it starts is forgotten."""
        task = asyncio.ensure_future(asyncio.to_thread(work))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            raise
