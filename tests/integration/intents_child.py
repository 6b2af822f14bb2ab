"""The ingress as a child process that kills itself at the point named in CHILD_CRASH_AT; never part of the product.

A point is a statement's name (the kill comes before it runs), `commit` (all is written, nothing is committed),
`committed` (nothing is answered), or `answered` (the answer's head is sent, its body is not).
CHILD_ADDRESS_FD: a pipe that the child writes its address to.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

from asyncpg.transaction import Transaction

from producers.ingress import app
from producers.ingress.intents import handler, idempotency
from runtime.lifecycle import run_role
from runtime.settings import load

POINT = os.environ["CHILD_CRASH_AT"]


class Child:
    """Whether it listens: what is written before, as whose topics the database knows, is not what is tried."""

    listens = False


def crash_at(point: str) -> None:
    if point == POINT and Child.listens:
        os.kill(os.getpid(), signal.SIGKILL)


def arm() -> None:
    """Put the points around what the product does."""
    read, leave, send_whole = idempotency.statement, Transaction.__aexit__, handler.send_answer

    def statement(package: str, name: str) -> str:
        crash_at(name)
        return read(package, name)

    async def __aexit__(self: Any, *failure: Any) -> None:  # noqa: N807
        crash_at("commit")
        await leave(self, *failure)
        crash_at("committed")

    async def send_answer(send: Any, answer: Any) -> None:
        async def cut(message: Any) -> None:
            if message["type"] == "http.response.body":
                crash_at("answered")
            await send(message)

        await send_whole(cut, answer)

    idempotency.statement, Transaction.__aexit__, handler.send_answer = statement, __aexit__, send_answer


async def serve(settings: Any, stop: asyncio.Event, probe: Any) -> None:
    async def tell() -> None:
        while "address" not in probe.facts:  # noqa: ASYNC110 - the probe has no event
            await asyncio.sleep(0.01)
        Child.listens = True
        with os.fdopen(int(os.environ["CHILD_ADDRESS_FD"]), "w") as pipe:
            pipe.write(f"{probe.facts['address']}\n")

    telling = asyncio.ensure_future(tell())
    await app.serve(settings, stop, probe)
    await telling


if __name__ == "__main__":
    arm()
    sys.exit(run_role("ingress", load(), serve))
