"""Sessions as rows: what every replica of the console shares, and the key that signs their cookies."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any

from ops.console.reader import open_pool_for, run_on
from runtime.postgres import LazyPool
from runtime.sql import statement

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

    async def begin(self, digest: bytes, person: str, address: str) -> None:
        """Write a session that begins."""
        await self._fetch("begin_session", digest, person, address, self._settings.console.session_seconds)

    async def lives(self, digest: bytes) -> bool:
        """Tell whether a session is there, not too old and not idle for too long."""
        console = self._settings.console
        return bool(await self._fetch("find_session", digest, console.session_seconds, console.session_idle_seconds))

    async def use(self, digest: bytes) -> None:
        """Note that somebody uses the session now."""
        await self._fetch("use_session", digest)

    async def end(self, digest: bytes) -> None:
        """End one session, in every replica."""
        await self._fetch("end_session", digest)

    async def end_all(self, who: str) -> None:
        """End every session, in every replica, and write down who did."""
        await self._fetch("end_sessions", who, "console")

    async def close(self) -> None:
        """Close the pool; what hangs is dropped."""
        await self._pool.close()

    async def _fetch(self, name: str, *arguments: Any) -> list[dict[str, Any]]:
        async def work(connection: Any) -> list[dict[str, Any]]:
            return [dict(row) for row in await connection.fetch(statement("ops.console", name), *arguments)]

        return await run_on(self._settings, self._pool, work)
