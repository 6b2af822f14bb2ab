"""The watch over the record that is in hand, alone."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field

import pytest

from consumer import hand as module
from consumer.hand import HandWatch

pytestmark = pytest.mark.unit

HANG, PATIENCE = 10.0, 35.0


@dataclass
class Timer:
    """Stands for the interpreter's own timer: what was asked of it; None takes it back."""

    asked: list[float | None] = field(default_factory=list)

    def hand(self) -> HandWatch:
        return HandWatch(HANG, PATIENCE, arm=self.asked.append, disarm=lambda: self.asked.append(None))


def test_the_timer_runs_only_while_a_record_is_in_hand() -> None:
    timer = Timer()
    hand = timer.hand()
    hand.look(time.monotonic(), waiting=False)
    assert timer.asked == []
    with contextlib.suppress(ZeroDivisionError), hand.holding():
        assert hand.held
        raise ZeroDivisionError
    assert (timer.asked, hand.held) == ([HANG, None], False)


def test_a_loop_that_lives_puts_the_end_off_for_as_long_as_a_statement_may_take() -> None:
    timer = Timer()
    hand = timer.hand()
    with hand.holding():
        began = hand.activity.at
        hand.look(began + PATIENCE, waiting=False)
        assert timer.asked == [HANG, HANG]
        hand.look(began + PATIENCE + 0.1, waiting=False)
        assert timer.asked == [HANG, HANG], "nothing was attempted: let it end"
        hand.look(began + 3600, waiting=True)
        assert timer.asked == [HANG] * 3, "an outage is waited for"
        hand.activity.note()
        hand.look(time.monotonic(), waiting=False)
        assert timer.asked == [HANG] * 4


async def test_it_looks_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.001)
    timer, enough = Timer(), asyncio.Event()
    hand = timer.hand()

    def waiting() -> bool:
        if len(timer.asked) > 4:
            enough.set()
        return False

    keeping = asyncio.create_task(hand.keep(waiting))
    with hand.holding():
        async with asyncio.timeout(5):
            await enough.wait()
    keeping.cancel()


def test_what_was_attempted_before_a_record_is_in_hand_counts_for_nothing() -> None:
    """Nothing may have been asked for an hour: the record has its whole time from where it is taken up."""
    timer = Timer()
    hand = timer.hand()
    hand.activity.at = time.monotonic() - 3600
    with hand.holding():
        hand.look(time.monotonic(), waiting=False)
        assert timer.asked == [HANG, HANG]


def test_it_ends_the_process_before_it_says_that_it_has() -> None:
    """Whoever replaces a process that stands still waits for so long: sooner, and the end is nobody's doing."""
    hand = Timer().hand()
    last_look_that_lets_it_live = PATIENCE + module.LOOK_SECONDS
    assert hand.acts_after_seconds > last_look_that_lets_it_live + HANG
