"""Facts: what an event adds to a payment.

An event does not move a payment, it adds facts. Each fact belongs to a child (an attempt's authorization, a capture, a
refund, a dispute, ...) known by `key`, and says one state of that child. States of a child have a rank and the later
rank wins; of two amounts at the same rank the larger one wins. So the facts of a payment form a join-semilattice: any
order and any repetition of the same facts gives the same payment.

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


class FactKind(StrEnum):
    """The children of a payment."""

    TERMS = "terms"
    """What was asked for. Key `amount`; states provider < intent. The intent's amount beats the provider's echo."""
    MODE = "mode"
    """When money is taken. Key `capture`: automatic, where the provider says that it took the money at once. Key
    `intent`: manual or automatic, as the client asked; it counts where the provider reports an authorization alone
    also for money that it takes at once, which is key `provider`: automatic."""
    PROGRESS = "progress"
    """How far the customer got. Key: the provider's payment id (one attempt); no amount."""
    AUTHORIZATION = "authorization"
    """Funds reserved by one attempt. Key: the provider's payment id. Amount: what is authorized by this state."""
    ATTEMPT = "attempt"
    """One try to pay. Key: the attempt's id; a failed attempt never undoes another one's success."""
    CAPTURE = "capture"
    """Money taken. Key: the capture's id, or the provider's payment id where its figure is cumulative."""
    REFUND = "refund"
    """Money given back. Key: the refund's id."""
    REFUND_TOTAL = "refund_total"
    """A cumulative figure of refunds that names none of them. Key: the provider's payment id."""
    DISPUTE = "dispute"
    """A customer's claim. Key: the dispute's id; no amount."""
    DISPUTE_FUNDS = "dispute_funds"
    """Money that a dispute took or gave back. Key: the dispute's id."""
    VOID = "void"
    """The rest of a payment released. Key: the provider's payment id; no amount."""


RANKS: Final[dict[FactKind, dict[str, int]]] = {
    FactKind.TERMS: {"provider": 0, "intent": 1},
    FactKind.MODE: {"manual": 0, "automatic": 1},
    FactKind.PROGRESS: {"created": 0, "requires_action": 1, "processing": 2},
    FactKind.AUTHORIZATION: {"authorized": 0, "adjusted": 1},
    FactKind.ATTEMPT: {"pending": 0, "failed": 1, "succeeded": 2},
    FactKind.CAPTURE: {"pending": 0, "succeeded": 1, "failed": 2, "reversed": 3},
    FactKind.REFUND: {"pending": 0, "succeeded": 1, "failed": 2, "reversed": 3, "canceled": 4},
    FactKind.REFUND_TOTAL: {"succeeded": 0},
    FactKind.DISPUTE: {
        "inquiry": 0,
        "open": 1,
        "under_review": 2,
        "prevented": 3,
        "lost": 4,
        "won": 5,
        "lost_final": 6,
    },
    FactKind.DISPUTE_FUNDS: {"withdrawn": 0, "reinstated": 1, "withdrawn_final": 2},
    FactKind.VOID: {"expired": 0, "canceled": 1},
}
"""Rank of each state within its child; the whole vocabulary of facts."""


class Fact(msgspec.Struct, frozen=True, gc=False):
    """One state of one child of a payment.

    `amount` is minor units, or None where the state has none. Raises ValueError for a state that its kind does not
    know or an amount outside 0..AMOUNT_MAX.
    """

    kind: FactKind
    key: str
    state: str
    amount: int | None = None

    def __post_init__(self) -> None:
        if self.state not in RANKS[self.kind]:
            raise ValueError(f"{self.kind} has no state {self.state!r}")
        if self.amount is not None and not 0 <= self.amount <= AMOUNT_MAX:
            raise ValueError(f"amount {self.amount} of {self.kind} {self.key!r} is outside 0..{AMOUNT_MAX}")

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


class Claim(msgspec.Struct, frozen=True, gc=False):
    """A client's intent: it owns the payment, under the id that was promised to it.

    `reference` is the client's own and unique for the client, or None. `phone` is the customer's number (E.164).
    """

    payment_id: UUID
    client: str
    reference: str | None = None
    phone: str | None = None


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """What became of a message to a customer, as the SMS provider tells it. `status` is the provider's word."""

    message_id: str
    status: str


class Meaning(msgspec.Struct, frozen=True, gc=False):
    """What one event says, in our words: the result of interpreting a provider's body.

    `refs` name the payment, strongest first; none means that the event is not about a payment. `facts` are what it
    adds; none means that it has nothing to say (`noop`). `opens` tells whether the event may create a payment that is
    not known yet; where it may not, the event waits. `provider_ref` is the provider's payment id or None. `amount` is
    the event's headline figure for the ledger. `currency` is upper-case ISO 4217 or None.
    `merchant_account` is the merchant account that the body names under its signature, "" where it names none;
    `livemode` is the mode that it signs, None where it signs none (then the endpoint's setting says).
    `occurred_at` (unix seconds) is shown, and never orders anything. `claim` is set by intents alone,
    `receipt` by providers of messages.
    """

    refs: tuple[Ref, ...] = ()
    facts: tuple[Fact, ...] = ()
    opens: bool = False
    currency: str | None = None
    amount: int | None = None
    provider_ref: str | None = None
    merchant_account: str = ""
    livemode: bool | None = None
    occurred_at: float | None = None
    claim: Claim | None = None
    receipt: Receipt | None = None
