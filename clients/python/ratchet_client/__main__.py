"""`ratchet-client publish`, `read`, `react`, `execute`: the client at a terminal."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import json
import signal
import sys
import urllib.error
import urllib.request
from collections import deque
from typing import TYPE_CHECKING, Any

from ratchet_client.execute import Executor, Refused
from ratchet_client.publish import PREFIX, Publisher, Record, plain
from ratchet_client.react import Reactor
from ratchet_client.read import LOCK, TOPICS, Reader

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from ratchet_client.types import CommandRecord

IN_FLIGHT_MAX = 500
POST_SECONDS = 30.0
REFUSAL_BYTES_MAX = 1000
REFUSALS = {402, 422}
"""Statuses that say no for good: the others are also what a wrong URL, a wrong key or a copy in progress gets."""
EFFECTS = "create table if not exists ratchet_effects (payment_id uuid, epoch bigint, version bigint)"
EFFECT = "insert into ratchet_effects (payment_id, epoch, version) values ($1, $2, $3)"


async def publish(told: argparse.Namespace) -> None:
    """Publish a JSON document a line, {topic, key, headers, value}; print where each stands once it is durable."""
    waiting: deque[asyncio.Future[Any]] = deque()

    async def report(left: int) -> None:
        while len(waiting) > left:
            stands = await waiting.popleft()
            document = {"topic": stands.topic, "partition": stands.partition, "offset": stands.offset}
            sys.stdout.write(json.dumps(document) + "\n")
            sys.stdout.flush()

    async with Publisher(told.bootstrap, prefix=told.prefix) as publisher:
        while line := await asyncio.to_thread(sys.stdin.readline):
            found = json.loads(line)
            topic = found["topic"].removeprefix(told.prefix)
            waiting.append(await publisher.begin(Record(topic, found["key"], found["headers"], found["value"])))
            await report(IN_FLIGHT_MAX)
        await report(0)


async def effect(connection: Any, value: dict[str, Any]) -> None:
    """Note that an effect happened: two of one version would be two rows."""
    await connection.execute(EFFECT, value["payment_id"], value["epoch"], value["version"])


async def read(told: argparse.Namespace) -> None:
    """Keep the table."""
    if told.effects:
        import asyncpg

        connection = await asyncpg.connect(told.dsn)
        async with connection.transaction():
            await connection.execute(LOCK)
            await connection.execute(EFFECTS)
        await connection.close()
    reader = Reader(
        told.bootstrap,
        group=told.group,
        dsn=told.dsn,
        prefix=told.prefix,
        topics=told.topics.split(","),
        effect=effect if told.effects else None,
    )
    await until_told(reader.run())


async def react(told: argparse.Namespace) -> None:
    """Run the handlers of a file."""
    spec = importlib.util.spec_from_file_location("handlers", told.handlers)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{told.handlers} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    app = Reactor(told.bootstrap, told.group, told.dead_letters, prefix=told.prefix, dsn=told.dsn)
    await until_told(app.take(module).run())


async def execute(told: argparse.Namespace) -> None:
    """Carry out commands by a service of yours: each is posted to its URL, with its id as Idempotency-Key."""

    async def carry_out(command: CommandRecord) -> None:
        await asyncio.to_thread(post, told.url, command)

    executor = Executor(
        told.bootstrap, told.group, told.source, told.accounts.split(","), carry_out, prefix=told.prefix
    )
    await until_told(executor.run())


def post(url: str, command: CommandRecord) -> None:
    """Post a command; 402 and 422 are refusals, and any other status but 2xx leaves open what became of it."""
    headers = {"Content-Type": "application/json", "Idempotency-Key": command.id}
    request = urllib.request.Request(url, json.dumps(plain(command)).encode(), headers)  # noqa: S310 - whose it is runs it
    try:
        urllib.request.urlopen(request, timeout=POST_SECONDS).close()  # noqa: S310 - as above
    except urllib.error.HTTPError as answer:
        text = answer.read(REFUSAL_BYTES_MAX).decode(errors="replace")
        if answer.code in REFUSALS:
            raise Refused(text or f"the provider answered {answer.code}") from None
        raise


async def until_told(work: Awaitable[None]) -> None:
    """Run something until SIGTERM or SIGINT."""
    task = asyncio.ensure_future(work)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def main(words: Sequence[str] | None = None) -> int:
    """Run a command."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--bootstrap", required=True, help="Kafka, host:port")
    common.add_argument("--prefix", default=PREFIX, help="what all topics' names begin with")
    parser = argparse.ArgumentParser(prog="ratchet-client", description=__doc__)
    commands = parser.add_subparsers(required=True)
    commands.add_parser("publish", parents=[common], help=publish.__doc__).set_defaults(run=publish)
    reads = commands.add_parser("read", parents=[common], help=read.__doc__)
    reacts = commands.add_parser("react", parents=[common], help=react.__doc__)
    executes = commands.add_parser("execute", parents=[common], help=execute.__doc__)
    for one in (reads, reacts, executes):
        one.add_argument("--group", required=True, help="consumer group")
    for one in (reads, reacts):
        one.add_argument("--dsn", required=one is reads, help="a Postgres of the reader's own")
    reads.add_argument("--topics", default=",".join(TOPICS), help="state,changes or one of them")
    reads.add_argument("--effects", action="store_true", help="note each effect in ratchet_effects")
    reads.set_defaults(run=read)
    reacts.add_argument("--dead-letters", required=True, help="topic of changes that a handler failed on")
    reacts.add_argument("handlers", help="a Python file with functions on_captured(payment), on_change(payment) ...")
    reacts.set_defaults(run=react)
    executes.add_argument("--source", required=True, help="the service's name in RATCHET_EXECUTORS")
    executes.add_argument("--accounts", required=True, help="whose commands it carries out: stripe,adyen/acme")
    executes.add_argument(
        "--url", required=True, help="where commands are posted: 2xx is done, 4xx with a text refused"
    )
    executes.set_defaults(run=execute)
    told = parser.parse_args(words)
    asyncio.run(told.run(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
