"""What holds in all interleavings of the smallest worlds, and that the model finds a fix that is taken out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from mutants.planted import FOLDER

from model.arena import Arena, arena
from model.exploring import Explored, Explorer
from model.planting import taken_out
from model.worlds import WORLDS
from model.worlds.waking import Meeting
from tests.conftest import with_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from runtime.stack import Endpoints
    from tests.conftest import Database

pytestmark = pytest.mark.integration


@pytest.fixture
async def field(stack: Endpoints, database: Database) -> AsyncIterator[Arena]:
    name = database.dsn.rpartition("/")[2]
    async with arena(with_database(stack.superuser_dsn, name), database.dsn) as opened:
        yield opened


async def explored(world: type, field: Arena, fault: str | None = None) -> Explored:
    with taken_out(fault):
        return await Explorer(world(), field, until_found=fault is not None).run()


async def test_a_missed_wake_up_is_found_where_references_are_not_locked(field: Arena) -> None:
    """The smallest world: what the lock on references is for."""
    without = await explored(Meeting, field, "consumer-batch-names-lock-nothing")
    assert ["pay:refund.succeeded:r still waits"] in [list(one.problems[1:2]) for one in without.violations]
    found = await Explorer(Meeting(), field, tries_max=without.tries).run()
    assert (found.violations, found.deadlocks) == ([], 0), "the same orders, with the lock"
    assert found.blocked > 0, "one has waited for the other"


def test_every_fault_of_a_world_is_a_planted_one() -> None:
    wanted = {fault for world in WORLDS.values() for fault in world.finds}
    assert wanted <= {path.stem for path in FOLDER.glob("*.patch")}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", WORLDS)
async def test_what_a_world_says_holds_in_every_interleaving(field: Arena, name: str) -> None:
    found = await explored(WORLDS[name], field)
    assert found.violations == []
    assert found.interleavings > 0, "it was explored to its end"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("name", "fault"), [(name, fault) for name, world in WORLDS.items() for fault in world.finds])
async def test_a_fault_is_found(field: Arena, name: str, fault: str) -> None:
    found = await explored(WORLDS[name], field, fault)
    assert found.violations
