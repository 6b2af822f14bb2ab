"""The console's password: hashed with a salt of its own, compared slowly, guessed seldom."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import SecretStr

    from runtime.settings import ConsoleSettings

HASH_BEGINS: Final = "$argon2id$"
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)
"""OWASP's least for argon2id (RFC 9106): 19 MiB, two passes; the password is long, and tries are few."""


def fits(hashed: str, password: str) -> bool:
    """Tell whether a password is the one that was hashed."""
    try:
        return _HASHER.verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False


class Password:
    """The password of the settings, of which only a hash is kept: as configured, or made at the start."""

    def __init__(self, configured: SecretStr) -> None:
        text = configured.get_secret_value()
        self._plain = None if text.startswith(HASH_BEGINS) else text
        self.hashed = text if self._plain is None else _HASHER.hash(text)
        self._one_at_a_time = asyncio.Lock()

    def made(self, stored: str) -> bool:
        """Tell whether a hash that another console stored is of this password."""
        return stored == self.hashed if self._plain is None else fits(stored, self._plain)

    async def opens(self, password: str) -> bool:
        """Tell whether the password is right; one at a time, so that guesses cost no memory to speak of."""
        async with self._one_at_a_time:
            return await asyncio.to_thread(fits, self.hashed, password)


class Tries:
    """Counts wrong passwords a sender in windows of fixed length; the longest known sender goes first."""

    def __init__(self, settings: ConsoleSettings, now: Callable[[], float] = time.monotonic) -> None:
        self._tries_max = settings.login_tries_max
        self._seconds = settings.login_window_seconds
        self._addresses_max = settings.login_addresses_max
        self._now = now
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait_seconds(self, sender: str) -> float:
        """Return how long the sender has to wait before it may try; 0 where it may."""
        began, count = self._windows.get(sender, (0.0, 0))
        left = began + self._seconds - self._now()
        return left if count >= self._tries_max and left > 0 else 0.0

    def note(self, sender: str) -> None:
        """Count one try."""
        began, count = self._windows.get(sender, (self._now(), 0))
        if self._now() - began >= self._seconds:
            began, count = self._now(), 0
        self._windows[sender] = began, count + 1
        if len(self._windows) > self._addresses_max:
            self._windows.popitem(last=False)

    def forget(self, sender: str) -> None:
        """Forget a sender that knew the password."""
        self._windows.pop(sender, None)
