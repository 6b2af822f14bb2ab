"""Sessions: a signed cookie, the token that every form carries, and the bound on guessing the password."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from itsdangerous import BadData, URLSafeTimedSerializer

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import SecretStr

    from runtime.settings import ConsoleSettings

COOKIE: Final = "ratchet_console"
SECURE_COOKIE: Final = f"__Host-{COOKIE}"
"""Over https the browser itself sees to it that the cookie is Secure and this host's alone (RFC 6265bis, 4.1.3.2)."""
SALT: Final = b"ratchet console session"
SCRYPT_COST: Final = 2**14
SCRYPT_BLOCK: Final = 8
REVOKED_MAX: Final = 10_000
"""Sessions that signed out and are remembered; the oldest goes first."""


@dataclass(frozen=True, slots=True)
class Session:
    """One visitor's session. `signed_in` says that the password was right; without a password it never is."""

    id: str
    signed_in: bool = False


def signing_key(password: SecretStr | None) -> bytes:
    """Return the key of cookies and tokens: of the password, slowly (RFC 7914), or of this process where there is none.

    A key of the password outlives a restart and holds for every replica; a new password ends every session.
    """
    if password is None:
        return secrets.token_bytes(32)
    text = password.get_secret_value().encode()
    return hashlib.scrypt(text, salt=SALT, n=SCRYPT_COST, r=SCRYPT_BLOCK, p=1, dklen=32)


class Sessions:
    """Makes, reads and ends sessions."""

    def __init__(self, settings: ConsoleSettings) -> None:
        self._key = signing_key(settings.password)
        self._password = settings.password
        self._seconds_max = settings.session_seconds
        self._serializer = URLSafeTimedSerializer(self._key, salt=SALT)
        self._revoked: OrderedDict[str, None] = OrderedDict()

    def begin(self, *, signed_in: bool) -> Session:
        """Return a new session; signing in always makes one, so that nobody plants his own (session fixation)."""
        return Session(secrets.token_urlsafe(18), signed_in)

    def cookie(self, session: Session) -> str:
        """Return the cookie's value."""
        return str(self._serializer.dumps([session.id, session.signed_in]))

    def read(self, cookie: str | None) -> Session | None:
        """Return the session of a cookie; None where it is forged, too old or ended."""
        try:
            found = self._serializer.loads(cookie or "", max_age=self._seconds_max)
        except BadData:
            return None
        session = Session(*found)
        return None if session.id in self._revoked else session

    def end(self, session: Session) -> None:
        """End a session: its cookie counts for nothing from now on."""
        self._revoked[session.id] = None
        if len(self._revoked) > REVOKED_MAX:
            self._revoked.popitem(last=False)

    def token(self, session: Session) -> str:
        """Return what the session's forms must carry."""
        return hmac.new(self._key, b"form:" + session.id.encode(), hashlib.sha256).hexdigest()

    def owns(self, session: Session, token: str) -> bool:
        """Tell whether a form belongs to the session, in constant time."""
        return hmac.compare_digest(self.token(session).encode(), token.encode())

    def opens(self, password: str) -> bool:
        """Tell whether the password is right, in a time that says nothing of it."""
        if self._password is None:
            return False
        right = hashlib.sha256(self._password.get_secret_value().encode()).digest()
        return hmac.compare_digest(hashlib.sha256(password.encode()).digest(), right)


class Tries:
    """Counts wrong passwords an address in windows of fixed length; the longest known address goes first."""

    def __init__(self, settings: ConsoleSettings, now: Callable[[], float] = time.monotonic) -> None:
        self._tries_max = settings.login_tries_max
        self._seconds = settings.login_window_seconds
        self._addresses_max = settings.login_addresses_max
        self._now = now
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait_seconds(self, address: str) -> float:
        """Return how long the address has to wait before it may try; 0 where it may."""
        began, count = self._windows.get(address, (0.0, 0))
        left = began + self._seconds - self._now()
        return left if count >= self._tries_max and left > 0 else 0.0

    def note(self, address: str) -> None:
        """Count one try."""
        began, count = self._windows.get(address, (self._now(), 0))
        if self._now() - began >= self._seconds:
            began, count = self._now(), 0
        self._windows[address] = began, count + 1
        if len(self._windows) > self._addresses_max:
            self._windows.popitem(last=False)

    def forget(self, address: str) -> None:
        """Forget an address that knew the password."""
        self._windows.pop(address, None)
