"""A role's start waits for what is away, says so, and ends where the role is stopped first."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import asyncpg
import pytest

from runtime.opening import close_pool, open_when_there
from schemas.errors import SettingsError, UnavailableError

pytestmark = pytest.mark.unit

PAUSES = {"initial_seconds": 0.001, "max_seconds": 0.002}
Noted = list[tuple[Exception | None, int]]


def failing(*errors: Exception) -> Any:
    """Return what opens after it has failed with each of these."""
    left = list(errors)

    async def open_part() -> str:
        if left:
            raise left.pop(0)
        return "open"

    return open_part


async def test_what_is_away_is_waited_for_and_noted_each_time() -> None:
    away = [UnavailableError("Kafka"), OSError("Postgres"), asyncpg.CannotConnectNowError("starting")]
    noted: Noted = []
    opened = open_when_there(failing(*away), asyncio.Event(), lambda *one: noted.append(one), **PAUSES)
    assert await opened == "open"
    assert noted == [*((error, failures) for failures, error in enumerate(away, start=1)), (None, 0)]


async def test_what_no_waiting_mends_is_raised() -> None:
    noted: Noted = []
    with pytest.raises(SettingsError):
        await open_when_there(failing(SettingsError("")), asyncio.Event(), lambda *one: noted.append(one), **PAUSES)
    assert noted == []


async def test_who_is_stopped_opens_nothing_any_more() -> None:
    stop, noted = asyncio.Event(), Noted()

    def note(error: Exception | None, failures: int) -> None:
        noted.append((error, failures))
        stop.set()

    assert await open_when_there(failing(OSError()), stop, note, initial_seconds=60.0, max_seconds=60.0) is None
    assert len(noted) == 1
    assert await open_when_there(failing(), stop, note, **PAUSES) is None
    assert len(noted) == 1


class PaperPool:
    """Closes when it is let to."""

    def __init__(self) -> None:
        self.answers = asyncio.Event()
        self.terminated = False

    async def close(self) -> None:
        await self.answers.wait()

    def terminate(self) -> None:
        self.terminated = True


@pytest.mark.parametrize("answers", [True, False])
async def test_a_pool_whose_server_is_silent_is_dropped(answers: bool) -> None:  # noqa: FBT001 - a case
    pool = PaperPool()
    if answers:
        pool.answers.set()
    await close_pool(cast("Any", pool), 0.05)
    assert pool.terminated is not answers
