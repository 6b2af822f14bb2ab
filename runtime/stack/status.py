"""How each broker is, found out by asking it; works in any process that may read the home."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Literal, TypedDict

from runtime.stack import kafka, layout, ports, postgres, redis, state
from runtime.stack.ports import LOOPBACK, Kept

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from runtime.stack.state import StackState

Word = Literal["running", "stopped", "starting", "unresponsive", "absent"]

PROBES: Final[dict[str, Callable[[Kept], Awaitable[None]]]] = {
    kafka.NAME: lambda kept: kafka.ask_versions(kept.ports[kafka.NAME]),
    postgres.NAME: postgres.ask,
    redis.NAME: lambda kept: redis.ping(kept.ports[redis.NAME], kept.redis_password),
}
"""A cheap question to a broker of a home; whatever it raises, the broker did not answer."""


class BrokerStatus(TypedDict):
    """One broker. `pid` is the server's own, null when it does not run; `address` is null before the first start.

    `absent` is a Redis that no package has for this machine: the stack runs without.
    """

    state: Word
    pid: int | None
    address: str | None


async def answers(name: str, kept: Kept, seconds: float) -> bool:
    """Tell whether a broker answers its probe in time."""
    try:
        async with asyncio.timeout(seconds):
            await PROBES[name](kept)
    except Exception:  # noqa: BLE001 - whatever it is, the broker did not answer
        return False
    return True


async def of_home(home: Path, probe_seconds: float) -> dict[str, BrokerStatus]:
    """Return the status of the brokers of a home; a server counts only by its pid and start time."""
    where = layout.at(home)
    kept = ports.read(where.kept)
    return await of(state.read(where.state), kept, probe_seconds)


async def of(found: StackState | None, kept: Kept | None, probe_seconds: float) -> dict[str, BrokerStatus]:
    """Return the status of the brokers of a state; all are asked at once, so a hanging one delays no other."""
    rows = await asyncio.gather(*(_one(name, found, kept, probe_seconds) for name in PROBES))
    return dict(zip(PROBES, rows, strict=True))


async def _one(name: str, found: StackState | None, kept: Kept | None, seconds: float) -> BrokerStatus:
    port = kept.ports[name] if kept else None
    address = f"{LOOPBACK}:{port}" if port else None
    if name == redis.NAME and (found.endpoints.redis is None if found else not redis.available()):
        return {"state": "absent", "pid": None, "address": None}
    server = found.servers.get(name) if found else None
    if found is None or server is None or kept is None or not server.alive():
        return {"state": "stopped", "pid": None, "address": address}
    word: Word = "running"
    if not await answers(name, kept, seconds):
        word = "unresponsive" if name in found.ready else "starting"
    return {"state": word, "pid": server.pid, "address": address}
