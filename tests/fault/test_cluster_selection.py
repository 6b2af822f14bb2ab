"""Two scenarios of `make cluster`: three brokers and two Postgres servers, one of which dies under load.

How soon all is back is measured there: a machine that does other things holds none of these times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cluster import scenarios
from cluster.run import play

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(420)]


@pytest.mark.parametrize("name", ["broker_killed", "postgres_failover"])
async def test_nothing_is_lost_and_all_comes_back_by_itself(tmp_path: Path, name: str) -> None:
    (one,) = (scenario for scenario in scenarios.ALL if scenario.name == name)
    seen = await play(one, tmp_path)
    assert (seen.problems, seen.letters) == ([], 0)
    assert seen.stuck_afterwards == {}, "every role is ready again"
    assert seen.away, "/readyz?verbose names the server that is away"
