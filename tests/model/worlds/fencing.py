"""A relay takes the lease, Postgres fails over to a replica that does not know of it, and another relay takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model.worlds.acting import lane_of, publish
from runtime import lease as leases
from schemas.errors import LeaseLostError

if TYPE_CHECKING:
    from model.arena import Arena
    from model.stepping import Process

EXPIRED = "insert into leases (name, holder, token, expires_at) values ('relay', 'gone', 1, now() - interval '1 day')"
FAIL_OVER = "update leases set holder = 'gone', token = 1, expires_at = now() - interval '1 day' where name = 'relay'"


class Fencing:
    """Two holders of one token: only the one that Postgres knows may write."""

    name = "fencing"
    says = "of two relays that were given the same token by a fail-over only the newer one's writes count"
    crashes = 0
    compared: tuple[tuple[str, str], ...] = ()
    finds = (
        "lease-guard-forgets-the-holder",
        "relay-spool-fence-forgets-the-holder",
        "lease-renewal-forgets-the-holder",
    )

    async def seed(self, arena: Arena) -> None:
        await arena.observer.run(EXPIRED)
        await arena.observer.run(
            """insert into spool (topic, key, value, header_names, header_values)
            values ('payments.intents', 'k', '1', '{}', '{}')"""
        )

    def processes(self, arena: Arena) -> list[Process]:
        failover = arena.process("fail-over")
        failover.start(self._fail_over(arena, failover))
        started = [failover]
        for name in ("one", "other"):
            process = arena.process(name)
            process.start(_relay(arena, process))
            started.append(process)
        return started

    @staticmethod
    async def _fail_over(arena: Arena, process: Process) -> None:
        await process.step("fail over", lambda: arena.hand.run(FAIL_OVER))
        arena.notes.append(("fail-over", ""))

    async def finish(self, arena: Arena) -> None:
        """Nothing is left to do."""

    async def check(self, arena: Arena) -> list[str]:
        problems, holder = [], ""
        for what, name, *_ in arena.notes:
            if what == "acquired":
                holder = name
            elif what == "fail-over":
                holder = ""
            elif what in {"renewed", "guarded", "finished"} and name != holder:
                problems.append(f"{name} {what}, and {holder or 'nobody'} held the lease")
        return problems


async def _relay(arena: Arena, process: Process) -> None:
    """Take the lease; then do, once each, whatever it guards."""
    pool = arena.pool_of(process)
    own = leases.PostgresLeases(pool)  # type: ignore[arg-type]
    lease = await own.acquire("relay", process.name, 60.0)
    if lease is None:
        return
    arena.notes.append(("acquired", process.name))
    try:
        await leases.guard(pool, lease)  # type: ignore[arg-type]
        arena.notes.append(("guarded", process.name))
        await publish(process, arena, lane_of(arena, "spool"), lease, turns=1)
        if await own.renew(lease, 60.0):
            arena.notes.append(("renewed", process.name))
    except LeaseLostError:
        arena.notes.append(("refused", process.name))
