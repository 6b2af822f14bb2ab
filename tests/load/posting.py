"""A steady stream of webhooks and intents at one ingress, and what was refused sent again: for the fault tests."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp

from load import journal
from load.journal import CAPTURE, CREATE, NO_ANSWER, WEBHOOK, Answer
from ops.sample.signing import seal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

    from load.traffic import Delivery, Traffic
    from ops.sample.signing import Signer

    Step = Callable[[], Awaitable[None]]

CONNECTIONS_MAX = 400
REQUEST_SECONDS_MAX = 30.0
AGAIN_ROUNDS_MAX = 20
AGAIN_AT_ONCE = 32


class Reply(NamedTuple):
    """One response, or why there is none."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    error: str = ""


@dataclass
class LoadedIngress:
    """One ingress, and everything that it answered. `waiting` is what it refused and nobody has sent again yet."""

    url: str
    traffic: Traffic
    signers: Mapping[str, Signer]
    api_key: str
    answers: list[Answer] = field(default_factory=list)
    waiting: list[Step] = field(default_factory=list)
    _http: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def under_load(self, webhooks_per_second: float, wishes_per_second: float) -> AsyncIterator[None]:
        """Post at this rate while the context lasts; return when everything is answered."""
        stop = asyncio.Event()
        deliveries, numbers = self._deliveries(), itertools.count()
        async with self._session(), asyncio.TaskGroup() as group:

            async def pace(per_second: float, next_step: Callable[[], Awaitable[None]]) -> None:
                begun = time.monotonic()
                for number in itertools.count():
                    await asyncio.sleep(max(0.0, begun + number / per_second - time.monotonic()))
                    if stop.is_set():
                        return
                    group.create_task(_run(next_step()))

            group.create_task(pace(webhooks_per_second, lambda: self._deliver(next(deliveries))))
            group.create_task(pace(wishes_per_second, lambda: self._create(next(numbers))))
            try:
                yield
            finally:
                stop.set()

    async def send_again(self) -> None:
        """Send what was refused until it is taken, as providers and clients do; bounded."""
        async with self._session():
            for _ in range(AGAIN_ROUNDS_MAX):
                steps = iter([self.waiting.pop() for _ in range(len(self.waiting))])
                await asyncio.gather(*(_one_by_one(steps) for _ in range(AGAIN_AT_ONCE)))
                if not self.waiting:
                    return
                await asyncio.sleep(max(answer.wait_seconds or 0 for answer in self.answers[-AGAIN_AT_ONCE:]))

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[None]:
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS_MAX)
        connector = aiohttp.TCPConnector(limit=CONNECTIONS_MAX)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as self._http:
            yield
        self._http = None

    def _deliveries(self) -> Iterator[Delivery]:
        """Yield one life's posts after the other's; two lives are posted at the same time."""
        for number in itertools.count(step=2):
            pair = (self.traffic.deliveries(number), self.traffic.deliveries(number + 1))
            for both in itertools.zip_longest(*pair):
                yield from (one for one in both if one is not None)

    async def _deliver(self, delivery: Delivery) -> None:
        sealed = seal(delivery.post, self.signers, time.time())
        reply = await self._post(sealed.path, sealed.body, dict(sealed.headers))
        if reply.error:
            answer = Answer(WEBHOOK, delivery.life, NO_ANSWER, delivery.place, error=reply.error)
        else:
            answer = journal.of_webhook(delivery.life, delivery.place, *reply[:3])
        self._note(answer, lambda: self._deliver(delivery))

    async def _create(self, number: int) -> None:
        wish = self.traffic.wish(number)
        answer = await self._ask(CREATE, number, wish.create_key, "/payment-intents", wish.create)
        self._note(answer, lambda: self._create(number))
        if answer.taken:
            await self._capture(number, answer.payment)

    async def _capture(self, number: int, payment: str) -> None:
        wish = self.traffic.wish(number)
        answer = await self._ask(CAPTURE, number, wish.capture_key, f"/payment-intents/{payment}/capture", wish.capture)
        self._note(answer, lambda: self._capture(number, payment))

    async def _ask(self, what: str, number: int, key: str, path: str, body: Mapping[str, Any]) -> Answer:
        headers = {
            "Authorization": f"Bearer {self.api_key}",
            "Content-Type": "application/json",
            "Idempotency-Key": key,
        }
        reply = await self._post(path, json.dumps(body).encode(), headers)
        if reply.error:
            return Answer(what, number, NO_ANSWER, key=key, error=reply.error)
        return journal.of_intent(what, number, key, *reply[:3])

    def _note(self, answer: Answer, again: Step) -> None:
        self.answers.append(answer)
        if not answer.taken:
            self.waiting.append(again)

    async def _post(self, path: str, body: bytes, headers: dict[str, str]) -> Reply:
        assert self._http is not None, "under_load and send_again open it"
        try:
            async with self._http.post(self.url + path, data=body, headers=headers) as response:
                return Reply(response.status, response.headers, await response.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            return Reply(NO_ANSWER, {}, b"", repr(error))


async def _run(step: Awaitable[None]) -> None:
    await step


async def _one_by_one(steps: Iterator[Step]) -> None:
    for step in steps:
        await step()
