"""What people do and why: one row each in `operator_actions`, before it is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ops.database import fetch
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from runtime.postgres import Connection

WHO_LENGTH_MAX: Final = 128
TARGET_LENGTH_MAX: Final = 400
BECAUSE_LENGTH_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class Operator:
    """A person who acts: `who`, and from where (`origin`: terminal, or console and address)."""

    who: str
    origin: str = "terminal"


def reason_of(because: str | None, what: str) -> str:
    """Return the reason that was given; raise SettingsError where there is none, or it is too long."""
    text = " ".join((because or "").split())
    if not 0 < len(text) <= BECAUSE_LENGTH_MAX:
        raise SettingsError(f"say why {what}, in 1 to {BECAUSE_LENGTH_MAX} characters; it is kept with who and when")
    return text


async def note_action(connection: Connection, operator: Operator, action: str, target: str, because: str) -> None:
    """Write down what is about to be done; where that fails, it must not be done."""
    arguments = operator.who[:WHO_LENGTH_MAX], operator.origin[:WHO_LENGTH_MAX], action, target[:TARGET_LENGTH_MAX]
    await fetch(connection, "note_action", *arguments, because)
