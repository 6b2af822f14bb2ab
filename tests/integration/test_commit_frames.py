"""How many functions of ours one record is within when its transaction is decided and about to commit."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from consumer_harness import records, settings_for, webhook

from consumer import role
from consumer.loop import ConsumerLoop
from consumer.role import make_processor
from runtime.clock import SystemClock
from runtime.postgres import open_pool

if TYPE_CHECKING:
    from types import FrameType

    from conftest import Database

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
WAY = ["consumer/loop.py", *["consumer/processing.py"] * 3, *["consumer/transaction.py"] * 2]
"""Where the six functions stand from the loop to the commit; docs/walkthrough.md names them. None is to be added."""


class Watched(SystemClock):
    """A clock that notes what stands on the stack when the transaction asks it: all was read, nothing is written."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[str] = []

    def now(self) -> float:
        names, frame = [], sys._getframe(1)
        while isinstance(frame, _Frame):
            path = Path(frame.f_code.co_filename)
            if path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in ("consumer", "runtime"):
                names.append(f"{path.relative_to(ROOT)}: {frame.f_code.co_qualname}")
            frame = frame.f_back
        self.frames = self.frames or names[::-1]
        return super().now()


_Frame: type[FrameType] = type(sys._getframe())


@pytest.mark.parametrize("isolated", [False, True])
async def test_a_record_passes_six_functions_before_its_commit(
    database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, isolated: bool
) -> None:
    """That is so too where records are in quarantine and go one by one."""
    clock, nobody = Watched(), None
    monkeypatch.setattr(role, "SystemClock", lambda: clock)
    settings = settings_for(database.dsn, home=tmp_path)
    pool = await open_pool(settings.postgres, role="consumer", connections=2)
    try:
        processor = make_processor(pool, settings)
        batch = list(records([webhook("payment.created", "p", amount=100)]))
        await processor.quarantine.begin(batch)
        if isolated:
            processor.quarantine._until = {("payments.webhooks", batch[0].partition): 10}
        assert processor.quarantine.holds(batch[0]) is isolated
        member: Any = nobody
        loop = ConsumerLoop(member, processor, settings.consumer, member)
        await loop._process(batch, list(loop._begin([batch]).values()))
        assert await pool.fetchval("select count(*) from payment_logs") == 1
    finally:
        await pool.close()
    assert [frame.partition(":")[0] for frame in clock.frames] == WAY, "\n".join(clock.frames)
