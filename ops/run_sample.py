"""A run of the sample: its secrets, its posting, the wait until all is processed, its reconciliation."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ops import reconciliation
from ops.lag import by_topic, read_lag
from ops.reconciliation import StoredRows
from ops.sample import hints, orders
from ops.sample.plan import PROVIDERS, make_plan
from ops.sample.send import Progress, Sender
from ops.sample.signing import MERCHANT_ACCOUNT, Signer, can_sign, new_secret
from ops.status import read_counts
from runtime.secret_windows import live_at
from schemas.errors import RatchetError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ops.reconciliation import Reconciliation
    from ops.sample.plan import SamplePlan
    from runtime.settings import AccountSettings, Settings


def _configured(settings: Settings) -> Iterator[tuple[str, AccountSettings]]:
    """Yield each provider's own settings and its accounts' under the provider's name, where they hold a secret."""
    for name, provider in settings.providers.items():
        for account in (provider, *provider.accounts.values()):
            if any(secret.get_secret_value() for secret in account.secrets):
                yield name.lower(), account


def choose_signers(settings: Settings) -> tuple[dict[str, Signer], dict[str, str]]:
    """Return who signs the sample, and what the ingress needs in its environment to believe it.

    Secrets of the configuration are used and kept; where there is none at all, each provider of the sample gets a
    random one for this run, and hints are posted as well: made-up ids, which nobody's real API should be asked for. So
    are orders, by a client of this run, where no client is configured.
    """
    if not any(_configured(settings)):
        signers = {name: Signer(new_secret(name)) for name in (*PROVIDERS, hints.NAME)}
        names = {name: f"RATCHET_PROVIDERS__{name.upper()}__SECRETS" for name in signers}
        environment = {names[name]: json.dumps([signer.secret]) for name, signer in signers.items()}
        if not settings.api_keys:
            signers[orders.CLIENT] = Signer(secrets.token_urlsafe(24))
            environment["RATCHET_API_KEYS"] = json.dumps({orders.CLIENT: [signers[orders.CLIENT].secret]})
        return signers, environment
    found = {}
    for name, provider in settings.providers.items():
        able = [secret for secret in live_at(provider.secrets, time.time()) if can_sign(name.lower(), secret)]
        if name.lower() in PROVIDERS and able:
            account = next(iter(provider.merchant_accounts), MERCHANT_ACCOUNT)
            found[name.lower()] = Signer(able[0], account)
    return found, {}


@dataclass(slots=True)
class Run:
    """One run of the sample against one ingress. The board reads `progress`."""

    settings: Settings
    signers: Mapping[str, Signer]
    plan: SamplePlan
    progress: Progress
    reconciliation: Reconciliation | None = None
    seconds: float = 0.0
    left: dict[str, int] = field(default_factory=dict)

    async def go(self, base_url: str) -> None:
        """Post everything, wait until it is processed, reconcile."""
        begun = time.monotonic()
        sender = Sender(self.settings.sample, self.signers, base_url, self.progress)
        await sender.send_all(self.plan.posts)
        stored = await self._wait_until_accounted()
        self.seconds = time.monotonic() - begun
        self.reconciliation = reconciliation.reconcile(self.progress.results, self.plan.lives, stored, self.left)

    def document(self) -> dict[str, Any]:
        """Return the JSON document of the run."""
        assert self.reconciliation is not None, "go() draws it up"
        document = self.reconciliation.document(seconds=self.seconds, problems_max=self.settings.ops.problems_max)
        return document | {"seed": self.plan.seed, "retried": self.progress.retried}

    async def _wait_until_accounted(self) -> StoredRows:
        """Wait until nothing is on the way and every event stands somewhere; bounded, also where nothing moves."""
        results, sample = self.progress.results, self.settings.sample
        keys = {event.key for sent in results for event in sent.post.events}
        deadline, quiet_since = time.monotonic() + sample.settle_seconds_max, time.monotonic()
        stored = StoredRows()
        while True:
            self.left = await on_the_way(self.settings)
            now = time.monotonic()
            if any(self.left.values()):
                quiet_since = now
            else:
                stored = await reconciliation.read_stored(self.settings, keys, self.plan.lives)
                waiting = [
                    *reconciliation.unaccounted(results, stored),
                    *reconciliation.unseen_orders(results, self.plan.lives, stored),
                ]
                if not waiting or now - quiet_since > sample.quiet_seconds_max:
                    return stored
            if now > deadline:
                return await reconciliation.read_stored(self.settings, keys, self.plan.lives)
            await asyncio.sleep(sample.settle_interval_seconds)


async def on_the_way(settings: Settings) -> dict[str, int]:
    """Return what is still on its way by name; what can't be known now counts as one."""
    lag, counts = await asyncio.gather(read_lag(settings), read_counts(settings), return_exceptions=True)
    left: dict[str, int] = {}
    for name, found in (("lag", lag), ("counts", counts)):
        if isinstance(found, BaseException):
            if not isinstance(found, RatchetError):
                raise found
            left[f"{name} ({found})"] = 1
    if isinstance(lag, dict):
        waiting = by_topic(lag, settings.kafka.topics.consumed_names)
        left |= {f"lag of {topic}": number for topic, number in waiting.items()}
    if isinstance(counts, dict):
        left |= {"outbox": counts["outbox"], "spool": counts["spool"]}
    return left


def make_run(settings: Settings, signers: Mapping[str, Signer]) -> Run:
    """Plan a run for the providers that can be signed for."""
    seed = settings.sample.seed or secrets.randbits(63) + 1
    providers = [name for name in PROVIDERS if name in signers]
    merchants = {name.lower(): tuple(provider.merchant_accounts) for name, provider in settings.providers.items()}
    plan = make_plan(
        seed,
        lives=settings.sample.lives,
        providers=providers,
        now=int(time.time()),
        merchants=merchants,
        hinted=hints.NAME in signers,
        ordered=orders.CLIENT in signers,
    )
    return Run(settings, signers, plan, Progress(len(plan.posts)))
