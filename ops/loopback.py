"""Whether a host, an address with a port or a URL is this machine."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

LOCALHOST: Final = "localhost"


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address reaches this machine alone, whatever a resolver says."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == LOCALHOST


def leads_to_loopback(place: str) -> bool:
    """Tell the same of a URL, or of a host with or without a port."""
    return is_loopback(urlsplit(place if "//" in place else f"//{place}").hostname or "")
