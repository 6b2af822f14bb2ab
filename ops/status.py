"""`ratchet status`: roles, lag and counts, each looked up by itself, and left out where it can't be known in time."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from rich.console import Group
from rich.table import Table
from rich.text import Text

from ops import availability, endpoints, home_disks, server
from ops.database import connected, fetch
from ops.lag import by_topic, lag_of, problems, read_partitions
from ops.output import EXIT_DONE, EXIT_PROBLEM, AsJson, command, emit
from ops.parking_standstill import ParkingStandstill, read_standstill
from ops.roles import ROLES
from runtime.lifecycle import read_run_file
from schemas.errors import RatchetError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping
    from typing import TypeVar

    import typer
    from rich.console import RenderableType

    from runtime.settings import Settings

    Found = TypeVar("Found")


class RoleState(StrEnum):
    """How a role looks from outside."""

    RUNNING = "running"
    UNREADY = "unready"
    """It makes progress, and can't take work now: what it needs is away, or it starts or stops."""
    STALLED = "stalled"
    """It lives, and its probe does not answer or says that it is stuck."""
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class RoleStatus:
    """One role. `address` is its service, or its probe where it has none; `reason` is why it stalls or waits."""

    role: str
    pid: int | None = None
    state: RoleState = RoleState.DOWN
    address: str | None = None
    reason: str | None = None


async def ask_livez(address: str, seconds: float) -> str | None:
    """Ask whether a role makes progress; return None where it does, else why it does not."""
    return await ask_probe(address, seconds, "livez")


async def ask_probe(address: str, seconds: float, question: str) -> str | None:
    """Ask a probe `livez` or `readyz`; return None for a role that makes progress, or is ready, else why not."""
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=seconds)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"http://{address}/{question}") as answer,
        ):
            document = await answer.json(content_type=None)
            return None if answer.ok else str(document.get("reason"))
    except (aiohttp.ClientError, TimeoutError, ValueError, AttributeError) as error:
        return f"the probe at {address} does not answer ({type(error).__name__})"


async def role_status(settings: Settings, role: str) -> RoleStatus:
    """Return how one role does, by its run file and its probe."""
    run_file = read_run_file(settings.home, role)
    if run_file is None:
        return RoleStatus(role)
    address = run_file.address or run_file.probe
    if not run_file.alive():
        return RoleStatus(role, None, RoleState.DOWN, address, f"the process {run_file.pid} is gone")
    seconds = settings.role.probe_timeout_seconds
    for question, state in (("livez", RoleState.STALLED), ("readyz", RoleState.UNREADY)):
        reason = await ask_probe(run_file.probe, seconds, question)
        if reason is not None:
            return RoleStatus(role, run_file.pid, state, address, reason)
    return RoleStatus(role, run_file.pid, RoleState.RUNNING, address)


async def read_counts(settings: Settings) -> dict[str, int]:
    """Count what stands in Postgres; raise RatchetError where that can't be known."""
    async with connected(settings) as connection:
        return (await fetch(connection, "read_counts"))[0]


@dataclass(slots=True)
class StatusReport:
    """All that could be known; what could not is absent, and `unknown` says why.

    `problems` are servers that are away, disks that fill up, who holds up commits or the relay, and partitions that are
    not read as they should be: an open transaction, nobody's, deleted records. `parking_standstill` says since when
    time does not count against parked events, and what that waits for.
    """

    roles: list[RoleStatus]
    lag: dict[str, int]
    partitions: dict[str, int]
    counts: dict[str, int]
    unknown: list[str]
    problems: list[str] = field(default_factory=list)
    parking_standstill: ParkingStandstill | None = None

    def document(self) -> dict[str, Any]:
        """Return it as one JSON document."""
        return asdict(self)

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Self:
        """Read what `document` wrote, as a console answers it."""
        roles = [RoleStatus(**one | {"state": RoleState(one["state"])}) for one in document["roles"]]
        stands = document["parking_standstill"]
        standstill = ParkingStandstill(**stands) if stands else None
        return cls(**dict(document) | {"roles": roles, "parking_standstill": standstill})


async def gather(settings: Settings) -> StatusReport:
    """Look everything up at once; each look-up has its own time-out and its failure takes away its part alone."""
    unknown: list[str] = []

    async def known(work: Awaitable[Found], otherwise: Found) -> Found:
        try:
            async with asyncio.timeout(settings.ops.lookup_timeout_seconds * 2):
                return await work
        except (RatchetError, TimeoutError) as error:
            reason = str(error) or "a look-up took too long"
            if reason not in unknown:
                unknown.append(reason)
            return otherwise

    full = home_disks.low(settings.home, settings.ops.disk_free_bytes_min) if settings.embedded() else []
    with contextlib.suppress(RatchetError):
        settings = endpoints.found(settings)
    roles = asyncio.gather(*(role_status(settings, role) for role in ROLES))
    if settings.embedded():
        unknown.append(f"no endpoint is configured and no stack runs in {settings.home}")
        return StatusReport(await roles, {}, {}, {}, unknown, full)
    read = known(read_partitions(settings), None)
    standstill = known(read_standstill(settings), None)
    partitions, counts, stands, away, found = await asyncio.gather(
        read, known(read_counts(settings), {}), standstill, known(availability.problems(settings), []), roles
    )
    away = [*full, *away]
    if partitions is None:
        return StatusReport(found, {}, {}, counts, unknown, away, stands)
    lag = lag_of(partitions)
    shown = {f"{topic}/{number}": behind for (topic, number), behind in sorted(lag.items())}
    wrong = away + [one.found for one in problems(partitions, settings)]
    return StatusReport(
        found, by_topic(lag, settings.kafka.topics.consumed_names), shown, counts, unknown, wrong, stands
    )


COLOURS = {RoleState.RUNNING: "green", RoleState.UNREADY: "red", RoleState.STALLED: "yellow", RoleState.DOWN: "red"}


def roles_table(roles: list[RoleStatus]) -> Table:
    """Return the roles as people read them."""
    table = Table("role", "state", "pid", "address", "why")
    for role in roles:
        pid = str(role.pid) if role.pid else ""
        table.add_row(
            role.role, Text(str(role.state), style=COLOURS[role.state]), pid, role.address or "", role.reason or ""
        )
    return table


def figures_table(title: str, figures: Mapping[str, int]) -> Table:
    """Return figures under a title, one a row."""
    table = Table(title, "")
    table.columns[1].justify = "right"
    for name, number in figures.items():
        table.add_row(name, f"{number:,}")
    return table


def trouble_lines(status: StatusReport) -> list[RenderableType]:
    """Return what is wrong and what could not be known, a line each."""
    lines: list[RenderableType] = [Text.assemble(("problem:", "red"), f" {one}") for one in status.problems]
    if status.parking_standstill is not None:
        lines.append(Text.assemble(("parking:", "yellow"), f" {status.parking_standstill.shown}"))
    return lines + [Text.assemble(("unknown:", "yellow"), f" {reason}") for reason in status.unknown]


def _shown(status: StatusReport) -> RenderableType:
    return Group(
        roles_table(status.roles),
        figures_table("lag", status.lag),
        figures_table("counts", status.counts),
        *trouble_lines(status),
    )


def healthy(status: StatusReport) -> bool:
    """Tell whether all could be known, all partitions are read, and no role stalls, waits or died.

    A role that nobody started is no problem.
    """
    return not status.unknown and not status.problems and all(role.reason is None for role in status.roles)


@command
@server.by_server
def show_status(*, as_json: AsJson = False) -> int:
    """Show roles, lag and counts. Exit 1 where a role or a partition stands still, or a figure can't be known."""
    asked = server.given()
    status = StatusReport.of_document(asked.get("/status")) if asked else asyncio.run(gather(endpoints.load()))
    emit(status.document(), as_json=as_json, show=lambda: _shown(status))
    return EXIT_DONE if healthy(status) else EXIT_PROBLEM


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status")(show_status)
