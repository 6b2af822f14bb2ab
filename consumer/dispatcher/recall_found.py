"""What a reading of a provider's lists found until now: how many events were known, which were new."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Sequence

    from consumer.dispatcher.recall_rows import Shown


@dataclass(slots=True)
class RecallFound:
    """What the lists showed. `new` counts by kind what was not known, `history` those from before the secret.

    `reaches` is from when on the lists were asked: they go no further back.
    """

    source: str
    reaches: dt.datetime
    began_at: dt.datetime | None = None
    pages: int = 0
    known: int = 0
    history: int = 0
    new: Counter[str] = field(default_factory=Counter)
    first: dt.datetime | None = None
    last: dt.datetime | None = None

    def take(self, shown: Sequence[Shown], new: Collection[str], began_at: dt.datetime) -> None:
        """Count one page; `new` are the ids of those that were not known."""
        self.pages += 1
        self.began_at = began_at
        self.known += len(shown) - len(new)
        for one in shown:
            if one.record.event_id in new:
                self.new[one.record.kind or "unknown"] += 1
                self.history += one.occurred_at < began_at
                self.first = min(filter(None, (self.first, one.occurred_at)))
                self.last = max(filter(None, (self.last, one.occurred_at)))

    def document(self, *, dry_run: bool) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "source": self.source,
            "dry_run": dry_run,
            "pages": self.pages,
            "known": self.known,
            "new": sum(self.new.values()),
            "history": self.history,
            "kinds": dict(sorted(self.new.items())),
            "asked_since": self.reaches.isoformat(),
            "secret_since": self.began_at.isoformat() if self.began_at else None,
            "first": self.first.isoformat() if self.first else None,
            "last": self.last.isoformat() if self.last else None,
        }
