"""Sessions as rows: what every replica of the console shares, and the key that signs their cookies."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any

from ops.console.persons import EMERGENCY, Person
from ops.console.reader import open_pool_for, run_on
from ops.operators import TARGET_LENGTH_MAX
from ops.people import PersonRole
from ops.tokens import digest
from runtime.postgres import LazyPool
from runtime.sql import statement
from schemas.errors import RatchetError

if TYPE_CHECKING:
    from ops.console.passwords import Password
    from runtime.settings import Settings

CONNECTIONS = 2


class SessionRows:
    """Reads and writes sessions. Every method raises UnavailableError where Postgres is away or too slow."""

    def __init__(self, settings: Settings, password: Password) -> None:
        self._settings = settings
        self._password = password
        self._pool = LazyPool(lambda: open_pool_for(settings, CONNECTIONS, {}))

    async def key(self) -> bytes:
        """Return the key that signs cookies, made where there is none or the password is another than it was."""
        for _ in range(3):
            found = await self._fetch("read_console_key")
            hashed = self._password.hashed
            if not found:
                await self._fetch("insert_console_key", secrets.token_bytes(32), hashed)
            elif await asyncio.to_thread(self._password.made, found[0]["password_hash"]):
                return bytes(found[0]["signing_key"])
            else:
                await self._fetch("change_console_key", secrets.token_bytes(32), hashed, found[0]["password_hash"])
        return bytes((await self._fetch("read_console_key"))[0]["signing_key"])

    async def begin(self, digest: bytes, person: Person, address: str) -> None:
        """Write a new session, with its line in the audit in the same statement: nobody signs in unseen."""
        action = "console.emergency_sign_in" if person == EMERGENCY else "console.sign_in"
        seconds, origin = self._settings.console.session_seconds, f"console, {address}"
        role = person.role if person.operator_id is None and person != EMERGENCY else None
        named = person.name, address, seconds, person.operator_id, action, origin, role
        await self._fetch("begin_session", digest, *named)

    async def find(self, digest: bytes) -> Person | None:
        """Return whose a session is, and what they may by now; None where it ended, is too old or idle for too long."""
        console = self._settings.console
        rows = await self._fetch("find_session", digest, console.session_seconds, console.session_idle_seconds)
        return _person(rows[0]) if rows else None

    async def any_people(self) -> bool:
        """Tell whether people have names here."""
        return bool((await self._fetch("any_operators"))[0]["found"])

    async def admit(self, name: str, password: str) -> Person | None:
        """Return the person whose name and password these are, or None."""
        rows = await self._fetch("find_operator", name)
        kept = rows[0]["password_hash"] if rows else None
        return _person(rows[0]) if await self._password.fits(kept, password) else None

    async def named(self, name: str) -> Person | None:
        """Return the person of a name that somebody else vouches for; None where nobody has it."""
        rows = await self._fetch("find_operator", name)
        return _person(rows[0]) if rows else None

    async def bearer(self, token: str) -> Person | None:
        """Return the person that a token stands for, with the lesser of both roles; None where it opens nothing."""
        rows = await self._fetch("find_token", digest(token))
        if not rows:
            return None
        role, most = PersonRole(rows[0]["token_role"]), PersonRole(rows[0]["role"])
        return Person(rows[0]["name"], role if most.covers(role) else most, rows[0]["operator_id"])

    async def knows(self, name: str) -> bool:
        """Tell whether somebody has this name."""
        return bool(await self._fetch("find_operator", name))

    async def choose_password(self, person: Person, kept: str, origin: str) -> None:
        """Write another password's hash; every session of the person ends."""
        if not await self._fetch("choose_password", person.operator_id, kept, person.name, origin):
            raise RatchetError(f"{person.name} is not there any more; nothing was done")

    async def note(self, who: str, origin: str, action: str, target: str, because: str) -> None:
        """Write down what somebody did, or was refused."""
        await self._fetch("note_action", who, origin, action, target[:TARGET_LENGTH_MAX], because, package="ops")

    async def note_refused_sign_in(self, who: str, origin: str) -> None:
        """Write down that somebody was not let in, so many a minute at most."""
        await self._fetch("note_refused_sign_in", who, origin, self._settings.console.login_refusals_noted_max)

    async def use(self, digest: bytes, seconds_ago: float) -> None:
        """Note that somebody used the session so long ago."""
        await self._fetch("use_session", digest, seconds_ago)

    async def end(self, digest: bytes) -> None:
        """End one session, in every replica."""
        await self._fetch("end_session", digest)

    async def end_all(self, who: str, origin: str) -> None:
        """End every session, in every replica, and write down who did."""
        await self._fetch("end_sessions", who, origin)

    async def close(self) -> None:
        """Close the pool; what hangs is dropped."""
        await self._pool.close()

    async def _fetch(self, name: str, *arguments: Any, package: str = "ops.console") -> list[dict[str, Any]]:
        async def work(connection: Any) -> list[dict[str, Any]]:
            return [dict(row) for row in await connection.fetch(statement(package, name), *arguments)]

        return await run_on(self._settings, self._pool, work)


def _person(row: dict[str, Any]) -> Person:
    """Return who a row speaks of; one without an operator and a role is of the emergency password."""
    if row["role"] is None:
        return EMERGENCY
    return Person(row["name"], PersonRole(row["role"]), row["operator_id"], row["one_time"])
