"""A connection to Postgres whose first question gets no answer is not left open by whoever gives up waiting."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import asyncpg
import pytest

from runtime.postgres_hosts import Hosts

pytestmark = pytest.mark.unit

DSN: Final = "postgresql://app@127.0.0.1:1/x"


class Frozen:
    """A session that is there and answers nothing."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.terminated = 0

    async def fetchval(self, *_: object) -> None:
        self.asked.set()
        await asyncio.get_running_loop().create_future()

    async def execute(self, *_: object) -> None:
        await self.fetchval()

    fetch = fetchrow = execute

    def terminate(self) -> None:
        self.terminated += 1


@pytest.mark.parametrize(
    "options",
    [{"target_session_attrs": "read-write"}, {"server_settings": {"lock_timeout": "300"}}],
    ids=["whether it takes writes", "the session's settings"],
)
async def test_a_session_that_answers_nothing_is_closed_with_the_wait_for_it(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    session = Frozen()

    async def connect(*_: object, **__: object) -> Frozen:
        return session

    monkeypatch.setattr(asyncpg, "connect", connect)
    connecting = asyncio.create_task(Hosts(DSN).connect(DSN, **options))
    await asyncio.wait_for(session.asked.wait(), 5)
    connecting.cancel()
    await asyncio.wait([connecting])
    assert connecting.cancelled()
    assert session.terminated == 1
