"""What is asked of a provider's own lists: by the console, and by `ratchet recall` of a console (`--server`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas.record import source_of

if TYPE_CHECKING:
    import datetime as dt


@dataclass(frozen=True, slots=True)
class RecallOrder:
    """What is asked of a provider's lists: events from `since` on and before `until`; a dry run only counts them."""

    provider: str
    account: str
    since: dt.datetime
    until: dt.datetime
    dry_run: bool
    because: str = ""

    @property
    def source(self) -> str:
        """The endpoint, as events name it."""
        return source_of(self.provider, self.account)
