"""Who sent a request: the connection, or what trusted proxies say of it, read from the right."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.ingress.sources import HOPS_MAX, may_send, read_address, sender_address

pytestmark = pytest.mark.unit

PROXIES = (ip_network("10.0.0.0/8"), ip_network("2001:db8:1::/48"))
SENDER = "196.201.214.200"


@pytest.mark.parametrize(
    ("peer", "forwarded", "sender"),
    [
        (SENDER, [], SENDER),
        (SENDER, ["1.1.1.1"], SENDER),
        ("10.0.0.1", [SENDER], SENDER),
        ("10.0.0.1", [f"1.1.1.1, {SENDER}, 10.9.9.9"], SENDER),
        ("10.0.0.1", ["1.1.1.1", f"{SENDER},10.9.9.9"], SENDER),
        ("2001:db8:1::7", [f"{SENDER}:50001"], SENDER),
        ("10.0.0.1", ["[2001:db8:2::1]:443"], "2001:db8:2::1"),
        ("::ffff:10.0.0.1", [f"::ffff:{SENDER}"], SENDER),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.2, 10.0.0.3"], "10.0.0.2"),
        ("10.0.0.1", [f"{SENDER}, unknown"], None),
        ("10.0.0.1", [f"{SENDER}, "], None),
        ("10.0.0.1", ["10.0.0.2," * HOPS_MAX + "10.0.0.2"], None),
        ("10.0.0.1", [SENDER + ",10.0.0.2" * HOPS_MAX], None),
        ("10.0.0.1", [SENDER + ",10.0.0.2" * (HOPS_MAX - 1)], SENDER),
        (None, [SENDER], None),
        ("/run/ingress.sock", [SENDER], None),
    ],
)
def test_the_sender_is_the_last_one_that_is_no_trusted_proxy(
    peer: str | None, forwarded: list[str], sender: str | None
) -> None:
    assert sender_address(peer, forwarded, PROXIES) == (ip_address(sender) if sender else None)


@given(st.text(max_size=60), st.lists(st.text(max_size=60), max_size=4))
def test_what_a_stranger_writes_is_never_believed(text: str, forwarded: list[str]) -> None:
    read_address(text)
    assert sender_address(SENDER, [text, *forwarded], PROXIES) == ip_address(SENDER)
    assert sender_address("10.0.0.1", [*forwarded, text, SENDER], PROXIES) == ip_address(SENDER)


def test_the_allow_list() -> None:
    safaricom = (ip_network("196.201.214.0/24"),)
    assert may_send(ip_address(SENDER), safaricom)
    assert not may_send(ip_address("196.201.215.1"), safaricom)
    assert not may_send(ip_address("::1"), safaricom)
    assert not may_send(None, safaricom)
    assert may_send(None, ())
