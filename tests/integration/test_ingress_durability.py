"""What a 202 promises: the record is in Kafka or in the spool, also while a broker hangs or the ingress closes."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import asyncpg
import pytest
import running_ingress as running
from freezing import freeze
from waiting import until

from runtime.health import readyz

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.integration

QUICK = {
    "publish_timeout_seconds": 0.7,
    "spool_timeout_seconds": 0.7,
    "breaker_seconds": 0.2,
    "ready_interval_seconds": 0.1,
    "ready_timeout_seconds": 0.3,
}
NOWHERE = "127.0.0.1:1"
NO_POSTGRES = "postgresql://ratchet:x@127.0.0.1:1/ratchet"


@asynccontextmanager
async def black_hole() -> AsyncIterator[str]:
    """Give the address of a server that accepts and never says a word."""
    held: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield f"{host}:{port}"
    finally:
        for writer in held:
            writer.close()
        server.close()
        await server.wait_closed()


async def spooled(dsn: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch("select * from spool order by id")
    finally:
        await connection.close()


def spooled_ids(rows: list[asyncpg.Record]) -> list[str]:
    return [dict(zip(row["header_names"], row["header_values"], strict=True))[b"ce_id"].decode() for row in rows]


@pytest.mark.parametrize("hangs", [False, True])
async def test_without_kafka_the_record_goes_to_the_spool(database: Any, *, hangs: bool) -> None:
    async with black_hole() as address:
        kafka = address if hangs else NOWHERE
        async with running.open_ingress(kafka, database.dsn, **QUICK) as ingress:
            event_id, body = running.event()
            assert (await ingress.post(body))[:2] == (202, b'{"accepted":1}')
            assert await ingress.get("/readyz?verbose") == (200, {"ready": True}), "details are for the probe port"
            status, document = readyz(ingress.probe, verbose=True)
            facts: Any = document["facts"]
            assert (status, facts["stores"]["kafka"] == "ok", facts["stores"]["postgres"]) == (200, False, "ok")
    (row,) = await spooled(database.dsn)
    assert (row["topic"], row["value"], row["key"]) == ("payments.webhooks", body, f"pi_{event_id[4:]}".encode())
    assert row["header_names"][:3] == [b"ce_specversion", b"ce_id", b"ce_source"]
    assert row["header_values"][:3] == [b"1.0", event_id.encode(), b"stripe"]


async def test_kafka_that_hangs_is_left_alone_and_used_again_when_it_answers(stack: Any, database: Any) -> None:
    broker = running.server_process(stack.kafka)
    async with running.tail(stack.kafka) as tail, running.open_ingress(stack.kafka, database.dsn, **QUICK) as ingress:
        first_id, first = running.event()
        assert (await ingress.post(first))[0] == 202
        await tail.find(first_id)
        freeze(broker)
        try:
            second_id, second = running.event()
            assert (await ingress.post(second))[0] == 202
            third_id, third = running.event()
            started = time.monotonic()
            assert (await ingress.post(third))[0] == 202
            assert time.monotonic() - started < QUICK["publish_timeout_seconds"]
            assert spooled_ids(await spooled(database.dsn)) == [second_id, third_id]
        finally:
            broker.resume()

        later: set[str] = set()

        async def through_kafka() -> bool:
            event_id, body = running.event()
            later.add(event_id)
            assert (await ingress.post(body))[0] == 202
            await tail.poll()
            return not later.isdisjoint(tail.ids())

        await until(through_kafka, within_seconds=40)


async def test_with_both_away_the_sender_is_asked_to_come_again(stack: Any) -> None:
    async with running.open_ingress(NOWHERE, NO_POSTGRES, connected=False, **QUICK) as ingress:
        _, body = running.event()
        status, answer, headers = await ingress.post(body)
        assert (status, headers["Retry-After"]) == (503, "2")
        assert json.loads(answer)["type"] == "urn:ratchet:problem:not-durable"
        assert (await ingress.post(body, **running.signature(body, secret="whsec_forged")))[0] == 401
        await until(lambda: _is_unready(ingress))
        assert (await ingress.get("/livez"))[0] == 200


async def _is_unready(ingress: running.RunningIngress) -> bool:
    return (await ingress.get("/readyz"))[0] == 503


async def test_with_both_hanging_the_answer_comes_in_time(database: Any) -> None:
    async with black_hole() as address:
        dsn = f"postgresql://ratchet:x@{address}/ratchet"
        async with running.open_ingress(address, dsn, connected=False, **QUICK) as ingress:
            _, body = running.event()
            started = time.monotonic()
            answers = await asyncio.gather(*(ingress.post(body) for _ in range(20)))
            assert {status for status, _, _ in answers} == {503}
            assert time.monotonic() - started < 3


async def test_a_full_window_sheds_after_its_wait(database: Any) -> None:
    async with black_hole() as address:
        dsn = f"postgresql://ratchet:x@{address}/ratchet"
        bounds = {**QUICK, "in_flight_max": 1, "in_flight_wait_seconds": 0.2}
        async with running.open_ingress(NOWHERE, dsn, connected=False, **bounds) as ingress:
            _, body = running.event()
            answers = await asyncio.gather(*(ingress.post(body) for _ in range(3)))
            kinds = sorted(json.loads(answer)["type"].rpartition(":")[2] for _, answer, _ in answers)
            assert [status for status, _, _ in answers] == [503] * 3
            assert all("Retry-After" in headers for _, _, headers in answers)
            assert sum("temporary-reduced-capacity" in kind for kind in kinds) == 2


async def test_an_unforeseen_error_is_a_503_without_a_trace(stack: Any, database: Any, monkeypatch: Any) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("a secret detail")

    async with running.open_ingress(stack.kafka, database.dsn, **QUICK) as ingress:
        monkeypatch.setattr("providers.verify", broken)
        _, body = running.event()
        status, answer, headers = await ingress.post(body)
        assert (status, headers["Retry-After"]) == (503, "2")
        assert b"secret detail" not in answer
        assert b"Traceback" not in answer


async def test_two_hundred_at_once_are_each_in_kafka_once(stack: Any, database: Any) -> None:
    """Without the hedge: where all 200 wait 0.4 s for the first acknowledgement, copies in the spool are right."""
    sent = [running.event(size=2048) for _ in range(200)]
    patient = running.open_ingress(stack.kafka, database.dsn, hedge_seconds=60.0, publish_timeout_seconds=60.0)
    async with running.tail(stack.kafka) as tail, patient as ingress:
        answers = await asyncio.gather(*(ingress.post(body) for _, body in sent))
        assert [status for status, _, _ in answers] == [202] * 200
        for event_id, _ in sent:
            await tail.find(event_id)
        assert sorted(tail.ids()) == sorted(event_id for event_id, _ in sent)
    assert await spooled(database.dsn) == []


async def test_closing_the_ingress_loses_no_202(stack: Any, database: Any) -> None:
    accepted: list[str] = []

    async def post_until_closed(ingress: running.RunningIngress) -> None:
        while True:
            event_id, body = running.event()
            try:
                status, _, _ = await ingress.post(body)
            except (OSError, aiohttp.ServerDisconnectedError):  # not taken: its sender comes again
                return
            assert status in {202, 503}
            if status == 202:
                accepted.append(event_id)

    async with running.tail(stack.kafka) as tail:
        async with running.open_ingress(stack.kafka, database.dsn) as ingress:
            senders = [asyncio.create_task(post_until_closed(ingress)) for _ in range(30)]
            await running.until(lambda: len(accepted) > 200)
            ingress.stop.set()
            await ingress.task
            await asyncio.gather(*senders)
        stored = set(spooled_ids(await spooled(database.dsn)))
        for event_id in accepted:
            if event_id not in stored:
                await tail.find(event_id)


async def test_a_sender_that_leaves_mid_publish_disturbs_nothing(stack: Any, database: Any) -> None:
    async with running.tail(stack.kafka) as tail, running.open_ingress(stack.kafka, database.dsn) as ingress:
        left_id, body = running.event()
        async with running.connection(ingress.address) as (_, writer):
            writer.write(running.raw_request(body))
            await writer.drain()
        await tail.find(left_id)
        next_id, body = running.event()
        assert (await ingress.post(body))[0] == 202
        await tail.find(next_id)


async def test_all_places_given_back_after_refusals(database: Any) -> None:
    bounds = {**QUICK, "in_flight_max": 2, "large_bodies_max": 2, "in_flight_wait_seconds": 0.2}
    async with running.open_ingress(NOWHERE, database.dsn, **bounds) as ingress:
        _, large = running.event(size=300_000)
        for _ in range(5):
            assert (await ingress.post(large, **running.signature(large, secret="whsec_forged")))[0] == 401
            assert (await ingress.post(large + b"x" * 1024 * 1024))[0] == 413
        assert (await ingress.post(large))[0] == 202
