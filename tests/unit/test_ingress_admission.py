"""The windows: places are bounded, given in order, and never lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from producers.ingress.admission import Window
from producers.ingress.body import DISCONNECTED, NO_PLACE, TOO_LARGE, TOO_SLOW, BodyBounds, BodyReader

if TYPE_CHECKING:
    from producers.ingress.answers import Refusal

pytestmark = pytest.mark.unit


async def test_places_are_bounded_and_given_back() -> None:
    window = Window(2, wait_seconds=0.01)
    assert [await window.enter() for _ in range(3)] == [True, True, False]
    window.leave()
    assert window.free == 1
    assert await window.enter()


async def test_who_waits_longest_comes_first() -> None:
    window = Window(1, wait_seconds=5)
    assert await window.enter()
    order: list[int] = []

    async def wait(number: int) -> None:
        assert await window.enter()
        order.append(number)
        window.leave()

    waiting = [asyncio.create_task(wait(number)) for number in range(3)]
    await asyncio.sleep(0)
    window.leave()
    await asyncio.gather(*waiting)
    assert order == [0, 1, 2]
    assert window.free == 1


@pytest.mark.parametrize("granted", [False, True])
async def test_a_cancelled_waiter_loses_no_place(*, granted: bool) -> None:
    window = Window(1, wait_seconds=5)
    assert await window.enter()
    waiter = asyncio.create_task(window.enter())
    await asyncio.sleep(0)
    if granted:
        window.leave()
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    if not granted:
        window.leave()
    assert window.free == 1


def messages(*parts: bytes, end: bool = True) -> Any:
    """Return an ASGI `receive` that gives the parts and then hangs, or ends the body with the last one."""
    queue = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    if end:
        queue[-1]["more_body"] = False

    async def receive() -> Any:
        if queue:
            return queue.pop(0)
        return await asyncio.Event().wait()

    return receive


async def disconnect() -> Any:
    return {"type": "http.disconnect"}


async def read(receive: Any, declared: int = 0, window: Window | None = None, deadline: float = 5) -> bytes | Refusal:
    reader = BodyReader(receive, BodyBounds(10, 4, deadline), window or Window(1, 0.01))
    try:
        return await reader.read(declared)
    finally:
        reader.close()


async def test_bodies_within_their_bounds_are_whole() -> None:
    assert await read(messages(b"")) == b""
    assert await read(messages(b"0123456789")) == b"0123456789"
    assert await read(messages(b"01234", b"56789", b"")) == b"0123456789"


async def test_bodies_over_a_bound_are_refused() -> None:
    assert await read(messages(b"x"), declared=11) is TOO_LARGE
    assert await read(messages(b"01234567890")) is TOO_LARGE
    assert await read(messages(b"01234", b"567890", end=False)) is TOO_LARGE
    assert await read(messages(b"0", end=False), deadline=0.01) is TOO_SLOW
    assert await read(disconnect) is DISCONNECTED


async def test_only_a_large_body_needs_a_place_and_gives_it_back() -> None:
    window = Window(1, 0.01)
    assert await window.enter()
    assert await read(messages(b"0123", b""), window=window) == b"0123"
    assert await read(messages(b"01234", b""), window=window) is NO_PLACE
    window.leave()
    assert await read(messages(b"01234", b"56", b"78", b""), window=window) == b"012345678"
    assert await read(messages(b"01234", b"567890", end=False), window=window) is TOO_LARGE
    assert window.free == 1


async def test_waiting_for_a_place_is_not_the_senders_time() -> None:
    window = Window(1, 5)
    assert await window.enter()
    reading = asyncio.create_task(read(messages(b"01234", b""), window=window, deadline=0.02))
    await asyncio.sleep(0.06)
    window.leave()
    assert await reading == b"01234"


@pytest.mark.parametrize("comes", [True, False])
async def test_who_waited_for_a_place_has_the_rest_of_the_senders_time_and_no_more(*, comes: bool) -> None:
    """What is still to come may come a moment after the place: our wait was longer than all of the sender's time."""
    window, parts = Window(1, 5), [b"01234", b"5", b""]

    async def receive() -> Any:
        if len(parts) < 3:
            for _ in range(3):
                await asyncio.sleep(0)
        if len(parts) == 1 and not comes:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    assert await window.enter()
    reading = asyncio.create_task(read(receive, window=window, deadline=0.02))
    await asyncio.sleep(0.06)
    window.leave()
    assert await asyncio.wait_for(reading, 5) == (b"012345" if comes else TOO_SLOW)
    assert window.free == 1
