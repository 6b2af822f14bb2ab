"""What upstream asks for: the records of `payments.intents`.

The ingress queues them for the relay; upstream services may publish them directly. Both are validated alike.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, Final, Literal
from uuid import UUID  # noqa: TC003 - pydantic needs it at run time

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from schemas import metadata
from schemas.currencies import DECIMALS
from schemas.facts import AMOUNT_MAX, REF_LENGTH_MAX

REASON_LENGTH_MAX: Final = 255
ACCOUNT_LENGTH_MAX: Final = 64
_UNREADABLE: Final = r"\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\uffff"
"""Controls, and characters that show nothing or turn the text around them: two names that look alike must be one."""
_READABLE: Final = f"^[^{_UNREADABLE}]*$"
_UNREADABLE_RUN: Final = re.compile(f"[\\s{_UNREADABLE}\ud800-\udfff]+")
_READABLE_TEXT: Final = re.compile(f"[^{_UNREADABLE}\ud800-\udfff]*\\Z")


def _storable(text: str) -> str:
    if not _READABLE_TEXT.match(text):
        raise ValueError("holds characters that can't be stored")
    return text


def _one_line(text: object) -> object:
    """Return a text as one readable line that fits: what a provider answered is kept, not refused for its breaks."""
    return _UNREADABLE_RUN.sub(" ", text).strip()[:REASON_LENGTH_MAX] if isinstance(text, str) else text


def _account(name: str) -> str:
    """Account names have no case, here as in a webhook's path."""
    return _storable(name).lower()


def _whole(amount: object) -> object:
    """Take 100.0 for 100: JSON has one kind of number, and some writers know no integers."""
    exact = isinstance(amount, float) and amount.is_integer() and abs(amount) <= metadata.NUMBER_MAX
    return int(amount) if exact else amount  # type: ignore[call-overload]


def _currency(code: str) -> str:
    if code.upper() in DECIMALS and code not in DECIMALS:
        raise ValueError(f"is no currency code of ISO 4217; write {code.upper()}")
    if code not in DECIMALS:
        raise ValueError("is no currency of ISO 4217 that has minor units")
    return code


def _text(length_min: int, length_max: int) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "minLength": length_min, "maxLength": length_max, "pattern": _READABLE})


Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
Reference = Annotated[
    str, Field(min_length=1, max_length=REF_LENGTH_MAX), AfterValidator(_storable), _text(1, REF_LENGTH_MAX)
]
Account = Annotated[str, Field(max_length=ACCOUNT_LENGTH_MAX), AfterValidator(_account), _text(0, ACCOUNT_LENGTH_MAX)]
MerchantAccount = Annotated[str, Field(max_length=REF_LENGTH_MAX), AfterValidator(_storable), _text(0, REF_LENGTH_MAX)]
Amount = Annotated[int, Field(gt=0, le=AMOUNT_MAX, strict=True), BeforeValidator(_whole)]
Currency = Annotated[str, AfterValidator(_currency), WithJsonSchema({"type": "string", "enum": sorted(DECIMALS)})]
Reason = Annotated[str, Field(max_length=REASON_LENGTH_MAX), AfterValidator(_storable), _text(0, REASON_LENGTH_MAX)]
RefusalReason = Annotated[str, BeforeValidator(_one_line), AfterValidator(_storable), _text(0, REASON_LENGTH_MAX)]
"""Why a provider refused, in its own words."""
Phone = Annotated[str, Field(pattern=r"^\+[1-9][0-9]{6,14}$")]
Metadata = Annotated[dict[str, Any], AfterValidator(metadata.checked), WithJsonSchema(metadata.json_schema())]


class Command(StrEnum):
    """What a client asks for."""

    CREATE = "create"
    CAPTURE = "capture"
    CANCEL = "cancel"
    REFUND = "refund"


class CommandBody(BaseModel):
    """Base of the bodies of all commands."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metadata: Metadata = Field(default_factory=dict)


class Intent(CommandBody):
    """A payment that a client wants: the body of `create`. `amount` is minor units of `currency`.

    `merchant_account` may be left out where the endpoint has one; `livemode` is the endpoint's mode unless given.
    """

    amount: Amount
    currency: Currency
    provider: Name
    account: Account = ""
    merchant_account: MerchantAccount = ""
    livemode: bool | None = None
    reference: Reference | None = None
    provider_ref: Reference | None = None
    capture: Literal["automatic", "manual"] = "manual"
    phone: Phone | None = None


class Capture(CommandBody):
    """Take authorized money: the body of `capture`. No `amount`: all that is left.

    `attempt_id` names which of the payment's attempts is meant; it is needed where several have room.
    """

    amount: Amount | None = None
    currency: Currency | None = None
    attempt_id: UUID | None = None


class Cancel(CommandBody):
    """Give an authorization up: the body of `cancel`. `attempt_id` is as in a capture."""

    reason: Reason | None = None
    attempt_id: UUID | None = None


class Refund(CommandBody):
    """Give captured money back: the body of `refund`. `amount` and `attempt_id` are as in a capture."""

    amount: Amount | None = None
    currency: Currency | None = None
    reason: Reason | None = None
    attempt_id: UUID | None = None


COMMAND_BODIES: Final[dict[Command, type[CommandBody]]] = {
    Command.CREATE: Intent,
    Command.CAPTURE: Capture,
    Command.CANCEL: Cancel,
    Command.REFUND: Refund,
}
"""Which body belongs to which command."""


class IntentRecord(BaseModel):
    """One record of `payments.intents`. `id` is the payment's id; `body` belongs to the command."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: UUID
    client: Name
    command: Command
    body: dict[str, Any]
