"""An `up` in the background: who holds the home, what ties it to the command that starts it, how it is ended."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, cast

import psutil
import pytest

from ops import detach, up
from runtime.lifecycle import RunFile, write_run_file
from runtime.settings import Settings
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.process

HOLDER = """
import signal, sys, time
from pathlib import Path
from ops import up
with up.alone(Path(sys.argv[1])):
    print("held", flush=True)
    signal.sigwait({signal.SIGTERM})
"""


@pytest.fixture
def held(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Hold the home as an `up` does."""
    with subprocess.Popen(
        [sys.executable, "-c", f"import signal; signal.pthread_sigmask(0, {{15}})\n{HOLDER}", str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def settings(home: Path) -> Settings:
    return Settings().model_copy(update={"home": home})


def test_the_holder_is_known_by_pid_and_start(tmp_path: Path, held: subprocess.Popen[str]) -> None:
    found = detach.holder(tmp_path)
    assert found is not None
    assert found.pid == held.pid
    assert found.started == pytest.approx(psutil.Process(held.pid).create_time(), abs=1)


def test_a_pid_of_an_earlier_holder_is_nobody(tmp_path: Path, held: subprocess.Popen[str]) -> None:
    detach.lock_path(tmp_path).write_text(f"{held.pid} 1.0")
    assert detach.holder(tmp_path) is None
    detach.lock_path(tmp_path).write_text("")
    assert detach.holder(tmp_path) is None


def test_a_lock_that_nobody_holds_is_nobodys(tmp_path: Path) -> None:
    assert detach.holder(tmp_path) is None
    with up.alone(tmp_path):
        assert detach.holder(tmp_path) is not None
    assert detach.holder(tmp_path) is None
    assert detach.stop(settings(tmp_path)) is False


def test_it_is_ended_and_waited_for(tmp_path: Path, held: subprocess.Popen[str]) -> None:
    assert detach.stop(settings(tmp_path)) is True
    assert held.wait(5) == 0


def test_a_second_one_in_a_home_is_refused(tmp_path: Path, held: subprocess.Popen[str]) -> None:
    with pytest.raises(SettingsError, match=f"pid {held.pid}"):
        detach.start(settings(tmp_path), [])


def test_the_console_is_waited_for_and_not_beyond_the_end_of_up(tmp_path: Path) -> None:
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    with subprocess.Popen(sleeper) as console, subprocess.Popen(sleeper) as ended:
        ended.kill()
        ended.wait()
        assert detach._console_of(settings(tmp_path), ended) is None
        started = psutil.Process(console.pid).create_time()
        run_file = RunFile("console", console.pid, started, "127.0.0.1:1", "127.0.0.1:2")
        late = threading.Timer(2 * detach.POLL_SECONDS, write_run_file, (tmp_path, run_file))
        late.start()
        assert detach._console_of(settings(tmp_path), cast("Any", Running())) == "127.0.0.1:2"
        console.kill()


class Running:
    """This process as the `up` that started the console."""

    pid = os.getpid()

    def poll(self) -> None:
        """Say that it runs."""


def test_the_tail_passes_on_what_is_new_and_keeps_the_last_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "up.log"
    path.write_text("one\n")
    tail = detach.Tail(path)
    tail.show()
    with path.open("a") as file:
        file.write("two\n\n")
    tail.show()
    tail.show()
    assert capsys.readouterr().err == "one\ntwo\n\n"
    assert tail.last == "two"


@pytest.mark.parametrize(("given", "stops"), [(detach.RELEASED, False), (b"", True)])
def test_it_stops_where_the_command_ends_before_it_is_released(
    monkeypatch: pytest.MonkeyPatch, given: bytes, *, stops: bool
) -> None:
    reading, writing = os.pipe()
    os.write(writing, given)
    os.close(writing)
    real, stopped, read = os.read, threading.Event(), threading.Event()

    def read_pipe(_: int, count: int) -> bytes:
        try:
            return real(reading, count)
        finally:
            read.set()

    monkeypatch.setattr("ops.detach.os.read", read_pipe)
    detach.stop_unless_released(stopped.set)
    assert read.wait(5)
    watcher = next((one for one in threading.enumerate() if one.name == "release"), None)
    if watcher is not None:
        watcher.join(5)
    assert stopped.is_set() is stops
    os.close(reading)
