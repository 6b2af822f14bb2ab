"""Where a request comes from: the sender's address, also behind proxies, and whether it may send; pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

HOPS_MAX: Final = 16
"""How many entries of X-Forwarded-For are looked at, from the right; a longer chain of trusted proxies is none."""


def read_address(text: str) -> Address | None:
    """Return the address, or None where it is none.

    A port behind it counts for nothing: some proxies write `192.0.2.1:50001` or `[2001:db8::1]:50001`. An IPv4 address
    written as IPv6 (`::ffff:192.0.2.1`) is the IPv4 address.
    """
    bare = text.strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address = ip_address(bare)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def is_in(address: Address, networks: Sequence[Network]) -> bool:
    """Tell whether the address is in one of the networks."""
    return any(address in network for network in networks)


def sender_address(
    peer: str | None, forwarded_for: Sequence[str], trusted_proxies: Sequence[Network]
) -> Address | None:
    """Return who sent the request, or None where that is not known.

    `peer` is the connection's other end; `forwarded_for` are the values of X-Forwarded-For in order. Each proxy appends
    who it heard from, so the list is read from the right for as long as what it names is a trusted proxy: everything
    left of that was written by a stranger.
    """
    address = read_address(peer) if peer else None
    if address is None or not is_in(address, trusted_proxies):
        return address
    hops = [hop for value in forwarded_for for hop in value.split(",")]
    for hop in reversed(hops[-HOPS_MAX:]):
        address = read_address(hop)
        if address is None or not is_in(address, trusted_proxies):
            return address
    return address if len(hops) <= HOPS_MAX else None


def may_send(address: Address | None, networks: Sequence[Network]) -> bool:
    """Tell whether the sender is in the allow-list; an empty list allows everybody, an unknown sender needs that."""
    return not networks or (address is not None and is_in(address, networks))
