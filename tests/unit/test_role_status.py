"""How a role looks from outside: its probe decides, and what is not ready is not called running."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import pytest

from ops import status
from ops.status import RoleState, RoleStatus, healthy, role_status
from runtime.health import Probe, serving
from runtime.settings import Settings

pytestmark = pytest.mark.unit


@dataclass
class RunFile:
    probe: str
    pid: int = os.getpid()
    address: str | None = None

    def alive(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stuck", "unready", "word", "expected"),
    [
        (None, None, "running", (RoleState.RUNNING, None)),
        (None, "Kafka does not answer", "running", (RoleState.UNREADY, "Kafka does not answer")),
        (None, None, "halted", (RoleState.UNREADY, "the role is halted")),
        ("no turn has ended", "Kafka does not answer", "running", (RoleState.STALLED, "no turn has ended")),
    ],
)
async def test_the_probe_decides(
    monkeypatch: pytest.MonkeyPatch, stuck: str | None, unready: str | None, word: str, expected: Any
) -> None:
    probe = Probe("relay", word, lambda: stuck, lambda: unready)
    async with serving(probe, "127.0.0.1:0") as address:
        monkeypatch.setattr(status, "read_run_file", lambda *_: RunFile(address))
        found = await role_status(Settings(), "relay")
    assert (found.state, found.reason) == expected
    assert healthy(status.StatusReport([found], {}, {}, {}, [])) is (found.state is RoleState.RUNNING)


@pytest.mark.parametrize(
    ("roles", "unknown", "problems", "well"),
    [
        ([], [], [], True),
        ([RoleStatus("relay")], [], [], True),
        ([], ["Kafka does not answer"], [], False),
        ([], [], ["an open transaction holds payments.webhooks/0"], False),
        ([RoleStatus("relay", reason="the process 7 is gone")], [], [], False),
    ],
)
def test_whatever_stands_still_or_is_not_known_is_a_problem(
    roles: list[RoleStatus],
    unknown: list[str],
    problems: list[str],
    well: bool,  # noqa: FBT001
) -> None:
    assert healthy(status.StatusReport(roles, {}, {}, {}, unknown, problems)) is well


async def test_one_that_nobody_started_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "read_run_file", lambda *_: None)
    assert await role_status(Settings(), "relay") == RoleStatus("relay")
