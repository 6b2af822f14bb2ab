"""Senders that were proven genuine: Redis remembers them for processes that start later; away, nobody is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from producers.ingress.rate_limits import RateLimits
from runtime.redis import RedisLink
from runtime.settings import RedisSettings, Settings

if TYPE_CHECKING:
    from conftest import Endpoints

pytestmark = pytest.mark.integration


def rates_of(link: RedisLink) -> RateLimits:
    return RateLimits(Settings(), link)


async def test_a_process_that_starts_later_knows_who_was_proven(stack: Endpoints) -> None:
    given: Any = {"url": stack.redis, "key_prefix": f"proven-{uuid4()}:"}
    first, later = RedisLink(RedisSettings(**given)), RedisLink(RedisSettings(**given))
    try:
        rates = rates_of(first)
        assert not await rates.was_proven("192.0.2.1", ())
        assert rates.proves("192.0.2.1", ())
        assert not rates.proves("192.0.2.1", ())
        await rates.share_proven("192.0.2.1", ())
        assert await rates_of(later).was_proven("192.0.2.1", ())
        assert not await rates_of(later).was_proven("192.0.2.2", ())
        assert first.client is not None
        left = await first.client.ttl(f"{given['key_prefix']}proven:192.0.2.1")
        kept = Settings().ingress.certificates.proven_kept_seconds
        assert kept - 60 < left <= kept
    finally:
        await first.close()
        await later.close()


@pytest.mark.parametrize("url", [None, "redis://127.0.0.1:1/0"], ids=["none", "away"])
async def test_without_redis_a_process_knows_its_own(url: Any) -> None:
    link = RedisLink(RedisSettings(url=url))
    try:
        rates = rates_of(link)
        assert not await rates.was_proven("192.0.2.1", ())
        rates.proves("192.0.2.1", ())
        await rates.share_proven("192.0.2.1", ())
        assert await rates.was_proven("192.0.2.1", ())
        assert not await rates_of(link).was_proven("192.0.2.1", ())
    finally:
        await link.close()
