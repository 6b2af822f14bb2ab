"""The ingress' quotas: a client and endpoint of the intents API, an address that sends webhooks nobody proved genuine.

A webhook that is proven genuine is never refused for rate: the address is looked at only after the proof has failed,
and an address over its quota gets 429 instead of 401 for those alone.
Fields: draft-ietf-httpapi-ratelimit-headers, `RateLimit-Policy: "name";q=quota;w=seconds` and
`RateLimit: "name";r=remaining;t=seconds`; where a request is refused, `Retry-After` says the same as `t`.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import replace
from functools import lru_cache
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Final

from producers.ingress.answers import RawHeaders, Refusal
from producers.ingress.sources import sender_address
from runtime.limits import LimitResult, Limits, Quota
from runtime.redis import AWAY
from schemas import problems

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from producers.ingress.intents.routes import Action
    from producers.ingress.sources import Network
    from runtime.redis import RedisLink
    from runtime.settings import Settings

OVER_QUOTA: Final = Refusal(problems.QUOTA_EXCEEDED, "quota_exceeded")
OVER_QUOTA_UNREAD: Final = Refusal(problems.QUOTA_EXCEEDED, "quota_exceeded_unread", close=True)
IPV6_SITE_BITS: Final = 64
"""What one subscriber of IPv6 has at least (RFC 6177): addresses inside it cost nothing."""
ADDRESSES_REMEMBERED: Final = 4096
"""Spellings of addresses whose key is kept, so that a busy sender's address is parsed once."""
SPELLING_LENGTH_MAX: Final = 256
"""The longest X-Forwarded-For that is kept: what a stranger writes must not fill the memory."""
SHARE_AGAIN_SECONDS: Final = 60.0
"""After a Redis that was away, and so did not learn of a proven sender, it learns of it."""


class RateLimits:
    """Counts requests against the quotas of the settings."""

    def __init__(self, settings: Settings, link: RedisLink, monotonic: Callable[[], float] = time.monotonic) -> None:
        bounds = settings.limits
        self._bounds = bounds
        self._limits = Limits(link, bounds.local_keys_max)
        self._unverified = Quota("unverified", bounds.unverified_requests_max, bounds.window_seconds)
        self._unsigned = Quota("unsigned", bounds.unsigned_requests_max, bounds.window_seconds)
        whole = LimitResult(self._unverified, True, bounds.unverified_requests_max, bounds.window_seconds)
        self._untouched = fields_of(whole)
        self._clients: dict[tuple[str, str], Quota] = {}
        self._key_of = AddressKeys(settings.ingress.trusted_proxies)
        self._proven: OrderedDict[str, float] = OrderedDict()
        """Proven senders, and when Redis is to learn of each again."""
        self._monotonic = monotonic
        self._link = link
        self._proven_seconds = settings.ingress.certificates.proven_kept_seconds

    async def of_client(self, client: str, action: Action) -> LimitResult:
        """Count a known client's request to an endpoint of the intents API."""
        quota = self._clients.get((client, action))
        if quota is None:
            most = self._bounds.clients.get(client) or self._bounds.endpoints.get(action.value)  # type: ignore[call-overload]
            quota = Quota("default", most or self._bounds.requests_max, self._bounds.window_seconds)
            self._clients[client, action] = quota
        return await self._limits.hit(quota, "client", client, action.value)

    async def of_unverified(self, peer: str | None, forwarded_for: Sequence[str]) -> LimitResult:
        """Count a webhook that is not proven genuine against its sender's address."""
        return await self._of_address(self._unverified, peer, forwarded_for)

    async def of_unsigned(self, peer: str | None, forwarded_for: Sequence[str]) -> LimitResult:
        """Count a hint that anybody could have sent against its sender's address."""
        return await self._of_address(self._unsigned, peer, forwarded_for)

    def sender(self, peer: str | None, forwarded_for: Sequence[str]) -> str:
        """Return the name of a request's sender: its IPv4 address, or its IPv6 site (/64)."""
        return self._key_of(peer, forwarded_for)

    def proves(self, peer: str | None, forwarded_for: Sequence[str]) -> bool:
        """Remember that a genuine webhook came from there; tell whether to share it: it is new, or was shared long ago.

        Redis forgets after its time, also a sender that never stopped: at half of that time it is renewed.
        """
        key, now = self._key_of(peer, forwarded_for), self._monotonic()
        due = self._proven.get(key, now)
        self._proven[key] = now + self._proven_seconds / 2 if due <= now else due
        self._proven.move_to_end(key)
        if len(self._proven) > ADDRESSES_REMEMBERED:
            self._proven.popitem(last=False)
        return due <= now

    async def share_proven(self, peer: str | None, forwarded_for: Sequence[str]) -> None:
        """Tell the other processes, and this one after a restart, that a genuine webhook came from there."""
        key = self._key_of(peer, forwarded_for)
        name = self._proven_name(key)
        noted = await self._link.ask(lambda redis: redis.set(name, b"1", ex=self._proven_seconds))
        if noted is AWAY and key in self._proven:
            self._proven[key] = self._monotonic() + SHARE_AGAIN_SECONDS

    async def was_proven(self, peer: str | None, forwarded_for: Sequence[str]) -> bool:
        """Tell whether a genuine webhook came from there, as far as this process or Redis remembers."""
        key = self._key_of(peer, forwarded_for)
        if key in self._proven:
            return True
        found = await self._link.ask(lambda redis: redis.exists(self._proven_name(key)))
        return found is not AWAY and bool(found)

    def is_proven(self, peer: str | None, forwarded_for: Sequence[str]) -> bool:
        """Tell whether a genuine webhook came from there, as far as this process remembers."""
        return self._key_of(peer, forwarded_for) in self._proven

    def spent(self, peer: str | None, forwarded_for: Sequence[str]) -> LimitResult | None:
        """Return the result of an address that is over its quota and never sent anything genuine; asks nobody.

        Where senders share an address (a balancer that is no trusted proxy), what is genuine among them keeps the
        others from being refused unread.
        """
        if self.is_proven(peer, forwarded_for):
            return None
        last = self._limits.last(self._unverified, "address", self._key_of(peer, forwarded_for))
        return last if last is not None and not last.allowed else None

    def fields_of_verified(self, peer: str | None, forwarded_for: Sequence[str]) -> RawHeaders:
        """Return the fields of a webhook that is taken: what its address has left for those that are not proven."""
        last = self._limits.last(self._unverified, "address", self._key_of(peer, forwarded_for))
        return self._untouched if last is None else fields_of(replace(last, allowed=True))

    def _proven_name(self, key: str) -> str:
        return f"{self._link.key_prefix}proven:{key}"

    async def _of_address(self, quota: Quota, peer: str | None, forwarded_for: Sequence[str]) -> LimitResult:
        return await self._limits.hit(quota, "address", self._key_of(peer, forwarded_for))


class AddressKeys:
    """Names a request's sender: its IPv4 address, or its IPv6 site."""

    def __init__(self, trusted_proxies: Sequence[Network]) -> None:
        self._trusted_proxies = trusted_proxies
        self._known = lru_cache(ADDRESSES_REMEMBERED)(self._name)

    def __call__(self, peer: str | None, forwarded_for: Sequence[str]) -> str:
        hops = tuple(forwarded_for) if self._trusted_proxies else ()
        name = self._known if sum(map(len, hops)) <= SPELLING_LENGTH_MAX else self._name
        return name(peer, hops)

    def _name(self, peer: str | None, forwarded_for: tuple[str, ...]) -> str:
        address = sender_address(peer, forwarded_for, self._trusted_proxies)
        if isinstance(address, IPv6Address):
            return f"v6:{int(address) >> (128 - IPV6_SITE_BITS):016x}"
        return "unknown" if address is None else str(address)


def fields_of(result: LimitResult) -> RawHeaders:
    """Return the fields that tell a client what came of its request."""
    quota = result.quota
    headers = (
        (b"ratelimit-policy", f'"{quota.name}";q={quota.requests_max};w={quota.window_seconds}'.encode()),
        (b"ratelimit", f'"{quota.name}";r={result.remaining};t={result.reset_seconds}'.encode()),
    )
    return headers if result.allowed else (*headers, (b"retry-after", str(result.reset_seconds).encode()))
