"""Which dead letters are meant: the filters of `ratchet dlq` and of the console. Pure."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Self

from schemas.dead_letter import LetterStatus, Reason
from schemas.errors import SettingsError


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """A choice of dead letters; None means any.

    `payment` is a payment reference or an event id; `since` is inclusive, `until` is not; `message` is a part of why it
    is here, in capitals or not, `kind` the event's; `limit` takes the oldest so many of those that fit (of a listing:
    the newest).
    """

    reason: Reason | None = None
    provider: str | None = None
    payment: str | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    ids: tuple[int, ...] | None = None
    status: LetterStatus | None = None
    limit: int | None = None
    message: str | None = None
    kind: str | None = None

    def arguments(self) -> tuple[Any, ...]:
        """Return the first nine arguments of the statements in ops/sql that choose letters."""
        ids = None if self.ids is None else list(self.ids)
        texts = self.message, self.kind
        return self.reason, self.provider, self.payment, self.since, self.until, ids, self.status, *texts

    def document(self) -> dict[str, Any]:
        """Return what is set, as JSON: the form in which a redrive keeps it."""
        fields = {
            "reason": self.reason,
            "provider": self.provider,
            "payment": self.payment,
            "since": self.since.isoformat() if self.since else None,
            "until": self.until.isoformat() if self.until else None,
            "ids": list(self.ids) if self.ids is not None else None,
            "status": self.status,
            "limit": self.limit,
            "message": self.message,
            "kind": self.kind,
        }
        return {name: value for name, value in fields.items() if value is not None}

    @classmethod
    def of_document(cls, document: dict[str, Any]) -> Self:
        """Read what `document` wrote; raise SettingsError for what is no filter."""
        try:
            return cls(
                reason=Reason(document["reason"]) if "reason" in document else None,
                provider=document.get("provider"),
                payment=document.get("payment"),
                since=moment(document.get("since"), "since"),
                until=moment(document.get("until"), "until"),
                ids=tuple(int(one) for one in document["ids"]) if "ids" in document else None,
                status=LetterStatus(document["status"]) if "status" in document else None,
                limit=document.get("limit"),
                message=document.get("message"),
                kind=document.get("kind"),
            )
        except (TypeError, ValueError) as error:
            raise SettingsError(f"this is no filter of dead letters: {error}") from None


def moment(text: str | None, option: str) -> dt.datetime | None:
    """Read an ISO 8601 time (UTC where it names no zone); raise SettingsError for anything else."""
    if text is None:
        return None
    try:
        value = dt.datetime.fromisoformat(text)
        return value.astimezone(dt.UTC) if value.tzinfo else value.replace(tzinfo=dt.UTC)
    except (ValueError, OverflowError):
        raise SettingsError(f"{option}: {text!r} is no ISO 8601 time, as in 2026-11-23 or 2026-11-23T14:00Z") from None
