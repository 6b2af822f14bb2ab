"""Which broker or host is away, and what is missing of the copies: what `doctor` reports of a cluster."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from ops import postgres_disk
from ops.database import connected
from ops.finding import Finding
from runtime.own_sessions import SHARED, shared
from runtime.postgres_hosts import hosts_of
from runtime.sql import statement
from schemas.errors import RatchetError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runtime.postgres import Connection
    from runtime.settings import OpsSettings, Settings

HELD_SECONDS_MAX: Final = 10.0
"""Batches last for milliseconds; a transaction that is open for so long holds up the relay."""
LOOK_AGAIN_SECONDS: Final = 1.0
NAME_SECONDS: Final = 10.0
"""Between two looks of the console at what is wrong of Postgres; each opens a session."""
MEGABYTE: Final = 1e6


async def servers_findings(settings: Settings) -> list[Finding]:
    """Ask each broker, and each host of a DSN that names several, by itself: what is away is named."""
    from runtime.servers import Servers

    servers = Servers(settings)
    try:
        brokers, hosts = await asyncio.gather(servers.brokers(), servers.hosts())
    finally:
        await servers.close()
    found = [away_finding("kafka brokers", brokers, "start it, or mend the network between it and us")]
    found.append(disks_finding(servers.disks))
    if hosts or several_hosts(settings):
        advice = "bring it back, and make sure that it does not come back as a second primary"
        found.append(away_finding("postgres hosts", hosts, advice))
    return found


def several_hosts(settings: Settings) -> bool:
    """Tell whether the DSN names several hosts."""
    dsn = settings.postgres.dsn
    return dsn is not None and len(hosts_of(dsn.get_secret_value())) > 1


def away_finding(check: str, away: Sequence[str], advice: str) -> Finding:
    """Check what does not answer us. Pure."""
    advice = f"{advice} (RUNBOOK: A broker is away)" if check == "kafka brokers" else advice
    return Finding(check, ok=not away, found="; ".join(away) or "all answer", advice=advice if away else "")


def disks_finding(low: Sequence[str]) -> Finding:
    """Check which brokers' disks fill up. Pure."""
    advice = "make room: a broker whose disk is full ends (RUNBOOK: A disk fills up)" if low else ""
    return Finding("kafka disks", ok=not low, found="; ".join(low) or "room enough", advice=advice)


async def problems(settings: Settings) -> list[str]:
    """Return what is away, which disks fill up, and who holds up commits or the relay: shown among other things."""
    from runtime.servers import Servers

    servers = Servers(settings)
    try:
        away, wrong = await asyncio.gather(servers.away(), wrong_of_postgres(settings))
    finally:
        await servers.close()
    return [*away, *servers.disks, *wrong]


async def keep_naming(settings: Settings, facts: dict[str, object]) -> None:
    """Show in a probe's facts what is wrong of Postgres, again and again, until cancelled."""
    while True:
        facts["postgres"] = await wrong_of_postgres(settings)
        await asyncio.sleep(NAME_SECONDS)


async def wrong_of_postgres(settings: Settings) -> list[str]:
    """Return what is wrong of Postgres as one who was let in sees it, a sentence each."""
    return [f"{one.check}: {one.found}" for one in await _of_postgres(settings) if not one.ok]


async def _of_postgres(settings: Settings) -> list[Finding]:
    """Look at clock, standby, transactions and disk; nothing where Postgres lets us not in, which others report."""
    try:
        async with connected(settings) as connection:
            found = [
                await clock_finding(settings.ops, connection),
                *await replication_findings(settings.ops, connection),
            ]
            return [*found, *await postgres_disk.findings(settings.ops, connection)]
    except RatchetError:
        return []


async def clock_finding(settings: OpsSettings, connection: Connection) -> Finding:
    """Look how far this machine's clock and Postgres's are surely apart: the time that asking took proves nothing."""
    before = time.time()
    theirs = await connection.fetchval("select extract(epoch from clock_timestamp())::float8")
    return skew_finding(max(theirs - time.time(), before - theirs, 0.0), settings.clock_skew_seconds_max)


def skew_finding(apart_seconds: float, seconds_max: float) -> Finding:
    """Check how far our clock and Postgres's are apart: signatures hold for minutes, leases for seconds. Pure."""
    ok = apart_seconds <= seconds_max
    advice = "" if ok else "synchronise the machines' clocks by NTP (RUNBOOK: RatchetClockWrong)"
    return Finding("clock", ok=ok, found=f"{apart_seconds:.2f} s apart from Postgres's", advice=advice)


def copies_finding(described: Sequence[dict[str, Any]], least: Mapping[str, int]) -> Finding:
    """Check which partitions have no leader, or fewer copies in step than a write needs. Pure.

    `least` is each topic's min.insync.replicas, where it is known.
    """
    headless, short, behind = [], [], 0
    for topic in described:
        for part in topic["partitions"]:
            place = f"{topic['topic']}/{part['partition']}"
            if part["leader"] < 0:
                headless.append(place)
            elif len(part["isr"]) < least.get(topic["topic"], 1):
                short.append(place)
            behind += len(part["isr"]) < len(part["replicas"])
    shown = [f"no leader: {', '.join(headless)}"] if headless else []
    shown += [f"takes no writes, too few copies in step: {', '.join(short)}"] if short else []
    shown += [f"{behind} partitions have copies that lag"] if behind else []
    advice = "webhooks wait in the spool meanwhile; bring the brokers back" if headless or short else ""
    advice = advice or ("wait for the copies, or bring their broker back" if behind else "")
    return Finding("kafka copies", ok=not shown, found="; ".join(shown) or "all in step", advice=advice)


def standby_finding(found: Mapping[str, Any]) -> Finding:
    """Check whether commits wait for a standby that is not there. Pure."""
    if not found["names"]:
        shown = f"{found['standbys']} standby(s), none synchronous: a fail-over may lose what was committed last"
        return Finding("postgres standby", ok=True, found=shown if found["standbys"] else "none")
    away = not found["standbys"] or found["waiting"] > 0
    shown = f"synchronous ({found['names']})"
    if away:
        shown = (
            f"commits wait for {found['names']}: {found['standbys']} there, {found['waiting']} sessions wait for long"
        )
    advice = (
        "bring the standby back, or take it out of synchronous_standby_names on the primary and reload" if away else ""
    )
    return Finding("postgres standby", ok=not away, found=shown, advice=advice)


def lag_finding(found: Mapping[str, Any], bytes_max: int) -> Finding:
    """Check how much of the WAL the standby that is furthest behind lacks. Pure."""
    check = "postgres standby lag"
    if found["lag_bytes"] is None:
        return Finding(check, ok=True, found="not shown to us", advice="grant pg_monitor to our role")
    ok = found["lag_bytes"] <= bytes_max
    shown = f"{found['furthest']} lacks {found['lag_bytes'] / MEGABYTE:.1f} MB of the WAL"
    return Finding(check, ok=ok, found=shown, advice="" if ok else "see RUNBOOK: RatchetStandbyLags")


async def oldest_transaction(connection: Connection) -> Finding:
    """Look for an open transaction that holds up the relay: twice, as most end within milliseconds."""
    sql = statement("runtime", "read_oldest_transaction")
    before = await connection.fetchrow(sql)
    if before is None:
        return Finding("oldest transaction", ok=True, found="none is open")
    await asyncio.sleep(LOOK_AGAIN_SECONDS)
    again = await connection.fetchrow(sql)
    if again is None or again["xid"] != before["xid"]:
        return Finding("oldest transaction", ok=True, found="none is open for long")
    return open_transaction_finding(dict(again))


def open_transaction_finding(found: Mapping[str, Any]) -> Finding:
    """Check a transaction that was open at two looks. Pure."""
    since = "for longer than is shown to us" if found["seconds"] is None else f"for {found['seconds']:.0f} s"
    who = f"prepared transaction {found['gid']}" if found["gid"] else f"process {found['pid']} of role {found['role']}"
    named = f" ({found['application']})" if found["application"] else ""
    ok = found["seconds"] is not None and found["seconds"] < HELD_SECONDS_MAX
    advice = (
        "" if ok else "changes are published once it has ended: end it (pg_terminate_backend, or ROLLBACK PREPARED)"
    )
    return Finding("oldest transaction", ok=ok, found=f"{who}{named} has one open {since}", advice=advice)


def own_sessions_finding(*, shared: bool) -> Finding:
    """Check whether our sessions are our own. Pure."""
    if not shared:
        return Finding("session", ok=True, found="our own")
    shown, _, advice = SHARED.partition(": set ")
    return Finding("session", ok=False, found=shown, advice=f"set {advice}")


async def cluster_findings(settings: Settings, connection: Connection) -> list[Finding]:
    """Look at what stands between us and Postgres, at its standby, and at who holds up others."""
    async with connected(settings, as_it_is=True) as other:
        found = [own_sessions_finding(shared=await shared(connection, other))]
    return found + await replication_findings(settings.ops, connection)


async def replication_findings(settings: OpsSettings, connection: Connection) -> list[Finding]:
    """Look at the standbys, and at who holds up the relay."""
    (row,) = await connection.fetch(statement("runtime", "read_replication"))
    found = [standby_finding(dict(row))]
    if row["standbys"]:
        found.append(lag_finding(dict(row), settings.standby_lag_bytes_max))
    return [*found, await oldest_transaction(connection)]
