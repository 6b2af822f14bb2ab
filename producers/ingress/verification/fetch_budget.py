"""Who may make the ingress fetch a certificate that it does not have: bounds for all, and a part for proven senders.

Strangers decide which URLs are named, so they could spend all fetches and keep a genuine webhook waiting, whose
provider has just changed its certificate. A part of each bound (`proven_share`) is therefore not theirs: it is left to
senders of whom something genuine came before, and to certificates that are known and only have grown old.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from runtime.settings import CertificateSettings

MINUTE_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Asker:
    """Whose request names a certificate: `sender` as `rate_limits.AddressKeys` names the address."""

    sender: str = ""
    proven: bool = False
    """Whether something genuine came from there before."""


class FetchBudget:
    """Counts fetches of certificates that are not kept, within a minute. Times are of one monotonic clock."""

    def __init__(self, bounds: CertificateSettings) -> None:
        self._bounds = bounds
        self._fetches: deque[tuple[float, str]] = deque()

    def within_share(self, sender: str, now: float) -> bool:
        """Tell whether the address may still cause a fetch within this minute."""
        self._forget_old(now)
        asked = sum(who == sender for _, who in self._fetches)
        return asked < self._bounds.fetches_per_address_a_minute_max

    def need_minute(self, asker: Asker, now: float) -> None:
        """Raise UnavailableError beyond the fetches a minute."""
        self._forget_old(now)
        if len(self._fetches) >= self._part(self._bounds.fetches_a_minute_max, asker.proven):
            raise UnavailableError(f"{len(self._fetches)} unknown certificates were fetched within a minute")

    def need_place(self, fetching: int, *, proven: bool) -> None:
        """Raise UnavailableError where so many fetches are under way already."""
        if fetching >= self._part(self._bounds.fetches_max, proven):
            raise UnavailableError(f"{fetching} certificates are being fetched already")

    def need_patience(self, waiting: int, *, proven: bool) -> None:
        """Raise UnavailableError where so many requests wait for a certificate already."""
        if waiting >= self._part(self._bounds.waiters_max, proven):
            raise UnavailableError(f"{waiting} requests wait for a certificate already")

    def count(self, asker: Asker, now: float) -> None:
        """Count a fetch that begins."""
        self._fetches.append((now, asker.sender))

    def _part(self, bound: int, proven: bool) -> int:  # noqa: FBT001 - whose part it is
        return bound if proven else bound - int(bound * self._bounds.proven_share)

    def _forget_old(self, now: float) -> None:
        while self._fetches and self._fetches[0][0] <= now - MINUTE_SECONDS:
            self._fetches.popleft()
