"""An ingress whose machine's clock is wrong: genuine webhooks are asked to come again, and it is not ready."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from running_ingress import open_ingress, signature
from waiting import until

from producers.ingress import app

if TYPE_CHECKING:
    from conftest import Database

    from runtime.health import Probe
    from runtime.stack import Endpoints

pytestmark = pytest.mark.integration

BODY = b'{"id":"evt_clock","object":"event","type":"charge.succeeded","data":{"object":{}}}'


class WrongClock:
    """The clock of a machine that is ten minutes off, until it is set right."""

    seconds = 0.0

    def now(self) -> float:
        return time.time() + self.seconds


def ahead(probe: Probe) -> float:
    return float(str(probe.facts.get("postgres_clock_ahead_seconds", 0)))


@pytest.mark.parametrize("off", [600.0, -600.0])
async def test_a_clock_that_is_off_refuses_nothing_genuine_for_good(
    stack: Endpoints, database: Database, monkeypatch: pytest.MonkeyPatch, off: float
) -> None:
    clock = WrongClock()
    clock.seconds = off
    monkeypatch.setattr(app, "SystemClock", lambda: clock)
    async with open_ingress(stack.kafka, database.dsn, ready_interval_seconds=0.1) as ingress:
        probe = ingress.probe
        await until(lambda: abs(ahead(probe)) > 590)
        assert probe.unready() is None, "it may be Postgres's clock"
        forged = {"Stripe-Signature": f"t={int(time.time())},v1=" + "00" * 32}
        assert (await ingress.post(BODY, **forged))[0] == 401
        assert probe.unready() is None, "a forgery proves nothing"
        status, _, headers = await ingress.post(BODY)
        assert (status, "retry-after" in headers) == (503, True)
        assert "is 600 s " in str(probe.unready()) or "is 599 s " in str(probe.unready())
        assert (await ingress.get("/readyz"))[0] == 503
        clock.seconds = 0.0
        await until(lambda: probe.unready() is None)
        assert (await ingress.post(BODY))[0] == 202


async def test_where_the_clock_of_postgres_is_wrong_nothing_is_refused(
    stack: Endpoints, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both agree with nobody else: what is signed by the ingress's time is taken."""
    clock = WrongClock()
    clock.seconds = 600.0
    monkeypatch.setattr(app, "SystemClock", lambda: clock)
    async with open_ingress(stack.kafka, database.dsn, ready_interval_seconds=0.1) as ingress:
        await until(lambda: ahead(ingress.probe) < -590)
        assert (await ingress.post(BODY, **signature(BODY, at=clock.now())))[0] == 202
        assert ingress.probe.unready() is None
