"""Kafka, Postgres and Redis away under load, each alone and in pairs: every 2xx is in the ledger, every no is a 503.

The brokers belong to the test, so nobody brings them back before their time: `gone` refuses connections, `hung` takes
them and says nothing. The roles are those of one `ratchet up` for all cases. By default the brokers are away for a few
seconds, each case in one manner. OUTAGE_SECONDS=30 makes it that long, and every case happens in both manners.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
import uuid
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import psutil
import pytest
from consumer_harness import until
from consumer_processes import new_database
from load.effects import verdict_of
from load.journal import CREATE, WEBHOOK, Answer
from load.posting import LoadedIngress
from load.traffic import Traffic

from ops.endpoints import environment, with_endpoints
from ops.run_sample import choose_signers
from runtime.lifecycle import read_run_file
from runtime.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from conftest import Brokers

    from ops.sample.signing import Signer

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

RATCHET = (sys.executable, "-P", "-m", "ops.cli")
ROLES = ("ingress", "consumer", "relay", "dispatcher")
AWAY_SECONDS = float(os.environ.get("OUTAGE_SECONDS", "5"))
BOTH_MANNERS = "OUTAGE_SECONDS" in os.environ
AROUND_SECONDS = 1.0
"""How long the load runs before the brokers go and after they came back."""
WEBHOOKS_PER_SECOND, WISHES_PER_SECOND = 40.0, 6.0
REST_SECONDS_MAX = 120.0
GONE, HUNG = "gone", "hung"
CASES = [
    (("kafka",), GONE),
    (("postgres",), HUNG),
    (("redis",), GONE),
    (("kafka", "redis"), HUNG),
    (("kafka", "postgres"), GONE),
    (("postgres", "redis"), GONE),
]
OTHER = {GONE: HUNG, HUNG: GONE}
if BOTH_MANNERS:
    CASES += [(names, OTHER[manner]) for names, manner in CASES]


class Product(NamedTuple):
    """The roles at work: their settings, their ingress, who signs and what an API client says."""

    settings: Settings
    address: str
    signers: dict[str, Signer]
    api_key: str

    def pids(self) -> dict[str, int]:
        files = {role: read_run_file(self.settings.home, role) for role in ROLES}
        return {role: found.pid for role, found in files.items() if found and psutil.pid_exists(found.pid)}


@contextmanager
def running(settings: Settings, home: Path, more: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run `ratchet up` on brokers that it does not own."""
    assert settings.postgres.owner_dsn is not None
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RATCHET_")}
    owner = {"RATCHET_POSTGRES__OWNER_DSN": settings.postgres.owner_dsn.get_secret_value()}
    with (home / "up.log").open("wb") as log:
        process = subprocess.Popen(
            [*RATCHET, "up", "--no-sample"], env=kept | environment(settings) | owner | more, stderr=log, stdout=log
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)


@pytest.fixture(scope="module")
async def product(brokers: Brokers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Product]:
    home, api_key = tmp_path_factory.mktemp("pairs"), "sk_load_0123456789abcdef"
    signers, secrets = choose_signers(Settings())
    own = {"RATCHET_INGRESS__BIND": "127.0.0.1:0", "RATCHET_API_KEYS": f'{{"shop":"{api_key}"}}'}
    more = {**secrets, **own}  # the sample's own client stands in the secrets too
    async with new_database(brokers.endpoints) as database:
        endpoints = replace(brokers.endpoints, dsn=database.dsn, owner_dsn=database.owner_dsn)
        settings = with_endpoints(Settings(), endpoints).model_copy(update={"home": home})
        with running(settings, home, more) as process:

            async def serving() -> str | None:
                assert process.poll() is None, (home / "up.log").read_text()
                found = read_run_file(home, "ingress")
                return found.address if found and "serving at" in (home / "up.log").read_text() else None

            address = await until(serving, "the ingress is open", 90)
            yield Product(settings, f"http://{address}", signers, api_key)


@dataclass
class Outage:
    """Brokers that go away together and come back together."""

    brokers: Brokers
    names: tuple[str, ...]
    manner: str

    @asynccontextmanager
    async def lasting(self) -> AsyncIterator[None]:
        if self.manner == GONE:
            await asyncio.gather(*(self.brokers.shut_down(name) for name in self.names))
            try:
                yield
            finally:
                assert sorted(await self.brokers.stack.revive()) == sorted(self.names)
            return
        frozen = [process for name in self.names for process in self.brokers.freeze(name)]
        try:
            yield
        finally:
            self.brokers.thaw(frozen)


@pytest.mark.parametrize(
    ("names", "manner"), CASES, ids=lambda value: value if isinstance(value, str) else "+".join(value)
)
async def test_every_2xx_is_in_the_ledger(
    product: Product, brokers: Brokers, names: tuple[str, ...], manner: str
) -> None:
    traffic = Traffic(seed=CASES.index((names, manner)) + 1, now=int(time.time()))
    before = product.pids()
    ingress = LoadedIngress(product.address, traffic, product.signers, product.api_key)
    async with ingress.under_load(WEBHOOKS_PER_SECOND, WISHES_PER_SECOND):
        await asyncio.sleep(AROUND_SECONDS)
        async with Outage(brokers, names, manner).lasting():
            gone_at = len(ingress.answers)
            await asyncio.sleep(AWAY_SECONDS)
            answered = ingress.answers[gone_at:]
        await asyncio.sleep(AROUND_SECONDS)
    refused = len(ingress.waiting)
    await ingress.send_again()
    verdict = await verdict_of(product.settings, ingress.answers, traffic, rest_seconds_max=REST_SECONDS_MAX)
    print(f"{'+'.join(names)} {manner}: {verdict}, {refused} sent again")  # noqa: T201 - shown with -s or on a failure
    assert verdict.problems == []
    assert not ingress.waiting, "what was refused is taken once the brokers are back"
    assert answered, "the ingress answers while they are away"
    assert {"429", "none"}.isdisjoint(verdict.refused)
    assert all(answer.status in {202, 503} for answer in answered)
    if "postgres" not in names:
        assert verdict.refused == {}, "Postgres alone carries everything"
    elif "kafka" not in names:
        assert all(answer.taken for answer in ingress.answers if answer.what == "webhook"), (
            "Kafka alone carries webhooks"
        )
    assert product.pids() == before, "no role was replaced"


async def test_the_comparison_tells_what_the_rows_do_not_hold(product: Product) -> None:
    """Promises that nobody made, against the same rows: it is not blind."""
    traffic, payment = Traffic(seed=1000, now=int(time.time())), str(uuid.uuid4())
    posts = traffic.life(0).posts
    promised = [Answer(WEBHOOK, 0, 202, place, accepted=len(post.events)) for place, post in enumerate(posts)]
    promised.append(Answer(CREATE, 0, 202, key=traffic.wish(0).create_key, payment=payment))
    verdict = await verdict_of(product.settings, promised, traffic, rest_seconds_max=REST_SECONDS_MAX)
    lost = [problem for problem in verdict.problems if "was accepted and stands nowhere" in problem]
    assert len(lost) == sum(len(post.events) for post in posts)
    assert any(f"event of payment {payment} stands 0 times" in problem for problem in verdict.problems)
