"""What is reported of partitions: how far they are behind, and where one goes on elsewhere than was wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from runtime import metrics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiokafka import TopicPartition

log = structlog.get_logger()


def report_restart(place: TopicPartition, wanted: int | None, begin: int) -> None:
    """Tell that a partition goes on at its first record, and what that means."""
    where = {"topic": place.topic, "partition": place.partition, "to_offset": begin}
    if wanted is None:
        log.info("partition_begun", **where, detail="the group had committed no offset of it")
    elif wanted < begin:
        metrics.RECORDS_SKIPPED.labels(place.topic, str(place.partition)).inc(begin - wanted)
        detail = "records were deleted before they were read, by retention or by hand: what they reported is lost here"
        log.error("records_skipped", **where, from_offset=wanted, count=begin - wanted, detail=detail)
    else:
        detail = "the partition ends before the offset: the topic was made anew or cut; it is read from its beginning"
        log.error("offset_beyond_end", **where, from_offset=wanted, detail=detail)


def show_lag(behind: Mapping[TopicPartition, int]) -> None:
    """Show these partitions' lags in the metrics, and no other: what was given up is another consumer's to tell."""
    metrics.CONSUMER_LAG.clear()
    for place, lag in behind.items():
        metrics.CONSUMER_LAG.labels(place.topic, str(place.partition)).set(max(lag, 0))
