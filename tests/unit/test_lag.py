"""The lag of a partition, and what is named as its problem."""

from __future__ import annotations

import pytest

from ops.lag import PartitionState, by_topic, lag_of, problems
from runtime.kafka_ends import Ends
from runtime.settings import Settings
from schemas.topics import DEFAULT

pytestmark = pytest.mark.unit

NOW = 1_790_000_000.0


def state(ends: Ends, committed: int | None = None, *, is_read: bool = True) -> PartitionState:
    return PartitionState("payments.intents", 1, ends, committed, is_read)


def reported(one: PartitionState) -> list[str]:
    return [found.found for found in problems([one], Settings(), NOW)]


@pytest.mark.parametrize(
    ("ends", "committed", "lag"),
    [
        (Ends(0, 10, 10), 10, 0),
        (Ends(0, 10, 10), 4, 6),
        (Ends(3, 10, 10), None, 7),
        (Ends(8, 10, 10), 4, 2),
        (Ends(0, 5, 10), 5, 5),
        (Ends(0, 2, 2), 9, 0),
    ],
    ids=["at rest", "behind", "never read", "deleted", "open transaction", "made anew"],
)
def test_lag_is_what_can_still_be_read_up_to_the_high_watermark(ends: Ends, committed: int | None, lag: int) -> None:
    assert state(ends, committed).lag == lag
    assert by_topic(lag_of([state(ends, committed)]), DEFAULT.consumed_names) == {
        "payments.webhooks": 0,
        "payments.intents": lag,
        "payments.events": 0,
    }


def test_nothing_is_wrong_with_what_is_read_or_about_to_be() -> None:
    assert (
        reported(state(Ends(0, 10, 10), 10))
        == reported(state(Ends(3, 10, 10)))
        == reported(state(Ends(0, 10, 10), 2))
        == []
    )


def test_a_transaction_that_is_open_for_long_is_named_and_a_short_one_is_not() -> None:
    assert reported(state(Ends(0, 5, 16, NOW - 60), 5)) == [
        "an open transaction holds payments.intents/1 since 2026-09-21 14:12:20 UTC: 11 offsets wait from 5 on"
    ]
    assert reported(state(Ends(0, 5, 16, None), 5)) == [
        "an open transaction holds payments.intents/1: 11 offsets wait from 5 on"
    ]
    assert reported(state(Ends(0, 5, 16, NOW - 1), 5)) == []


def test_a_partition_that_nobody_reads_is_named_where_something_waits() -> None:
    assert reported(state(Ends(0, 9, 9), 2, is_read=False)) == ["no consumer reads payments.intents/1: 7 offsets wait"]
    assert reported(state(Ends(0, 9, 9), 9, is_read=False)) == []


def test_offsets_that_were_deleted_unread_and_an_end_before_what_was_read_are_named() -> None:
    assert reported(state(Ends(17, 22, 22), 2)) == [
        "15 offsets of payments.intents/1 were deleted before they were read: 2 to 16"
    ]
    assert reported(state(Ends(0, 3, 3), 9)) == [
        "payments.intents/1 ends at 3, before the committed offset 9: it was made anew or cut"
    ]
