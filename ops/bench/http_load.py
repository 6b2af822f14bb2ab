"""A sender of signed webhooks as a process: raw HTTP/1.1 on kept connections, so that it is never what is measured.

    python -m ops.bench.http_load HOST:PORT SECONDS CONNECTIONS RATE EVENTS SEED

RATE 0 sends EVENTS events, all different, as fast as answers come; else that many a second at fixed times, whatever
the ingress does. Prints one JSON document: requests, statuses, seconds, and with a RATE the unix time of each 202.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import sys
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Final, cast

import uvloop
from msgspec.structs import replace

from ops.bench.workload import make_workload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producers.ingress.publishing.records import Outgoing

SECRET: Final = "whsec_bench"  # noqa: S105 - of the benchmark's own ingress
PATH: Final = "/webhooks/stripe"
HEAD_END: Final = b"\r\n\r\n"
PATIENCE_SECONDS: Final = 30.0
BODIES: Final = 2000
BODIES_SEED: Final = 1

Request = tuple[str, bytes]
"""An event's id and the bytes of its whole request."""


def sealed(body: bytes, host: str, signed_at: int) -> bytes:
    """Return one signed request as it goes over the wire."""
    mac = hmac.new(SECRET.encode(), f"{signed_at}.".encode() + body, hashlib.sha256).hexdigest()
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json; charset=utf-8\r\n"
        f"User-Agent: Stripe/1.0 (+https://stripe.com/docs/webhooks)\r\nAccept: */*\r\nCache-Control: no-cache\r\n"
        f"Stripe-Signature: t={signed_at},v1={mac}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def requests_of(records: Sequence[Outgoing], host: str, signed_at: int) -> list[Request]:
    """Return the requests that bring these records."""
    return [
        ((dict(record.headers)["ce_id"] or b"").decode(), sealed(record.value, host, signed_at)) for record in records
    ]


def distinct(records: Sequence[Outgoing], count: int, seed: int) -> list[Outgoing]:
    """Return that many records, these again and again under event ids of their own.

    An ingress that has taken a delivery knows its copies and need not publish them: no two may be the same.
    """
    made = []
    for number in range(count):
        record = records[number % len(records)]
        old = dict(record.headers)["ce_id"] or b""
        new = b"evt_%016x%08x" % (number, seed)
        headers = tuple((name, new if name == "ce_id" else value) for name, value in record.headers)
        made.append(replace(record, value=record.value.replace(old, new), headers=headers))
    return made


class LoadConnection(asyncio.Protocol):
    """One connection: sends a request, hands on the status of its answer."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._event_id = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self, request: Request) -> None:
        """Send one request; the connection is free again after its answer."""
        assert self._transport is not None
        self._event_id, raw = request
        self._transport.write(raw)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(HEAD_END)
        if not found or len(rest) < _length_of(head):
            return
        self._buffer = b""
        self._load.answered(self, self._event_id, int(head[9:12]))

    def connection_lost(self, error: Exception | None) -> None:
        self._load.lost(error)


def _length_of(head: bytes) -> int:
    return int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])


class Load:
    """All connections of the sender, and what came of their requests."""

    def __init__(self, requests: Sequence[Request], seconds: float, rate: float) -> None:
        self._requests = requests
        self._seconds = seconds
        self._rate = rate
        self._next = 0
        self._idle: deque[LoadConnection] = deque()
        self._late: deque[Request] = deque()
        self._open = 0
        self._deadline = 0.0
        self._done = asyncio.Event()
        self.statuses: Counter[int] = Counter()
        self.accepted_at: dict[str, float] = {}

    async def run(self, host: str, port: int, connections: int) -> float:
        """Send for the time that was asked for; return the seconds until the last answer."""
        loop = asyncio.get_running_loop()
        clients = [
            (await loop.create_connection(lambda: LoadConnection(self), host, port))[1] for _ in range(connections)
        ]
        began = time.perf_counter()
        self._deadline = began + self._seconds
        self._idle.extend(clients)
        if self._rate:
            await self._at_fixed_times(began)
        else:
            while self._idle:
                self._send(self._take())
        async with asyncio.timeout(self._seconds + PATIENCE_SECONDS):
            await self._done.wait()
        return time.perf_counter() - began

    def answered(self, client: LoadConnection, event_id: str, status: int) -> None:
        """Count an answer; send the next request, or end."""
        self.statuses[status] += 1
        self._open -= 1
        if self._rate:
            self.accepted_at.setdefault(event_id, time.time())
        self._idle.append(client)
        if self._late:
            self._send(self._late.popleft())
        elif self._goes_on() and not self._rate:
            self._send(self._take())
        elif not self._open and not self._goes_on():
            self._done.set()

    def lost(self, error: Exception | None) -> None:
        """Count a connection that the ingress closed."""
        self.statuses[0] += 1
        if error is not None:
            sys.stderr.write(f"connection lost: {error}\n")

    def _goes_on(self) -> bool:
        """Tell whether there is time and something left to send."""
        return time.perf_counter() < self._deadline and (bool(self._rate) or self._next < len(self._requests))

    async def _at_fixed_times(self, began: float) -> None:
        for number in range(int(self._rate * self._seconds)):
            pause = began + number / self._rate - time.perf_counter()
            if pause > 0:
                await asyncio.sleep(pause)
            request = self._take()
            if self._idle:
                self._send(request)
            else:
                self._late.append(request)
        await asyncio.sleep(max(0.0, self._deadline - time.perf_counter()))
        if not self._open:
            self._done.set()

    def _take(self) -> Request:
        self._next += 1
        return self._requests[(self._next - 1) % len(self._requests)]

    def _send(self, request: Request) -> None:
        self._open += 1
        self._idle.popleft().send(request)


async def _run(arguments: Sequence[str]) -> None:
    address, seconds, connections, rate, events, seed = arguments
    host, _, port = address.partition(":")
    records: Sequence[Outgoing]
    if float(rate):
        records = make_workload(int(events), int(seed), late_share=0.0).records
    else:
        records = distinct(make_workload(BODIES, BODIES_SEED).records, int(events), int(seed))
    load = Load(requests_of(records, address, int(time.time())), float(seconds), float(rate))
    took = await load.run(host, int(port), int(connections))
    document = {
        "requests": sum(load.statuses.values()),
        "statuses": load.statuses,
        "seconds": took,
        "accepted_at": load.accepted_at,
    }
    sys.stdout.write(json.dumps(document) + "\n")


def main() -> None:
    """Read the arguments, send, print."""
    uvloop.run(_run(sys.argv[1:]))


if __name__ == "__main__":
    main()
