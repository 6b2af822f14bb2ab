"""Reading a request's body within its bounds: size, time, and memory that slow senders may hold."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from producers.ingress.answers import Refusal
from schemas import problems

if TYPE_CHECKING:
    from starlette.types import Receive

    from producers.ingress.admission import Window

TOO_LARGE: Final = Refusal(problems.BODY_TOO_LARGE, "body_too_large", close=True)
TOO_SLOW: Final = Refusal(problems.RECEIPT_TIMEOUT, "receipt_timeout", close=True)
DISCONNECTED: Final = Refusal(problems.RECEIPT_TIMEOUT, "disconnected", close=True)
NO_PLACE: Final = Refusal(problems.WINDOW_FULL, "large_bodies_full", close=True)


@dataclass(frozen=True, slots=True)
class BodyBounds:
    """How large a body may be, how long it may take, and from which size on it needs a place in a window."""

    bytes_max: int
    bytes_unreserved: int
    deadline_seconds: float


class BodyReader:
    """Reads one body; `close` gives back the place that a large one holds, so keep it until the answer is sent."""

    def __init__(self, receive: Receive, bounds: BodyBounds, large_bodies: Window) -> None:
        self._receive = receive
        self._bounds = bounds
        self._large_bodies = large_bodies
        self._bytes_max = bounds.bytes_max
        self._holds_place = False

    async def read(self, declared_bytes: int, bytes_max: int | None = None) -> bytes | Refusal:
        """Return the whole body, or why it is refused.

        `declared_bytes` is the Content-Length, 0 where unknown; `bytes_max` a bound below that of all bodies.
        """
        self._bytes_max = self._bounds.bytes_max if bytes_max is None else bytes_max
        if declared_bytes > self._bytes_max:
            return TOO_LARGE
        if _is_whole(self._receive) and declared_bytes <= self._bounds.bytes_unreserved:
            return await self._read(None)
        try:
            async with asyncio.timeout(self._bounds.deadline_seconds) as deadline:
                return await self._read(deadline)
        except TimeoutError:
            return TOO_SLOW

    def close(self) -> None:
        """Give back what the body holds."""
        if self._holds_place:
            self._holds_place = False
            self._large_bodies.leave()

    async def _read(self, deadline: asyncio.Timeout | None) -> bytes | Refusal:
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] != "http.request":
                return DISCONNECTED
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > self._bytes_max:
                return TOO_LARGE
            if not message.get("more_body", False):
                return chunks[0] if len(chunks) == 1 else b"".join(chunks)
            if size > self._bounds.bytes_unreserved and not await self._has_place(deadline):
                return NO_PLACE

    async def _has_place(self, deadline: asyncio.Timeout | None) -> bool:
        """Take a place once; the wait for it is ours, so it does not count against the sender's deadline."""
        if not self._holds_place and deadline is not None:
            due, loop = deadline.when(), asyncio.get_running_loop()
            started = loop.time()
            deadline.reschedule(None)
            self._holds_place = await self._large_bodies.enter()
            deadline.reschedule(None if due is None else due + loop.time() - started)
        return self._holds_place


def _is_whole(receive: Receive) -> bool:
    """Tell whether the server holds all of the body: then nothing is waited for, and no deadline need be set.

    It knows uvicorn's request by `receive`, its bound method; any other server's body is waited for.
    """
    return getattr(getattr(receive, "__self__", None), "more_body", True) is False
