"""`ratchet up` as people run it: a process with a home of its own, its roles and brokers, and what survives what."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg
import psutil
import pytest
from waiting import wait_until

from runtime.stack import read_state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

RATCHET = (sys.executable, "-P", "-m", "ops.cli")
START_SECONDS = 90


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RATCHET_")}
    free = {"RATCHET_INGRESS__BIND": "127.0.0.1:0", "RATCHET_CONSOLE__BIND": "127.0.0.1:0"}
    return kept | free | {"RATCHET_HOME": str(home)}


def ratchet(home: Path, *words: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RATCHET, *words], env=environment(home), capture_output=True, text=True, timeout=seconds, check=False
    )


def family(pid: int) -> list[psutil.Process]:
    """Return everything that a process started, whatever session it is in."""
    return psutil.Process(pid).children(recursive=True)


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [one for one in processes if runs(one)]


def runs(process: psutil.Process) -> bool:
    """Tell whether a process runs; one may end between two questions."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@dataclass
class Up:
    """An `up` that serves."""

    home: Path
    process: subprocess.Popen[str]

    def status(self) -> dict[str, Any]:
        return json.loads(ratchet(self.home, "status", "--json").stdout)

    def role(self, name: str) -> dict[str, Any]:
        return next(role for role in self.status()["roles"] if role["role"] == name)

    def running(self) -> bool:
        assert self.process.poll() is None, self.process.stderr.read() if self.process.stderr else ""
        return all(role["state"] == "running" for role in self.status()["roles"])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    home = tmp_path_factory.mktemp("up")
    with (home / "up.err").open("w") as errors:
        process = subprocess.Popen([*RATCHET, "up", "--no-sample"], env=environment(home), stderr=errors, text=True)
        found = Up(home, process)
        try:
            wait_until(found.running, within_seconds=START_SECONDS)
            yield found
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(60)


@pytest.mark.slow
def test_once_balances_and_ends_with_everything_stopped(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*RATCHET, "up", "--once", "--json"],
        env=environment(tmp_path) | {"RATCHET_SAMPLE__LIVES": "120"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    seen: dict[int, psutil.Process] = {}
    while process.poll() is None:
        seen |= {one.pid: one for one in family(process.pid)} if psutil.pid_exists(process.pid) else {}
        time.sleep(0.2)
    out, reported = process.communicate()
    document = json.loads(out)
    assert document["problems"] == [], reported
    assert document["balanced"] is True
    assert process.returncode == 0
    sums = sum(document["outcome"].values()) + document["duplicates"] + sum(document["refused"].values())
    assert document["posted"] == sums > 500
    assert set(document["outcome"]) == {"applied", "noop", "late", "conflict", "parked", "dead_letters", "hints"}
    assert {"forged", "altered", "stale", "malformed", "oversize", "unknown_provider"} == set(document["refused"])
    assert len(seen) >= 6
    assert alive(list(seen.values())) == []


@pytest.mark.slow
def test_status_has_its_shape(served: Up) -> None:
    document = served.status()
    assert {role["role"] for role in document["roles"]} >= {"ingress", "consumer", "relay", "dispatcher", "console"}
    for role in document["roles"]:
        assert set(role) >= {"role", "pid", "state", "address"}
        assert psutil.pid_exists(role["pid"])
    assert set(document["lag"]) == {"payments.webhooks", "payments.intents", "payments.events"}
    assert set(document["counts"]) >= {"payments", "ledger", "parked", "dead_letters_open", "outbox", "spool"}
    assert document["unknown"] == []


WHO = "select usename, application_name from pg_stat_activity where application_name like 'ratchet %'"
PROCESSES = ("ingress", "consumer", "relay", "dispatcher", "console")


@pytest.mark.slow
async def test_each_process_logs_in_as_its_own_role_and_can_do_no_other_s_work(served: Up) -> None:
    stack = read_state(served.home)
    assert stack is not None
    watcher = await asyncpg.connect(stack.endpoints.superuser_dsn)
    seen: dict[str, set[str]] = {}
    try:
        async with asyncio.timeout(60):
            while set(PROCESSES) - set(seen):
                for row in await watcher.fetch(WHO):
                    seen.setdefault(row["application_name"].split()[1], set()).add(row["usename"])
                await asyncio.sleep(0.2)
    finally:
        await watcher.close()
    assert {name: seen[name] for name in PROCESSES} == {name: {f"ratchet_{name}"} for name in PROCESSES}
    ingress = await asyncpg.connect(stack.endpoints.process_dsns["ingress"])
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await ingress.execute("update payments set captured = 0")
    finally:
        await ingress.close()


@pytest.mark.slow
def test_a_second_up_refuses(served: Up) -> None:
    result = ratchet(served.home, "up", "--no-sample")
    assert result.returncode == 2
    assert str(served.process.pid) in result.stderr
    assert served.running()


@pytest.mark.slow
def test_the_environment_can_be_evaluated_by_a_shell(served: Up) -> None:
    lines = ratchet(served.home, "stack", "env").stdout
    script = lines + 'printf "%s\\n" "$RATCHET_KAFKA__BOOTSTRAP" "$RATCHET_POSTGRES__DSN" "$RATCHET_REDIS__URL"'
    found = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, env={}).stdout.split()
    assert found[0].startswith("127.0.0.1:")
    assert found[1].startswith("postgresql://")
    assert found[2].startswith("redis://")
    assert "RATCHET_POSTGRES__OWNER_DSN=" in lines
    assert "SUPERUSER" not in lines
    whole = ratchet(served.home, "stack", "env", "--superuser", "--json").stdout
    environment_of_all = environment(served.home) | json.loads(whole)
    assert "RATCHET_POSTGRES__SUPERUSER_DSN" in environment_of_all
    done = subprocess.run([*RATCHET, "migrate", "status"], env=environment_of_all, capture_output=True, check=False)
    assert done.returncode == 0, "what it prints is known to every command"


@pytest.mark.slow
def test_doctor_finds_nothing_wrong(served: Up) -> None:
    result = ratchet(served.home, "doctor", "--json")
    document = json.loads(result.stdout)
    assert [check for check in document["checks"] if not check["ok"]] == []
    assert {"kafka", "postgres", "redis", "ledger", "migrations", "clock", "disk"} <= {
        check["check"] for check in document["checks"]
    }
    assert result.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["relay", "ingress", "consumer", "console"])
def test_a_killed_role_is_back_in_10_seconds_at_its_address(served: Up, name: str) -> None:
    before = wait_until(lambda: served.running() and served.role(name), within_seconds=30)
    os.kill(before["pid"], signal.SIGKILL)

    def back() -> bool:
        role = served.role(name)
        return role["state"] == "running" and role["pid"] not in (None, before["pid"])

    wait_until(back, within_seconds=10)
    if name in ("ingress", "console"):
        assert served.role(name)["address"] == before["address"]


@pytest.mark.slow
def test_a_stopped_role_shows_it_and_is_replaced(served: Up) -> None:
    before = wait_until(lambda: served.running() and served.role("relay"), within_seconds=30)
    os.kill(before["pid"], signal.SIGSTOP)
    wait_until(lambda: served.role("relay")["state"] != "running", within_seconds=30)
    wait_until(lambda: served.running() and served.role("relay")["pid"] != before["pid"], within_seconds=60)


@pytest.mark.slow
def test_nothing_outlives_a_sigkill_of_up(served: Up) -> None:
    wait_until(served.running, within_seconds=30)
    processes = family(served.process.pid)
    assert len(processes) >= 6
    served.process.kill()
    served.process.wait()
    wait_until(lambda: not alive(processes), within_seconds=20)


@pytest.mark.slow
def test_the_same_home_starts_again_and_ctrl_c_ends_it_cleanly(served: Up) -> None:
    if served.process.poll() is None:
        served.process.terminate()
        assert served.process.wait(60) == 0
    with (served.home / "again.err").open("w") as errors:
        process = subprocess.Popen(
            [*RATCHET, "up", "--no-sample"], env=environment(served.home), stderr=errors, start_new_session=True
        )
        try:
            wait_until(Up(served.home, process).running, within_seconds=START_SECONDS)
            processes = family(process.pid)
            os.killpg(process.pid, signal.SIGINT)
            assert process.wait(60) == 0
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    assert alive(processes) == []
    assert list((served.home / "run").glob("*.json")) == []


def test_a_chosen_address_that_is_taken_is_reported_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = {"RATCHET_INGRESS__BIND": f"127.0.0.1:{taken.getsockname()[1]}"}
        result = subprocess.run(
            [*RATCHET, "up", "--once", "--json"],
            env=environment(tmp_path) | bind, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert (result.returncode, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"ratchet: RATCHET_INGRESS__BIND: {bind['RATCHET_INGRESS__BIND']} cannot be listened on")
    assert not (tmp_path / "stack.json").exists()


@pytest.mark.slow
def test_a_role_that_cannot_start_is_reported_in_its_own_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = {"RATCHET_ROLE__PROBE_BIND": f"127.0.0.1:{taken.getsockname()[1]}"}
        result = subprocess.run(
            [*RATCHET, "up", "--no-sample"],
            env=environment(tmp_path) | bind, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert result.returncode == 2
    last = result.stderr.splitlines()[-1]
    assert f"does not start: RATCHET_ROLE__PROBE_BIND: {bind['RATCHET_ROLE__PROBE_BIND']} cannot be" in last
    assert "{" not in last


@pytest.mark.slow
def test_detached_it_returns_when_the_ingress_answers_and_down_ends_it(tmp_path: Path) -> None:
    result = ratchet(tmp_path, "up", "--detach", "--no-sample", "--json", seconds=120)
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    processes = [psutil.Process(document["pid"]), *family(document["pid"])]
    try:
        with urllib.request.urlopen(f"{document['ingress']}/readyz", timeout=5) as answer:
            assert answer.status == 200
        assert os.getsid(document["pid"]) == document["pid"]
        again = ratchet(tmp_path, "up", "--detach")
        assert again.returncode == 2
        assert str(document["pid"]) in again.stderr
        assert ratchet(tmp_path, "down", "--json").stdout == '{\n  "stopped": true\n}\n'
        assert alive(processes) == []
        assert json.loads(ratchet(tmp_path, "down", "--json").stdout) == {"stopped": False}
    finally:
        for one in alive(processes):
            one.kill()


@pytest.mark.slow
def test_a_detached_start_that_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*RATCHET, "up", "--detach", "--no-sample"], env=environment(tmp_path), stderr=subprocess.PIPE
    ) as process:
        processes = wait_until(
            lambda: (found := family(process.pid)) and len(found) > 2 and found, within_seconds=START_SECONDS
        )
        process.kill()
    wait_until(lambda: not alive(processes), within_seconds=20)
    assert read_state(tmp_path) is None


@pytest.mark.slow
def test_a_detached_start_that_fails_says_why(tmp_path: Path) -> None:
    result = subprocess.run(
        [*RATCHET, "up", "--detach"],
        env=environment(tmp_path) | {"RATCHET_CONSOLE__BIND": "0.0.0.0:0"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (result.returncode, result.stdout) == (2, "")
    assert "RATCHET_CONSOLE__" in result.stderr.splitlines()[-1]
    assert ratchet(tmp_path, "up", "--detach", "--once").returncode == 2
