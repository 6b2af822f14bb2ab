"""Who comes in: the password of the settings, or a person's own; each compared slowly, guessed seldom."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from ops.passwords import fits, hashed

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import SecretStr

    from runtime.settings import ConsoleSettings

HASH_BEGINS: Final = "$argon2id$"
NO_PASSWORD: Final = "no password is configured"  # noqa: S105 - what is stored where there is none
"""What stands for the hash where the settings have no password; no password has this hash."""


class Password:
    """The password of the settings, of which only a hash is kept: as configured, or made at the start.

    Where none is configured, nothing opens.
    """

    def __init__(self, configured: SecretStr | None) -> None:
        text = NO_PASSWORD if configured is None else configured.get_secret_value()
        self._plain = None if configured is None or text.startswith(HASH_BEGINS) else text
        self.hashed = text if self._plain is None else hashed(text)
        self._nobody = ""
        self._one_at_a_time = asyncio.Lock()

    def made(self, stored: str) -> bool:
        """Tell whether a hash that another console stored is of this password."""
        return stored == self.hashed if self._plain is None else fits(stored, self._plain)

    async def opens(self, password: str) -> bool:
        """Tell whether the password is right; one is compared at a time, so that guesses cost the memory of one."""
        return await self.fits(self.hashed, password)

    async def fits(self, kept: str | None, password: str) -> bool:
        """Tell whether a password is that of a stored hash; where there is no hash, False takes as long."""
        async with self._one_at_a_time:
            if kept is None and not self._nobody:
                self._nobody = await asyncio.to_thread(hashed, "the password of nobody")
            return await asyncio.to_thread(fits, kept or self._nobody, password) and kept is not None


class Tries:
    """Counts wrong passwords a sender in windows of fixed length; who has tried none for longest goes first."""

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
        self._windows.move_to_end(sender)
        if len(self._windows) > self._addresses_max:
            self._windows.popitem(last=False)

    def give_back(self, sender: str) -> None:
        """Take back one try that was no guess. What was guessed before stays: an account of one's own opens no more."""
        began, count = self._windows.get(sender, (0.0, 0))
        if count > 1:
            self._windows[sender] = began, count - 1
        else:
            self.forget(sender)

    def forget(self, sender: str) -> None:
        """Forget a sender: what it tried to guess is what it knows."""
        self._windows.pop(sender, None)
