"""Reading a payment again at the provider's API: the pure half, as a provider's file describes it.

A hint that nobody signed moves nothing; what the provider's API answers does. A provider's file says how its API is
asked (`request`), which answers are an event (`answer`), and what such an event means (`interpret`), in facts with the
same keys as those of its webhooks, so that both fold to one row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from schemas.facts import Meaning

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from schemas.facts import FactKind, RefKind

KIND_PREFIX: Final = "refetch."
"""Kinds of the events that a refetch makes: `refetch.<object>`; no provider names its own events so."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What an account's owner configured for the provider's API. `token` is the granted one where the API wants one.

    `base_url` has no trailing slash. `answers_url` is where answers come that are webhooks; it may end in a secret. A
    `repr` shows no secret.
    """

    base_url: str
    key: str = field(repr=False)
    secret: str = field(default="", repr=False)
    merchant: str = ""
    pass_key: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    initiator: str = ""
    initiator_credential: str = field(default="", repr=False)
    answers_url: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One call of an API. A `repr` shows neither headers nor body, which hold credentials."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Fetched:
    """The answer is the payment: `object` names what it is, `ref` is the reference that keys its events.

    `further` tells the events apart that it makes beside the first, where it is several payments'.
    """

    object: str
    ref: str
    further: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The kind of the event that the answer makes."""
        return KIND_PREFIX + self.object


class Later(Enum):
    """The API is well and knows the payment, but has no outcome to tell yet."""

    NOT_NOW = "not_now"


class Gone(Enum):
    """The API does not know the payment, whatever status it says so with."""

    GONE = "gone"


class Denied(Enum):
    """The API refuses the credentials or the access token, whatever status it says so with."""

    DENIED = "denied"


Answer = Fetched | Later | Gone | Denied | None
"""What an answer says; None leaves it to its HTTP status, or says that it is not what was asked for."""


@dataclass(frozen=True, slots=True)
class Called:
    """A webhook that answers a query of ours: the query's id, and what was fetched, or why there is no outcome yet."""

    query: str
    fetched: Fetched | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Query:
    """How an API is asked that answers by a webhook.

    `request` takes (reference, what it belongs to, credentials) and returns None for a reference that can't be asked
    about so; `accepted` finds the query's id in the API's answer of (status, body), or None; `answered` reads a
    webhook's body as an answer, and returns None for any other. `needs` are fields of `Credentials`.
    """

    request: Callable[[str, str | None, Credentials], ApiRequest | None]
    accepted: Callable[[int, bytes], str | None]
    answered: Callable[[bytes], Called | None]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Watch:
    """States of a payment that nothing may ever tell the end of, and how often they are asked about.

    A payment is in them by its `status`, by `refund_status` or by `dispute_status`. It is asked about when it has been
    silent for `after` seconds, then every `every` seconds, as long as it is not older than `until` seconds. `debits` is
    the watch on money that a bank may take back by itself, which is over when the events say (`Meaning.undoable_days`).
    Where the provider shows no such state in the payment itself, `child` is the kind of the references to ask by, each
    as `kind:ref` (`refund:re_1`); of refunds and disputes only those that are open are asked about.
    `source` says which document the times follow, and `guess` names those that none tells. How often is our own choice.
    """

    after: float
    every: float
    until: float
    statuses: tuple[str, ...] = ()
    refunds: tuple[str, ...] = ()
    disputes: tuple[str, ...] = ()
    debits: bool = False
    child: RefKind | None = None
    source: str = ""
    guess: str = ""

    @property
    def row(self) -> str:
        """The watch's row of a table in Markdown."""
        names = (("status", self.statuses), ("refund", self.refunds), ("dispute", self.disputes))
        states = [f"{name} {', '.join(states)}" for name, states in names if states]
        what = "; ".join(states) or "debits that a bank may take back"
        source = f"{self.source}; {self.guess}: a guess, no document says" if self.guess else self.source
        return f"| {what} | {_span(self.after)} | {_span(self.every)} | {_span(self.until)} | {source} |"


OPEN_DISPUTES: Final = ("inquiry", "open", "under_review")
MINUTE: Final = 60.0
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR


def announced(tries: str) -> Watch:
    """Return the watch on what an intent announced, where `tries` says for how long the provider sends a webhook."""
    source = f"an intent announced it, and its first webhook may be lost: {tries}"
    return Watch(statuses=("created",), after=1 * HOUR, every=12 * HOUR, until=3 * DAY, source=source)


def _span(seconds: float) -> str:
    """Write a time in its largest unit."""
    name, unit = next(((name, unit) for name, unit in _UNITS if seconds >= unit), ("min", MINUTE))
    return f"{seconds / unit:g} {name}"


_UNITS: Final = (("d", DAY), ("h", HOUR))


@dataclass(frozen=True, slots=True)
class Grant:
    """How an access token is got: `request` asks for it, `read` finds (token, seconds it lives) in the answer."""

    request: Callable[[Credentials], ApiRequest]
    read: Callable[[bytes], tuple[str, float] | None]


@dataclass(frozen=True, slots=True)
class Refetch:
    """A provider's API as the dispatcher uses it. All functions are pure.

    `base_url` is the provider's public one. `needs` names the fields of `Credentials` beside the key that must be set.
    `request` takes (reference, credentials, unix seconds) and returns None for a reference that the API can't be asked
    about. `answer` takes (reference, status, body). `interpret` takes (kind, body), kinds being those of `Fetched`, and
    raises UninterpretableError and nothing else. `timed` names the kinds of facts whose version is the time at which
    the provider's event was made, in `ticks_per_second`; an answer, which has none, counts from when the API was asked.
    `instead` takes a reference that the API does not know and returns the one under which it may know the same id as
    something else, or None. `interpret_part` reads one of several events that an answer makes; it gets the event's id.
    `unknown` tells that payments begin at the provider which no event opens, so that an event about one that is not
    known is a reason to ask. `query` is for what the API answers by a webhook. `watches` is the schedule of what is
    asked again by itself.
    """

    base_url: str
    request: Callable[[str, Credentials, float], ApiRequest | None]
    answer: Callable[[str, int, bytes], Answer]
    interpret: Callable[[str, bytes], Meaning]
    needs: tuple[str, ...] = ()
    grant: Grant | None = None
    timed: frozenset[FactKind] = frozenset()
    ticks_per_second: int = 1
    unknown: bool = False
    query: Query | None = None
    watches: tuple[Watch, ...] = ()
    instead: Callable[[str], str | None] = lambda _ref: None
    interpret_part: Callable[[str, bytes, str], Meaning] | None = None


def bearer(token: str) -> dict[str, str]:
    """Return the headers of a call that is authorized by a bearer token (RFC 6750, section 2.1)."""
    return {"Authorization": f"Bearer {token}", "Accept": "application/json"}


def as_of(meaning: Meaning, timed: frozenset[FactKind], version: int) -> Meaning:
    """Return what an answer says, its facts of those kinds as of the time at which the API was asked.

    What an answer says of a version itself (the stage of a dispute) is kept, and the time counts within it. So a
    payment that is read again beats the events that were made before, and loses to those made since. What is pending
    has no version in events either.
    """
    facts = tuple(
        replace(fact, version=fact.version + version) if fact.kind in timed and fact.state != "pending" else fact
        for fact in meaning.facts
    )
    return replace(meaning, facts=facts)


def merged(*meanings: Meaning) -> Meaning:
    """Return the first meaning with the references and the facts of the others, and what they ask to look at.

    None of them say nothing.
    """
    if not meanings:
        return Meaning()
    return replace(
        meanings[0],
        refs=tuple(dict.fromkeys(ref for meaning in meanings for ref in meaning.refs)),
        facts=tuple(dict.fromkeys(fact for meaning in meanings for fact in meaning.facts)),
        opens=any(meaning.opens for meaning in meanings),
        undoable_days=max(meaning.undoable_days for meaning in meanings),
        ask=next((meaning.ask for meaning in meanings if meaning.ask), None),
    )
