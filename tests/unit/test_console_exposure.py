"""Who reaches the console, under which names, and from which pages."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request

from ops.console.origin import (
    host_of,
    is_https,
    knows_host,
    person_named,
    same_site,
    site_of,
    visitor,
)
from ops.exposure import check_exposure
from ops.loopback import is_loopback
from runtime.settings import ConsoleSettings
from schemas.errors import SettingsError

pytestmark = pytest.mark.unit

OPEN = ConsoleSettings()
PASSWORD = "sixteen of them.."
GUARDED = ConsoleSettings(password=PASSWORD)
PUBLIC = ConsoleSettings(password=PASSWORD, public_url="https://ops.example", trusted_proxies=["10.0.0.0/8"])


def request(peer: str | None = "192.0.2.1", **headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    client = None if peer is None else (peer, 1)
    return Request({"type": "http", "method": "GET", "path": "/", "headers": raw, "client": client, "scheme": "http",
                    "server": ("127.0.0.1", 1), "query_string": b""})  # fmt: skip


NAMING = ConsoleSettings(password=PASSWORD, person_header="X-Remote-User", person_proxies=["10.0.0.0/8", "::1/128"])


@pytest.mark.parametrize(
    ("peer", "headers", "named"),
    [
        ("10.0.0.7", ["Ada"], "ada"),
        ("::1", ["ada@example.com"], "ada@example.com"),
        ("192.0.2.1", ["ada"], None),
        (None, ["ada"], None),
        ("10.0.0.7", [], None),
        ("10.0.0.7", ["ada", "eve"], None),
        ("10.0.0.7", ["emergency"], None),
        ("10.0.0.7", ["ada, eve"], None),
        ("10.0.0.7", [""], None),
    ],
)
def test_a_proxy_that_may_names_a_person(peer: str | None, headers: list[str], named: str | None) -> None:
    found = request(peer)
    found.scope["headers"] += [(b"x-remote-user", one.encode()) for one in headers]
    assert person_named(NAMING, found) == named
    assert person_named(GUARDED, found) is None


def test_a_proxy_that_names_people_needs_a_header_and_a_password() -> None:
    for half in ({"person_header": "X-Remote-User"}, {"person_proxies": ["10.0.0.0/8"]}):
        with pytest.raises(ValueError, match="belong together"):
            ConsoleSettings(**half)
    with pytest.raises(SettingsError, match="PERSON_PROXIES"):
        check_exposure(ConsoleSettings(person_header="X-Remote-User", person_proxies=["10.0.0.0/8"]))


@pytest.mark.parametrize("bind", ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1", "LOCALHOST:1"])
def test_loopback_needs_no_password(bind: str) -> None:
    check_exposure(ConsoleSettings(bind=bind))


@pytest.mark.parametrize("bind", ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "ops.example:1", "localhost.example:1"])
def test_anything_else_needs_one(bind: str) -> None:
    with pytest.raises(SettingsError, match="RATCHET_CONSOLE__PASSWORD"):
        check_exposure(ConsoleSettings(bind=bind))
    check_exposure(ConsoleSettings(bind=bind, password=PASSWORD))


@pytest.mark.parametrize("password", ["", "summer2026", "fifteen of them"])
def test_a_short_password_is_none(password: str) -> None:
    with pytest.raises(ValueError, match="at least 16"):
        ConsoleSettings(password=password)


def test_a_proxy_before_it_needs_a_password_too() -> None:
    for beyond in ({"public_url": "https://ops.example"}, {"trusted_proxies": ["10.0.0.0/8"]}):
        with pytest.raises(SettingsError, match="RATCHET_CONSOLE__PASSWORD"):
            check_exposure(ConsoleSettings(**beyond))
        check_exposure(ConsoleSettings(**beyond, password=PASSWORD))
    loopback = {"public_url": "http://localhost:8081"}
    check_exposure(ConsoleSettings(**loopback))
    with pytest.raises(SettingsError, match="TRUSTED_PROXIES"):
        check_exposure(ConsoleSettings(**loopback, trusted_proxies=["10.0.0.0/8"]))


def test_tries_are_counted_by_site() -> None:
    assert site_of("2001:db8:1:2::1") == site_of("2001:db8:1:2:ffff::9") == "2001:db8:1:2::/64"
    assert site_of("2001:db8:1:3::1") != site_of("2001:db8:1:2::1")
    assert (site_of("192.0.2.1"), site_of("unknown")) == ("192.0.2.1", "unknown")


def test_loopback_is_what_is_written_not_what_resolves() -> None:
    assert not is_loopback("localhost.localdomain")
    assert not is_loopback("")


@pytest.mark.parametrize(
    ("authority", "host"),
    [("Ops.Example:80", "ops.example"), ("[::1]:8081", "::1"), ("", ""), ("[::1", ""), ("a b", "a b")],
)
def test_the_host_of_a_header(authority: str, host: str) -> None:
    assert host_of(authority) == host


@pytest.mark.parametrize(
    ("settings", "authority", "known"),
    [
        (OPEN, "127.0.0.1:8081", True),
        (OPEN, "localhost:9999", True),
        (OPEN, "[::1]:8081", True),
        (OPEN, "rebound.example:8081", False),
        (OPEN, "127.0.0.1.rebound.example", False),
        (OPEN, "", False),
        (GUARDED, "anything.example", True),
        (GUARDED, "", False),
        (PUBLIC, "ops.example", True),
        (PUBLIC, "localhost:8081", True),
        (PUBLIC, "other.example", False),
    ],
)
def test_which_names_it_answers_to(settings: ConsoleSettings, authority: str, *, known: bool) -> None:
    assert knows_host(settings, authority) is known


@pytest.mark.parametrize(
    ("headers", "same"),
    [
        ({"host": "a:1"}, True),
        ({"host": "a:1", "origin": "http://a:1"}, True),
        ({"host": "a:1", "origin": "http://A:1", "sec-fetch-site": "same-origin"}, True),
        ({"host": "a:1", "origin": "http://a:2"}, False),
        ({"host": "a:1", "origin": "http://evil"}, False),
        ({"host": "a:1", "origin": "null"}, False),
        ({"host": "", "origin": ""}, False),
        ({"host": "a:1", "sec-fetch-site": "cross-site"}, False),
        ({"host": "a:1", "sec-fetch-site": "same-site"}, False),
        ({"host": "inner:1", "origin": "https://ops.example"}, True),
    ],
)
def test_a_post_comes_from_our_own_page(headers: dict[str, str], *, same: bool) -> None:
    assert same_site(PUBLIC, headers) is same


def test_https_is_believed_of_a_trusted_proxy_alone() -> None:
    proxied = ConsoleSettings(trusted_proxies=["10.0.0.0/8"])
    assert is_https(proxied, request("10.0.0.1", x_forwarded_proto="https"))
    assert not is_https(proxied, request("10.0.0.1", x_forwarded_proto="http"))
    assert not is_https(proxied, request("192.0.2.1", x_forwarded_proto="https"))
    assert not is_https(proxied, request(None, x_forwarded_proto="https"))
    assert not is_https(OPEN, request())
    assert is_https(PUBLIC, request())


@pytest.mark.parametrize(
    ("peer", "forwarded", "seen"),
    [
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        (None, "203.0.113.9", "unknown"),
    ],
)
def test_a_visitor_is_who_a_trusted_proxy_says(peer: Any, forwarded: str, seen: str) -> None:
    assert visitor(PUBLIC, request(peer, x_forwarded_for=forwarded)) == seen
