"""deploy/nginx.conf read as nginx reads it: what is led where, what a sender can't claim, what is written down."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import pytest
from deploy_files import DEPLOY

from runtime.settings import IngressSettings

pytestmark = pytest.mark.unit

TOKENS: Final = re.compile(r'#[^\n]*|"[^"]*"|[{};]|[^\s{};"]+')
KIB: Final = 1024


class Directive(NamedTuple):
    """A directive's words, and what stands in its braces."""

    words: tuple[str, ...]
    inside: list[Directive]


def parsed(text: str) -> list[Directive]:
    """Return the directives of a file of nginx."""
    stack: list[list[Directive]] = [[]]
    words: list[str] = []
    for token in (found for found in TOKENS.findall(text) if not found.startswith("#")):
        if token == "}":
            stack.pop()
        elif token in "{;":
            made = Directive(tuple(words), [])
            stack[-1].append(made)
            words = []
            if token == "{":
                stack.append(made.inside)
        else:
            words.append(token)
    (whole,) = stack
    return whole


CONFIGURATION: Final = parsed((DEPLOY / "nginx.conf").read_text())


def server(name: str) -> list[Directive]:
    """Return what the server of a name has."""
    (found,) = (
        one.inside for one in CONFIGURATION if one.words == ("server",) and set_to(one.inside, "server_name") == name
    )
    return found


def set_to(directives: list[Directive], *name: str) -> str | None:
    """Return what a directive is set to: the words behind its name."""
    return next((" ".join(one.words[len(name) :]) for one in directives if one.words[: len(name)] == name), None)


def location(directives: list[Directive], path: str) -> list[Directive]:
    """Return the location that nginx takes: an equal one, else the first pattern that fits, else the longest prefix."""
    places = [(one.words[1:], one.inside) for one in directives if one.words[0] == "location"]
    prefixes = []
    for words, inside in places:
        if words == ("=", path):
            return inside
        if len(words) == 1 and path.startswith(words[0]):
            prefixes.append((len(words[0]), inside))
    for words, inside in places:
        if words[0] in ("~", "~*") and re.search(words[1], path, re.IGNORECASE if words[0] == "~*" else 0):
            return inside
    return max(prefixes, key=lambda found: found[0])[1]


INGRESS, CONSOLE = server("pay.example.com"), server("ops.example.com")


@pytest.mark.parametrize(
    "path", ["/webhooks/stripe", "/webhooks/adyen/acme", "/payment-intents/1/refunds", "/payments", "/openapi.json"]
)
def test_what_the_ingress_takes_is_led_to_it(path: str) -> None:
    assert set_to(location(INGRESS, path), "proxy_pass") == "http://ratchet_ingress"


@pytest.mark.parametrize("path", ["/", "/metrics", "/readyz", "/livez", "/payments/x", "/admin", "/webhook"])
def test_nothing_else_is(path: str) -> None:
    assert location(INGRESS, path) == [Directive(("return", "404"), [])]


@pytest.mark.parametrize("path", ["/webhooks/mpesa/secret", "/webhooks/mpesa/acme/secret", "/webhooks/MPesa/secret"])
def test_a_path_that_is_a_secret_is_written_down_nowhere(path: str) -> None:
    taken = location(INGRESS, path)
    assert (set_to(taken, "access_log"), set_to(taken, "error_log")) == ("off", "/dev/null")
    assert set_to(taken, "proxy_pass") == "http://ratchet_ingress"


@pytest.mark.parametrize("directives", [INGRESS, CONSOLE], ids=["ingress", "console"])
def test_a_sender_s_address_is_the_one_it_connects_from(directives: list[Directive]) -> None:
    assert set_to(directives, "proxy_set_header", "X-Forwarded-For") == "$remote_addr"
    assert set_to(directives, "proxy_set_header", "X-Forwarded-Proto") == "https"
    assert set_to(directives, "proxy_set_header", "Host") == "$host"
    for one in directives:
        assert one.words[0] != "location" or set_to(one.inside, "proxy_set_header") is None, "it would drop all of them"


@pytest.mark.parametrize("directives", [INGRESS, CONSOLE], ids=["ingress", "console"])
def test_only_tls_of_today_is_spoken(directives: list[Directive]) -> None:
    listens = [one.words[1:] for one in directives if one.words[0] == "listen"]
    assert listens == [("443", "ssl")]
    assert set_to(directives, "ssl_protocols") == "TLSv1.2 TLSv1.3"


def passes(directives: list[Directive]) -> list[str]:
    """Return where all locations lead, those that lead anywhere."""
    return [to for one in directives if one.words[0] == "location" and (to := set_to(one.inside, "proxy_pass"))]


def test_paths_are_handed_on_as_they_were_sent() -> None:
    """Signatures cover them; an address that ends in a path would take its place."""
    assert set(passes(INGRESS)) == {"http://ratchet_ingress"}
    assert passes(CONSOLE) == ["http://127.0.0.1:8081"]
    assert not any(one.words[0] in ("rewrite", "sub_filter") for one in (*INGRESS, *CONSOLE))


@pytest.mark.parametrize("directives", [INGRESS, CONSOLE], ids=["ingress", "console"])
def test_connections_are_used_again_and_bodies_are_read_before_one_is_taken(directives: list[Directive]) -> None:
    assert set_to(directives, "proxy_http_version") == "1.1"
    assert set_to(directives, "proxy_set_header", "Connection") == '""'
    assert set_to(directives, "proxy_request_buffering") is None, "a slow sender would hold a place of the ingress"
    assert set_to(directives, "proxy_cache") is None


def test_the_ingress_keeps_connections_open_for_the_proxy() -> None:
    (upstream,) = (one.inside for one in CONFIGURATION if one.words == ("upstream", "ratchet_ingress"))
    assert set_to(upstream, "server") == "127.0.0.1:8080"
    assert int(set_to(upstream, "keepalive") or 0) > 0


@pytest.mark.parametrize(("directives", "name"), [(INGRESS, "pay.example.com"), (CONSOLE, "ops.example.com")])
def test_each_name_shows_its_own_certificate_and_no_version(directives: list[Directive], name: str) -> None:
    assert set_to(directives, "ssl_certificate") == f"/etc/nginx/tls/{name}.pem"
    assert set_to(directives, "ssl_certificate_key") == f"/etc/nginx/tls/{name}.key"
    assert set_to(directives, "server_tokens") == "off"


def test_a_webhook_is_sent_to_the_ingress_once() -> None:
    assert set_to(INGRESS, "proxy_next_upstream") == "off"


def test_nobody_reaches_the_console_who_is_not_let_in() -> None:
    rules = [one.words for one in CONSOLE if one.words[0] in ("allow", "deny")]
    assert rules[-1] == ("deny", "all")
    assert all(words[0] == "allow" and words[1] != "all" for words in rules[:-1])
    assert not any(one.words[0] in ("allow", "deny", "satisfy") for place in CONSOLE for one in place.inside)


def size(text: str | None) -> int:
    found = re.fullmatch(r"(\d+)([km]?)", text or "")
    assert found
    return int(found[1]) * {"": 1, "k": KIB, "m": KIB * KIB}[found[2]]


def test_its_bounds_refuse_nothing_that_the_ingress_takes() -> None:
    """A refusal of nginx's own is a webhook that was lost, or one that is tried for days."""
    bounds: Any = IngressSettings()
    assert size(set_to(INGRESS, "client_max_body_size")) == bounds.body_bytes_max
    count, each = (set_to(INGRESS, "large_client_header_buffers") or "").split()
    assert int(count) * size(each) >= bounds.header_bytes_max
    assert size(each) >= bounds.header_bytes_max
    assert set_to(INGRESS, "limit_conn") == f"ratchet_connections {bounds.connections_per_address_max}"
    assert size(set_to(CONSOLE, "client_max_body_size")) >= 64 * KIB, "a form of the console's"
    seconds = {name: float((set_to(INGRESS, name) or "").removesuffix("s")) for name in TIMES}
    assert 5 <= seconds["client_header_timeout"] <= 60, "who sends no head holds no place for long"
    assert seconds["client_body_timeout"] >= bounds.receipt_deadline_seconds
    slowest = bounds.in_flight_wait_seconds + bounds.publish_timeout_seconds + bounds.spool_timeout_seconds
    assert seconds["proxy_read_timeout"] > bounds.receipt_deadline_seconds + slowest


TIMES: Final = ("client_header_timeout", "client_body_timeout", "proxy_read_timeout")
