"""A role's life: its run file, its exit status, its signals, its end with its parent. Real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.request import urlopen

import psutil
import pytest
from waiting import wait_until

from runtime.lifecycle import RunFile, read_run_file, remove_run_file, run_path, write_run_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.process

HEAD = """
import asyncio, os, sys, time
from runtime.lifecycle import leave, run_role
from runtime.settings import load
from schemas.errors import SettingsError
"""
TAIL = """
leave(run_role("relay", load(), serve))
"""
GOOD = """
async def serve(settings, stop, probe):
    probe.state, probe.facts["address"] = "running", "127.0.0.1:1"
    await stop.wait()
"""
HANGS = """
async def serve(settings, stop, probe):
    probe.state = "running"
    await asyncio.Event().wait()
"""
BLOCKS = """
async def serve(settings, stop, probe):
    probe.state = "running"
    await asyncio.sleep(0.5)
    time.sleep(300)
"""
ENDS = """
async def serve(settings, stop, probe):
    return
"""
FAILS = """
async def serve(settings, stop, probe):
    raise SettingsError("the sky is not configured")
"""
BREAKS = """
async def serve(settings, stop, probe):
    raise ZeroDivisionError("nobody foresaw it")
"""


class Role:
    """A role in a process of its own."""

    def __init__(self, home: Path, code: str, *, fds: tuple[int, ...] = (), **extra: str) -> None:
        environment = {**os.environ, "RATCHET_HOME": str(home), **extra}
        self.home = home
        self.process = subprocess.Popen(
            [sys.executable, "-c", HEAD + code + TAIL], env=environment, stderr=subprocess.PIPE, pass_fds=fds
        )

    def run_file(self) -> RunFile:
        wait_until(lambda: self._run_file() or self.process.poll() is not None)
        found = self._run_file()
        assert found, self.process.stderr.read() if self.process.stderr else ""
        return found

    def _run_file(self) -> RunFile | None:
        found = read_run_file(self.home, "relay")
        return found if found and found.pid == self.process.pid else None

    def end(self, seconds: float = 20) -> tuple[int, str]:
        _, reported = self.process.communicate(timeout=seconds)
        return self.process.returncode, reported.decode()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Role]]:
    roles: list[Role] = []

    def begin(code: str, **extra: object) -> Role:
        roles.append(Role(tmp_path, code, **extra))
        return roles[-1]

    yield begin
    for role in roles:
        if role.process.poll() is None:
            role.process.kill()
        role.process.communicate()


def test_clean_life(start: Callable[..., Role], tmp_path: Path) -> None:
    role = start(GOOD)
    wait_until(lambda: role.run_file().address == "127.0.0.1:1")
    found = role.run_file()
    assert found.alive()
    with urlopen(f"http://{found.probe}/readyz?verbose", timeout=5) as answer:
        assert json.load(answer)["state"] == "running"
    role.process.send_signal(signal.SIGTERM)
    status, reported = role.end()
    assert status == 0, reported
    assert "role_stopped" in reported
    assert not run_path(tmp_path, "relay").exists()
    assert not found.alive()


def test_ctrl_c_is_clean_too(start: Callable[..., Role]) -> None:
    role = start(GOOD)
    role.run_file()
    role.process.send_signal(signal.SIGINT)
    assert role.end()[0] == 0


@pytest.mark.parametrize(
    ("code", "words", "expected"),
    [
        (FAILS, "the sky is not configured", 2),
        (BREAKS, "ZeroDivisionError", 1),
        (ENDS, "the role ended by itself", 1),
    ],
)
def test_failures_say_why_and_a_wrong_setting_has_a_status_of_its_own(
    start: Callable[..., Role], code: str, words: str, expected: int
) -> None:
    status, reported = start(code).end()
    assert status == expected
    assert words in reported
    assert all(json.loads(line) for line in reported.splitlines()), "logs are JSON lines"


def test_a_drain_that_takes_too_long_is_a_failure(start: Callable[..., Role]) -> None:
    role = start(HANGS, RATCHET_ROLE__DRAIN_SECONDS_MAX="0.3")
    role.run_file()
    role.process.send_signal(signal.SIGTERM)
    status, reported = role.end()
    assert status == 1
    assert "did not stop within 0.3 s" in reported


def test_the_second_signal_ends_it_at_once(start: Callable[..., Role]) -> None:
    role = start(HANGS, RATCHET_ROLE__DRAIN_SECONDS_MAX="100")
    found = role.run_file()
    role.process.send_signal(signal.SIGTERM)
    wait_until(lambda: urlopen(f"http://{found.probe}/livez", timeout=5).read().count(b"stopping"))
    role.process.send_signal(signal.SIGTERM)
    assert role.end()[0] == 130


def test_it_ends_when_the_lifeline_closes(start: Callable[..., Role]) -> None:
    read_end, write_end = os.pipe()
    role = start(GOOD, fds=(read_end,), RATCHET_ROLE__LIFELINE_FD=str(read_end))
    os.close(read_end)
    role.run_file()
    os.close(write_end)
    assert role.end()[0] == 0


def test_one_that_hangs_ends_with_the_lifeline_by_force(start: Callable[..., Role]) -> None:
    read_end, write_end = os.pipe()
    bounds = {"RATCHET_ROLE__LIFELINE_FD": str(read_end), "RATCHET_ROLE__DRAIN_SECONDS_MAX": "0.5"}
    role = start(BLOCKS, fds=(read_end,), **bounds)
    os.close(read_end)
    role.run_file()
    os.close(write_end)
    assert role.end()[0] in (1, 130)


def test_without_its_parent_it_does_not_begin(start: Callable[..., Role]) -> None:
    status, reported = start(GOOD, RATCHET_ROLE__PARENT_PID="1").end()
    assert status == 1
    assert "does not run without it" in reported


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    code = HEAD + "os.environ['RATCHET_ROLE__PARENT_PID'] = sys.argv[1]\n" + GOOD + TAIL
    parent_code = (
        "import os, subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {code!r}, str(os.getpid())])\n"
        "child.wait()\n"
    )
    environment = {**os.environ, "RATCHET_HOME": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "-c", parent_code], env=environment, stderr=subprocess.DEVNULL)
    wait_until(lambda: read_run_file(tmp_path, "relay"))
    found = read_run_file(tmp_path, "relay")
    assert found
    parent.kill()
    parent.wait()
    wait_until(lambda: not found.alive(), within_seconds=10)


def test_run_files(tmp_path: Path) -> None:
    assert read_run_file(tmp_path, "relay") is None
    mine = RunFile("relay", os.getpid(), psutil.Process().create_time(), "127.0.0.1:1")
    write_run_file(tmp_path, mine)
    assert read_run_file(tmp_path, "relay") == mine
    assert mine.alive()
    assert not RunFile("relay", os.getpid(), 1.0, "127.0.0.1:1").alive(), "another process had this pid"
    remove_run_file(tmp_path, "relay", 1)
    assert read_run_file(tmp_path, "relay") == mine
    remove_run_file(tmp_path, "relay", os.getpid())
    assert read_run_file(tmp_path, "relay") is None
    run_path(tmp_path, "relay").write_text("{")
    assert read_run_file(tmp_path, "relay") is None
