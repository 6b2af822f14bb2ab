"""Doctor and a Redis that answers and takes no write."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr
from redis import asyncio as redis

from ops import doctor
from runtime.settings import RedisSettings, Settings

if TYPE_CHECKING:
    from runtime.stack import Endpoints

pytestmark = pytest.mark.integration


async def test_one_that_refuses_to_write_is_a_problem(stack: Endpoints) -> None:
    if stack.redis is None:
        pytest.skip("no Redis on this machine")
    settings = Settings().model_copy(update={"redis": RedisSettings(url=SecretStr(stack.redis))})
    assert all(one.ok for one in await doctor.cache(settings))
    client = redis.from_url(stack.redis, protocol=2)
    before = (await client.config_get("maxmemory"))["maxmemory"]
    try:
        await client.config_set("maxmemory", 1)
        (found,) = await doctor.cache(settings)
    finally:
        await client.config_set("maxmemory", before)
        await client.aclose()
    assert not found.ok
    assert "refuses to write" in found.found
    assert "memory" in found.found
    assert all(one.ok for one in await doctor.cache(settings))
