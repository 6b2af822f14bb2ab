"""Sessions that cannot be forged and end everywhere, tokens that belong to one, and guesses that are bounded."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from typing import Any, cast

import pytest
from itsdangerous import URLSafeTimedSerializer
from pydantic import SecretStr

from ops.console import sessions
from ops.console.passwords import Password, Tries
from ops.console.persons import EMERGENCY, Person
from ops.console.sessions import PURPOSE, Sessions
from ops.console.visits import checked, own_path
from ops.passwords import hashed
from ops.people import PersonRole
from runtime.settings import ConsoleSettings
from schemas.errors import UnavailableError

pytestmark = pytest.mark.unit

RIGHT = "open sesame, says Ali Baba"
GUARDED = ConsoleSettings(password=RIGHT)
ADA = Person("ada", PersonRole.ADMIN, 7)


class Rows:
    """The rows of `console_sessions`, shared by replicas; `away` is Postgres that does not answer."""

    def __init__(self) -> None:
        self.live: dict[bytes, Person] = {}
        self.used: dict[bytes, float] = {}
        self.people = False
        self.away = False
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: Any) -> Any:
            self.calls.append(name)
            if self.away:
                raise UnavailableError("away")
            actions = {
                "key": lambda: b"k" * 32,
                "begin": lambda digest, person, _: self.live.update({digest: person}),
                "find": self.live.get,
                "any_people": lambda: self.people,
                "use": lambda digest, ago: self.used.update({digest: ago}),
                "end": lambda digest: self.live.pop(digest, None),
                "end_all": lambda *_: self.live.clear(),
            }
            return actions[name](*arguments)

        return call


class Console:
    """One replica with a clock of its own."""

    def __init__(self, rows: Rows, settings: ConsoleSettings = GUARDED) -> None:
        self.now = 1000.0
        self.sessions = Sessions(settings, cast("Any", rows), lambda: self.now)


@pytest.fixture
def rows() -> Rows:
    return Rows()


async def test_a_cookie_brings_its_session_back_in_every_replica(rows: Rows) -> None:
    one, other = Console(rows).sessions, Console(rows).sessions
    session = await one.sign_in(ADA, "192.0.2.1")
    assert await one.read(one.cookie(session)) == await other.read(one.cookie(session)) == session
    assert session.signed_in
    assert rows.live == {hashlib.sha256(session.id.encode()).digest(): ADA}, "the id itself is nowhere"


async def test_an_anonymous_cookie_tells_nothing_of_the_password(rows: Rows) -> None:
    kept = Console(rows).sessions
    cookie = kept.cookie(kept.begin())
    for guess in (RIGHT.encode(), hashlib.scrypt(RIGHT.encode(), salt=PURPOSE, n=2**14, r=8, p=1, dklen=32)):
        with pytest.raises(sessions.BadData):
            URLSafeTimedSerializer(guess, salt=PURPOSE).loads(cookie)
    found = await kept.read(cookie)
    assert found is not None
    assert not found.signed_in
    assert await Console(rows).sessions.read(cookie) is None, "its key is the process's"


@pytest.mark.parametrize("cookie", [None, "", "x", "WyJhIix0cnVlXQ.aaaa.bbbb"])
async def test_a_forged_cookie_is_none_and_asks_postgres_nothing(rows: Rows, cookie: str | None) -> None:
    assert await Console(rows).sessions.read(cookie) is None
    assert "find" not in rows.calls


async def test_a_cookie_signed_with_the_key_needs_its_row(rows: Rows) -> None:
    forged = URLSafeTimedSerializer(b"k" * 32, salt=PURPOSE).dumps("made up")
    assert await Console(rows).sessions.read(forged) is None
    wrong_shape = URLSafeTimedSerializer(b"k" * 32, salt=PURPOSE).dumps(["made up", True])
    assert await Console(rows).sessions.read(wrong_shape) is None


async def test_an_old_cookie_is_none(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Console(rows).sessions
    cookie = kept.cookie(await kept.sign_in(ADA, "a"))
    late = time.time() + GUARDED.session_seconds + 2
    monkeypatch.setattr(time, "time", lambda: late)
    assert await kept.read(cookie) is None


async def test_signing_out_ends_it_in_the_other_replica_too(rows: Rows) -> None:
    here, there = Console(rows), Console(rows)
    session = await here.sessions.sign_in(ADA, "a")
    cookie = here.sessions.cookie(session)
    assert await there.sessions.read(cookie)
    await here.sessions.end(session)
    assert await here.sessions.read(cookie) is None
    there.now += GUARDED.session_check_seconds
    assert await there.sessions.read(cookie) is None


async def test_signing_out_everywhere_ends_all(rows: Rows) -> None:
    console = Console(rows)
    cookies = [console.sessions.cookie(await console.sessions.sign_in(ADA, name)) for name in "ab"]
    await console.sessions.end_all("ada", "console, a")
    assert [await console.sessions.read(cookie) for cookie in cookies] == [None, None]


async def test_a_page_that_polls_keeps_nobody_signed_in(rows: Rows) -> None:
    console = Console(rows)
    cookie = console.sessions.cookie(await console.sessions.sign_in(ADA, "a"))
    console.now += GUARDED.session_check_seconds
    await console.sessions.read(cookie, looking_on=True)
    assert "use" not in rows.calls
    await console.sessions.read(cookie)
    await console.sessions.read(cookie)
    assert rows.calls.count("use") == 1, "noted now and then"


async def test_with_postgres_away_who_was_seen_stays_and_others_sign_in(rows: Rows) -> None:
    console, stranger = Console(rows), Console(rows)
    cookie = console.sessions.cookie(await console.sessions.sign_in(ADA, "a"))
    rows.away = True
    console.now += GUARDED.session_check_seconds
    assert (await console.sessions.read(cookie)) is not None
    asked = len(rows.calls)
    assert (await console.sessions.read(cookie)) is not None
    assert len(rows.calls) == asked, "an outage is not waited for by each request"
    console.now += GUARDED.session_idle_seconds
    assert await console.sessions.read(cookie) is None
    assert await stranger.sessions.read(cookie) is None, "a replica that never saw it believes nothing"
    local = await stranger.sessions.sign_in(EMERGENCY, "b")
    local_cookie = stranger.sessions.cookie(local)
    found = await stranger.sessions.read(local_cookie)
    assert found is not None
    assert found.signed_in
    rows.away = False
    stranger.now += GUARDED.session_check_seconds
    found = await stranger.sessions.read(local_cookie)
    assert found is not None
    assert not found.signed_in, "it ends when rows can be written again"


async def test_a_person_signs_in_with_postgres_alone(rows: Rows) -> None:
    rows.away = True
    with pytest.raises(UnavailableError):
        await Console(rows).sessions.sign_in(ADA, "a")


async def test_an_outage_that_is_asked_about_without_a_pause_is_looked_at_again(rows: Rows) -> None:
    """The board asks every other second: each failure at a memory of the last one must not be another failure."""
    console = Console(rows)
    cookie = console.sessions.cookie(await console.sessions.sign_in(ADA, "a"))
    rows.away = True
    console.now += GUARDED.session_check_seconds
    await console.sessions.read(cookie)
    rows.away = False
    asked = rows.calls.count("find")
    for _ in range(10):
        console.now += GUARDED.session_check_seconds / 10
        await console.sessions.read(cookie, looking_on=True)
    assert rows.calls.count("find") == asked + 1


async def test_who_was_ended_elsewhere_is_not_believed_in_the_next_outage(rows: Rows) -> None:
    console = Console(rows)
    session = await console.sessions.sign_in(ADA, "a")
    cookie = console.sessions.cookie(session)
    rows.live.clear()
    console.now += GUARDED.session_check_seconds
    assert await console.sessions.read(cookie) is None
    rows.away = True
    assert await console.sessions.read(cookie) is None


async def test_a_session_of_an_outage_ends_by_lying_idle(rows: Rows) -> None:
    rows.away = True
    console = Console(rows)
    cookie = console.sessions.cookie(await console.sessions.sign_in(EMERGENCY, "a"))
    console.now += GUARDED.session_idle_seconds
    found = await console.sessions.read(cookie)
    assert found is not None
    assert not found.signed_in


async def test_a_look_at_a_session_is_no_use_of_it(rows: Rows) -> None:
    """Believed in an outage is who was there within the idle time, not whose board was left open."""
    console = Console(rows)
    cookie = console.sessions.cookie(await console.sessions.sign_in(ADA, "a"))
    while console.now < 1000 + GUARDED.session_idle_seconds:
        console.now += GUARDED.session_check_seconds
        assert await console.sessions.read(cookie, looking_on=True)
    rows.away = True
    console.now += GUARDED.session_check_seconds
    assert await console.sessions.read(cookie) is None


@pytest.mark.parametrize("who", [ADA, EMERGENCY])
async def test_who_works_through_an_outage_stays_and_whose_board_is_open_does_not(rows: Rows, who: Person) -> None:
    """At the console in an outage of an hour nobody could sign in anew but with the emergency password."""
    one, other = Console(rows), Console(rows)
    rows.away = who == EMERGENCY
    worked, left = await one.sessions.sign_in(who, "a"), await other.sessions.sign_in(who, "b")
    kept, open_board = one.sessions.cookie(worked), other.sessions.cookie(left)
    rows.away = True
    for _ in range(6):
        one.now += GUARDED.session_idle_seconds / 4
        other.now += GUARDED.session_idle_seconds / 4
        found, seen = await one.sessions.read(kept), await other.sessions.read(open_board, looking_on=True)
        assert found is not None
        assert found.person == who
    assert seen is None or not seen.signed_in
    one.now += GUARDED.session_idle_seconds
    found = await one.sessions.read(kept)
    assert found is None or not found.signed_in, "idle it ends as it always does"


async def test_a_use_in_an_outage_is_written_down_when_postgres_is_back_as_old_as_it_is(rows: Rows) -> None:
    """The row lay idle meanwhile; looked for before that is written it would be found no more."""
    console = Console(rows)
    session = await console.sessions.sign_in(ADA, "a")
    cookie = console.sessions.cookie(session)
    rows.away = True
    console.now += GUARDED.session_idle_seconds - 1
    assert await console.sessions.read(cookie)
    rows.away, rows.calls = False, []
    console.now += 2 * GUARDED.session_check_seconds
    assert await console.sessions.read(cookie, looking_on=True)
    assert rows.calls == ["use", "find"]
    assert rows.used == {session.digest: 2 * GUARDED.session_check_seconds}, "to look on is no use"
    assert await console.sessions.read(cookie)
    assert rows.used == {session.digest: 0.0}


async def test_who_acts_is_looked_up_anew(rows: Rows) -> None:
    console = Console(rows)
    session = await console.sessions.sign_in(ADA, "a")
    cookie = console.sessions.cookie(session)
    rows.live[session.digest] = replace(ADA, role=PersonRole.VIEWER)
    looked = await console.sessions.read(cookie)
    assert looked is not None
    assert looked.person == ADA, "believed for a moment"
    acting = await console.sessions.read(cookie, acting=True)
    assert acting is not None
    assert acting.person == replace(ADA, role=PersonRole.VIEWER)
    rows.live.clear()
    assert await console.sessions.read(cookie, acting=True) is None, "removed, and at once without any rights"


class TestNeeded:
    """Whether people have to sign in."""

    async def test_with_a_password_always(self, rows: Rows) -> None:
        rows.away = True
        assert await Console(rows).sessions.needed()
        assert rows.calls == []

    async def test_with_a_provider_to_sign_in_at_always(self, rows: Rows) -> None:
        sso = {"issuer": "http://localhost:1", "client_id": "c", "roles": {"all": "viewer"}}
        console = Console(rows, ConsoleSettings(public_url="http://localhost:8081", sso=sso))
        assert await console.sessions.needed()
        assert rows.calls == []

    async def test_without_one_as_soon_as_there_are_people(self, rows: Rows) -> None:
        console = Console(rows, ConsoleSettings())
        assert not await console.sessions.needed()
        rows.people = True
        assert not await console.sessions.needed(), "believed for a moment"
        console.now += GUARDED.session_check_seconds
        assert await console.sessions.needed()
        rows.away = True
        console.now += GUARDED.session_check_seconds
        assert await console.sessions.needed()

    async def test_where_it_is_not_known_yet(self, rows: Rows) -> None:
        rows.away = True
        console = Console(rows, ConsoleSettings())
        assert await console.sessions.needed()
        asked = len(rows.calls)
        assert await console.sessions.needed()
        assert len(rows.calls) == asked, "an outage is not waited for by each request"
        rows.away = False
        console.now += GUARDED.session_check_seconds
        assert not await console.sessions.needed()


async def test_what_is_remembered_is_bounded(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "SEEN_MAX", 2)
    kept = Console(rows).sessions
    cookies = [kept.cookie(await kept.sign_in(ADA, name)) for name in "abc"]
    assert len(kept._seen) == 2
    rows.calls.clear()
    assert await kept.read(cookies[-1])
    assert "find" not in rows.calls, "the newest is remembered"
    assert all([await kept.read(cookie) for cookie in cookies]), "the oldest is looked up again"


async def test_a_token_belongs_to_one_session(rows: Rows) -> None:
    kept = Console(rows).sessions
    one, other = kept.begin(), await kept.sign_in(ADA, "a")
    assert kept.owns(one, kept.token(one))
    assert not kept.owns(other, kept.token(one))
    assert not kept.owns(one, "")
    assert not kept.owns(one, "ü")


async def test_the_password_is_hashed_with_a_salt_of_its_own() -> None:
    one, other = Password(SecretStr(RIGHT)), Password(SecretStr(RIGHT))
    assert one.hashed != other.hashed
    assert one.hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert RIGHT not in one.hashed
    assert await one.opens(RIGHT)
    assert not await one.opens(RIGHT[:-1])
    assert not await one.opens("")
    assert one.made(other.hashed)
    assert not one.made(Password(SecretStr("another password..")).hashed)


async def test_a_hash_may_be_configured() -> None:
    configured = Password(SecretStr(hashed(RIGHT)))
    assert await configured.opens(RIGHT)
    assert not await configured.opens(configured.hashed)
    assert configured.made(configured.hashed)
    assert not await Password(SecretStr("$argon2id$nonsense of a hash")).opens("x")


async def test_where_no_password_is_configured_nothing_opens() -> None:
    nothing = Password(None)
    assert not await nothing.opens(nothing.hashed)
    assert not await nothing.opens("")
    assert nothing.made(nothing.hashed)
    assert not await nothing.fits(None, "the password of nobody")
    assert await nothing.fits(hashed(RIGHT), RIGHT)


class TestTries:
    def setup_method(self) -> None:
        self.now = 0.0
        settings = ConsoleSettings(login_tries_max=2, login_window_seconds=10, login_addresses_max=2)
        self.tries = Tries(settings, lambda: self.now)

    def test_an_address_has_so_many_in_a_window(self) -> None:
        waits = []
        for _ in range(3):
            waits.append(self.tries.wait_seconds("a"))
            self.tries.note("a")
        assert waits == [0, 0, 10]
        assert self.tries.wait_seconds("b") == 0
        self.now = 9.5
        assert self.tries.wait_seconds("a") == 0.5
        self.now = 10
        assert self.tries.wait_seconds("a") == 0
        self.tries.note("a")
        self.tries.note("a")
        assert self.tries.wait_seconds("a") == 10, "a new window begins with the first try in it"

    def test_who_knew_it_begins_anew(self) -> None:
        self.tries.note("a")
        self.tries.note("a")
        self.tries.forget("a")
        self.tries.forget("never seen")
        assert self.tries.wait_seconds("a") == 0

    def test_a_try_that_was_no_guess_is_given_back_alone(self) -> None:
        self.tries.note("a")
        self.tries.note("a")
        self.tries.give_back("a")
        assert self.tries.wait_seconds("a") == 0
        self.tries.note("a")
        assert self.tries.wait_seconds("a") == 10
        self.tries.note("b")
        self.tries.give_back("b")
        self.tries.give_back("never seen")
        assert list(self.tries._windows) == ["a"], "of whom nothing is left no place is taken"

    def test_whose_try_is_the_oldest_goes_first(self) -> None:
        for address in "abaac":
            self.tries.note(address)
        assert [self.tries.wait_seconds(address) > 0 for address in "abc"] == [True, False, False]

    def test_the_memory_of_addresses_is_bounded(self) -> None:
        for address in "aabbcc":
            self.tries.note(address)
        assert [self.tries.wait_seconds(address) > 0 for address in "abc"] == [False, True, True]


@pytest.mark.parametrize("path", ["/", "/payments?q=1", "/dead-letters/7"])
def test_a_path_of_ours_is_gone_to(path: str) -> None:
    assert own_path(path) == path


@pytest.mark.parametrize("path", ["", "//evil", "/\\evil", "https://evil", "javascript:x", "/a\nb", "/a\\b", "evil"])
def test_a_path_elsewhere_is_not(path: str) -> None:
    assert own_path(path) == "/"


def test_a_box_is_ticked_or_not() -> None:
    assert checked({"force": "on"}, "force")
    assert not checked({"force": ""}, "force")
    assert not checked({}, "force")
