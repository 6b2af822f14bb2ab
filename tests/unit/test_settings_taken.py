"""A setting is taken for what it is: under its own name, and in its own unit.

Two settings of one group have one type, so neither mypy nor a test with defaults notices that one stands for the other.
"""

from __future__ import annotations

import re
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, get_args

import pytest
from pydantic import BaseModel
from source_files import ROOT, python_files

from consumer import transaction
from consumer.transaction import BatchWriter
from runtime.clock import SystemClock
from runtime.phases import BatchPhases
from runtime.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.unit

FOLDERS: Final = ("consumer", "ops", "producers", "runtime")
TAKEN: Final = re.compile(
    r"""(?P<key>["']?)\b_?(?P<name>[a-z]\w*)["']?\s*(?:=|:)\s*(?:[\w.]+\()?(?:\w+\.)+(?P<field>[a-z]\w*)\b(?!\s*[(.\[])"""
)
"""A name, an argument or a key, and the attribute that it gets."""
UNITS: Final = "(?:bytes|days|length|max|min|ratio|second|seconds)"
MEASURED: Final = re.compile(f"_{UNITS}$")
"""How the name of a setting ends that is a number with a unit; others are often passed on under another name."""
PASSED_ON: Final = re.compile(rf"[=:].*\w\.\w+_{UNITS}\b")
"""The lines that are looked at; asked of every line of the product, so it is cheap."""
IN_A_UNIT: Final = re.compile(r"(?:px|_ms|ex|timeout|seconds)=")
MILLISECONDS: Final = re.compile(r"\b(?P<name>px|\w+_ms)=(?P<value>[^,\n]+)")
SECONDS: Final = re.compile(r"\b(?P<name>ex|timeout|\w*seconds)=(?P<value>[^,\n]+)")
OF_MILLISECONDS: Final = re.compile(r"1000|(?:_|\b)ms\b|milliseconds|_MS\b|MILLISECONDS|\.timestamp\b|\b0\b|\bNone\b")
OTHERWISE: Final = {
    "ops/console/ledger_check.py: statement_timeout_seconds from books_timeout_seconds": "a session of its own",
}
"""Where one stands for another on purpose, and why."""


@cache
def groups() -> dict[str, frozenset[str]]:
    """Return which groups of the settings have a field of each name."""
    found: dict[str, set[str]] = {}

    def look(kind: Any) -> None:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            for name, field in kind.model_fields.items():
                if kind.__name__ not in found.setdefault(name, set()):
                    found[name].add(kind.__name__)
                    look(field.annotation)
        for part in get_args(kind):
            look(part)

    look(Settings)
    return {name: frozenset(names) for name, names in found.items()}


def mistaken(text: str) -> Iterator[tuple[str, str]]:
    """Return the names of settings that get another setting of their group."""
    known, lines = groups(), (line for line in text.splitlines() if PASSED_ON.search(line))
    for match in (match for line in lines for match in TAKEN.finditer(line)):
        field = match["field"]
        for meant in (match["name"], *([f"{match['name']}_seconds"] if match["key"] else [])):
            if not (MEASURED.search(meant) and MEASURED.search(field)) or meant == field:
                continue
            if known.get(meant, frozenset()) & known.get(field, frozenset()):
                yield meant, field


def in_another_unit(text: str) -> Iterator[tuple[str, str]]:
    """Return the arguments in milliseconds that get seconds, and the other way round."""
    for line in (line for line in text.splitlines() if IN_A_UNIT.search(line)):
        for match in MILLISECONDS.finditer(line):
            if not OF_MILLISECONDS.search(match["value"]):
                yield match["name"], match["value"]
        for match in SECONDS.finditer(line):
            if re.search(r"\* 1000|_ms\b|\bmilliseconds", match["value"]):
                yield match["name"], match["value"]


def texts() -> Iterator[tuple[str, str]]:
    for folder in FOLDERS:
        for path in python_files(folder):
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def test_no_setting_stands_for_another_one_of_its_group() -> None:
    found = {f"{path}: {name} from {field}" for path, text in texts() for name, field in mistaken(text)}
    assert found == OTHERWISE.keys()


def test_no_seconds_are_taken_for_milliseconds() -> None:
    found = [f"{path}: {name}={value}" for path, text in texts() for name, value in in_another_unit(text)]
    assert found == []


def test_a_batch_gives_a_command_its_time_and_then_its_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Money that is free too early is asked for a second time while the first refund may still go through."""
    given: dict[str, Any] = {}

    class PaperPlanner:
        def __init__(self, _known: object, **named: Any) -> None:
            given.update(named)

        def plan(self, _items: object) -> None: ...

    monkeypatch.setattr(transaction, "Planner", PaperPlanner)
    settings = Settings(intents={"command_expires_seconds": 3600, "command_grace_seconds": 7200})
    writer: Any = BatchWriter(None, settings, SystemClock())  # type: ignore[arg-type]
    writer._decide([], SimpleNamespace(xid=1), 0.0)
    assert given["command_seconds"] == 3600
    assert writer._reader(None, BatchPhases())._grace_seconds == 7200


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("self._command_grace_seconds = settings.intents.command_grace_seconds", []),
        ("self._command_grace_seconds = settings.intents.command_expires_seconds", ["command_grace_seconds"]),
        ("open(kept_seconds=bounds.commands_kept_seconds)", ["kept_seconds"]),
        ('"lock_timeout": settings.statement_timeout_seconds,', ["lock_timeout_seconds"]),
        ("connections=bounds.connections_max", []),
    ],
)
def test_a_setting_that_stands_for_another_one_is_found(text: str, found: list[str]) -> None:
    assert [name for name, _ in mistaken(text)] == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("redis.set(name, b'1', ex=self._kept_seconds)", []),
        ("redis.set(name, b'1', px=self._kept_seconds)", ["px"]),
        ("redis.set(name, b'1', px=milliseconds)", []),
        ("redis.set(name, b'1', ex=milliseconds)", ["ex"]),
        ("Client(request_timeout_ms=int(seconds * 1000))", []),
        ("Client(request_timeout_ms=int(seconds))", ["request_timeout_ms"]),
        ("wait(timeout=seconds * 1000)", ["timeout"]),
    ],
)
def test_a_unit_that_is_mistaken_is_found(text: str, found: list[str]) -> None:
    assert [name for name, _ in in_another_unit(text)] == found
