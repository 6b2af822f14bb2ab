"""Posts a plan to an ingress, a bounded number at once; tries again after a 503 or where no answer came."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import aiohttp

from ops.sample.signing import seal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ops.sample.post import Post
    from ops.sample.signing import Signer
    from runtime.settings import SampleSettings

NO_ANSWER: Final = 0
"""The status noted where no try of a request got an answer."""


@dataclass(frozen=True, slots=True)
class Sent:
    """The ingress' answer to one post: `status` of the last try, and how many events a 202 reported as `accepted`."""

    post: Post
    status: int
    accepted: int = 0
    attempts: int = 1

    @property
    def taken(self) -> bool:
        """Tell whether the ingress answered that it accepted the events."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES


@dataclass(slots=True)
class Progress:
    """How far the posting is, updated with each answer."""

    total: int
    sent: int = 0
    accepted: int = 0
    refused: int = 0
    retried: int = 0
    results: list[Sent] = field(default_factory=list)

    def note(self, sent: Sent) -> None:
        """Count one answer."""
        self.results.append(sent)
        self.sent += 1
        self.accepted += sent.taken
        self.refused += not sent.taken


@dataclass(slots=True)
class Sender:
    """Posts to one ingress, which may restart under the same address meanwhile."""

    settings: SampleSettings
    signers: Mapping[str, Signer]
    base_url: str
    progress: Progress

    async def send_all(self, posts: Sequence[Post]) -> None:
        """Post all; at most `sample.requests_in_flight_max` requests are open at once."""
        source = iter(posts)
        connector = aiohttp.TCPConnector(limit=self.settings.requests_in_flight_max)
        timeout = aiohttp.ClientTimeout(total=self.settings.request_timeout_seconds)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
            workers = min(self.settings.requests_in_flight_max, max(1, len(posts)))
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(self._work(session, source))

    async def _work(self, session: aiohttp.ClientSession, source: Iterator[Post]) -> None:
        for post in source:
            self.progress.note(await self._send(session, post))

    async def _send(self, session: aiohttp.ClientSession, post: Post) -> Sent:
        """Post one request until it is answered otherwise than 503, at most `attempts_max` times."""
        delay, sent = self.settings.backoff_initial_seconds, Sent(post, NO_ANSWER)
        for attempt in range(1, self.settings.attempts_max + 1):
            status, accepted = await self._attempt(session, post)
            sent = Sent(post, status, accepted, attempt)
            if status not in (NO_ANSWER, HTTPStatus.SERVICE_UNAVAILABLE) or attempt == self.settings.attempts_max:
                break
            self.progress.retried += 1
            await asyncio.sleep(delay)
            delay = min(delay * 2, self.settings.backoff_max_seconds)
        return sent

    async def _attempt(self, session: aiohttp.ClientSession, post: Post) -> tuple[int, int]:
        """Post once; return the status and how many events a 2xx says were taken.

        No redirection is followed: what stands there took no webhook, and most make a GET of it.
        """
        sealed, url = seal(post, self.signers, time.time()), self.base_url
        try:
            async with session.post(
                url + sealed.path, data=sealed.body, headers=sealed.headers, allow_redirects=False
            ) as response:
                body = await response.read()
                return response.status, _accepted(body)
        except (aiohttp.ClientError, TimeoutError):
            return NO_ANSWER, 0


def _accepted(body: bytes) -> int:
    """Return the number in `{"accepted": n}`, or 0."""
    try:
        document = json.loads(body)
    except ValueError:
        return 0
    number = document.get("accepted") if isinstance(document, dict) else None
    return number if isinstance(number, int) else 0
