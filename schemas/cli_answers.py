"""What commands print with `--json`: the keys that scripts and checks may rely on. More keys may stand beside them."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from schemas.dead_letter import LetterStatus, Reason  # noqa: TC001 - pydantic reads the annotations
from schemas.payment import (  # noqa: TC001 - pydantic reads the annotations
    DisputeStatus,
    Flag,
    Outcome,
    RefundStatus,
    Status,
)

Figure = Annotated[int, Field(ge=0)]
Pid = Annotated[int, Field(ge=1)]
Id = Annotated[str, Field(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
Moment = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d|Z)$")]
"""An ISO 8601 time with its offset; date and time are parted by a space or a T."""


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class RunOutcome(_Answer):
    """What became of the sample's events, each counted once."""

    applied: Figure
    noop: Figure
    late: Figure
    conflict: Figure
    parked: Figure
    dead_letters: Figure
    hints: Figure


class UpOnce(_Answer):
    """`ratchet up --once`: the reconciliation of the sample. `refused` counts by reason."""

    balanced: bool
    posted: Figure
    outcome: RunOutcome
    refused: dict[str, Figure]


class Role(_Answer):
    """One role as it looks from outside; a pid of null: it does not run."""

    role: str
    pid: Pid | None
    state: str
    address: str | None


class Counts(_Answer):
    """What stands in Postgres. `outbox` is ledger rows and dead letters not yet relayed."""

    payments: Figure
    ledger: Figure
    parked: Figure
    dead_letters_open: Figure
    outbox: Figure
    spool: Figure


class NoCounts(_Answer):
    """What can't be known is absent."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RolesAndCounts(_Answer):
    """`ratchet status`. `lag` is records behind by topic; empty, like `counts`, where it can't be known in time.

    `problems` names each partition that is not read as it should be, in words for people.
    """

    roles: list[Role]
    lag: dict[str, Figure]
    counts: Counts | NoCounts
    problems: list[str] = []


class Broker(_Answer):
    """One embedded broker; `pid` is the server's own. `absent`: there is none for this machine, Redis alone."""

    state: Literal["running", "starting", "unresponsive", "stopped", "absent"]
    pid: Pid | None
    address: str | None


class StackStatus(_Answer):
    """`ratchet stack status`."""

    kafka: Broker
    postgres: Broker
    redis: Broker


class PaymentRow(_Answer):
    """A row of `payments`; amounts are minor units of `currency`."""

    id: Id
    provider: str
    account: str
    provider_ref: str | None
    client: str | None
    reference: str | None
    merged_into: Id | None
    merchant_account: str
    livemode: bool
    intent_id: Id | None
    flags: list[Flag]
    status: Status
    refund_status: RefundStatus
    dispute_status: DisputeStatus
    currency: str | None
    amount: Figure | None
    authorized: Figure
    captured: Figure
    refunded: Figure
    disputed: int
    version: Figure
    created_at: Moment
    updated_at: Moment


class LedgerRow(_Answer):
    """A row of `payment_logs`. `version` is the payment's after this row, null where unchanged; `hash` is in hex."""

    id: int
    payment_id: Id
    source: str
    event_id: str
    event_type: str
    outcome: Outcome
    from_status: Status | None
    to_status: Status | None
    amount: int | None
    version: Figure | None
    occurred_at: Moment | None
    recorded_at: Moment
    hash: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class PaymentWithTimeline(_Answer):
    """A payment's row, and its whole timeline, oldest first; of an intent that adopted any, also its attempts."""

    payment: PaymentRow
    timeline: list[LedgerRow]
    attempts: list[PaymentRow] = Field(default_factory=list)


class PaymentsShown(_Answer):
    """The payments that stand under one reference, each with its timeline."""

    payments: list[PaymentWithTimeline]


class PaymentShown(RootModel[PaymentWithTimeline | PaymentsShown]):
    """`ratchet payment show`: one payment with its timeline, or the several that stand under the name."""


class DeadLetter(_Answer):
    """A row of `dead_letters`; topic, partition and offset are the place that it came from."""

    id: int
    topic: str
    partition: Figure
    offset: Figure
    reason: Reason
    status: LetterStatus
    redrive_count: Figure
    created_at: Moment


class DeadLetters(_Answer):
    """`ratchet dlq list`, newest first. `total` counts all that fit the filters, also beyond the limit."""

    total: Figure
    dead_letters: list[DeadLetter]


class Would(_Answer):
    """What would become of one letter now: applied, processed already, refused again, or parked."""

    id: int
    would: Literal["apply", "noop", "illegal", "orphan"]


class Redrive(_Answer):
    """`ratchet dlq redrive`. A dry run publishes nothing and has no `redrive_id`."""

    redrive_id: int | str | None
    matched: Figure
    published: Figure
    messages: list[Would]


class BrokenRow(_Answer):
    """One finding of the audit: the ledger row, its payment, and what is wrong, in words."""

    id: int | None
    payment_id: Id | None
    why: str


class AuditVerified(_Answer):
    """`ratchet audit verify`. `rows` and `actions` (of people) were walked; `broken` is bounded, `ok` speaks of all.

    `archived_rows` were read of the archive, where one was named.
    """

    ok: bool
    rows: Figure
    actions: Figure = 0
    archived_rows: Figure = 0
    broken: list[BrokenRow]


class UpDetached(_Answer):
    """`ratchet up --detach`: the background process, and where its ingress and its console answer."""

    pid: Pid
    ingress: str
    console: str | None
    log: str


class Down(_Answer):
    """`ratchet down`; `stopped` is false where nothing ran."""

    stopped: bool


class PublishChecked(_Answer):
    """`ratchet publish --check`. `take`: well formed, where only the record was looked at; else as a redrive has it.

    `outcome` is the ledger's, or `parked`, `duplicate` or a dead letter's reason; `why` says what to mend. `says` is
    what was understood.
    """

    topic: str
    would: Literal["take", "apply", "noop", "illegal", "orphan"]
    outcome: str | None
    why: str | None
    says: dict[str, Any] | None
    notes: list[str]


ANSWERS: Final[dict[str, type[BaseModel]]] = {
    "up --once": UpOnce,
    "up --detach": UpDetached,
    "down": Down,
    "status": RolesAndCounts,
    "stack status": StackStatus,
    "payment show": PaymentShown,
    "dlq list": DeadLetters,
    "dlq redrive": Redrive,
    "audit verify": AuditVerified,
    "publish --check": PublishChecked,
}
"""Command and its answer."""
