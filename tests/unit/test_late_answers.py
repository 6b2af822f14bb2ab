"""What was given for so long holds from when it was asked for: the giver's clock may have begun with the question."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from consumer.dispatcher import apis
from consumer.dispatcher.apis import Calls
from providers.core.refetch import ApiRequest, Credentials, Grant
from runtime import lease as leases
from runtime.http import HttpAnswer
from runtime.kafka_tokens import RENEWED_AFTER, KeptToken
from runtime.lease import Leader, Lease
from runtime.settings import KafkaSettings, Settings

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.unit

LATE_SECONDS = 100.0


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_a_lease_counts_from_when_it_was_asked_for(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else its holder goes on to call providers while another one leads already."""
    monkeypatch.setattr(leases, "time", SimpleNamespace(monotonic=clock.monotonic))
    seconds, tokens, renewals = 0.09, [], []

    class Slow:
        async def acquire(self, name: str, holder: str, seconds: float) -> Lease:
            clock.now += seconds * 0.9 if not tokens else 0.0
            return Lease(name, holder, len(tokens) + 1)

        async def renew(self, *_: Any) -> bool:
            renewals.append(len(tokens))
            if len(renewals) == 1:
                clock.now += seconds * 0.2
            raise OSError("away")

        async def release(self, _lease: Lease) -> None: ...

    stop = asyncio.Event()

    async def work(lease: Lease, _ending: asyncio.Event) -> None:
        tokens.append(lease.token)
        if lease.token == 1:
            while len(renewals) < 3:  # noqa: ASYNC110 - it ends sooner where the lease is lost
                await asyncio.sleep(0.001)
        stop.set()

    async with asyncio.timeout(5):
        await Leader(Slow(), "work", "me", seconds).run(stop, work)  # type: ignore[arg-type]
    assert (tokens, len(renewals)) == ([1, 2], 1)


async def test_an_access_token_counts_from_when_it_was_asked_for(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apis, "time", SimpleNamespace(monotonic=clock.monotonic))
    lasts, margin = 3600.0, Settings().refetch.token_margin_seconds

    class SlowClient:
        async def send(self, _request: object) -> HttpAnswer:
            clock.now += LATE_SECONDS
            return HttpAnswer(200, b"{}")

    grant = Grant(lambda _: ApiRequest("POST", "https://api.example/token", {}, b""), lambda _: ("granted", lasts))
    credentials = Credentials(base_url="https://api.example", key="k")
    calls = Calls(credentials, grant, SlowClient(), Settings(), 20.0)  # type: ignore[arg-type]
    assert await calls.authorize() is None
    clock.now = lasts - margin - 1
    assert calls.granted
    clock.now = lasts - margin
    assert not calls.granted


async def test_a_token_for_kafka_counts_from_when_it_was_asked_for(clock: Clock) -> None:
    lasts, fetched = 1000.0, []

    class SlowToken(KeptToken):
        async def _fetch(self) -> tuple[str, float]:
            clock.now += LATE_SECONDS
            fetched.append(clock.now)
            return f"token-{len(fetched)}", lasts

    kept: Callable[[], Any] = SlowToken(KafkaSettings(bootstrap="127.0.0.1:1"), clock.monotonic).token
    assert await kept() == "token-1"
    clock.now = lasts * RENEWED_AFTER - 1
    assert await kept() == "token-1"
    clock.now = lasts * RENEWED_AFTER
    assert await kept() == "token-2"
