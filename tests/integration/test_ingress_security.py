"""What every answer of the ingress carries, whoever refuses and why; and heads that are floods."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import running_ingress as running
from pydantic import SecretStr
from running_intents import INTENT, KEYS

from producers.ingress.answers import SECURITY_HEADERS
from runtime.settings import LimitSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.integration

KEY = f"Authorization: Bearer {KEYS['shop']}"
BODY = json.dumps(INTENT)


@pytest.fixture
async def ingress(stack: Any, database: Any) -> AsyncIterator[running.RunningIngress]:
    changes = {
        "api_keys": {"shop": (SecretStr(KEYS["shop"]),)},
        "limits": LimitSettings(endpoints={"timeline": 1}),
    }
    bounds = {"receipt_deadline_seconds": 0.5, "header_bytes_max": 8 * 1024, "linger_seconds": 0.2}
    async with running.open_ingress(stack.kafka, database.dsn, changes=changes, **bounds) as opened:
        yield opened


def request(line: str, *headers: str, body: str = "", **fields: str) -> bytes:
    """Return a request; what has a body has its length."""
    length = [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([f"{line} HTTP/1.1", "Host: a", *length, *headers, "Connection: close", "", body]).encode()


def intent(*headers: str) -> bytes:
    return request("POST /payment-intents", KEY, f"Idempotency-Key: {uuid.uuid4()}", *headers, body=BODY)


REQUESTS: dict[str, tuple[bytes, int]] = {
    "livez": (request("GET /livez"), 200),
    "readyz": (request("GET /readyz?verbose"), 200),
    "metrics": (request("GET /metrics"), 404),
    "document": (request("GET /openapi.json"), 200),
    "forged": (request("POST /webhooks/stripe", "Stripe-Signature: t=1,v1=00", body="{}"), 401),
    "intent": (intent(), 202),
    "no key": (request("POST /payment-intents", body=BODY), 401),
    "no idempotency key": (request("POST /payment-intents", KEY, body=BODY), 400),
    "no json": (intent("Content-Type: text/plain"), 415),
    "no intent": (request("POST /payment-intents", KEY, f"Idempotency-Key: {uuid.uuid4()}", body="{}"), 422),
    "unknown intent": (request(f"GET /payment-intents/{uuid.uuid4()}", KEY), 404),
    "unknown path": (request("GET /nothing"), 404),
    "unknown provider": (request("POST /webhooks/nobody", body="{}"), 404),
    "other method": (request("DELETE /webhooks/stripe"), 405),
    "too large": (request("POST /webhooks/stripe", "Content-Length: 99999999"), 413),
    "too slow": (request("POST /webhooks/stripe", "Content-Length: 10"), 408),
    "half a head": (b"POST /webhooks/stripe HTTP/1.1\r\nHost: a\r\n", 408),
    "large head": (request("GET /livez", "X-Big: " + "x" * 9000), 431),
    "no http": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "two lengths": (request("POST /webhooks/stripe", "Content-Length: 1", "Content-Length: 2"), 400),
}


async def test_every_answer_has_the_security_fields_and_nothing_of_the_inside(ingress: running.RunningIngress) -> None:
    webhook = running.raw_request(running.event()[1], "Connection: close")  # signed now: it is stale in five minutes
    for name, (sent, status) in {"webhook": (webhook, 202), **REQUESTS}.items():
        answer = await running.exchange(ingress.address, sent)
        assert running.statuses(answer) == [status], name
        assert name != "readyz" or answer.endswith(b'\r\n\r\n{"ready":true}'), "what it looks at is the probe's"
        need_sound(answer)
    look = request(f"GET /payment-intents/{uuid.uuid4()}/timeline", KEY)
    answers = [await running.exchange(ingress.address, look) for _ in range(2)]
    assert [running.statuses(answer) for answer in answers] == [[404], [429]]
    need_sound(answers[1])


def need_sound(answer: bytes) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    fields = [line.partition(b": ")[::2] for line in head.lower().split(b"\r\n")[1:]]
    names = [name for name, _ in fields]
    for name, value in SECURITY_HEADERS:
        assert fields.count((name, value.lower())) == 1, name
    assert len(names) == len(set(names)), "no field is sent twice"
    assert b"server" not in names
    for word in (b"Traceback", b'File "', b".py", b"uvicorn", b"asyncpg", b"starlette"):
        assert word not in answer
    if not head.startswith(b"HTTP/1.1 2"):
        assert (b"content-type", b"application/problem+json") in fields
        assert {"type", "title", "status"} <= set(json.loads(body))


async def test_a_flood_of_small_fields_is_refused(ingress: running.RunningIngress) -> None:
    for count, status in ((90, 200), (150, 431), (1500, 431)):
        flood = request("GET /livez", *(["a:"] * count))
        assert len(flood) < 8 * 1024, "its bytes alone would pass"
        assert running.statuses(await running.exchange(ingress.address, flood)) == [status]
