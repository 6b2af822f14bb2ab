"""Redrives through a console (`--server`): previews, requests and progress as its `/admin/v1` has them.

A console sends what would be applied and nothing else, whatever the choice.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ops.redrive_follow import ProgressBar, ProgressWatch
from ops.redrives import Discarded, LeftOut, Policy, Prediction, Preview, PreviewAnswer, RedriveProgress, RedriveStatus
from ops.server import filter_fields, revived
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ops.dlq_filters import LetterFilter
    from ops.redrives import RedriveRequest
    from ops.server import RemoteConsole
    from runtime.settings import RedriveSettings


def request_fields(wanted: RedriveRequest) -> dict[str, Any]:
    """Return a request as `/admin/v1` takes it."""
    return filter_fields(wanted.filters) | {
        "rate": wanted.rate_per_second,
        "max": wanted.messages_max,
        "force": wanted.force,
        "keep_going": wanted.policy is Policy.KEEP_GOING,
        "to": wanted.target_topic,
        "because": wanted.because or None,
    }


def preview_of(document: Mapping[str, Any]) -> Preview:
    """Read a preview."""
    messages = tuple(Prediction(**one | {"would": PreviewAnswer(one["would"])}) for one in document["messages"])
    return Preview(document["matched"], messages, tuple(LeftOut(**one) for one in document["left_out"]))


def progress_of(document: Mapping[str, Any]) -> RedriveProgress:
    """Read how far a redrive is."""
    answer = {"status": RedriveStatus(document["status"]), "policy": Policy(document["policy"])}
    return RedriveProgress(**revived(document) | answer)


def preview(asked: RemoteConsole, wanted: RedriveRequest) -> Preview:
    """Return what the redrive would do now."""
    return preview_of(asked.post("/redrives/preview", **request_fields(wanted)))


def start(asked: RemoteConsole, wanted: RedriveRequest, going: int) -> int | None:
    """Order it; `going` is how many people agreed to. Return its id, None where nothing would be applied any more."""
    begun = asked.post("/redrives", **request_fields(wanted) | {"typed": str(going)})["redrive"]
    return None if begun is None else int(begun)


def list_redrives(asked: RemoteConsole, limit: int) -> tuple[RedriveProgress, ...]:
    """Return the newest redrives."""
    return tuple(map(progress_of, asked.get("/redrives", limit=limit)["redrives"]))


def follow(asked: RemoteConsole, redrive_id: int, bounds: RedriveSettings) -> RedriveProgress:
    """Return the redrive once it has ended; raise UnavailableError when nothing moves for too long."""
    bar, watch = ProgressBar(), ProgressWatch(bounds.follow_patience_seconds)
    with bar.shown():
        while True:
            try:
                now = progress_of(asked.get(f"/redrives/{redrive_id}"))
                bar.move(now)
                if now.ended:
                    return now
                watch.look(now)
            except UnavailableError as error:
                watch.miss(error)
            asyncio.run(asyncio.sleep(bounds.follow_interval_seconds))


def discard(asked: RemoteConsole, filters: LetterFilter, because: str, going: int | None) -> Discarded:
    """Give letters up; `going` is how many people agreed to, where they were asked."""
    typed = None if going is None else str(going)
    answer = asked.post("/dead-letters/discard", **filter_fields(filters), because=because, typed=typed)
    return Discarded(answer["matched"], tuple(answer["discarded"]), tuple(LeftOut(**one) for one in answer["left_out"]))
