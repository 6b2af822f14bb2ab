"""A DSN with several hosts: whichever takes us first, and one that hangs holds up no other.

The driver asks one host after the other under one time-out, so a first host that is frozen, or whose packets are lost,
takes all of it, and the healthy primary behind it is never asked. Here the next host is asked as soon as one failed or
was silent for `HEAD_START_SECONDS`, beside it, and the first that fits `target_session_attrs` is taken (as RFC 8305
does with addresses). The host of the last session is asked first: a primary that comes back after another was promoted
may still believe that it is one.

A pooler may refuse the settings that a session asks for as it logs in (PgBouncer: `unsupported startup parameter`), or
drop them (`ignore_startup_parameters`). So they are set again by a statement, and hold either way. A pooler also
repeats what the server reported of itself when it was first asked: a standby that was promoted since would be taken for
one for ever. So whether a server takes writes is asked of the server, in the session that is to be used.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit, urlunsplit

import asyncpg
from asyncpg.connect_utils import SessionAttribute

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HEAD_START_SECONDS: Final = 0.5
"""How long a host may be silent before the next one is asked beside it: many round trips, less than anybody waits."""


SET_ALL: Final = "select set_config(name, value, false) from unnest($1::text[], $2::text[]) as asked (name, value)"
STANDBY: Final = "select pg_is_in_recovery()"
READ_ONLY: Final = "select pg_is_in_recovery() or current_setting('default_transaction_read_only')::bool"
DEMANDS: Final = {
    SessionAttribute.primary: (STANDBY, False),
    SessionAttribute.standby: (STANDBY, True),
    SessionAttribute.read_write: (READ_ONLY, False),
    SessionAttribute.read_only: (READ_ONLY, True),
}
"""What a server is asked for a `target_session_attrs`, and what it must answer; other attributes demand nothing."""
NAME: Final = "application_name"
"""The one setting at login that every pooler passes on."""


def hosts_of(dsn: str) -> list[str]:
    """Return a DSN a host; one whose hosts stand in its query, as the driver reads them, is returned as it is. Pure."""
    parts = urlsplit(dsn)
    login, at, hosts = parts.netloc.rpartition("@")
    if "," not in hosts:
        return [dsn]
    return [urlunsplit(parts._replace(netloc=f"{login}{at}{host}")) for host in hosts.split(",")]


class Hosts:
    """Connects to whichever host of a DSN serves; remembers which one did last."""

    def __init__(self, dsn: str) -> None:
        self._dsns = hosts_of(dsn)
        self._settings_refused = False

    async def connect(self, _dsn: str, **options: Any) -> asyncpg.Connection[asyncpg.Record]:
        """Connect as `asyncpg.connect` does, within its `timeout`; raises what it raises, of the last host that failed.

        It has the shape of a pool's `connect`. The session has its `server_settings`, whatever stands in between.
        """
        async with asyncio.timeout(options.get("timeout")):
            try:
                connection = await self._first(options)
            except asyncpg.ProtocolViolationError as error:
                if "startup parameter" not in str(error) or self._settings_refused:
                    raise
                self._settings_refused = True
                connection = await self._first(options)
            try:
                await set_all(connection, options.get("server_settings") or {})
            except BaseException:
                connection.terminate()
                raise
        return connection

    async def _first(self, options: dict[str, Any]) -> asyncpg.Connection[asyncpg.Record]:
        if self._settings_refused:
            asked = options.get("server_settings") or {}
            options = options | {"server_settings": {name: value for name, value in asked.items() if name == NAME}}
        if len(self._dsns) == 1:
            return await connect_to(self._dsns[0], options)
        connection, dsn = await first_of(self._dsns, options)
        self._dsns = [dsn, *(other for other in self._dsns if other != dsn)]
        return connection


def demand_of(dsn: str, options: Mapping[str, Any]) -> tuple[str, bool] | None:
    """Return what a server is to be asked, and what it must answer; an attribute that is none is the driver's. Pure."""
    asked = parse_qs(urlsplit(dsn).query).get("target_session_attrs", [SessionAttribute.any])
    try:
        return DEMANDS.get(SessionAttribute(options.get("target_session_attrs") or asked[-1]))
    except ValueError:
        return None


async def connect_to(dsn: str, options: dict[str, Any]) -> asyncpg.Connection[asyncpg.Record]:
    """Connect to one host; raise TargetServerAttributeNotMatched where it is not what is wanted."""
    if (demand := demand_of(dsn, options)) is None:
        return await asyncpg.connect(dsn, **options)
    question, answer = demand
    anybody = options | {"target_session_attrs": SessionAttribute.any}
    connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(dsn, **anybody)
    try:
        found = await connection.fetchval(question)
    except BaseException:
        connection.terminate()
        raise
    if found is answer:
        return connection
    await connection.close()
    raise asyncpg.TargetServerAttributeNotMatched(f"it answers {found} to: {question}")


async def set_all(connection: asyncpg.Connection[asyncpg.Record], asked: Mapping[str, str]) -> None:
    """Set what the session is to have; what it has already stays as it is."""
    if asked:
        await connection.fetch(SET_ALL, list(asked), list(asked.values()))


async def first_of(dsns: Sequence[str], options: dict[str, Any]) -> tuple[asyncpg.Connection[asyncpg.Record], str]:
    """Return the first session that opens, and its DSN; those that open later are closed."""
    waiting = list(dsns)
    tries: dict[asyncio.Task[asyncpg.Connection[asyncpg.Record]], str] = {}
    failure: BaseException | None = None
    try:
        while waiting or tries:
            if waiting:
                dsn = waiting.pop(0)
                tries[asyncio.create_task(connect_to(dsn, options))] = dsn
            done, _ = await asyncio.wait(
                tries, timeout=HEAD_START_SECONDS if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                dsn = tries.pop(task)
                if (error := task.exception()) is None:
                    return task.result(), dsn
                failure = telling(failure, error)
        assert failure is not None, "a DSN has a host"
        raise failure
    finally:
        for task in tries:
            task.add_done_callback(_close)
            task.cancel()


def telling(before: BaseException | None, error: BaseException) -> BaseException:
    """Return the more useful of two failures: that a host is a standby explains nothing about the primary."""
    return error if before is None or not isinstance(error, asyncpg.TargetServerAttributeNotMatched) else before


def _close(task: asyncio.Task[asyncpg.Connection[asyncpg.Record]]) -> None:
    """Close a session that nobody waits for any more."""
    if not task.cancelled() and task.exception() is None:
        task.result().terminate()
