"""Posting a soak's traffic at one rate for hours; what was refused for now is sent again within the minute."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from load.journal import WEBHOOK
from load.posting import LoadedIngress

from ops.sample.send import NO_ANSWER, Sent
from ops.sample.signing import seal
from soak import others
from soak.traffic import lean

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from load.journal import Answer
    from load.posting import Reply, Step

    from ops.sample.post import Post
    from ops.sample.signing import SignedPost
    from soak.traffic import Mixed

WISH_SHARE: Final = 0.05
"""Intents, each with its capture, in requests."""
MIXED_SHARE: Final = 0.3
AGAIN: Final = (NO_ANSWER, HTTPStatus.SERVICE_UNAVAILABLE)
ROUNDS_MAX: Final = 60
PAUSE_SECONDS: Final = 1.0


@dataclass
class Soaking(LoadedIngress):
    """One ingress under a soak. `sent` are the last answers to the mixed posts, `seconds` the answers' times."""

    mixed: Mixed | None = None
    sent: list[Sent] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    unanswered: int = 0

    @asynccontextmanager
    async def soaked(self, per_second: float) -> AsyncIterator[None]:
        """Post at this rate while the context lasts, then all that a payment lacks; return when all is answered."""
        assert self.mixed is not None, "what is posted is known at the start"
        async with self._session():
            keep = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                deliveries, numbers, posts = self._deliveries(), itertools.count(), self.mixed.posts()
                lives = per_second * (1 - MIXED_SHARE - 2 * WISH_SHARE)
                for rate, next_step in (
                    (lives, lambda: self._deliver(next(deliveries))),
                    (per_second * WISH_SHARE, lambda: self._create(next(numbers))),
                    (per_second * MIXED_SHARE, lambda: self._send(next(posts))),
                ):
                    group.create_task(self._pace(group, keep, rate, next_step))
                try:
                    yield
                finally:
                    keep.set()
            for post in self.mixed.rest():
                await self._send(post)
            await self._until_taken()

    async def once_more(self) -> None:
        """Send once more what nobody has taken yet."""
        steps = [self.waiting.pop() for _ in range(len(self.waiting))]
        for step in steps:
            await step()

    def slowest(self, share: float) -> float | None:
        """Return the time (seconds) within which that share of the requests since the last call was answered."""
        found, self.seconds = sorted(self.seconds), []
        return found[min(len(found) - 1, int(share * len(found)))] if found else None

    @property
    def events_taken(self) -> int:
        """Return how many events the ingress says that it took, repeats and all."""
        return sum(one.accepted for one in self.answers) + sum(one.accepted for one in self.sent)

    async def _pace(self, group: asyncio.TaskGroup, stop: asyncio.Event, rate: float, next_step: Step) -> None:
        begun = time.monotonic()
        for number in itertools.count():
            await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
            if stop.is_set():
                return
            group.create_task(_run(next_step))

    async def _until_taken(self) -> None:
        for _ in range(ROUNDS_MAX):
            if not self.waiting:
                return
            await self.once_more()
            await asyncio.sleep(PAUSE_SECONDS)

    async def _send(self, post: Post) -> None:
        sealed = self._sealed(post)
        reply = await self._post(sealed.path, sealed.body, dict(sealed.headers))
        if reply.status in AGAIN:
            self.unanswered += reply.status == NO_ANSWER
            self.waiting.append(lambda: self._send(post))
        else:
            self.sent.append(Sent(lean(post), reply.status, _accepted(reply.body)))

    def _sealed(self, post: Post) -> SignedPost:
        if post.provider in others.OTHERS and post.message_id:
            return others.seal(post)
        return seal(post, self.signers, time.time())

    def _note(self, answer: Answer, again: Step) -> None:
        if answer.status in AGAIN or (not answer.taken and answer.what != WEBHOOK):
            self.unanswered += answer.status == NO_ANSWER
            self.waiting.append(again)
        else:
            self.answers.append(answer)

    async def _post(self, path: str, body: bytes, headers: dict[str, str]) -> Reply:
        begun = time.monotonic()
        reply = await super()._post(path, body, headers)
        self.seconds.append(time.monotonic() - begun)
        return reply


async def _run(next_step: Step) -> None:
    await next_step()


def _accepted(body: bytes) -> int:
    try:
        document = json.loads(body)
    except ValueError:
        return 0
    number = document.get("accepted") if isinstance(document, dict) else None
    return number if isinstance(number, int) else 0
