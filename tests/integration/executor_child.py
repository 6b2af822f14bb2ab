"""An executor as a service would write it: reads commands, calls the provider, answers. Killed at will; never shipped.

EXECUTOR_KAFKA: the brokers. EXECUTOR_GROUP: its group. EXECUTOR_PROVIDER: the provider's address. EXECUTOR_CLIENT:
whose commands it carries out; the topic is shared with other tests.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os

import aiohttp
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from schemas.commands import CommandRecord
from schemas.topics import COMMANDS, EVENTS


async def answer(producer: AIOKafkaProducer, command: CommandRecord, state: str, **fields: str) -> None:
    body = {"id": str(command.payment_id), "command_id": command.id, **fields}
    headers = {"ce_specversion": "1.0", "ce_id": f"{command.id}:{state}", "ce_source": "gateway"}
    headers["ce_type"] = f"command.{state}"
    await producer.send_and_wait(
        EVENTS.name,
        json.dumps(body).encode(),
        key=str(command.payment_id).encode(),
        headers=[(name, text.encode()) for name, text in headers.items()],
    )


async def carry_out(http: aiohttp.ClientSession, producer: AIOKafkaProducer, command: CommandRecord) -> None:
    if command.expires_at <= dt.datetime.now(dt.UTC):
        return
    await answer(producer, command, "accepted")
    asked = {"payment": command.provider_ref, "amount": command.amount, "command": command.command}
    async with http.post(
        os.environ["EXECUTOR_PROVIDER"], json=asked, headers={"Idempotency-Key": command.id}
    ) as response:
        reported = await response.json()
    if response.status == 200:
        await answer(producer, command, "done")
    else:
        await answer(producer, command, "refused", reason=reported["why"])


async def main() -> None:
    consumer = AIOKafkaConsumer(
        COMMANDS.name,
        bootstrap_servers=os.environ["EXECUTOR_KAFKA"],
        group_id=os.environ["EXECUTOR_GROUP"],
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=6000,
    )
    producer = AIOKafkaProducer(bootstrap_servers=os.environ["EXECUTOR_KAFKA"], acks="all", enable_idempotence=True)
    async with consumer, producer, aiohttp.ClientSession() as http:
        async for record in consumer:
            command = CommandRecord.model_validate_json(record.value)
            if command.client == os.environ["EXECUTOR_CLIENT"]:
                await carry_out(http, producer, command)
            await consumer.commit()


if __name__ == "__main__":
    asyncio.run(main())
