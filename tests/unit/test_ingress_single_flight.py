"""SingleFlight at the ingress: one record for copies that come together, and no answer before it is durable."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from producers.ingress.publishing.publisher import Durability
from producers.ingress.single_flight import SingleFlight, key_of
from providers.core.contract import Notification
from runtime.settings import IngressSettings
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.unit

EVENT = Notification("evt_1", "paid", "pi_1", b'{"id":"evt_1"}', "verified")
HINT = Notification(None, None, "tr_1", b"id=tr_1", "hint")


class PaperPublisher:
    """Makes records durable when it is let to, or fails as asked."""

    def __init__(self) -> None:
        self.published: list[Any] = []
        self.open = asyncio.Event()
        self.open.set()
        self.failures = 0

    async def publish(self, records: Sequence[Any]) -> Durability:
        self.published.append(records)
        await self.open.wait()
        if self.failures:
            self.failures -= 1
            raise UnavailableError("away")
        return Durability.KAFKA


class Clock:
    """A monotonic clock that the test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def flights_of(**bounds: Any) -> tuple[SingleFlight, PaperPublisher, Clock]:
    publisher, clock = PaperPublisher(), Clock()
    return SingleFlight(publisher, IngressSettings(**bounds), clock), publisher, clock  # type: ignore[arg-type]


async def test_copies_wait_for_the_first_and_are_one_record() -> None:
    flights, publisher, _ = flights_of()
    publisher.open.clear()
    tasks = [asyncio.create_task(flights.publish("stripe", [EVENT], lambda: ["record"])) for _ in range(20)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert not any(task.done() for task in tasks), "nobody is answered before the first is durable"
    publisher.open.set()
    assert await asyncio.gather(*tasks) == [Durability.KAFKA, *[None] * 19]
    assert publisher.published == [["record"]]


async def test_what_is_durable_is_remembered_for_a_while() -> None:
    flights, publisher, clock = flights_of(twins_kept_seconds=5)
    assert await flights.publish("stripe", [EVENT], list) is Durability.KAFKA
    clock.now = 4.9
    assert await flights.publish("stripe", [EVENT], list) is None
    clock.now = 5.0
    assert await flights.publish("stripe", [EVENT], list) is Durability.KAFKA
    assert len(publisher.published) == 2


async def test_the_memory_is_bounded() -> None:
    flights, _, _ = flights_of(twins_kept_max=3)
    for number in range(10):
        await flights.publish("stripe", [Notification(str(number), "k", "r", b"{}", "verified")], list)
    assert len(flights._durable) == 3
    assert not flights._flights


async def test_a_hint_is_published_each_time_that_it_comes_anew() -> None:
    flights, publisher, _ = flights_of()
    for _ in range(3):
        assert await flights.publish("mollie", [HINT], list) is Durability.KAFKA
    assert len(publisher.published) == 3, "the same bytes may tell of another change"


async def test_when_the_first_fails_its_copies_go_their_own_way() -> None:
    flights, publisher, _ = flights_of()
    publisher.open.clear()
    publisher.failures = 1
    tasks = [asyncio.create_task(flights.publish("stripe", [EVENT], list)) for _ in range(3)]
    for _ in range(5):
        await asyncio.sleep(0)
    publisher.open.set()
    first, *others = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(first, UnavailableError)
    assert others == [Durability.KAFKA] * 2
    assert len(publisher.published) == 3
    publisher.failures = 1
    with pytest.raises(UnavailableError):
        await flights.publish("paypal", [EVENT], list)
    assert await flights.publish("paypal", [EVENT], list) is Durability.KAFKA, "a failure is not remembered"


async def test_when_the_first_is_cancelled_its_copies_go_their_own_way() -> None:
    flights, publisher, _ = flights_of()
    publisher.open.clear()
    tasks = [asyncio.create_task(flights.publish("stripe", [EVENT], list)) for _ in range(2)]
    for _ in range(5):
        await asyncio.sleep(0)
    tasks[0].cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    publisher.open.set()
    assert await tasks[1] is Durability.KAFKA
    assert len(publisher.published) == 2


async def test_a_copy_waits_no_longer_than_its_bound() -> None:
    flights, publisher, _ = flights_of(twin_wait_seconds=0.02)
    publisher.open.clear()
    first = asyncio.create_task(flights.publish("stripe", [EVENT], list))
    await asyncio.sleep(0)
    second = asyncio.create_task(flights.publish("stripe", [EVENT], list))
    async with asyncio.timeout(10):
        while len(publisher.published) < 2:  # noqa: ASYNC110 - a condition outside
            await asyncio.sleep(0.005)
    publisher.open.set()
    assert await asyncio.gather(first, second) == [Durability.KAFKA] * 2


@pytest.mark.parametrize(
    "other",
    [
        ("stripe/acme", [EVENT]),
        ("stripe", [EVENT, EVENT]),
        ("stripe", [Notification("evt_2", "paid", "pi_1", EVENT.body, "verified")]),
        ("stripe", [Notification("evt_1", "refunded", "pi_1", EVENT.body, "verified")]),
        ("stripe", [Notification("evt_1", "paid", "pi_2", EVENT.body, "verified")]),
        ("stripe", [Notification("evt_1", "paid", "pi_1", EVENT.body + b" ", "verified")]),
        ("stripe", [Notification("evt_1", "paid", "pi_1", EVENT.body.replace(b"evt_1", b"evt_2"), "verified")]),
        ("stripe", [Notification("evt_1", "paid", "pi_1", EVENT.body, "hint")]),
    ],
)
def test_only_copies_wait_for_each_other(other: tuple[str, list[Notification]]) -> None:
    assert key_of(*other) != key_of("stripe", [EVENT])
    assert key_of("stripe", [EVENT]) == key_of(
        "stripe", [Notification("evt_1", "paid", "pi_1", bytes(EVENT.body), "verified")]
    )
