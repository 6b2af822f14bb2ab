"""The steps of a payment's life, and the payment that a provider's file makes events of. Pure."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from ops.sample.post import Post, SampleEvent, token
from schemas.currencies import exponent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from random import Random

STEP_SECONDS: Final = 60
"""How far apart steps are, by the times in their events."""


class What(StrEnum):
    """What happens in a step."""

    CREATED = "created"
    FAILED = "failed"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    REFUND_PENDING = "refund_pending"
    REFUND_FAILED = "refund_failed"
    REFUNDED = "refunded"
    DISPUTED = "disputed"
    DISPUTE_WON = "dispute_won"
    DISPUTE_LOST = "dispute_lost"
    CANCELED = "canceled"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Step:
    """What happens next, to how much (minor units); `child` names the try, capture, refund or dispute it is about."""

    what: What
    amount: int
    child: str


@dataclass(slots=True)
class PlayedPayment:
    """The payment that is played.

    `automatic`: its money is taken at once. `ends_failed`: no attempt succeeds. `is_test`: its events say
    that it is test money.
    """

    rng: Random
    now: int
    amount: int
    currency: str
    reference: str
    automatic: bool
    ends_failed: bool
    is_test: bool
    ref: str = ""
    captured: int = 0
    """What was captured up to the step that is played."""
    ids: dict[str, str] = field(default_factory=dict)

    def id(self, name: str, prefix: str = "", length: int = 16, alphabet: str | None = None) -> str:
        """Return the id of a thing of this payment, made when it is first asked for."""
        if name not in self.ids:
            made = token(self.rng, length, alphabet) if alphabet else token(self.rng, length)
            self.ids[name] = prefix + made
        return self.ids[name]

    @property
    def at(self) -> str:
        """Return the time of the step as RFC 3339 has it, in UTC."""
        return dt.datetime.fromtimestamp(self.now, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def major(self, amount: int) -> str:
        """Return an amount in the currency's own units, as text."""
        digits = exponent(self.currency)
        return f"{amount / 10**digits:.{digits}f}"


def json_post(name: str, document: Mapping[str, Any], event_id: str, **more: Any) -> Post:
    """Return the request of one event whose body is JSON; `more` are fields of the post."""
    body = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    return Post(name, body, (SampleEvent(name, event_id),), **more)


def hex_mac(secret: str, data: bytes) -> str:
    """Return the HMAC-SHA256 of the data under the secret's bytes, in hex."""
    return hmac.digest(secret.encode(), data, hashlib.sha256).hex()


def base64_mac(secret: str, data: bytes) -> str:
    """Return the HMAC-SHA256 of the data under the secret's bytes, in base64."""
    return base64.b64encode(hmac.digest(secret.encode(), data, hashlib.sha256)).decode()


@dataclass(frozen=True, slots=True)
class Player:
    """What a provider's file offers.

    `begin` returns the id of a payment, `posts` the requests of a step, `seal` the headers of a request signed with a
    secret (it takes the post, the secret and the URL). `cannot` says of scenarios why this provider has no such life.
    `whole`: it takes a payment in one piece. `lost` is how a dispute stands that is not won, and `moves_disputed`
    whether its events report that a dispute's money moved. `disputes_have_mode` is False where payments say that they
    are test money and their disputes do not. `by_intent`: no event of it says what was asked for, so that the life
    begins with an intent. `needs_pair`: a secret is `public|private`; `signed_field` makes the field of a form that
    holds the signature, from the other fields and a secret.
    """

    name: str
    begin: Callable[[PlayedPayment], str]
    posts: Callable[[PlayedPayment, Step], Iterable[Post]]
    seal: Callable[[Post, str, str], Mapping[str, str]]
    cannot: Mapping[str, str] = field(default_factory=dict)
    currency: str = "EUR"
    whole: bool = True
    signs_mode: bool = False
    disputes_have_mode: bool = True
    lost: str = "lost"
    moves_disputed: bool = True
    merchant_account: str = ""
    by_intent: bool = False
    needs_pair: bool = False
    signed_field: Callable[[bytes, str], bytes] | None = None
