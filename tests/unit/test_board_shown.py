"""What `ratchet up` shows while it runs: a rate from the second look on, a line that is new, and then nothing more."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from waiting import until

from ops import board
from ops.board import Reporter
from ops.status import StatusReport
from runtime.settings import OpsSettings, Settings
from schemas.errors import UnavailableError

pytestmark = pytest.mark.unit

SETTINGS = Settings().model_copy(
    update={"ops": OpsSettings().model_copy(update={"board_interval_seconds": 0.0, "report_interval_seconds": 0.0})}
)


def report(ledger: int | None) -> StatusReport:
    return StatusReport([], {}, {}, {} if ledger is None else {"ledger": ledger}, [])


class PaperLive:
    """Takes what is shown; `left` tells whether the terminal was given back."""

    left = 0

    def __init__(self, **_: Any) -> None: ...
    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        PaperLive.left += 1

    def update(self, *_: object, **__: object) -> None: ...


async def test_the_rate_is_of_two_looks_that_both_knew_and_no_look_ends_the_board(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[Any] = [report(100), report(160), UnavailableError("away"), report(None), report(170)]
    shown: list[Any] = []
    ended = asyncio.Event()

    async def gather(_: Settings) -> StatusReport:
        await asyncio.sleep(0)
        if not looks:
            await ended.wait()
        look = looks.pop(0)
        if isinstance(look, Exception):
            raise look
        return look  # type: ignore[no-any-return]

    monkeypatch.setattr(board, "gather", gather)
    monkeypatch.setattr(board, "Live", PaperLive)
    monkeypatch.setattr(board, "rate", lambda before, after, _seconds: (before, after))
    monkeypatch.setattr(board, "board", lambda _status, _run, rate: shown.append(rate))
    left = PaperLive.left
    async with Reporter(SETTINGS, live=True).showing():
        await until(lambda: len(shown) == 4)
    assert shown == [0.0, (100, 160), (160, 160), (160, 170)]
    assert PaperLive.left == left + 1, "the terminal is given back"
    assert len(asyncio.all_tasks()) == 1, "and nothing goes on"


async def test_a_line_comes_when_it_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    stated: list[str] = []
    monkeypatch.setattr(board, "say", stated.append)
    reporter, turns = Reporter(SETTINGS, live=False), 0
    progress = SimpleNamespace(sent=0, total=9, accepted=0, refused=0, retried=0)
    wait = asyncio.sleep

    async def turn(_seconds: float) -> None:
        nonlocal turns
        turns += 1
        progress.sent = 0 if turns < 5 else 7
        reporter.run = None if turns < 3 else SimpleNamespace(progress=progress)  # type: ignore[assignment]
        await wait(0)

    monkeypatch.setattr(board.asyncio, "sleep", turn)
    async with reporter.showing():
        while turns < 9:
            await wait(0)
    seen = turns
    for _ in range(5):
        await wait(0)
    assert turns == seen
    line = "sample: {} of 9 requests posted, 0 accepted, 0 refused"
    assert stated == [line.format(0), line.format(7)]
