"""Connections are taken in a few a turn; who is refused gets an answer; without descriptors there is a pause."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest
from waiting import until

from runtime import http_accept
from runtime.http_accept import ACCEPTS_A_TURN, Acceptor
from runtime.http_server import listen

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.unit


class Served(asyncio.Protocol):
    """Says hello, and notes who came."""

    made: list[Served]

    def connection_made(self, transport: Any) -> None:
        self.made.append(self)
        transport.write(b"hello")
        transport.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    found = listen("127.0.0.1:0", "TEST")
    yield found
    found.close()


def acceptor_of(listener: Any, *, refused: bool = False) -> tuple[Acceptor, list[Served]]:
    class Counted(Served):
        made: list[Served] = []  # noqa: RUF012

    made = Acceptor(listener, Counted, lambda peer: f"no, {peer}".encode() if refused else None)
    made.start(128)
    return made, Counted.made


async def sent_to(listener: socket.socket) -> bytes:
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    try:
        return await reader.read()
    finally:
        writer.close()


async def test_who_has_a_place_gets_a_protocol_and_who_has_none_is_answered_so(listener: socket.socket) -> None:
    acceptor, made = acceptor_of(listener)
    assert await sent_to(listener) == b"hello"
    acceptor.close()
    refusing, none = acceptor_of(listener, refused=True)
    assert await sent_to(listener) == b"no, 127.0.0.1"
    refusing.close()
    assert (len(made), none) == (1, [])


class Unread:
    """A connection whose buffers are full: whoever waits for room there waits for ever."""

    closed = False

    def send(self, _refusal: bytes, flags: int = 0) -> int:
        assert flags & socket.MSG_DONTWAIT, "the loop would stand still"
        raise BlockingIOError

    def close(self) -> None:
        self.closed = True


def test_a_refused_sender_that_reads_nothing_holds_up_nobody() -> None:
    connection: Any = Unread()
    http_accept._answer(connection, b"no")
    assert connection.closed


@pytest.mark.parametrize("refused", [True, False])
async def test_the_loop_goes_round_after_a_few(listener: socket.socket, *, refused: bool) -> None:
    counted: list[str] = []

    def refusal_of(peer: str) -> bytes | None:
        counted.append(peer)
        return b"no" if refused else None

    acceptor = Acceptor(listener, asyncio.Protocol, refusal_of)
    listener.listen(128)
    with contextlib.ExitStack() as opened:
        for _ in range(3 * ACCEPTS_A_TURN):
            opened.enter_context(socket.create_connection(listener.getsockname()))
        acceptor.start(128)
        turns = []
        while len(counted) < 3 * ACCEPTS_A_TURN:
            turns.append(len(counted))
            await asyncio.sleep(0)
        turns.append(len(counted))
    assert max(after - before for before, after in itertools.pairwise(turns)) <= ACCEPTS_A_TURN
    acceptor.close()
    await acceptor.wait_closed()


class Failing:
    """A listening socket whose accept raises a few times first."""

    def __init__(self, listener: socket.socket, *errors: OSError) -> None:
        self._listener, self._errors = listener, list(errors)
        self.fileno, self.listen = listener.fileno, listener.listen

    def accept(self) -> Any:
        if self._errors:
            raise self._errors.pop(0)
        return self._listener.accept()


async def test_without_descriptors_connections_wait_a_moment(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_accept, "PAUSE_SECONDS", 0.05)
    lack = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    acceptor, _ = acceptor_of(Failing(listener, lack, ConnectionAbortedError()))
    assert await sent_to(listener) == b"hello"
    acceptor.close()
    acceptor.close()


async def test_a_pause_that_ends_after_the_close_takes_nobody_in(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_accept, "PAUSE_SECONDS", 60.0)
    failing = Failing(listener, OSError(errno.ENFILE, "full"))
    acceptor, made = acceptor_of(failing)
    with socket.create_connection(listener.getsockname()):
        await until(lambda: not failing._errors, within_seconds=5)
        acceptor.close()
        acceptor._resume()
        for _ in range(20):
            await asyncio.sleep(0)
    assert made == []


async def test_what_is_no_lack_is_no_reason_to_wait(listener: socket.socket) -> None:
    acceptor, _ = acceptor_of(listener)
    acceptor.close()
    broken = Acceptor(Failing(listener, OSError(errno.EBADF, "bad")), asyncio.Protocol, lambda _: None)  # type: ignore[arg-type]
    with pytest.raises(OSError, match="bad"):
        broken._take()


async def test_a_connection_that_is_gone_before_it_is_made_is_closed(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: Any) -> None:
        raise OSError(errno.ENOTCONN, "gone")

    monkeypatch.setattr(asyncio.get_running_loop(), "connect_accepted_socket", fails)
    acceptor, _ = acceptor_of(listener)
    with contextlib.suppress(ConnectionError):
        assert await sent_to(listener) == b""
    acceptor.close()
    await acceptor.wait_closed()
