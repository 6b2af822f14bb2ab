"""The parking clock by itself: what counts as caught up, when time is added to deadlines, when it is not."""

from __future__ import annotations

import datetime as dt

import pytest
from aiokafka import TopicPartition

from consumer.caught_up import CatchUp, Reading
from consumer.parking_clock import ParkingClock, advance, standstill
from runtime.kafka_ends import Ends

A, B = TopicPartition("payments.webhooks", 0), TopicPartition("payments.webhooks", 1)
AT = dt.datetime(2026, 11, 27, tzinfo=dt.UTC)
TEN = dt.timedelta(seconds=10)


def ends(high: int, begin: int = 0) -> Ends:
    return Ends(begin, high, high)


def after(seconds: float) -> dt.datetime:
    return AT + dt.timedelta(seconds=seconds)


def test_what_is_processed_is_caught_up_now_and_an_empty_partition_too() -> None:
    assert CatchUp().note({A: ends(5), B: ends(0)}, {A: 5}, 100.0) == Reading(100.0)
    assert CatchUp().note({A: ends(5, begin=5)}, {A: 2}, 100.0) == Reading(100.0), "deleted records can't come"


def test_a_backlog_is_caught_up_to_a_time_only_when_its_offset_of_that_time_is_processed() -> None:
    catch_up = CatchUp()
    assert catch_up.note({A: ends(10), B: ends(1)}, {A: 0, B: 1}, 100.0) == Reading(
        None, "payments.webhooks/0: 10 offsets not processed"
    )
    assert catch_up.note({A: ends(20), B: ends(1)}, {A: 9, B: 1}, 102.0).caught_up is None
    assert catch_up.note({A: ends(30), B: ends(1)}, {A: 10, B: 1}, 104.0).caught_up == 100.0
    assert catch_up.note({A: ends(30), B: ends(1)}, {A: 29, B: 1}, 106.0).caught_up == 102.0
    assert catch_up.note({A: ends(30), B: ends(1)}, {A: 30, B: 1}, 108.0) == Reading(108.0)


def test_the_least_of_all_partitions_counts() -> None:
    catch_up = CatchUp()
    catch_up.note({A: ends(1), B: ends(1)}, {A: 1, B: 1}, 100.0)
    found = catch_up.note({A: ends(9), B: ends(3)}, {A: 9, B: 1}, 200.0)
    assert found == Reading(100.0, "payments.webhooks/1: 2 offsets not processed")


def test_offsets_of_a_topic_that_was_made_anew_prove_nothing() -> None:
    assert CatchUp().note({A: ends(3)}, {A: 500}, 100.0).caught_up is None


def test_samples_of_a_topic_that_was_made_anew_are_waited_for_no_more() -> None:
    """The new one may never reach the old one's offsets: the clock would stand for ever."""
    catch_up = CatchUp()
    catch_up.note({A: ends(100)}, {A: 90}, 100.0)
    assert catch_up.note({A: ends(3)}, {A: 90}, 102.0).caught_up is None
    assert catch_up.note({A: ends(4)}, {A: 3}, 104.0).caught_up == 102.0
    assert catch_up.note({A: ends(4)}, {A: 4}, 106.0) == Reading(106.0)


def test_a_partition_that_went_counts_no_more_and_begins_anew_where_it_comes_again() -> None:
    catch_up = CatchUp()
    catch_up.note({A: ends(1), B: ends(9)}, {A: 1}, 100.0)
    assert catch_up.note({A: ends(1)}, {A: 1}, 102.0) == Reading(102.0)
    assert catch_up.note({A: ends(1), B: ends(2)}, {A: 1, B: 1}, 104.0).caught_up is None
    assert catch_up.note({A: ends(1), B: ends(2)}, {A: 1, B: 2}, 106.0) == Reading(106.0)


def test_what_stands_behind_an_open_transaction_is_not_caught_up() -> None:
    """It came in, and whoever waits for it is not buried before the transaction ends."""
    catch_up = CatchUp()
    behind = Ends(0, stable=5, high=9)
    assert catch_up.note({A: behind}, {A: 5}, 100.0) == Reading(None, "payments.webhooks/0: 4 offsets not processed")
    assert catch_up.note({A: Ends(0, 9, 9)}, {A: 9}, 101.0) == Reading(101.0)


def test_no_topic_is_nothing_caught_up() -> None:
    assert CatchUp().note({}, {}, 1.0).caught_up is None


def test_a_new_partition_is_waited_for() -> None:
    catch_up = CatchUp()
    assert catch_up.note({A: ends(1)}, {A: 1}, 100.0).caught_up == 100.0
    assert catch_up.note({A: ends(1), B: ends(4)}, {A: 1}, 102.0).caught_up is None


def test_samples_of_a_backlog_are_bounded_and_get_only_a_little_coarser() -> None:
    catch_up = CatchUp()
    looks = 100_000  # of which each fifth is taken: as many seconds, and as many offsets
    for number in range(0, looks, 5):
        catch_up.note({A: ends(number + 1)}, {A: 0}, float(number))
    assert len(catch_up._pending[A]) < 2500
    reached = catch_up.note({A: ends(looks)}, {A: looks // 2}, float(looks)).caught_up
    assert reached is not None
    assert looks * 0.49 < reached <= looks * 0.5


def test_a_backlog_that_does_not_grow_needs_one_sample() -> None:
    catch_up = CatchUp()
    for number in range(1000):
        catch_up.note({A: ends(7)}, {A: 0}, float(number))
    assert len(catch_up._pending[A]) == 1
    assert catch_up.note({A: ends(7)}, {A: 7}, 1000.0).caught_up == 1000.0


def test_the_first_look_starts_the_clock_and_adds_nothing() -> None:
    assert advance(ParkingClock(), AT, after(1), TEN) == ParkingClock(AT, after(1))
    begun = advance(ParkingClock(), None, after(1), TEN)
    assert begun == ParkingClock(None, after(1)), "a backlog that was there before the first look counts as well"
    assert advance(begun, after(90), after(91), TEN) == ParkingClock(after(90), after(91), after(1), after(91))


@pytest.mark.parametrize("pause", [1, 10])
def test_steady_load_stops_nothing(pause: int) -> None:
    clock = ParkingClock(AT, AT)
    for turn in range(1, 1000):
        clock = advance(clock, after(turn * pause - 5), after(turn * pause), TEN)
        assert clock.began_at is None
        assert not standstill(clock, after(turn * pause + pause), TEN)


def test_an_outage_is_added_once_it_is_over_and_reported_meanwhile() -> None:
    clock = ParkingClock(AT, AT)
    for seconds in range(1, 3600, 60):
        for seen in (None, AT, after(-1)):
            assert advance(clock, seen, after(seconds), TEN) == clock
    assert standstill(clock, after(3600), TEN) == dt.timedelta(hours=1)
    assert advance(clock, after(3600), after(3600), TEN) == ParkingClock(after(3600), after(3600), AT, after(3600))


def test_while_a_standstill_is_being_added_the_clock_stays() -> None:
    clock = ParkingClock(after(60), after(60), AT, after(60), after_id=7)
    assert advance(clock, after(99), after(99), TEN) is clock
