"""A commit never steps over a batch that is still open."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.offsets import OffsetRange, Offsets

pytestmark = pytest.mark.unit

P0, P1 = ("payments.webhooks", 0), ("payments.webhooks", 1)


def test_a_later_batch_waits_for_the_earlier_one() -> None:
    offsets = Offsets()
    first, second = offsets.begin(P0, 10), offsets.begin(P0, 20)
    offsets.mark_processed([second])
    assert offsets.take_ready() == {}
    offsets.mark_processed([first])
    assert offsets.take_ready() == {P0: 20}
    assert offsets.take_ready() == {}


def test_every_share_of_a_span_must_be_durable() -> None:
    offsets = Offsets()
    span = offsets.begin(P0, 10, shares=2)
    offsets.mark_processed([span])
    assert offsets.take_ready() == {}
    offsets.mark_processed([span])
    assert offsets.take_ready() == {P0: 10}


def test_partitions_do_not_wait_for_each_other() -> None:
    offsets = Offsets()
    offsets.begin(P0, 10)
    offsets.mark_processed([offsets.begin(P1, 5)])
    assert offsets.take_ready() == {P1: 5}


@given(st.lists(st.sampled_from([P0, P1]), min_size=1, max_size=20), st.data())
def test_any_order_of_processing_commits_up_to_the_first_open_span(
    places: list[tuple[str, int]], data: st.DataObject
) -> None:
    offsets = Offsets()
    spans = [offsets.begin(place, number) for number, place in enumerate(places, start=1)]
    committed: dict[tuple[str, int], int] = {}
    for span in data.draw(st.permutations(spans)):
        offsets.mark_processed([span])
        for place, offset in offsets.take_ready().items():
            assert offset > committed.get(place, 0)
            committed[place] = offset
        for place in (P0, P1):
            own = [one for one in spans if one.place == place]
            processed = 0
            for one in own:
                if one.shares:
                    break
                processed = one.next_offset
            assert committed.get(place, 0) == processed


def test_a_failed_commit_is_made_again_unless_newer_offsets_are_ready() -> None:
    offsets = Offsets()
    offsets.mark_processed([offsets.begin(P0, 10)])
    offsets.give_back(offsets.take_ready())
    assert offsets.take_ready() == {P0: 10}
    offsets.mark_processed([offsets.begin(P0, 20)])
    offsets.give_back({P0: 10})
    assert offsets.take_ready() == {P0: 20}


def test_what_was_given_up_is_not_committed() -> None:
    offsets = Offsets()
    span = offsets.begin(P0, 10)
    offsets.mark_processed([offsets.begin(P1, 7)])
    offsets.forget()
    offsets.mark_processed([span])
    offsets.give_back({P0: 10})
    assert offsets.take_ready() == {}


def test_a_span_of_an_earlier_assignment_commits_nothing_of_the_next() -> None:
    offsets = Offsets()
    old = offsets.begin(P0, 10)
    offsets.forget()
    new = offsets.begin(P0, 8)
    offsets.mark_processed([old])
    assert offsets.take_ready() == {}
    offsets.mark_processed([new])
    assert offsets.take_ready() == {P0: 8}


def test_spans_are_kept_apart_by_identity() -> None:
    assert OffsetRange(P0, 1, 1) != OffsetRange(P0, 1, 1)


def test_a_position_behind_the_last_record_is_committed_once_all_is_durable() -> None:
    offsets = Offsets()
    first, second = offsets.begin(P0, 10), offsets.begin(P0, 20)
    offsets.reach(P0, 27)
    offsets.mark_processed([second])
    assert offsets.take_ready() == {}
    offsets.mark_processed([first])
    assert offsets.take_ready() == {P0: 27}
    offsets.reach(P0, 27)
    assert offsets.take_ready() == {}


def test_a_position_moves_without_any_record() -> None:
    offsets = Offsets()
    offsets.reach(P0, 0)
    assert offsets.take_ready() == {}
    offsets.reach(P0, 5)
    assert offsets.take_ready() == {P0: 5}
    offsets.mark_processed([offsets.begin(P0, 8)])
    assert offsets.take_ready() == {P0: 8}
    offsets.reach(P0, 8)
    assert offsets.take_ready() == {}


def test_a_halted_span_holds_the_position_back() -> None:
    offsets = Offsets()
    offsets.begin(P0, 10)
    offsets.reach(P0, 12)
    assert offsets.take_ready() == {}


def test_what_begins_anew_commits_its_beginning_and_takes_no_old_offset_back() -> None:
    offsets = Offsets()
    old = offsets.begin(P0, 100)
    offsets.mark_processed([old])
    ready = offsets.take_ready()
    late = offsets.begin(P0, 200)
    offsets.restart(P0, 0)
    offsets.give_back(ready)
    offsets.mark_processed([late])
    assert offsets.take_ready() == {P0: 0}
    offsets.mark_processed([offsets.begin(P0, 3)])
    assert offsets.take_ready() == {P0: 3}


def test_nothing_is_given_back_for_what_is_not_ours_any_more() -> None:
    offsets = Offsets()
    offsets.mark_processed([offsets.begin(P0, 10)])
    ready = offsets.take_ready()
    offsets.forget()
    offsets.give_back(ready)
    assert offsets.take_ready() == {}


def test_a_position_that_lies_before_what_was_taken_moves_nothing_back() -> None:
    offsets = Offsets()
    offsets.mark_processed([offsets.begin(P0, 20)])
    ready = offsets.take_ready()
    offsets.reach(P0, 10)
    offsets.reach(P0, 15)
    assert offsets.take_ready() == {}, "a commit of 15 would give the last records out again"
    offsets.give_back(ready)
    assert offsets.take_ready() == {P0: 20}
    span = offsets.begin(P0, 30)
    offsets.reach(P0, 25)
    offsets.mark_processed([span])
    assert offsets.take_ready() == {P0: 30}


def test_a_position_that_stays_is_committed_once() -> None:
    offsets = Offsets()
    for _ in range(2):
        offsets.reach(P0, 5)
    assert offsets.take_ready() == {P0: 5}
    offsets.reach(P0, 5)
    assert offsets.take_ready() == {}


def test_a_beginning_of_0_is_not_given_back_for_what_is_not_ours_any_more() -> None:
    """It would send the one who has the partition now back to its beginning."""
    offsets = Offsets()
    offsets.restart(P0, 0)
    ready = offsets.take_ready()
    assert ready == {P0: 0}
    offsets.forget()
    offsets.give_back(ready)
    assert offsets.take_ready() == {}
