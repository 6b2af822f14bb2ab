"""How an `up` in the background is begun and ended: apart from the terminal, with a log of its own, waited for."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from ops import detach
from ops.output import EXIT_USAGE
from runtime.lifecycle import RunFile
from runtime.settings import RoleSettings, Settings
from schemas.errors import SettingsError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.unit


class PaperUp:
    """A process that is the `up`: how it was begun, what its standard input got, how it ends."""

    pid = 4711

    def __init__(self, command: Any, **how: Any) -> None:
        self.command, self.how = command, how
        self.status: int | None = None
        self.given = b""
        self.released_at_close: bytes | None = None
        self.stdin = self
        PaperUp.begun = self

    begun: PaperUp

    def poll(self) -> int | None:
        return self.status

    def write(self, data: bytes) -> None:
        self.given += data

    def close(self) -> None:
        self.released_at_close = self.given


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(detach, "subprocess", SimpleNamespace(Popen=PaperUp, PIPE=subprocess.PIPE))
    monkeypatch.setattr(detach, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(detach, "_console_of", lambda *_: "127.0.0.1:2")
    before = os.umask(0)
    yield tmp_path
    os.umask(before)


def settings(home: Path) -> Settings:
    return Settings().model_copy(update={"home": home})


def test_it_outlives_its_terminal_and_is_set_free_once_the_ingress_answers(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([None, "127.0.0.1:1", "127.0.0.1:1"])
    ready = iter([False, True])
    monkeypatch.setattr(detach, "_address_of", lambda *_: next(answers))
    monkeypatch.setattr(detach, "_ready", lambda *_: next(ready))
    log = detach.log_path(home)
    log.parent.mkdir()
    log.write_text("of an earlier one\n")
    log.chmod(0o600)
    found = detach.start(settings(home), ["--port", "1"])
    up = PaperUp.begun
    assert found == {
        "pid": 4711, "ingress": "http://127.0.0.1:1", "console": "http://127.0.0.1:2", "log": str(log),
    }  # fmt: skip
    assert up.command[-4:] == ["up", "--released-by-stdin", "--port", "1"]
    assert "-P" in up.command, "no module of the folder that it is begun in is taken for one of ours"
    assert up.how["start_new_session"] is True, "else Ctrl-C in the terminal ends it"
    assert (up.how["stdin"], up.released_at_close) == (subprocess.PIPE, detach.RELEASED)
    assert log.read_text() == ""


def test_its_log_is_nobody_elses(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detach, "_until_ready", lambda *_: "127.0.0.1:1")
    detach.start(settings(home), [])
    path = detach.log_path(home)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("status", "error"), [(EXIT_USAGE, SettingsError), (1, UnavailableError), (-9, UnavailableError)]
)
def test_one_that_ends_before_is_stated_with_its_last_words_and_never_set_free(
    home: Path, monkeypatch: pytest.MonkeyPatch, status: int, error: type[Exception]
) -> None:
    def ended(*_: object) -> None:
        PaperUp.begun.status = status
        detach.log_path(home).write_text("one\nratchet: the port is taken\n\n")

    monkeypatch.setattr(detach, "_address_of", ended)
    with pytest.raises(error, match="the stack did not start: the port is taken"):
        detach.start(settings(home), [])
    assert PaperUp.begun.released_at_close == b"", "the end of the pipe stops what is left of it"


def test_a_run_file_of_another_stack_is_not_taken_for_ours(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine: Any = type("Up", (), {"pid": os.getppid()})
    for process, found in ((mine, "127.0.0.1:1"), (type("Up", (), {"pid": 1 << 22}), None)):
        run_file = RunFile("ingress", os.getpid(), 1.0, "127.0.0.1:9", "127.0.0.1:1")
        monkeypatch.setattr(RunFile, "alive", lambda _: True)
        monkeypatch.setattr(detach, "read_run_file", lambda *_, run_file=run_file: run_file)
        assert detach._address_of(home, "ingress", process) == found
    monkeypatch.setattr(detach, "read_run_file", lambda *_: None)
    assert detach._address_of(home, "ingress", mine) is None


@pytest.mark.parametrize(("status", "ready"), [("200 OK", True), ("503 Not ready", False), ("404 No", False)])
async def test_it_is_ready_where_the_probe_says_so(status: str, ready: bool) -> None:  # noqa: FBT001
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"GET /readyz ")
        writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert await asyncio.to_thread(detach._ready, f"127.0.0.1:{port}", 5.0) is ready
    server.close()
    await server.wait_closed()
    assert not await asyncio.to_thread(detach._ready, f"127.0.0.1:{port}", 5.0)


class Running:
    """An `up` that runs: it gives its lock back before it ends."""

    pid = 4711

    def __init__(self, looks: int) -> None:
        self.signals: list[int] = []
        self.looks = looks

    def signal(self, number: int) -> None:
        self.signals.append(number)

    def alive(self) -> bool:
        self.looks -= 1
        return self.looks > 0


@pytest.mark.parametrize("locked_for", [0, 3, 9])
def test_it_is_asked_to_end_and_waited_for_until_all_of_it_is_gone(
    home: Path, monkeypatch: pytest.MonkeyPatch, locked_for: int
) -> None:
    running, locked = Running(5), iter([True] * locked_for)
    monkeypatch.setattr(detach, "holder", lambda _: running)
    monkeypatch.setattr(detach.leftovers, "is_locked", lambda _: next(locked, False))
    assert detach.stop(settings(home)) is True
    assert running.signals == [signal.SIGTERM]
    assert running.looks <= 0
    assert next(locked, None) is None


def test_the_wait_for_its_end_is_as_long_as_its_roles_may_take_and_the_brokers(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, now = Running(10**9), 0.0

    def monotonic() -> float:
        nonlocal now
        now += 10.0
        return now

    monkeypatch.setattr(detach, "holder", lambda _: running)
    monkeypatch.setattr(detach.leftovers, "is_locked", lambda _: True)
    monkeypatch.setattr(detach.time, "monotonic", monotonic)
    monkeypatch.setattr(detach.time, "sleep", lambda _: None)
    role = RoleSettings().model_copy(update={"drain_seconds_max": 300.0, "start_seconds_max": 1.0})
    with pytest.raises(UnavailableError, match="has not stopped"):
        detach.stop(settings(home).model_copy(update={"role": role}))
    assert 360 <= now <= 390
