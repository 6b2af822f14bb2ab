"""Sessions that cannot be forged, tokens that belong to one, and guesses that are bounded."""

from __future__ import annotations

import time

import pytest

from ops.console import sessions
from ops.console.sessions import Session, Sessions, Tries, signing_key
from ops.console.visits import checked, own_path
from runtime.settings import ConsoleSettings

pytestmark = pytest.mark.unit

GUARDED = ConsoleSettings(password="open sesame")


def test_a_cookie_brings_its_session_back_also_after_a_restart() -> None:
    session = Sessions(GUARDED).begin(signed_in=True)
    cookie = Sessions(GUARDED).cookie(session)
    assert Sessions(GUARDED).read(cookie) == session


def test_another_password_ends_every_session() -> None:
    cookie = Sessions(GUARDED).cookie(Session("a", signed_in=True))
    assert Sessions(ConsoleSettings(password="another")).read(cookie) is None


def test_without_a_password_a_restart_ends_every_session() -> None:
    assert signing_key(None) != signing_key(None)
    assert signing_key(GUARDED.password) == signing_key(GUARDED.password)


@pytest.mark.parametrize("cookie", [None, "", "x", "WyJhIix0cnVlXQ.aaaa.bbbb"])
def test_a_forged_cookie_is_none(cookie: str | None) -> None:
    assert Sessions(GUARDED).read(cookie) is None


def test_a_changed_cookie_is_none() -> None:
    kept = Sessions(GUARDED)
    anonymous, other = kept.cookie(Session("a")), kept.cookie(Session("b", signed_in=True))
    assert kept.read(other.split(".")[0] + "." + anonymous.split(".", 1)[1]) is None


def test_an_old_cookie_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Sessions(GUARDED)
    cookie = kept.cookie(Session("a", signed_in=True))
    late = time.time() + GUARDED.session_seconds + 2
    monkeypatch.setattr(time, "time", lambda: late)
    assert kept.read(cookie) is None


def test_a_session_that_ended_counts_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "REVOKED_MAX", 2)
    kept = Sessions(GUARDED)
    cookies = [kept.cookie(Session(name, signed_in=True)) for name in "abc"]
    for name in "abc":
        kept.end(Session(name))
    assert [kept.read(cookie) is None for cookie in cookies] == [False, True, True], "the memory of them is bounded"


def test_a_token_belongs_to_one_session() -> None:
    kept = Sessions(GUARDED)
    one, other = kept.begin(signed_in=True), kept.begin(signed_in=True)
    assert kept.owns(one, kept.token(one))
    assert not kept.owns(other, kept.token(one))
    assert not kept.owns(one, "")
    assert not kept.owns(one, "ü")


def test_the_password() -> None:
    assert Sessions(GUARDED).opens("open sesame")
    assert not Sessions(GUARDED).opens("open sesam")
    assert not Sessions(GUARDED).opens("")
    assert not Sessions(ConsoleSettings()).opens("")


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
