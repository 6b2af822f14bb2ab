"""Whoever cancels a task waits for its end, or says here why not: one that nobody waits for goes on for a while."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

import pytest
from source_files import ROOT, python_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.unit

FOLDERS: Final = ("consumer", "ops", "producers", "runtime")
COMMON: Final = frozenset({"asyncio", "gather", "self", "set", "values", "wait", "wait_for"})
"""Names that say nothing of which task is meant."""
LEFT: Final = {
    "consumer/role.py _run": "the group of tasks waits for all of them",
    "ops/up.py received": "a signal's handler; `_until_signal` waits for it",
    "producers/ingress/http/protocol.py _disarm": "a timer, no task",
    "producers/ingress/http/protocol.py _end_write_deadline": "a timer, no task",
    "producers/ingress/publishing/deadlines.py expire": "the task whose own block it interrupts",
    "producers/ingress/commits.py _leave": "the caller's time is over; `_ended` looks at what came of it",
    "runtime/kafka.py _abandon": "the client's own task, which may hang with its broker; its connections are closed",
    "runtime/postgres_hosts.py first_of": "a connection that opens late is closed by its callback",
}
"""Where nobody waits, and why."""


def names_in(node: ast.AST) -> frozenset[str]:
    """Return the names and attributes of an expression that tell which task is meant."""
    found = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
    return frozenset(found | {one.attr for one in ast.walk(node) if isinstance(one, ast.Attribute)}) - COMMON


def left_alone(text: str) -> Iterator[str]:
    """Return the functions that cancel something and wait for nothing of that name."""
    for function in ast.walk(ast.parse(text)):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        nodes = list(ast.walk(function))
        loops = {name: names_in(one.iter) for one in nodes if isinstance(one, ast.For) for name in names_in(one.target)}
        awaited = frozenset[str]().union(*(names_in(one.value) for one in nodes if isinstance(one, ast.Await)))
        for one in nodes:
            if isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute) and one.func.attr == "cancel":
                named = names_in(one.func.value)
                if not awaited & named.union(*(loops.get(name, frozenset()) for name in named)):
                    yield function.name


def cancelling() -> Iterator[tuple[Path, str]]:
    for folder in FOLDERS:
        for path in python_files(folder):
            text = path.read_text(encoding="utf-8")
            if ".cancel()" in text:
                yield path, text


def test_who_cancels_a_task_waits_for_it() -> None:
    files = list(cancelling())
    found = {f"{path.relative_to(ROOT).as_posix()} {name}" for path, text in files for name in left_alone(text)}
    assert found == LEFT.keys()
    assert len(files) > 15, "they are read at all"


WAITS_FOR: Final = {
    "ops/bench/ingresses.py": "a bench, which nobody stops",
    "runtime/stack/kafka.py": "a loop of its own, which nobody cancels",
}


def test_no_cancellation_is_lost_to_a_time_limit() -> None:
    """Before Python 3.12 `asyncio.wait_for` takes one that comes together with the answer, and the task goes on."""
    found = [
        path.relative_to(ROOT).as_posix()
        for folder in FOLDERS
        for path in python_files(folder)
        if "asyncio.wait_for(" in path.read_text(encoding="utf-8")
    ]
    assert found == list(WAITS_FOR)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("async def f(a):\n a.cancel()\n await asyncio.gather(a)", []),
        ("async def f(a, b):\n a.cancel()\n await asyncio.gather(b)", ["f"]),
        ("async def f(self):\n for one in self.tasks: one.cancel()\n await asyncio.wait(self.tasks)", []),
        ("async def f(self):\n for one in self.tasks: one.cancel()", ["f"]),
        ("async def f(self):\n for one in self.tasks: one.cancel()\n await asyncio.gather(*self.others)", ["f"]),
    ],
)
def test_a_task_is_found_that_nobody_waits_for(text: str, left: list[str]) -> None:
    assert list(left_alone(text)) == left
