from dataclasses import dataclass
from typing import Optional, Dict, Any, List
from enum import Enum


@dataclass
class Cancel:
    """Give an authorization up: the body of `cancel`. `attempt_id` is as in a capture."""

    attempt_id: Optional[str] = None
    metadata: Optional[Dict[str, Any]] = None
    reason: Optional[str] = None


@dataclass
class CancelRecord:
    """The command `cancel`, about the payment `id`."""

    body: Cancel
    client: str
    command: str
    id: str


@dataclass
class Capture:
    """Take authorized money: the body of `capture`. No `amount`: all that is left.
    
    `attempt_id` names which of the payment's attempts is meant; it is needed where several
    have room.
    """
    amount: Optional[int] = None
    attempt_id: Optional[str] = None
    currency: Optional[str] = None
    metadata: Optional[Dict[str, Any]] = None


@dataclass
class CaptureRecord:
    """The command `capture`, about the payment `id`."""

    body: Capture
    client: str
    command: str
    id: str


class DisputeStatus(str, Enum):
    """Where that dispute of the payment stands that needs somebody first."""

    INQUIRY = "inquiry"
    LOST = "lost"
    NONE = "none"
    OPEN = "open"
    PREVENTED = "prevented"
    UNDER_REVIEW = "under_review"
    WON = "won"


class Flag(str, Enum):
    """What of a payment does not add up, derived from its facts; it goes when the missing fact
    comes.
    """
    AMOUNT_DIFFERS = "amount_differs"
    CONTRADICTION = "contradiction"
    OTHER_CURRENCY = "other_currency"
    OVER_CAPTURED = "over_captured"
    OVER_REFUNDED = "over_refunded"
    PAID_AGAIN = "paid_again"
    UNDERPAID = "underpaid"


class Status(str, Enum):
    """Where a payment stands; derived from its facts, never moved."""

    AUTHORIZED = "authorized"
    CANCELED = "canceled"
    CAPTURED = "captured"
    CREATED = "created"
    EXPIRED = "expired"
    FAILED = "failed"
    PARTIALLY_CAPTURED = "partially_captured"
    PROCESSING = "processing"
    REQUIRES_ACTION = "requires_action"


class Outcome(str, Enum):
    """What one event did to its payment; the ledger's column."""

    APPLIED = "applied"
    CONFLICT = "conflict"
    LATE = "late"
    NOOP = "noop"


class RefundStatus(str, Enum):
    """How much of the captured money went back."""

    FULL = "full"
    NONE = "none"
    PARTIAL = "partial"
    PENDING = "pending"


@dataclass
class Change:
    """The JSON value of a record of `payments.changes`. Amounts are minor units of `currency`.
    
    First what happened: `source` and `event_id` name the event that changed the payment,
    `event_type` is its provider's
    name for it, `event_amount` the event's own figure. `occurred_at` is what the provider
    says, `recorded_at` when the
    ledger row was written. A change without an event of its own (an attempt was adopted or
    released, a payment turned
    out to be another one) has the source `ratchet` and the event id `payment_id:version`.
    
    `epoch` is another, larger number after the database was restored or a replica promoted:
    from there versions count
    anew, and may be given again with other contents.
    
    Then, from `provider` on, how the payment stood when the record was sent, which may be
    later. `livemode` is false of
    test money, `metadata` is what the client noted on its intent. Payments that have neither
    `intent_id` nor
    `merged_into` add up to all the money there is.
    """
    account: str
    amount: int
    authorized: int
    captured: int
    created_at: str
    dispute_status: DisputeStatus
    disputed: int
    epoch: int
    event_id: str
    event_type: str
    flags: List[Flag]
    livemode: bool
    merchant_account: str
    outcome: Outcome
    payment_id: str
    provider: str
    recorded_at: str
    refund_status: RefundStatus
    refunded: int
    source: str
    status: Status
    version: int
    client: Optional[str] = None
    currency: Optional[str] = None
    event_amount: Optional[int] = None
    from_status: Optional[Status] = None
    intent_id: Optional[str] = None
    merged_into: Optional[str] = None
    metadata: Optional[Dict[str, Any]] = None
    occurred_at: Optional[str] = None
    provider_ref: Optional[str] = None
    reference: Optional[str] = None
    to_status: Optional[Status] = None


@dataclass
class CommandAnswered:
    """What became of a command. `id` is the payment's id and `command_id` the command's
    `ce_id`, as it had them.
    """
    command_id: str
    id: str


class CommandName(str, Enum):
    CANCEL = "cancel"
    CAPTURE = "capture"
    REFUND = "refund"


@dataclass
class CommandRecord:
    """The JSON value of a record of `payments.commands`. Amounts are minor units of `currency`;
    a cancel has none.
    
    `id` tells commands apart and is the provider's idempotency key: of one that the API took
    a UUID, else the `ce_id`
    that its publisher gave. `attempt_id` and `provider_ref` name the payment at the provider
    that it is for; they stay
    what they are, whatever becomes of it. `payment_id` is the client's: another one where an
    intent has attempts.
    `reference` is the client's own name of the payment; `reason` and `metadata` are what it
    noted on the command.
    """
    account: str
    asked_at: str
    attempt_id: str
    client: str
    command: CommandName
    expires_at: str
    id: str
    livemode: bool
    merchant_account: str
    payment_id: str
    provider: str
    amount: Optional[int] = None
    currency: Optional[str] = None
    metadata: Optional[Dict[str, Any]] = None
    provider_ref: Optional[str] = None
    reason: Optional[str] = None
    reference: Optional[str] = None


@dataclass
class CommandRefused:
    """The command won't be carried out, for this reason; the money that it asked for is free
    again.
    """
    command_id: str
    id: str
    reason: str


class CaptureEnum(str, Enum):
    AUTOMATIC = "automatic"
    MANUAL = "manual"


@dataclass
class Intent:
    """A payment that a client wants: the body of `create`. `amount` is minor units of
    `currency`.
    
    `merchant_account` may be left out where the endpoint has one; `livemode` is the
    endpoint's mode unless given.
    """
    amount: int
    currency: str
    provider: str
    account: Optional[str] = None
    capture: Optional[CaptureEnum] = None
    livemode: Optional[bool] = None
    merchant_account: Optional[str] = None
    metadata: Optional[Dict[str, Any]] = None
    phone: Optional[str] = None
    provider_ref: Optional[str] = None
    reference: Optional[str] = None


@dataclass
class CreateRecord:
    """The command `create`, about the payment `id`."""

    body: Intent
    client: str
    command: str
    id: str


@dataclass
class DisputeMoved:
    """The dispute `id` took `amount`, or gave it back."""

    amount: int
    currency: str
    id: str
    payment_id: str
    livemode: Optional[bool] = None
    reference: Optional[str] = None


@dataclass
class DisputeStands:
    """Where the dispute `id` stands."""

    id: str
    payment_id: str
    livemode: Optional[bool] = None
    reference: Optional[str] = None


@dataclass
class MoneyHeld:
    """`amount` is reserved, in all: a second one with more raises it."""

    amount: int
    currency: str
    payment_id: str
    livemode: Optional[bool] = None
    reference: Optional[str] = None


@dataclass
class MoneyMoved:
    """One capture or refund, of `amount`; `id` names it, so that a second one is distinguished
    from a copy.
    """
    amount: int
    currency: str
    id: str
    payment_id: str
    livemode: Optional[bool] = None
    reference: Optional[str] = None


@dataclass
class PaymentEnded:
    """The payment was ended: what is held for it is free."""

    payment_id: str
    livemode: Optional[bool] = None
    reference: Optional[str] = None


@dataclass
class PaymentTried:
    """Where a try to pay stands. `id` names the try where a payment has several; `amount` is
    what it asks for.
    """
    payment_id: str
    amount: Optional[int] = None
    currency: Optional[str] = None
    id: Optional[str] = None
    livemode: Optional[bool] = None
    reference: Optional[str] = None


@dataclass
class Refund:
    """Give captured money back: the body of `refund`. `amount` and `attempt_id` are as in a
    capture.
    """
    amount: Optional[int] = None
    attempt_id: Optional[str] = None
    currency: Optional[str] = None
    metadata: Optional[Dict[str, Any]] = None
    reason: Optional[str] = None


@dataclass
class RefundRecord:
    """The command `refund`, about the payment `id`."""

    body: Refund
    client: str
    command: str
    id: str


@dataclass
class State:
    """The JSON value of a record of `payments.state`: how a payment stands at its newest
    version.
    
    The topic keeps the newest record of each payment, by key. A payment that turned out to
    be another one stays, with
    `merged_into`; nothing is ever removed.
    """
    account: str
    amount: int
    authorized: int
    captured: int
    created_at: str
    dispute_status: DisputeStatus
    disputed: int
    epoch: int
    flags: List[Flag]
    livemode: bool
    merchant_account: str
    payment_id: str
    provider: str
    refund_status: RefundStatus
    refunded: int
    status: Status
    version: int
    client: Optional[str] = None
    currency: Optional[str] = None
    intent_id: Optional[str] = None
    merged_into: Optional[str] = None
    metadata: Optional[Dict[str, Any]] = None
    provider_ref: Optional[str] = None
    reference: Optional[str] = None


@dataclass
class Wire:
    of_cancel: Optional[Cancel] = None
    of_cancel_record: Optional[CancelRecord] = None
    of_capture: Optional[Capture] = None
    of_capture_record: Optional[CaptureRecord] = None
    of_change: Optional[Change] = None
    of_command_answered: Optional[CommandAnswered] = None
    of_command_record: Optional[CommandRecord] = None
    of_command_refused: Optional[CommandRefused] = None
    of_create_record: Optional[CreateRecord] = None
    of_dispute_moved: Optional[DisputeMoved] = None
    of_dispute_stands: Optional[DisputeStands] = None
    of_intent: Optional[Intent] = None
    of_money_held: Optional[MoneyHeld] = None
    of_money_moved: Optional[MoneyMoved] = None
    of_payment_ended: Optional[PaymentEnded] = None
    of_payment_tried: Optional[PaymentTried] = None
    of_refund: Optional[Refund] = None
    of_refund_record: Optional[RefundRecord] = None
    of_state: Optional[State] = None
