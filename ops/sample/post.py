"""What the sample posts: requests before they are sealed, the events in them, and which fates are legal."""

from __future__ import annotations

import hashlib
import string
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

    from ops.sample.history import End

ALPHABET: Final = string.ascii_letters + string.digits


class Fate(StrEnum):
    """What may become of an event that the ingress took."""

    LEDGER = "ledger"
    PARKED = "parked"
    LETTER = "letter"


class Fault(StrEnum):
    """Why the ingress must refuse a request; the slug under which the reconciliation counts it."""

    FORGED = "forged"
    ALTERED = "altered"
    STALE = "stale"
    MALFORMED = "malformed"
    OVERSIZE = "oversize"
    UNKNOWN_PROVIDER = "unknown_provider"


class Style(StrEnum):
    """Which of its own ways of signing a provider uses."""

    PLAIN = "plain"
    ROTATION = "rotation"
    SVIX = "svix"


NOWHERE: Final[frozenset[Fate]] = frozenset()
LEDGER: Final = frozenset({Fate.LEDGER})
LETTER: Final = frozenset({Fate.LETTER})
WAITS: Final = frozenset({Fate.PARKED, Fate.LETTER})
"""An orphan waits, and becomes a dead letter past its deadline."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event by its identity in the ledger, and the fates that are legal for it."""

    source: str
    event_id: str
    legal: frozenset[Fate] = LEDGER

    @property
    def key(self) -> tuple[str, str]:
        """The idempotency key."""
        return self.source, self.event_id


@dataclass(frozen=True, slots=True)
class Post:
    """One request before it is sealed. `message_id` is the id that a header carries, where one does."""

    provider: str
    body: bytes
    events: tuple[Event, ...]
    message_id: str = ""
    style: Style = Style.PLAIN
    fault: Fault | None = None
    duplicate: bool = False
    kind: str = ""
    """The kind that a header carries, where one does."""
    hint: bool = False
    """It is unsigned: the ingress takes it, and its event must stand nowhere."""


@dataclass(frozen=True, slots=True)
class Life:
    """One payment's posts in the order in which they happened, and its row at the end.

    `livemode` is None where its provider signs no mode: then the endpoint's setting says.
    """

    provider: str
    provider_ref: str
    end: End
    posts: tuple[Post, ...]
    merchant_account: str = ""
    livemode: bool | None = None
    client: str | None = None
    """Whose order it is: an intent, known by its reference in the place of a provider's id."""
    adopts: frozenset[str] = frozenset()
    """The payments, by the provider's ids, that an order's row adds up."""


def token(rng: Random, length: int, alphabet: str = ALPHABET) -> str:
    """Return a random id; unique where it is long."""
    return "".join(rng.choices(alphabet, k=length))


def digest_id(body: bytes) -> str:
    """Return the event id of a body whose provider gives none."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"
