"""What a provider of text messages does for us: the seam that `twilio` fills, and that another one could."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from runtime.http import HttpUnavailableError
from schemas.sms import SmsStatus

if TYPE_CHECKING:
    import datetime as dt


@dataclass(frozen=True, slots=True)
class SmsMessage:
    """One message. `mark` ends its text and is found in no other message to that number; a `repr` shows no number."""

    to_number: str = field(repr=False)
    text: str = field(repr=False)
    mark: str
    not_before: dt.datetime
    """A message of that number and mark that is older is another one's."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The provider has the message under this id; `status` is sent, or the end that it came to already."""

    sid: str
    status: SmsStatus = SmsStatus.SENT


@dataclass(frozen=True, slots=True)
class Rejected:
    """The provider will never take this message; `error` says why, without the number."""

    error: str


class AccountRefusedError(HttpUnavailableError):
    """The provider refuses our account (password, suspension, credit), so it took nothing; no message is at fault."""


class SmsSender(Protocol):
    """Sends and looks up. Both raise HttpUnavailableError where nothing is known of what the provider did.

    Where it refuses the account they raise AccountRefusedError.
    """

    async def send(self, message: SmsMessage) -> Taken | Rejected:
        """Hand the message over, once."""
        ...

    async def find(self, message: SmsMessage) -> Taken | None:
        """Look for a message that was handed over without an answer; None where the provider has none."""
        ...
