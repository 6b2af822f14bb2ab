"""Sessions: a signed cookie, a row that makes it count, and the token that every form carries.

Who has not signed in gets a cookie signed with a key of this process, which tells nothing of the password. Signing in
makes a row in Postgres and a cookie signed with the key that all replicas share; the row ends by signing out, here or
everywhere, by age, or by lying idle. With Postgres away nobody can sign out elsewhere either: who was seen signed in
within the idle time stays so, and a new session lives in this process until Postgres is back. Who works through an
outage does not lie idle: that is noted when Postgres is back.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from itsdangerous import BadData, URLSafeTimedSerializer

from ops.console.persons import EMERGENCY
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ops.console.persons import Person
    from ops.console.session_rows import SessionRows
    from runtime.settings import ConsoleSettings

COOKIE: Final = "ratchet_console"
SECURE_COOKIE: Final = f"__Host-{COOKIE}"
"""Over https the browser itself sees to it that the cookie is Secure and this host's alone (RFC 6265bis, 4.1.3.2)."""
PURPOSE: Final = b"ratchet console session"
SEEN_MAX: Final = 10_000
"""Sessions that this process remembers; the oldest goes first, and is looked up again."""


@dataclass(frozen=True, slots=True)
class ConsoleSession:
    """One visitor's session. `person` is who signed in, None where nobody did.

    `shared` says that it is a row that every replica knows.
    """

    id: str
    person: Person | None = None
    shared: bool = False

    @property
    def signed_in(self) -> bool:
        """Whether somebody proved who they are."""
        return self.person is not None

    @property
    def digest(self) -> bytes:
        """What of the id is stored."""
        return hashlib.sha256(self.id.encode()).digest()


@dataclass(slots=True)
class _Seen:
    """A session that signed in, as this process knows it: whose, when looked up and used (monotonic clock)."""

    person: Person
    checked: float
    used: float
    noted: float


class Sessions:
    """Makes, reads and ends sessions."""

    def __init__(self, settings: ConsoleSettings, rows: SessionRows, now: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._rows = rows
        self._now = now
        self._own = _serializer(secrets.token_bytes(32))
        self._shared: URLSafeTimedSerializer | None = None
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        self._away_until = 0.0
        self._people: bool | None = None
        self._people_looked = 0.0

    async def needed(self) -> bool:
        """Tell whether people have to sign in: there is a password, or there are people; where unknown they have to."""
        if self._settings.password is not None or self._settings.sso.issuer is not None:
            return True
        if self._people is None or self._now() - self._people_looked >= self._settings.session_check_seconds:
            try:
                self._need_postgres()
                self._people, self._people_looked = await self._rows.any_people(), self._now()
            except UnavailableError:
                self._note_away()
        return self._people is not False

    def begin(self) -> ConsoleSession:
        """Return a new session of somebody who did not sign in."""
        return ConsoleSession(secrets.token_urlsafe(32))

    async def sign_in(self, person: Person, address: str) -> ConsoleSession:
        """Return a new session, signed in; always a new one, so that nobody plants his own (session fixation).

        Raises UnavailableError where it can't be written, but for the emergency password: that works without Postgres.
        """
        session = ConsoleSession(secrets.token_urlsafe(32), person, shared=True)
        try:
            await self._load_key()
            await self._rows.begin(session.digest, person, address)
        except UnavailableError:
            self._note_away()
            if person != EMERGENCY:
                raise
            session = ConsoleSession(session.id, person)
        self._remember(session.id, person)
        return session

    async def read(
        self, cookie: str | None, *, looking_on: bool = False, acting: bool = False
    ) -> ConsoleSession | None:
        """Return the session of a cookie; None where it is forged, too old or ended.

        A page that asks by itself (`looking_on`) keeps nobody signed in. Where somebody is `acting`, the person is read
        from Postgres again: whoever was removed, or has a lesser role by now, can do nothing more.
        """
        own = self._signed_by(self._own, cookie)
        if own is not None:
            stays = own in self._seen and await self._is_away() and self._fresh(own)
            return ConsoleSession(own, self._believed(own, looking_on=looking_on) if stays else None)
        try:
            await self._load_key()
        except UnavailableError:
            self._note_away()
        shared = self._signed_by(self._shared, cookie)
        if shared is None:
            return None
        person = await self._owner(ConsoleSession(shared), looking_on=looking_on, acting=acting)
        return None if person is None else ConsoleSession(shared, person, shared=True)

    def cookie(self, session: ConsoleSession) -> str:
        """Return the cookie's value."""
        serializer = self._shared if session.shared and self._shared is not None else self._own
        return str(serializer.dumps(session.id))

    async def end(self, session: ConsoleSession) -> None:
        """End a session, in every replica. Raises UnavailableError where that can't be written."""
        self._seen.pop(session.id, None)
        if session.shared:
            await self._rows.end(session.digest)

    async def end_all(self, who: str, origin: str) -> None:
        """End every session of every replica. Raises UnavailableError where that can't be written."""
        await self._rows.end_all(who, origin)
        self._seen.clear()

    def token(self, session: ConsoleSession) -> str:
        """Return what the session's forms must carry: the id itself, which only its cookie holds, is the key."""
        return hmac.new(session.id.encode(), b"form", hashlib.sha256).hexdigest()

    def owns(self, session: ConsoleSession, token: str) -> bool:
        """Tell whether a form belongs to the session, in constant time."""
        return hmac.compare_digest(self.token(session).encode(), token.encode())

    def _signed_by(self, serializer: URLSafeTimedSerializer | None, cookie: str | None) -> str | None:
        try:
            found = serializer.loads(cookie or "", max_age=self._settings.session_seconds) if serializer else None
        except BadData:
            return None
        return found if isinstance(found, str) else None

    def _need_postgres(self) -> None:
        if self._now() < self._away_until:
            raise UnavailableError("Postgres did not answer a moment ago")

    async def _load_key(self) -> None:
        """Learn the shared key; while Postgres is known to be away, raise UnavailableError at once."""
        self._need_postgres()
        if self._shared is None:
            self._shared = _serializer(await self._rows.key())

    async def _owner(self, session: ConsoleSession, *, looking_on: bool, acting: bool) -> Person | None:
        """Return whose the row is: looked up now and then, and believed for as long as Postgres is away."""
        seen, now = self._seen.get(session.id), self._now()
        try:
            if seen is None or acting or now - seen.checked >= self._settings.session_check_seconds:
                await self._load_key()
                if seen is not None:
                    await self._write_use(session, seen)  # of an outage; else it was written when it was
                person = await self._rows.find(session.digest)
                if person is None:
                    self._seen.pop(session.id, None)
                    return None
                seen = self._remember(session.id, person, seen)
            if not looking_on:
                seen.used = self._now()
                await self._write_use(session, seen)
        except UnavailableError:
            self._note_away()
            return self._believed(session.id, looking_on=looking_on) if self._fresh(session.id) else None
        return seen.person

    async def _write_use(self, session: ConsoleSession, seen: _Seen) -> None:
        """Write down when the session was used last, now and then; raise UnavailableError where that can't be."""
        used = seen.used
        if used - seen.noted >= self._settings.session_check_seconds:
            await self._rows.use(session.digest, self._now() - used)
            seen.noted = used

    def _believed(self, session_id: str, *, looking_on: bool) -> Person:
        """Return whose a session is by what this process knows; who does not only look on uses it."""
        seen = self._seen[session_id]
        if not looking_on:
            seen.used = self._now()
        return seen.person

    def _remember(self, session_id: str, person: Person, before: _Seen | None = None) -> _Seen:
        now = self._now()
        used, noted = (now, now) if before is None else (before.used, before.noted)
        seen = self._seen[session_id] = _Seen(person, now, used, noted)
        if len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)
        return seen

    def _fresh(self, session_id: str) -> bool:
        seen = self._seen.get(session_id)
        return seen is not None and self._now() - seen.used < self._settings.session_idle_seconds

    async def _is_away(self) -> bool:
        """Tell whether Postgres is away, asking it now and then."""
        try:
            await self._load_key()
            await self._rows.find(b"\0" * 32)
        except UnavailableError:
            self._note_away()
            return True
        return False

    def _note_away(self) -> None:
        if self._now() >= self._away_until:
            self._away_until = self._now() + self._settings.session_check_seconds


def _serializer(key: bytes) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(key, salt=PURPOSE)
