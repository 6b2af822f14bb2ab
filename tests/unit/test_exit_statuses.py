"""What a command that looks, or follows, says by its exit status: 0 where all is well or done, 1 where it is not.

Scripts read nothing else. What is found is made by hand here; that it is found is tested with the real parts.
"""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from ops import audit_commands, doctor, endpoints, redrive_commands, server, status
from ops.audit import Audit
from ops.cli import app
from ops.finding import Finding
from ops.redrive_preview import Prediction, Preview, PreviewAnswer
from ops.redrives import LeftOut, Policy, RedriveProgress, RedriveStatus
from ops.status import RoleStatus, StatusReport
from runtime import migrations, stack
from runtime.migrations import MigrationStatus
from runtime.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.unit

NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    monkeypatch.setattr(endpoints, "load", Settings)
    monkeypatch.setattr(endpoints, "found", lambda settings: settings)
    monkeypatch.setattr(server, "read", lambda *_: None)
    return lambda *words: CliRunner().invoke(app, [*words, "--json"]).exit_code


def gives(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, found: Any) -> None:
    """Have a module's coroutine function give this."""

    async def give(*_: Any, **__: Any) -> Any:
        return found

    monkeypatch.setattr(module, name, give)


def progress(state: RedriveStatus) -> RedriveProgress:
    figures = {"matched": 3, "selected": 2, "published": 1, "skipped": 1, "failed": 0, "returned": 1}
    times = {"created_at": NOW, "started_at": NOW, "updated_at": NOW, "ended_at": NOW}
    return RedriveProgress(
        **figures, **times, id=9, status=state, requested_by="alice", filter={}, rate_per_second=5.0,
        policy=Policy.STOP_ON_FAILURES, forced=False, stopping=False, stop_reason="why",
    )  # fmt: skip


SEEN = Preview(3, (Prediction(1, PreviewAnswer.APPLY, "applied"),))
NONE_GOES = Preview(1, (), (LeftOut(7, "it was discarded", guarded=False),))
ENDS = [
    (RedriveStatus.DONE, 0),
    (RedriveStatus.STOPPED, 1),
    (RedriveStatus.FAILED, 1),
]


@pytest.mark.parametrize(("state", "expected"), ENDS)
@pytest.mark.parametrize("words", [("--yes",), ("--resume", "9")], ids=["ordered", "resumed"])
def test_redrive(
    state: RedriveStatus, expected: int, words: tuple[str, ...], run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gives(monkeypatch, redrive_commands, "_preview", SEEN)
    gives(monkeypatch, redrive_commands, "_start", 9)
    gives(monkeypatch, redrive_commands, "_resumed", None)
    gives(monkeypatch, redrive_commands, "_audit", ())
    gives(monkeypatch, redrive_commands, "follow", progress(state))
    assert run("dlq", "redrive", *words) == expected


@pytest.mark.parametrize(
    ("words", "seen", "expected"),
    [
        (("--dry-run",), SEEN, 0),
        (("--dry-run", "--id", "7"), NONE_GOES, 0),
        (("--yes", "--id", "7"), NONE_GOES, 1),
        (("--yes",), NONE_GOES, 0),
    ],
    ids=["a look", "a look at one", "one that may not go", "nothing to do"],
)
def test_redrive_of_nothing(
    words: tuple[str, ...], seen: Preview, expected: int, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gives(monkeypatch, redrive_commands, "_preview", seen)
    assert run("dlq", "redrive", *words) == expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({}, 0),
        ({"unknown": ["Kafka does not answer"]}, 1),
        ({"problems": ["a partition of nobody"]}, 1),
        ({"roles": [RoleStatus("relay", reason="no turn has ended")]}, 1),
        ({"roles": [RoleStatus("relay")]}, 0),
    ],
    ids=["well", "unknown", "problem", "a role that waits", "a role that nobody started"],
)
def test_status(found: dict[str, Any], expected: int, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing: dict[str, Any] = {"roles": [], "lag": {}, "partitions": {}, "counts": {}, "unknown": []}
    gives(monkeypatch, status, "gather", StatusReport(**nothing | found))
    assert run("status") == expected


@pytest.mark.parametrize(("right", "expected"), [([True, True], 0), ([True, False], 1), ([False, True], 1)])
def test_doctor(right: list[bool], expected: int, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    gives(monkeypatch, doctor, "examine", [Finding("it", ok=one, found="") for one in right])
    assert run("doctor") == expected


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (["applied", "applied"], 0),
        (["applied", "pending"], 1),
        (["edited", "applied"], 1),
        (["missing", "applied"], 1),
    ],
)
def test_migrate_status(states: list[Any], expected: int, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [MigrationStatus(number, "x", state, None) for number, state in enumerate(states)]
    gives(monkeypatch, migrations, "migration_status", found)
    assert run("migrate", "status") == expected


@pytest.mark.parametrize(
    ("states", "expected"), [(["running", "absent"], 0), (["running", "dead"], 1), (["stopped", "running"], 1)]
)
def test_stack_status(states: list[str], expected: int, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {f"broker{number}": {"state": state, "pid": None, "address": None} for number, state in enumerate(states)}
    gives(monkeypatch, stack, "read_status", found)
    assert run("stack", "status") == expected


@pytest.mark.parametrize(("ok", "expected"), [(True, 0), (False, 1)])
def test_audit(ok: bool, expected: int, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001 - a case
    found = Audit(10)
    found.ok = ok
    gives(monkeypatch, audit_commands, "_verify", audit_commands.Verified(found, None))
    gives(monkeypatch, audit_commands, "_seal_into", (found, SimpleNamespace(payments=1)))
    assert run("audit", "verify") == expected
    assert run("audit", "seal", "of-today.seal") == expected


@pytest.mark.parametrize(("waiting", "expected"), [(False, 0), (True, 1)])
def test_retention(waiting: bool, expected: int, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    gives(monkeypatch, audit_commands, "_retain", ({"removed": 3}, waiting))
    assert run("audit", "retain", "--days", "400", "--yes") == expected
    assert run("audit", "retain", "--days", "400") == 1, "without --yes nothing is done"
