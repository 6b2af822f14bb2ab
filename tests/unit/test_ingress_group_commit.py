"""Group commit: who comes together goes together, and a group gets one answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from producers.ingress.publishing.group_commit import GroupCommit
from schemas.errors import UnavailableError

pytestmark = pytest.mark.unit


class PaperTable:
    """Takes groups when it is let to."""

    def __init__(self) -> None:
        self.groups: list[list[Any]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.failures: list[Exception] = []

    async def write(self, rows: list[Any]) -> None:
        self.groups.append(rows)
        await self.open.wait()
        if self.failures:
            raise self.failures.pop(0)


def groups_of(table: PaperTable, **bounds: Any) -> GroupCommit:
    return GroupCommit(table.write, **{"writers": 1, "rows_max": 100, "bytes_max": 1000, **bounds})


async def test_who_is_alone_starts_at_once() -> None:
    table = PaperTable()
    groups = groups_of(table)
    for number in range(3):
        await groups.add([(number,)], 1)
    assert table.groups == [[(0,)], [(1,)], [(2,)]]


async def test_who_comes_while_all_write_shares_the_next_transaction() -> None:
    table = PaperTable()
    table.open.clear()
    groups = groups_of(table)
    first = asyncio.create_task(groups.add([("first",)], 1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    rest = [asyncio.create_task(groups.add([(number,), (-number,)], 1)) for number in range(10)]
    await asyncio.sleep(0)
    assert table.groups == [[("first",)]]
    table.open.set()
    await asyncio.gather(first, *rest)
    assert table.groups[1:] == [[(sign * number,) for number in range(10) for sign in (1, -1)]], "in order, each whole"


async def test_a_writer_that_has_just_ended_leaves_nobody_waiting() -> None:
    groups = groups_of(PaperTable())

    async def again(count: int) -> None:
        for number in range(count):
            await groups.add([(number,)], 1)

    async with asyncio.timeout(10):
        await asyncio.gather(*(again(50) for _ in range(5)))


@pytest.mark.parametrize(
    ("bounds", "sizes"), [({"rows_max": 3}, [1, 3, 3, 3]), ({"bytes_max": 20}, [1, 2, 2, 2, 2, 1])]
)
async def test_groups_are_bounded(bounds: dict[str, int], sizes: list[int]) -> None:
    table = PaperTable()
    table.open.clear()
    groups = groups_of(table, **bounds)
    tasks = [asyncio.create_task(groups.add([("first",)], 10))]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    tasks += [asyncio.create_task(groups.add([(number,)], 10)) for number in range(9)]
    await asyncio.sleep(0)
    table.open.set()
    await asyncio.gather(*tasks)
    assert [len(group) for group in table.groups] == sizes


async def test_one_that_is_over_a_bound_goes_alone() -> None:
    table = PaperTable()
    await groups_of(table, rows_max=1, bytes_max=1).add([(1,), (2,)], 5000)
    assert table.groups == [[(1,), (2,)]]


@pytest.mark.parametrize("error", [UnavailableError("away"), ValueError("nobody foresaw it")])
async def test_a_failure_is_asked_to_all_members_and_the_next_group_goes_on(error: Exception) -> None:
    table = PaperTable()
    table.failures = [error]
    groups = groups_of(table)
    answers = await asyncio.gather(*(groups.add([(number,)], 1) for number in range(5)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [UnavailableError] * 5
    await groups.add([("next",)], 1)
    assert table.groups[-1] == [("next",)]


async def test_who_gives_up_before_its_group_is_not_written_and_disturbs_nobody() -> None:
    table = PaperTable()
    table.open.clear()
    groups = groups_of(table)
    tasks = [asyncio.create_task(groups.add([(number,)], 1)) for number in range(2)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    late = [asyncio.create_task(groups.add([(number,)], 1)) for number in (2, 3)]
    await asyncio.sleep(0)
    for task in (tasks[0], late[0]):
        task.cancel()
    table.open.set()
    async with asyncio.timeout(3):
        answers = await asyncio.gather(*tasks, *late, return_exceptions=True)
    assert [type(answer) for answer in answers] == [
        asyncio.CancelledError,
        type(None),
        asyncio.CancelledError,
        type(None),
    ]
    assert table.groups == [[(0,), (1,)], [(3,)]], "what was under way stays"


async def test_closing_tells_those_who_wait_that_nothing_is_known() -> None:
    table = PaperTable()
    table.open.clear()
    groups = groups_of(table)
    waiting = asyncio.create_task(groups.add([(1,)], 1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await groups.close()
    with pytest.raises(UnavailableError):
        await waiting
    await groups.close()
