"""Places for connections: an address has its share, of IPv6 its /64; proxies have none; what is crowded is reported."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.ingress.http.connection_places import LINGERING_MAX, Places

pytestmark = pytest.mark.unit

SHARE = 4


def places(connections_max: int = 100, *proxies: str) -> Places:
    return Places(connections_max, SHARE, tuple(ip_network(one) for one in proxies), lambda: 0.0)


@given(hosts=st.lists(st.integers(0, 2**64 - 1), min_size=SHARE + 1, max_size=3 * SHARE))
def test_addresses_of_one_64_share_the_places(hosts: list[int]) -> None:
    taken = places()
    found = [taken.enter(str(IPv6Address(0x20010DB8000000070000000000000000 + host))) for host in hosts]
    assert found == [None] * SHARE + ["address_connections_full"] * (len(hosts) - SHARE)
    assert taken.enter("2001:db8:0:8::1") is None, "the next /64 is somebody else"


def test_an_ipv4_address_has_its_own_however_it_is_written() -> None:
    taken = places()
    for peer in ("192.0.2.1", "::ffff:192.0.2.1", "::ffff:c000:201", "192.0.2.1"):
        assert taken.enter(peer) is None
    assert taken.enter("::ffff:192.0.2.1") == "address_connections_full"
    assert taken.enter("192.0.2.2") is None


def test_who_leaves_makes_place_for_the_same_address() -> None:
    taken = places()
    peers = [f"2001:db8::{number}" for number in range(1, SHARE + 1)]
    assert [taken.enter(peer) for peer in peers] == [None] * SHARE
    assert taken.enter("2001:db8::ffff") is not None
    taken.leave(peers[0])
    assert taken.enter("2001:db8::ffff") is None
    for peer in (*peers[1:], "2001:db8::ffff"):
        taken.leave(peer)
    assert not taken._by_sender, "nothing is kept of who is gone"


def test_a_trusted_proxy_has_no_share_but_counts() -> None:
    taken = places(20, "10.0.0.0/8", "2001:db8:ff::/48")
    for peer in ("10.1.2.3", "2001:db8:ff::1"):
        assert [taken.enter(peer) for _ in range(10)] == [None] * 10
    assert taken.enter("10.1.2.3") == "connections_full"
    assert taken.enter("192.0.2.1") == "connections_full"
    taken.leave("10.1.2.3")
    assert taken.enter("192.0.2.1") is None


def test_it_is_crowded_above_four_fifths() -> None:
    taken = places(10, "10.0.0.0/8")
    crowded = []
    for _ in range(10):
        taken.enter("10.0.0.1")
        crowded.append(taken.crowded)
    assert crowded == [False] * 8 + [True] * 2


def test_few_refused_ones_may_linger() -> None:
    taken = places()
    assert [taken.begin_lingering() for _ in range(LINGERING_MAX + 1)] == [True] * LINGERING_MAX + [False]
    taken.end_lingering()
    assert taken.begin_lingering()


def test_who_may_not_linger_is_turned_away_and_counted() -> None:
    taken = places()
    assert [taken.enter("192.0.2.1") for _ in range(SHARE)] == [None] * SHARE
    assert not taken.turn_away("192.0.2.1"), "it may linger, so it gets a connection that is refused"
    for _ in range(LINGERING_MAX):
        assert taken.begin_lingering()
    assert taken.turn_away("192.0.2.1")
    assert not taken.turn_away("192.0.2.2"), "it has a place"
    assert taken.turn_away("192.0.2.1")
    assert taken._unreported == 1, "the second within a second"
