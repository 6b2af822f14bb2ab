"""Where a request of the console comes from: its host name, its page, its address, whom a proxy names; pure."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ops.loopback import is_loopback
from ops.people import NAME, RESERVED
from producers.ingress.sources import is_in, read_address, sender_address
from runtime.health import split_address

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request

    from runtime.settings import ConsoleSettings


def host_of(authority: str) -> str:
    """Return the host of a Host header, lower case and without its port; empty where there is none."""
    try:
        return (urlsplit(f"//{authority}").hostname or "").lower()
    except ValueError:
        return ""


def knows_host(settings: ConsoleSettings, authority: str) -> bool:
    """Tell whether the console answers to this Host header.

    A page of a stranger whose name was pointed at loopback (DNS rebinding) comes with the stranger's name. A session
    cookie would not come along, but without a password there is none to need. With a password and no `public_url` any
    name is taken: the cookie belongs to the name under which somebody signed in.
    """
    host = host_of(authority)
    own = {split_address(settings.bind)[0].lower(), host_of(urlsplit(settings.public_url or "").netloc)}
    if settings.password is not None and settings.public_url is None:
        return bool(host)
    return bool(host) and (host in own or is_loopback(host))


def same_site(settings: ConsoleSettings, headers: Mapping[str, str]) -> bool:
    """Tell whether a POST comes from a page of this console, as the browser tells it (Origin, Sec-Fetch-Site)."""
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return False
    own = {headers.get("host", "").lower(), urlsplit(settings.public_url or "").netloc.lower()}
    return "origin" not in headers or urlsplit(headers["origin"]).netloc.lower() in own - {""}


def _forwarded(request: Request, trusted: Sequence[object]) -> bool:
    peer = read_address(request.client.host) if request.client else None
    return peer is not None and is_in(peer, trusted)  # type: ignore[arg-type] # the networks of the settings


def is_https(settings: ConsoleSettings, request: Request) -> bool:
    """Tell whether the visitor came over https: as reported by a trusted proxy, or by the address that people use."""
    if (settings.public_url or "").startswith("https:") or request.url.scheme == "https":
        return True
    by_proxy = _forwarded(request, settings.trusted_proxies)
    return by_proxy and request.headers.get("x-forwarded-proto", "").strip().lower() == "https"


def person_named(settings: ConsoleSettings, request: Request) -> str | None:
    """Return whom a proxy that may name people names; None where it names nobody, or anybody else does.

    What stands in the header counts only from the very machine that connected, and only once: of two values one came
    from the visitor.
    """
    if settings.person_header is None or not _forwarded(request, settings.person_proxies):
        return None
    values = [value.strip().lower() for value in request.headers.getlist(settings.person_header)]
    return values[0] if len(values) == 1 and NAME.fullmatch(values[0]) and values[0] not in RESERVED else None


def site_of(address: str) -> str:
    """Return what tries are counted by: an IPv4 address, or the IPv6 site (/64) that one sender has as a whole."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    return str(found) if found.version == 4 else str(ip_network((found, 64), strict=False))  # noqa: PLR2004


def visitor(settings: ConsoleSettings, request: Request) -> str:
    """Return the visitor's address as text; `unknown` where it is not known."""
    peer = request.client.host if request.client else None
    address = sender_address(peer, request.headers.getlist("x-forwarded-for"), settings.trusted_proxies)
    return "unknown" if address is None else str(address)
