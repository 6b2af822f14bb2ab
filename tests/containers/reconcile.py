"""Compare, inside the network of compose.yaml, what was taken with what the database holds: one JSON document.

`python -m containers.reconcile ANSWERS SEED NOW` in a container of the image, with the tests' folder on PYTHONPATH.
Nothing leads into that network from outside, so that this runs in it, with the rights of the command line.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path

from load import journal
from load.effects import verdict_of
from load.traffic import Traffic

from ops.database import connected
from runtime.settings import load

REST_SECONDS_MAX = 120.0
COUNTS = """
select (select count(*) from payments) as payments, (select count(*) from payment_logs) as ledger_rows,
       (select count(*) from dead_letters) as letters
"""


async def compare(answers: Path, traffic: Traffic) -> dict[str, object]:
    """Wait for the ledger to be at rest; return the verdict and how many rows there are."""
    settings = load()
    with answers.open(encoding="utf-8") as lines:
        found = list(journal.read(lines))
    verdict = await verdict_of(settings, found, traffic, rest_seconds_max=REST_SECONDS_MAX)
    async with connected(settings) as connection:
        counts = await connection.fetchrow(COUNTS)
    assert counts is not None
    return {**asdict(verdict), **dict(counts)}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(compare(Path(sys.argv[1]), Traffic(int(sys.argv[2]), int(sys.argv[3]))))))  # noqa: T201
