"""Facts: what an event adds to a payment.

An event does not move a payment, it adds facts. Each fact belongs to a child (an attempt, an authorization, a capture,
a refund, a dispute, ...) known by the provider's id of it, and says one state of that child. No key is a constant but
those of the intent itself (`intent`), so that the facts of an order's attempts can be united.

The states of a child form a lattice, the product of:
- (version, rank, amount), the largest: a later version wins, within it the later rank, within that the larger amount.
  `version` is the provider's own signed time or version, for figures that a merchant may lower and for children that
  begin anew; 0 where there is none, and then the rank alone decides;
- `parent` and `replaces`, each for itself: a state that leaves them out does not lose them;
- `low`, of terms: the smallest amount that was ever reported, which is what was asked for to begin with.
So any order and any repetition of the same facts gives the same payment.

Amounts are minor units of the payment's currency.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from uuid import UUID

AMOUNT_MAX: Final = 10**14
"""Largest amount of one fact, in minor units; sums of a payment stay inside a bigint."""

VERSION_MAX: Final = 2**63 - 1
INTENT: Final = "intent"
"""The key of what the client's intent says itself; the only key that is no provider's id."""


class FactKind(StrEnum):
    """The children of a payment."""

    TERMS = "terms"
    """What was asked for in all. Key: `intent`, or the provider's id of the payment or order that tells it. The
    intent's amount beats the provider's."""
    MODE = "mode"
    """When money is taken. Key `intent`: manual or automatic, as the client asked. Else the key of an authorization
    whose provider tells of it alone also where it takes the money at once: `account` (the intent or the account's
    setting says which), `manual` or `automatic`. What any event shows beats it: see `consumer.fold`."""
    ATTEMPT = "attempt"
    """One try to pay. Key: the provider's id of the try; parent: that of its payment, where it is another. Amount: what
    it asked to begin with. It is over by money of its own too: an authorization or a capture under its key, or whose
    parent it is."""
    AUTHORIZATION = "authorization"
    """Funds reserved. Key: the authorization's id, or the payment's where it has one only; parent: its attempt.
    `replaces` names the authorization whose place it takes, or what several that take each other's place have in
    common; then the one with the latest version stands."""
    ADJUSTMENT = "adjustment"
    """A new figure of an authorization. Key: the adjustment's id; parent: the authorization. The latest version
    counts; of one version the larger amount."""
    CAPTURE = "capture"
    """Money taken. Key: the capture's id, or the payment's where its figure is cumulative; parent: the authorization.
    No amount: all that was asked for. It proves its own amount where no such authorization is known."""
    CAPTURE_TOTAL = "capture_total"
    """A cumulative figure of captures that names none of them. Key: the provider's payment id, the parent of those, or
    of the authorizations that they name. No amount: all that was asked for."""
    REVERSAL = "reversal"
    """Captured money that came undone: a capture that failed (state `failed`, the capture's key) or was taken back, in
    whole or in part. Key: its own id, or the capture's; parent: the capture, or where none is named the payment, whose
    captures name it. No amount: all of the capture."""
    REFUND = "refund"
    """Money given back. Key: the refund's id; parent: the authorization or the payment that it names. `either` is a
    cancel or a refund, whichever was possible: the refund of what was captured, else a void. `unbooked` moved no money
    on the account that anything tells of: where it is of just what an authorization had left, it released that."""
    REFUND_TOTAL = "refund_total"
    """A cumulative figure of refunds that names none of them. Key: the provider's payment id, the parent of those."""
    DISPUTE = "dispute"
    """What a customer objects to. Key: the dispute's id; parent: the payment; version: stage and time. No amount.
    `undefended`: the time to answer is over; it is lost where it took money, else it never became more than a
    question."""
    DISPUTE_OUT = "dispute_out"
    """Money that a dispute took. Key: the part's id; parent: the dispute; version: the round. No amount: all that was
    captured, parts of the same round included."""
    DISPUTE_IN = "dispute_in"
    """Money that a dispute gave back. Key, parent and version as of DISPUTE_OUT. No amount: all of its round."""
    VOID = "void"
    """The end of an authorization, or of what is left of it. Key: the authorization's id."""
    END = "end"
    """The end of a payment. Key: the provider's id of the payment; it ends the tries and authorizations that have that
    key, or whose parent it is. `closed`: nothing more will be taken. With parent `intent` an order of several parts was
    given up, of this amount; it ends all authorizations beside it while they come to less."""
    OTHER_CURRENCY = "other_currency"
    """Money reported in another currency than the payment's: shown by a flag, in no sum. Key: the child's; parent: the
    currency."""
    MEETING = "meeting"
    """An event named another payment too that can't be the same one: both were promised, say. Key: the id of the other.
    It is shown by a flag, in no sum."""


RANKS: Final[dict[FactKind, dict[str, int]]] = {
    FactKind.TERMS: {"asked": 0},
    FactKind.MODE: {"account": 0, "manual": 1, "automatic": 2},
    FactKind.ATTEMPT: {
        "created": 0,
        "requires_action": 1,
        "processing": 2,
        "failed": 3,
        "expired": 4,
        "canceled": 5,
        "succeeded": 6,
    },
    FactKind.AUTHORIZATION: {"authorized": 0},
    FactKind.ADJUSTMENT: {"adjusted": 0},
    FactKind.CAPTURE: {"pending": 0, "succeeded": 1},
    FactKind.CAPTURE_TOTAL: {"succeeded": 0},
    FactKind.REVERSAL: {"failed": 0, "done": 1, "canceled": 2},
    FactKind.REFUND: {
        "pending": 0,
        "either": 1,
        "unbooked": 2,
        "succeeded": 3,
        "failed": 4,
        "reversed": 5,
        "canceled": 6,
    },
    FactKind.REFUND_TOTAL: {"succeeded": 0},
    FactKind.DISPUTE: {
        "inquiry": 0,
        "open": 1,
        "under_review": 2,
        "undefended": 3,
        "prevented": 4,
        "lost": 5,
        "won": 6,
    },
    FactKind.DISPUTE_OUT: {"withdrawn": 0},
    FactKind.DISPUTE_IN: {"reinstated": 0},
    FactKind.VOID: {"failed": 0, "expired": 1, "canceled": 2},
    FactKind.END: {"closed": 0, "expired": 1, "canceled": 2},
    FactKind.OTHER_CURRENCY: {"seen": 0},
    FactKind.MEETING: {"met": 0},
}
"""Rank of each state within its child; the whole vocabulary of facts."""


class ChildState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is known of one child, joined: the value of the lattice. See the module for the fields."""

    name: str
    amount: int | None = None
    parent: str | None = None
    version: int = 0
    replaces: str | None = None
    low: int | None = None


class Fact(msgspec.Struct, frozen=True, gc=False):
    """One state of one child of a payment, as one event says it.

    `amount` is minor units, or None where the state has none. Raises ValueError for a state that its kind does not
    know, an amount outside 0..AMOUNT_MAX or a version outside 0..VERSION_MAX.
    """

    kind: FactKind
    key: str
    state: str
    amount: int | None = None
    parent: str | None = None
    version: int = 0
    replaces: str | None = None

    def __post_init__(self) -> None:
        if self.state not in RANKS[self.kind]:
            raise ValueError(f"{self.kind} has no state {self.state!r}")
        if self.amount is not None and not 0 <= self.amount <= AMOUNT_MAX:
            raise ValueError(f"amount {self.amount} of {self.kind} {self.key!r} is outside 0..{AMOUNT_MAX}")
        if not 0 <= self.version <= VERSION_MAX:
            raise ValueError(f"version {self.version} of {self.kind} {self.key!r} is outside 0..{VERSION_MAX}")

    @property
    def rank(self) -> int:
        """The state's place in its child's order."""
        return RANKS[self.kind][self.state]


class RefKind(StrEnum):
    """What a reference names. A payment is resolved by any of its references."""

    ID = "id"
    """Our own payment id, promised to a client."""
    PAYMENT = "payment"
    """The provider's id of a payment (or of one attempt under a merchant's reference)."""
    CHARGE = "charge"
    CAPTURE = "capture"
    REFUND = "refund"
    DISPUTE = "dispute"
    SESSION = "session"
    """The provider's id of what became exactly one payment: a checkout session, an order, an invoice. It joins."""
    SHARED = "shared"
    """The provider's id that many payments share: a subscription, a mandate, a reusable link. It is for looking up
    and joins nothing."""
    REFERENCE = "reference"
    """The merchant's own reference: free text that somebody else types. It joins nothing; an intent that promised it
    groups the payments under it."""


JOINING: Final = frozenset(
    {
        RefKind.ID,
        RefKind.PAYMENT,
        RefKind.CHARGE,
        RefKind.CAPTURE,
        RefKind.REFUND,
        RefKind.DISPUTE,
        RefKind.SESSION,
    }
)
"""References that belong to one payment alone: whatever carries the same one is the same payment."""


REF_LENGTH_MAX: Final = 255
"""Characters of one reference, one fact key, one event id."""


class Ref(msgspec.Struct, frozen=True, order=True, gc=False):
    """One reference of a payment inside one provider and account."""

    kind: RefKind
    ref: str


class Ownership(msgspec.Struct, frozen=True, gc=False):
    """A client's intent: it owns the payment, under the id that was promised to it.

    `reference` is the merchant's own, which the intent promises: at most one promise of it is live in one scope.
    `groups` tells that the payments under it are the intent's attempts (it names no payment of the provider). `phone`
    is the customer's number (E.164). `metadata` is a JSON object as text, None where the client noted nothing.
    """

    payment_id: UUID
    client: str
    reference: str | None = None
    phone: str | None = None
    groups: bool = False
    metadata: str | None = None


class DeliveryReport(msgspec.Struct, frozen=True, gc=False):
    """What became of a message to a customer, as the SMS provider tells it. `status` is the provider's word."""

    message_id: str
    status: str


class Tie(msgspec.Struct, frozen=True, gc=False):
    """What must fit before an event is taken for one of the payment that its first reference names.

    The provider vouches for such an event, and nobody for what it belongs to. A payment's money fits if `amount` is all
    that was asked and no other capture than `capture` is known; a `reversal` fits if `amount` is no more than `capture`
    took. `payer` is the customer's number as the provider shows it, hidden digits as `*`; it must agree where the
    payment's phone is known. `otherwise` is what the event means where it does not fit; None refuses it.
    """

    amount: int
    capture: str
    reversal: bool = False
    payer: str = ""
    otherwise: Meaning | None = None


class CommandState(StrEnum):
    """What an executor answers to a command; a later one stands against an earlier one, however they come."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    DONE = "done"


class CommandAnswer(msgspec.Struct, frozen=True, gc=False):
    """What became of a command of a client's, as its executor tells it. `command_id` is the command's event id.

    `accounts` are those that the executor may answer for (`provider` or `provider/account`); None stands for any.
    `reason` says why it is refused.
    """

    payment_id: UUID
    command_id: str
    state: CommandState
    reason: str | None = None
    accounts: frozenset[str] | None = None


class CommandAsked(msgspec.Struct, frozen=True, gc=False):
    """What a client asks for by a command other than create, as `schemas.intents` has it.

    `metadata` is a JSON object as text, None where there is none. `asked_at` is unix seconds, None where nothing tells.
    """

    command: str
    amount: int | None = None
    currency: str | None = None
    attempt_id: UUID | None = None
    reason: str | None = None
    metadata: str | None = None
    asked_at: float | None = None


class Meaning(msgspec.Struct, frozen=True, gc=False):
    """What one event says, in our words: the result of interpreting a provider's body.

    `refs` name the payment, strongest first; none means that the event is not about a payment. `facts` are what it
    adds; none means that it has nothing to say (`noop`). `opens` tells whether the event may create a payment that is
    not known yet; where it may not, the event waits. `waits` is false of an event that closes what is known or
    promised, and says nothing of what is not. `provider_ref` is the provider's payment id or None. `amount` is the
    event's headline figure for the ledger. `currency` is upper-case ISO 4217 or None.
    `merchant_account` is the merchant account that the body names under its signature, "" where it names none;
    `livemode` is the mode that it signs, None where it signs none (then the endpoint's setting says). `occurred_at`
    (unix seconds) is shown, and never orders anything. `ownership` is set by intents alone, `delivery_report` by
    providers of messages. `tie` is a condition of what the event belongs to. `undoable_days` says of money that it took
    for how long a bank may take it back by itself (a debit), 0 where none may. `asker` is the client of a command: it
    adds no facts, waits for its payment all the same, and is about that client's payments alone. `ask` is what else its
    provider must be asked about: the event tells that there is more, and not what. `order` is the provider's order that
    the payment is of, where an order may be several merchants' and so several payments; `sole` tells that the event
    proves it to be one payment. See `consumer.resolve`. `asked` is what a command asks for. `answer` tells what became
    of one; like a command it adds no facts and waits for its payment.
    """

    refs: tuple[Ref, ...] = ()
    facts: tuple[Fact, ...] = ()
    opens: bool = False
    waits: bool = True
    currency: str | None = None
    amount: int | None = None
    provider_ref: str | None = None
    merchant_account: str = ""
    livemode: bool | None = None
    occurred_at: float | None = None
    ownership: Ownership | None = None
    delivery_report: DeliveryReport | None = None
    tie: Tie | None = None
    undoable_days: int = 0
    asker: str | None = None
    ask: str | None = None
    order: str | None = None
    sole: bool = False
    answer: CommandAnswer | None = None
    asked: CommandAsked | None = None

    @property
    def commands(self) -> bool:
        """Whether it is about a command, not about money: it says no facts that copies could be compared by."""
        return self.asker is not None or self.answer is not None
