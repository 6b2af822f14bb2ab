"""`doctor` asks another broker where the one that it asked is away."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.errors import NodeNotReadyError

from ops import doctor
from runtime.settings import Settings

pytestmark = pytest.mark.unit


async def test_one_broker_that_is_away_is_not_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    async def ask(_settings: Settings) -> tuple[int, list[Any], list[Any]]:
        asked.append(1)
        if len(asked) < doctor.BROKERS_TRIED_MAX:
            raise NodeNotReadyError
        return 3, [], []

    monkeypatch.setattr(doctor, "_ask_broker", ask)
    assert await doctor._asked_of_any(Settings()) == (3, [], [])
    asked.clear()
    monkeypatch.setattr(doctor, "BROKERS_TRIED_MAX", 100)

    async def nobody(_settings: Settings) -> tuple[int, list[Any], list[Any]]:
        raise NodeNotReadyError

    monkeypatch.setattr(doctor, "_ask_broker", nobody)
    with pytest.raises(NodeNotReadyError):
        await doctor._asked_of_any(Settings())
