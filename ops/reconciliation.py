"""A sample's reconciliation: what was posted against what stands in the database, never the pipeline's own counters.

Every event that the ingress took is exactly one of a ledger row, an open parked event or a dead letter; nothing that it
refused is anywhere; every payment's row is what its scenario says; versions have no hole; money is conserved; nothing
is left on the way.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from ops.database import connected, fetch
from ops.sample.post import Fate, Fault
from schemas.facts import RefKind
from schemas.payment import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ops.sample.post import Life, SampleEvent
    from ops.sample.send import Sent
    from runtime.postgres import Connection
    from runtime.settings import Settings

Key = tuple[str, str]

EXPECTED_STATUS: Final[dict[Fault, HTTPStatus]] = {
    Fault.FORGED: HTTPStatus.UNAUTHORIZED,
    Fault.ALTERED: HTTPStatus.UNAUTHORIZED,
    Fault.STALE: HTTPStatus.UNAUTHORIZED,
    Fault.MALFORMED: HTTPStatus.UNAUTHORIZED,
    Fault.OVERSIZE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Fault.UNKNOWN_PROVIDER: HTTPStatus.NOT_FOUND,
}
"""What the ingress must answer to each fault; 429 is as good, for it limits whoever proves nothing."""
END_COLUMNS: Final = (
    "status", "refund_status", "dispute_status", "currency", "amount", "authorized", "captured", "refunded", "disputed",
    "flags",
)  # fmt: skip
CHUNK_ROWS: Final = 5000
"""Events asked for in one statement."""


@dataclass(slots=True)
class StoredRows:
    """What stands in the database of what was posted."""

    ledger: dict[Key, str] = field(default_factory=dict)
    parked: set[Key] = field(default_factory=set)
    letters: set[Key] = field(default_factory=set)
    payments: dict[Key, dict[str, Any]] = field(default_factory=dict)
    """By provider and the provider's payment id: the row, with `rows`, `lowest` and `highest` of its versions."""

    def fates(self, key: Key) -> set[Fate]:
        """Return where an event stands; a letter whose event came once more is processed, and counts once."""
        fates = {Fate.LEDGER} if key in self.ledger else {Fate.PARKED} if key in self.parked else set()
        return fates or ({Fate.LETTER} if key in self.letters else set())

    def doubled(self, key: Key) -> bool:
        """Tell whether an event is both processed and waiting: it would have its effect twice."""
        return key in self.ledger and key in self.parked


@dataclass(slots=True)
class Reconciliation:
    """What became of everything, and what is wrong with it, in words."""

    posted: int
    requests: int
    outcome: dict[str, int]
    duplicates: int
    refused: dict[str, int]
    problems: list[str]

    @property
    def balanced(self) -> bool:
        """Tell whether nothing is wrong and the sum of the parts is the whole."""
        return not self.problems and self.posted == self.accounted + self.duplicates + sum(self.refused.values())

    @property
    def accounted(self) -> int:
        """Events that stand somewhere, each counted once."""
        return sum(self.outcome.values())

    def document(self, *, seconds: float, problems_max: int) -> dict[str, Any]:
        """Return the JSON document of `up --once`."""
        return {
            "balanced": self.balanced,
            "posted": self.posted,
            "outcome": self.outcome,
            "refused": self.refused,
            "duplicates": self.duplicates,
            "requests": self.requests,
            "seconds": round(seconds, 3),
            "problems": self.problems[:problems_max],
        }


def taken_events(results: Iterable[Sent]) -> dict[Key, SampleEvent]:
    """Return every event that the ingress took, once; a hint is none."""
    return {event.key: event for sent in results if sent.taken and not sent.post.hint for event in sent.post.events}


def refused_keys(results: Sequence[Sent]) -> set[Key]:
    """Return the events that no request brought in; a hint brings none."""
    outside = {event.key for sent in results if not sent.taken or sent.post.hint for event in sent.post.events}
    return outside - taken_events(results).keys()


def unaccounted(results: Sequence[Sent], stored: StoredRows) -> list[Key]:
    """Return the events that the ingress took and that stand nowhere, or wait although they were processed."""
    return [key for key, event in taken_events(results).items() if not stored.fates(key) & event.legal]


def unseen_orders(results: Sequence[Sent], lives: Sequence[Life], stored: StoredRows) -> list[str]:
    """Return the orders that the ingress took and that have no row yet."""
    taken = {sent.post.body for sent in results if sent.taken}
    return [
        life.provider_ref
        for life in lives
        if life.client and life.posts[0].body in taken and (life.provider, life.provider_ref) not in stored.payments
    ]


def reconcile(
    results: Sequence[Sent], lives: Sequence[Life], stored: StoredRows, left: Mapping[str, int]
) -> Reconciliation:
    """Compare what was posted with what is stored; `left` is what is still on the way, by name of its queue. Pure."""
    taken, refused = taken_events(results), Counter[str]()
    deliveries = sum(len(sent.post.events) for sent in results if sent.taken and not sent.post.hint)
    hints = sum(len(sent.post.events) for sent in results if sent.taken and sent.post.hint)
    for sent in results:
        if not sent.taken:
            refused[sent.post.fault or "unavailable"] += len(sent.post.events)
    return Reconciliation(
        posted=sum(len(sent.post.events) for sent in results),
        requests=len(results),
        outcome=_outcomes(taken, stored) | {"hints": hints},
        duplicates=deliveries - len(taken),
        refused=dict(sorted(refused.items())),
        problems=[
            *_ingress_problems(results),
            *_fate_problems(taken, stored),
            *_leak_problems(refused_keys(results), stored),
            *_end_problems(lives, taken, stored),
            *(f"{name}: {number} still on the way" for name, number in left.items() if number),
        ],
    )


def _outcomes(taken: Mapping[Key, SampleEvent], stored: StoredRows) -> dict[str, int]:
    """Count what became of the events, each once."""
    counts = {**{outcome.value: 0 for outcome in Outcome}, "parked": 0, "dead_letters": 0}
    for key in taken:
        for fate in stored.fates(key):
            name = {Fate.PARKED: "parked", Fate.LETTER: "dead_letters"}.get(fate) or stored.ledger[key]
            counts[name] += 1
    return counts


def _ingress_problems(results: Sequence[Sent]) -> Iterable[str]:
    """Name each answer of the ingress that was not the right one."""
    for sent in results:
        post = sent.post
        what = f"a request of {post.provider} ({', '.join(event.event_id for event in post.events)})"
        if post.fault is None:
            if not sent.taken:
                yield f"{what} is genuine and was answered {sent.status} after {sent.attempts} attempts"
            elif sent.accepted != len(post.events):
                yield f"{what} holds {len(post.events)} events and was answered as {sent.accepted}"
        elif sent.status not in (EXPECTED_STATUS[post.fault], HTTPStatus.TOO_MANY_REQUESTS):
            yield f"{what} is {post.fault} and was answered {sent.status} instead of {EXPECTED_STATUS[post.fault]:d}"


def _fate_problems(taken: Mapping[Key, SampleEvent], stored: StoredRows) -> Iterable[str]:
    """Name each event that is missing, doubled, or where it must not be."""
    for key, event in taken.items():
        fates = stored.fates(key)
        if not fates:
            yield f"event {event.event_id} of {event.source} was accepted and stands nowhere"
        elif stored.doubled(key):
            yield f"event {event.event_id} of {event.source} is in the ledger and parked as well"
        elif not fates & event.legal:
            found, legal = ", ".join(sorted(fates)), ", ".join(sorted(event.legal))
            yield f"event {event.event_id} of {event.source} ended as {found}; it must be {legal}"


def _leak_problems(refused: Iterable[Key], stored: StoredRows) -> Iterable[str]:
    """Name each event that was refused and is there all the same."""
    for source, event_id in refused:
        if stored.fates((source, event_id)):
            yield f"event {event_id} of {source} was refused, or a hint, and stands in the ledger all the same"


def _end_problems(lives: Sequence[Life], taken: Mapping[Key, SampleEvent], stored: StoredRows) -> Iterable[str]:
    """Name each payment whose row is not what its scenario says; one whose events were not all taken proves nothing."""
    for life in lives:
        if any(event.key not in taken for post in life.posts for event in post.events):
            continue
        row = stored.payments.get((life.provider, life.provider_ref))
        name = f"{'order' if life.client else 'payment'} {life.provider_ref} of {life.provider}"
        if row is None:
            yield f"{name} has no row"
            continue
        yield from _row_problems(name, life, row)
        yield from _order_problems(name, life, row, stored)
        if (row["rows"], row["lowest"], row["highest"]) != (row["version"], min(1, row["version"]), row["version"]):
            yield f"{name}: its ledger's versions are not 1..{row['version']} without a hole"


def _row_problems(name: str, life: Life, row: Mapping[str, Any]) -> Iterable[str]:
    """Name each column that is not what the scenario says: whose money it is, and how it adds up."""
    expected = {column: getattr(life.end, column) for column in END_COLUMNS} | {"flags": list(life.end.flags)}
    expected["merchant_account"] = life.merchant_account
    if life.livemode is not None:
        expected["livemode"] = life.livemode
    for column, value in expected.items():
        if row[column] != value:
            yield f"{name}: {column} is {row[column]}, its scenario says {value}"
    over = "over_captured" in life.end.flags
    if not row["refunded"] <= row["captured"] or (row["captured"] > row["authorized"] and not over):
        yield f"{name}: refunded {row['refunded']} <= captured {row['captured']} <= {row['authorized']} is broken"


def _order_problems(name: str, life: Life, row: Mapping[str, Any], stored: StoredRows) -> Iterable[str]:
    """Name what an order has not adopted, or has and must not."""
    adopted = {
        ref
        for (provider, ref), one in stored.payments.items()
        if life.client and provider == life.provider and one["intent_id"] == row["id"]
    }
    for ref in adopted ^ life.adopts:
        yield f"{name}: {ref} is {'' if ref in adopted else 'not '}adopted, its scenario says otherwise"


async def read_stored(settings: Settings, keys: Iterable[Key], lives: Sequence[Life]) -> StoredRows:
    """Read what stands of these events and payments."""
    asked, stored = sorted(keys), StoredRows()
    async with connected(settings) as connection:
        for start in range(0, len(asked), CHUNK_ROWS):
            await _read_events(connection, asked[start : start + CHUNK_ROWS], stored)
        for start in range(0, len(lives), CHUNK_ROWS):
            chunk = lives[start : start + CHUNK_ROWS]
            providers, refs = [life.provider for life in chunk], [life.provider_ref for life in chunk]
            merchants = [life.merchant_account for life in chunk]
            kinds = [RefKind.REFERENCE if life.client else RefKind.PAYMENT for life in chunk]
            for row in await fetch(connection, "read_ends", providers, refs, merchants, kinds):
                stored.payments[row["provider"], row["ref"]] = row
    return stored


async def _read_events(connection: Connection, keys: Sequence[Key], stored: StoredRows) -> None:
    sources, event_ids = [source for source, _ in keys], [event_id for _, event_id in keys]
    for row in await fetch(connection, "find_ledger_rows", sources, event_ids):
        stored.ledger[row["source"], row["event_id"]] = row["outcome"]
    for row in await fetch(connection, "find_parked_events", sources, event_ids):
        stored.parked.add((row["source"], row["event_id"]))
    for row in await fetch(connection, "find_letters", sources, event_ids):
        stored.letters.add((row["source"], row["event_id"]))
