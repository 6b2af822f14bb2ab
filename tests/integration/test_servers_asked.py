"""A real broker is asked how much room it has, and who belongs to its cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runtime.kafka import ensure_topics
from runtime.servers import Servers
from runtime.settings import KafkaSettings, OpsSettings, Settings

if TYPE_CHECKING:
    from runtime.stack import Endpoints

pytestmark = pytest.mark.integration


async def test_a_broker_tells_of_its_disk(stack: Endpoints) -> None:
    kafka = KafkaSettings(bootstrap=stack.kafka)
    await ensure_topics(kafka)
    for bytes_min, number in ((1, 0), (1 << 60, 1)):
        settings = Settings().model_copy(update={"kafka": kafka, "ops": OpsSettings(disk_free_bytes_min=bytes_min)})
        servers = Servers(settings)
        try:
            assert await servers.away() == []
            assert len(servers.disks) == number, servers.disks
        finally:
            await servers.close()
