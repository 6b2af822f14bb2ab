"""Users that post genuinely signed webhooks and payment intents; `run` starts Locust with it.

The environment says what the command line of Locust does not: LOAD_SHAPE, LOAD_SECONDS, LOAD_USERS, LOAD_SEED,
LOAD_NOW, LOAD_JOURNAL (a path), LOAD_SIGNERS (JSON: provider to secret), LOAD_API_KEY.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent
import gevent.pool
import locust.stats
from locust import FastHttpUser, LoadTestShape, constant_throughput, events, task

from load import journal, shapes
from load.journal import CAPTURE, CREATE, NO_ANSWER, Answer
from load.traffic import Traffic
from ops.sample.signing import Signer, seal

if TYPE_CHECKING:
    from collections.abc import Callable

    from load.traffic import Delivery

NAME = os.environ["LOAD_SHAPE"]
SHAPE = shapes.SHAPES[NAME]
TRAFFIC = Traffic(int(os.environ["LOAD_SEED"]), int(os.environ["LOAD_NOW"]))
SIGNERS = {name: Signer(secret) for name, secret in json.loads(os.environ["LOAD_SIGNERS"]).items()}
JOURNAL = Path(os.environ["LOAD_JOURNAL"]).open("w", encoding="utf-8")  # noqa: SIM115 - closed when Locust quits
NUMBERS = itertools.count()
"""Each life and each wish is one user's alone; a storm's copies are posted by that user."""
ATTEMPTS_MAX = 20
WAIT_SECONDS_MAX = 10.0
TASKS_PER_SECOND = 2.0
REQUEST_SECONDS_MAX = 30.0
locust.stats.HISTORY_STATS_INTERVAL_SEC = locust.stats.CSV_STATS_INTERVAL_SEC = 1  # a step of a short run is seconds


class Curve(LoadTestShape):
    """The users over time, as `shapes` has them."""

    def tick(self) -> tuple[int, float] | None:
        seconds, users = float(os.environ["LOAD_SECONDS"]), int(os.environ["LOAD_USERS"])
        found = shapes.users_at(NAME, self.get_run_time(), seconds=seconds, users=users)
        return None if found is None else (found, shapes.spawn_rate(users))


@events.quit.add_listener
def _close(**_: Any) -> None:
    JOURNAL.close()


def note(answer: Answer) -> Answer:
    """Write an answer down; greenlets take turns at I/O of sockets alone, so a line is written whole."""
    JOURNAL.write(journal.line_of(answer))
    return answer


def until_taken(attempt: Callable[[], Answer]) -> Answer:
    """Send again what was refused for now, after the time that the ingress asked for; bounded."""
    for _ in range(ATTEMPTS_MAX):
        answer = note(attempt())
        if answer.taken or answer.wait_seconds is None:
            return answer
        gevent.sleep(min(answer.wait_seconds, WAIT_SECONDS_MAX))
    return answer


def at_once(attempt: Callable[[], Answer]) -> list[Answer]:
    """Send the same as many times at once as the shape says."""
    pool = gevent.pool.Pool(SHAPE.copies)
    sending = [pool.spawn(until_taken, attempt) for _ in range(SHAPE.copies)]
    gevent.joinall(sending, raise_error=True)
    return [one.value for one in sending]


class Sender(FastHttpUser):
    """A user that posts."""

    abstract = True
    wait_time = constant_throughput(TASKS_PER_SECOND)
    concurrency = SHAPE.copies
    network_timeout = connection_timeout = REQUEST_SECONDS_MAX

    def _post(self, path: str, body: bytes, headers: dict[str, str], name: str) -> Any:
        with self.client.post(path, data=body, headers=headers, name=name, catch_response=True) as response:
            if response.status_code in (409, 429, 503) and response.headers.get("Retry-After"):
                response.success()  # a promised refusal; the verdict counts it
            return response


class Provider(Sender):
    """A provider: it posts one life after the other, its events in any order, some twice."""

    weight = 4

    def on_start(self) -> None:
        self.waiting: list[Delivery] = []

    @task
    def deliver(self) -> None:
        if not self.waiting:
            self.waiting = TRAFFIC.deliveries(next(NUMBERS))
        delivery = self.waiting.pop()
        at_once(lambda: self._attempt(delivery))

    def on_stop(self) -> None:
        """Tell the life to its end: only a whole one says how its payment must stand."""
        while self.waiting:
            self.deliver()

    def _attempt(self, delivery: Delivery) -> Answer:
        sealed = seal(delivery.post, SIGNERS, time.time())
        name = f"webhook {delivery.post.provider}"
        response = self._post(sealed.path, sealed.body, dict(sealed.headers), name)
        if response.status_code == NO_ANSWER:
            return Answer(journal.WEBHOOK, delivery.life, NO_ANSWER, delivery.place, error=str(response.error))
        return journal.of_webhook(
            delivery.life, delivery.place, response.status_code, response.headers, response.content
        )


class Upstream(Sender):
    """An upstream service: it creates an intent and captures it."""

    weight = 1

    @task
    def ask(self) -> None:
        number = next(NUMBERS)
        wish = TRAFFIC.wish(number)
        created = at_once(lambda: self._attempt(CREATE, number, wish.create_key, "/payment-intents", wish.create))
        payment = next((answer.payment for answer in created if answer.taken), None)
        if payment is not None:
            path = f"/payment-intents/{payment}/capture"
            at_once(lambda: self._attempt(CAPTURE, number, wish.capture_key, path, wish.capture))

    def _attempt(self, what: str, number: int, key: str, path: str, body: dict[str, Any]) -> Answer:
        headers = {
            "Authorization": f"Bearer {os.environ['LOAD_API_KEY']}",
            "Content-Type": "application/json",
            "Idempotency-Key": key,
        }
        response = self._post(path, json.dumps(body).encode(), headers, f"intent {what}")
        if response.status_code == NO_ANSWER:
            return Answer(what, number, NO_ANSWER, key=key, error=str(response.error))
        return journal.of_intent(what, number, key, response.status_code, response.headers, response.content)
