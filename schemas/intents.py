"""What upstream asks for: the records of `payments.intents`.

The ingress queues them for the relay; upstream services may publish them directly. Both are validated alike.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID  # noqa: TC003 - pydantic needs it at run time

from pydantic import BaseModel, ConfigDict, Field, field_validator

from schemas.facts import AMOUNT_MAX, REF_LENGTH_MAX

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
Reference = Annotated[str, Field(min_length=1, max_length=REF_LENGTH_MAX)]
Amount = Annotated[int, Field(gt=0, le=AMOUNT_MAX, strict=True)]


class Command(StrEnum):
    """What a client asks for."""

    CREATE = "create"
    CAPTURE = "capture"
    CANCEL = "cancel"
    REFUND = "refund"


class Intent(BaseModel):
    """A payment that a client wants: the body of `create`. `amount` is minor units of `currency`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    amount: Amount
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    provider: Name
    account: Annotated[str, Field(max_length=64)] = ""
    reference: Reference | None = None
    provider_ref: Reference | None = None
    capture: Literal["automatic", "manual"] = "manual"
    phone: Annotated[str, Field(pattern=r"^\+[1-9][0-9]{6,14}$")] | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)

    @field_validator("reference", "provider_ref", "account")
    @classmethod
    def _storable(cls, value: str | None) -> str | None:
        if value is not None and ("\x00" in value or not value.isprintable()):
            raise ValueError("holds characters that can't be stored")
        return value


class IntentRecord(BaseModel):
    """One record of `payments.intents`. `id` is the payment's id; `body` belongs to the command."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: UUID
    client: Name
    command: Command
    body: dict[str, Any]
