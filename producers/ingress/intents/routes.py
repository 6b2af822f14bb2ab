"""Paths of the intents API: the one place that knows their form."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from schemas.intents import Command

PREFIX: Final = "/payment-intents"
PAYMENTS: Final = "/payments"
_NIL: Final = str(UUID(int=0))
_UUID: Final = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\Z", re.IGNORECASE)


class ReadAction(StrEnum):
    """What a client may look at."""

    PAYMENT = "payment"
    TIMELINE = "timeline"
    PAYMENTS = "payments"


Action = Command | ReadAction

_OF_PAYMENT: Final[dict[str, Action]] = {
    "": ReadAction.PAYMENT,
    "timeline": ReadAction.TIMELINE,
    "capture": Command.CAPTURE,
    "cancel": Command.CANCEL,
    "refunds": Command.REFUND,
}


@dataclass(frozen=True, slots=True)
class IntentPath:
    """A parsed path: what is wanted, of which payment (None: a new one, or an id that is none), and its template."""

    action: Action
    payment_id: UUID | None
    template: str

    @property
    def methods(self) -> tuple[str, ...]:
        """Return the methods that the path takes."""
        return ("GET", "HEAD") if isinstance(self.action, ReadAction) else ("POST",)


def parse(path: str) -> IntentPath | None:
    """Parse `/payment-intents[/{id}[/timeline|/capture|/cancel|/refunds]]` or `/payments`; None for anything else."""
    if path == PAYMENTS:
        return IntentPath(ReadAction.PAYMENTS, None, PAYMENTS)
    if path == PREFIX:
        return IntentPath(Command.CREATE, None, PREFIX)
    if not path.startswith(PREFIX + "/"):
        return None
    text, slash, rest = path[len(PREFIX) + 1 :].partition("/")
    if not text or rest not in _OF_PAYMENT or (slash and not rest):
        return None
    payment_id = UUID(text) if _UUID.match(text) and text != _NIL else None
    return IntentPath(_OF_PAYMENT[rest], payment_id, f"{PREFIX}/{{id}}" + (f"/{rest}" if rest else ""))


def path_of(payment_id: UUID) -> str:
    """Return the path of a payment."""
    return f"{PREFIX}/{payment_id}"
