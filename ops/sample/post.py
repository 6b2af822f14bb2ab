"""What the sample posts: requests before they are signed, the events in them, and each event's legal fates."""

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
    """What may become of an accepted event."""

    LEDGER = "ledger"
    PARKED = "parked"
    LETTER = "letter"


class Fault(StrEnum):
    """Why the ingress must refuse a request: the name under which the reconciliation counts it."""

    FORGED = "forged"
    ALTERED = "altered"
    STALE = "stale"
    MALFORMED = "malformed"
    OVERSIZE = "oversize"
    UNKNOWN_PROVIDER = "unknown_provider"


class Style(StrEnum):
    """Which of a provider's signature schemes is used, where it has several."""

    PLAIN = "plain"
    ROTATION = "rotation"
    SVIX = "svix"


NOWHERE: Final[frozenset[Fate]] = frozenset()
LEDGER: Final = frozenset({Fate.LEDGER})
LETTER: Final = frozenset({Fate.LETTER})
WAITS: Final = frozenset({Fate.PARKED, Fate.LETTER})
"""The fates of an orphan: parked, and a dead letter once its deadline is past."""


@dataclass(frozen=True, slots=True)
class SampleEvent:
    """One event: its source and id, as the ledger has them, and its legal fates."""

    source: str
    event_id: str
    legal: frozenset[Fate] = LEDGER

    @property
    def key(self) -> tuple[str, str]:
        """The ledger's dedupe key: source and event id."""
        return self.source, self.event_id


@dataclass(frozen=True, slots=True)
class Post:
    """One request before it is signed. `message_id` is the event id in a header, where the provider has one."""

    provider: str
    body: bytes
    events: tuple[SampleEvent, ...]
    message_id: str = ""
    style: Style = Style.PLAIN
    fault: Fault | None = None
    duplicate: bool = False
    kind: str = ""
    """The event's kind that a header carries, where the provider has one."""
    hint: bool = False
    """True of an unsigned hint: the ingress accepts it, and its event must be in no table."""


@dataclass(frozen=True, slots=True)
class Life:
    """One payment's posts, in the order of its events, and the row that they must come to.

    `livemode` is None where its provider signs no mode: then the endpoint's setting says.
    """

    provider: str
    provider_ref: str
    end: End
    posts: tuple[Post, ...]
    merchant_account: str = ""
    livemode: bool | None = None
    client: str | None = None
    """The client of an intent; its `ref` is then the merchant's reference, not a provider's id."""
    adopts: frozenset[str] = frozenset()
    """The provider's ids of the payments that an order's row adds up."""


def token(rng: Random, length: int, alphabet: str = ALPHABET) -> str:
    """Return a random id of that many characters; long ones are unique in practice."""
    return "".join(rng.choices(alphabet, k=length))


def digest_id(body: bytes) -> str:
    """Return the event id that the ingress gives to a body without one: its digest."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"
