"""Plays one scenario against the running ingress, and finds out what became of it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ops import reconciliation
from ops.payment_timeline import PaymentTimeline, answer, find, read_timelines
from ops.sample.plan import GENERATORS
from ops.sample.scenarios import SCENARIOS, play
from ops.sample.send import Progress, Sender, Sent
from runtime.lifecycle import read_run_file
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ops.sample.post import Life, Post
    from ops.sample.signing import Signer
    from runtime.settings import Settings

POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Delivered:
    """One post: its events, the ingress' answer, and where each event stands."""

    event_ids: tuple[str, ...]
    status: int
    fates: tuple[str, ...]
    duplicate: bool

    @property
    def name(self) -> str:
        """Return how people know it: its first event, or that it asked for the payment."""
        return self.event_ids[0] if self.event_ids else "the intent"


@dataclass(slots=True)
class Played:
    """A scenario that was played. `problems` say what is not as the scenario has it."""

    scenario: str
    provider: str
    ref: str
    url: str
    delivered: list[Delivered] = field(default_factory=list)
    timelines: list[PaymentTimeline] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def ingress_of(settings: Settings) -> str:
    """Return the URL of the ingress that runs in this home, else the one that the settings name."""
    found = read_run_file(settings.home, "ingress")
    return f"http://{found.address if found and found.address else settings.ingress.bind}"


async def simulate(  # noqa: PLR0913 - what is played, and where
    settings: Settings,
    scenario: str,
    provider: str,
    signers: Mapping[str, Signer],
    *,
    url: str,
    seed: int,
    wait_seconds: float,
) -> Played:
    """Post a scenario step by step and return what became of it; `signers` are the provider and the intents' client.

    Raises UnavailableError where the ingress does not answer.
    """
    named = provider in GENERATORS and any(GENERATORS[provider].merchants[:1])
    merchant = signers[provider].merchant_account if named else ""
    life, steps = play(scenario, provider, merchant, seed, int(time.time()))
    played = Played(scenario, provider, life.provider_ref, url)
    sent: list[Sent] = []
    for step in steps:
        sent += await _post(settings, signers, step, url)
        await _wait_until_accounted(settings, sent, wait_seconds)
    await _compare(settings, played, life, sent, wait_seconds if SCENARIOS[scenario].takes_effect else 0.0)
    if not SCENARIOS[scenario].takes_effect:
        played.problems = _not_refused(played)
    played.timelines = await read_timelines(settings, await find(settings, life.provider_ref))
    return played


async def _compare(settings: Settings, played: Played, life: Life, sent: list[Sent], wait_seconds: float) -> None:
    """Note where everything is, until it is as the scenario has it: what waited for the payment comes after it."""
    keys = {event.key for one in sent for event in one.post.events}
    deadline = time.monotonic() + wait_seconds
    while True:
        stored = await reconciliation.read_stored(settings, keys, [life])
        played.delivered = [_delivered(one, stored) for one in sent]
        played.problems = _problems(played, life, stored)
        if not played.problems or time.monotonic() >= deadline:
            return
        await asyncio.sleep(POLL_SECONDS)


async def _post(settings: Settings, signers: Mapping[str, Signer], posts: tuple[Post, ...], url: str) -> list[Sent]:
    """Post in the order given, one after the other."""
    sample = settings.sample.model_copy(update={"requests_in_flight_max": 1, "attempts_max": 3})
    sender = Sender(sample, signers, url, Progress(len(posts)))
    await sender.send_all(posts)
    if any(one.status == 0 for one in sender.progress.results):
        raise UnavailableError(f"no ingress answers at {url}; start one (`ratchet up --no-sample`), or name its --url")
    return sender.progress.results


async def _wait_until_accounted(settings: Settings, sent: list[Sent], wait_seconds: float) -> None:
    """Wait until every event that was taken stands somewhere, or as long as one may wait."""
    keys = {event.key for one in sent if one.taken for event in one.post.events}
    deadline = time.monotonic() + wait_seconds
    while keys and time.monotonic() < deadline:
        stored = await reconciliation.read_stored(settings, keys, [])
        if all(stored.fates(key) for key in keys):
            return
        await asyncio.sleep(POLL_SECONDS)


def _delivered(sent: Sent, stored: reconciliation.StoredRows) -> Delivered:
    fates = tuple(
        stored.ledger.get(event.key) or ", ".join(sorted(stored.fates(event.key))) or "nowhere"
        for event in sent.post.events
    )
    return Delivered(tuple(event.event_id for event in sent.post.events), sent.status, fates, sent.post.duplicate)


def _problems(played: Played, life: Life, stored: reconciliation.StoredRows) -> list[str]:
    problems = [f"{one.name} was answered {one.status}" for one in played.delivered if one.status != 202]  # noqa: PLR2004
    missing = [one.name for one in played.delivered if {"nowhere", "parked"} & set(one.fates)]
    problems += [f"{one} is not in the ledger yet" for one in missing]
    row = stored.payments.get((life.provider, life.provider_ref))
    if row is None:
        return [*problems, f"there is no payment {life.provider_ref}"]
    for name, expected in asdict(life.end).items():
        found = tuple(row[name]) if name == "flags" else row[name]
        if found != expected:
            problems.append(f"{name} is {found}, and should be {expected}")
    return problems


def _not_refused(played: Played) -> list[str]:
    taken = [one for one in played.delivered if one.status != 401 or set(one.fates) != {"nowhere"}]  # noqa: PLR2004
    return [f"{one.event_ids[0]} was answered {one.status} and should be refused" for one in taken]


def document(played: Played) -> dict[str, Any]:
    """Return what became of it as JSON."""
    return {
        "scenario": played.scenario,
        "provider": played.provider,
        "payment": played.ref,
        "delivered": [asdict(one) for one in played.delivered],
        "problems": played.problems,
        **({"became": answer(played.timelines)} if played.timelines else {}),
    }
