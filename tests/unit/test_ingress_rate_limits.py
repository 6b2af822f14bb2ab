"""The ingress' quotas: whose they are, and the fields that tell of them."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network
from typing import Any

import pytest

from producers.ingress import rate_limits
from producers.ingress.intents.routes import ReadAction
from producers.ingress.rate_limits import AddressKeys, RateLimits, fields_of
from runtime.limits import LimitResult, Quota
from runtime.redis import AWAY, RedisLink
from runtime.settings import IngressSettings, LimitSettings, RedisSettings, Settings
from schemas.intents import Command

pytestmark = pytest.mark.unit


def rates_of(**limits: object) -> RateLimits:
    proxies = IngressSettings(trusted_proxies=(ip_network("10.0.0.0/8"),))
    settings = Settings().model_copy(update={"limits": LimitSettings(**limits), "ingress": proxies})
    return RateLimits(settings, RedisLink(RedisSettings()))


def test_the_defaults_are_generous() -> None:
    limits = LimitSettings()
    assert limits.unverified_requests_max * 60 / limits.window_seconds >= 200
    assert limits.requests_max * 60 / limits.window_seconds >= 6000


def test_fields_are_structured_ones() -> None:
    quota = Quota("default", 100, 60)
    assert fields_of(LimitResult(quota, allowed=True, remaining=50, reset_seconds=30)) == (
        (b"ratelimit-policy", b'"default";q=100;w=60'),
        (b"ratelimit", b'"default";r=50;t=30'),
    )
    assert fields_of(LimitResult(quota, allowed=False, remaining=0, reset_seconds=7))[2:] == ((b"retry-after", b"7"),)


async def test_a_client_has_a_quota_at_each_endpoint() -> None:
    rates = rates_of(requests_max=1)
    assert (await rates.of_client("shop", Command.CREATE)).allowed
    assert not (await rates.of_client("shop", Command.CREATE)).allowed
    assert (await rates.of_client("shop", Command.CAPTURE)).allowed
    assert (await rates.of_client("shop", ReadAction.PAYMENT)).allowed
    assert (await rates.of_client("rival", Command.CREATE)).allowed


async def test_the_clients_own_figure_wins_over_the_endpoints() -> None:
    rates = rates_of(requests_max=7, endpoints={"create": 5}, clients={"shop": 9})
    assert (await rates.of_client("shop", Command.CREATE)).quota.requests_max == 9
    assert (await rates.of_client("rival", Command.CREATE)).quota.requests_max == 5
    assert (await rates.of_client("rival", ReadAction.TIMELINE)).quota.requests_max == 7


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("192.0.2.1", []), ("192.0.2.1", ["198.51.100.7"]), True),
        (("192.0.2.1", []), ("192.0.2.2", []), False),
        (("10.0.0.1", ["192.0.2.1"]), ("10.9.9.9", ["203.0.113.1, 192.0.2.1"]), True),
        (("10.0.0.1", ["192.0.2.1"]), ("10.0.0.1", ["192.0.2.2"]), False),
        (("2001:db8:0:1::1", []), ("2001:db8:0:1:ffff::9", []), True),
        (("2001:db8:0:1::1", []), ("2001:db8:0:2::1", []), False),
        (("::ffff:192.0.2.1", []), ("192.0.2.1", []), True),
        ((None, []), ("/run/ingress.sock", []), True),
    ],
)
async def test_an_address_is_the_senders_and_of_ipv6_its_site(
    one: tuple[str | None, list[str]], other: tuple[str | None, list[str]], *, same: bool
) -> None:
    rates = rates_of(unverified_requests_max=1)
    assert (await rates.of_unverified(*one)).allowed
    assert (await rates.of_unverified(*other)).allowed is not same


async def test_a_verified_webhook_is_reported_what_its_address_has_left_and_never_refused() -> None:
    rates = rates_of(unverified_requests_max=2)
    assert dict(rates.fields_of_verified("192.0.2.1", []))[b"ratelimit"] == b'"unverified";r=2;t=60'
    await rates.of_unverified("192.0.2.1", [])
    assert dict(rates.fields_of_verified("192.0.2.1", []))[b"ratelimit"].startswith(b'"unverified";r=1;')
    for _ in range(3):
        await rates.of_unverified("192.0.2.1", [])
    fields = dict(rates.fields_of_verified("192.0.2.1", []))
    assert fields[b"ratelimit"].startswith(b'"unverified";r=0;')
    assert b"retry-after" not in fields
    assert dict(rates.fields_of_verified("192.0.2.2", []))[b"ratelimit"].startswith(b'"unverified";r=2;')


async def test_hints_by_anybody_have_a_quota_of_their_own() -> None:
    rates = rates_of(unverified_requests_max=1, unsigned_requests_max=1)
    assert (await rates.of_unsigned("192.0.2.1", [])).allowed
    assert not (await rates.of_unsigned("192.0.2.1", [])).allowed
    assert (await rates.of_unverified("192.0.2.1", [])).allowed


def test_of_proven_senders_the_one_not_heard_of_for_longest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "ADDRESSES_REMEMBERED", 2)
    rates, busy = rates_of(), ("192.0.2.1", [])
    assert [rates.proves(*busy), rates.proves("192.0.2.2", []), rates.proves(*busy)] == [True, True, False]
    assert rates.proves("192.0.2.3", [])
    assert rates.is_proven(*busy), "it sends all the time, however long ago it began"
    assert not rates.is_proven("192.0.2.2", [])


class PaperLink:
    """Redis as far as it learns of proven senders: it answers a moment later, or is away."""

    key_prefix, client = "", None

    def __init__(self) -> None:
        self.away, self.noted = False, list[tuple[str, int]]()

    async def ask(self, question: Any) -> Any:
        await asyncio.sleep(0)
        return AWAY if self.away else question(self)

    def set(self, name: str, _: bytes, ex: int) -> bool:
        self.noted.append((name, ex))
        return True

    def exists(self, name: str) -> int:
        return sum(one == name for one, _ in self.noted)


async def test_redis_learns_of_a_proven_sender_until_it_knows_and_before_it_forgets() -> None:
    """It learned of it once a process: not who came while it was away, nor for ever who never stopped."""
    link, now = PaperLink(), [1000.0]
    rates = RateLimits(Settings(), link, lambda: now[0])  # type: ignore[arg-type]
    kept = Settings().ingress.certificates.proven_kept_seconds
    sender: tuple[str, list[str]] = ("192.0.2.1", [])

    async def webhook_at(seconds: float) -> int:
        now[0] = seconds
        if rates.proves(*sender):
            await rates.share_proven(*sender)
        return len(link.noted)

    link.away = True
    assert await webhook_at(1000) == 0
    link.away = False
    assert [await webhook_at(1000 + rate_limits.SHARE_AGAIN_SECONDS / 2), await webhook_at(1061)] == [0, 1]
    assert [await webhook_at(1062), await webhook_at(1000 + kept / 2), await webhook_at(1061 + kept / 2)] == [1, 1, 2]
    assert link.noted == [("proven:192.0.2.1", kept)] * 2


async def test_while_redis_is_away_nobody_is_proven_whom_this_process_does_not_know() -> None:
    """Else every stranger could spend what is left to proven senders."""
    link = PaperLink()
    rates = RateLimits(Settings(), link)  # type: ignore[arg-type]
    assert not await rates.was_proven("192.0.2.1", [])
    link.away = True
    assert not await rates.was_proven("192.0.2.1", [])
    link.away = False
    await rates.share_proven("192.0.2.1", [])
    assert await rates.was_proven("192.0.2.1", [])


async def test_who_was_proven_is_not_refused_unread_for_what_others_sent_from_there() -> None:
    rates = rates_of(unverified_requests_max=1)
    shared: tuple[str, list[str]] = ("192.0.2.1", [])
    for _ in range(2):
        await rates.of_unverified(*shared)
    assert rates.spent(*shared) is not None
    rates.proves(*shared)
    assert rates.spent(*shared) is None


def test_what_a_stranger_writes_is_not_kept() -> None:
    plain, proxied = AddressKeys(()), AddressKeys((ip_network("10.0.0.0/8"),))
    for number in range(50):
        assert plain("192.0.2.1", [f"{number}," * 20_000]) == "192.0.2.1"
        assert proxied("192.0.2.1", [f"{number}," * 20_000]) == "192.0.2.1"
        assert proxied("10.0.0.1", [f"192.0.2.{number}"]) == f"192.0.2.{number}"
    assert plain._known.cache_info().currsize == 1
    assert proxied._known.cache_info().currsize == 50
