"""A few cases of each kind over the wire: signed as the provider signs, through Kafka, into rows.

The cases are those of `tests/contract/cases`, which hold on the pure functions in every order.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import ingress_door as ingress
import pytest
from pydantic import SecretStr
from settling import bench

from runtime.settings import ProviderSettings
from schemas.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.integration

FOLDER: Final = Path(__file__).parents[1] / "contract" / "cases"
KEY: Final = "sk_test_9d7f4c2b8a6e1f3055aa"


def mac(body: bytes, name: str = "sha256") -> Any:
    return hmac.new(KEY.encode(), body, name)


SIGNED: Final[dict[str, Callable[[str, str, bytes], dict[str, str]]]] = {
    "checkout": lambda _own, _kind, body: {"Cko-Signature": mac(body).hexdigest()},
    "paystack": lambda _own, _kind, body: {"X-Paystack-Signature": mac(body, "sha512").hexdigest()},
    "razorpay": lambda own, _kind, body: {
        "X-Razorpay-Signature": mac(body).hexdigest(), "X-Razorpay-Event-Id": own,
    },
    "shopify": lambda own, kind, body: {
        "X-Shopify-Hmac-Sha256": base64.b64encode(mac(body).digest()).decode(),
        "X-Shopify-Topic": kind, "X-Shopify-Event-Id": own,
    },
}  # fmt: skip
"""The headers of a genuine webhook, by (event id, kind, body)."""
PER_PROVIDER: Final = 4


def cases() -> list[dict[str, Any]]:
    """Return the first cases of each provider that are webhooks alone."""
    found = []
    for name in SIGNED:
        lines = [line for path in FOLDER.glob(f"*_{name}.jsonl") for line in path.read_text().splitlines()]
        read = [json.loads(line) for line in lines]
        found += [case for case in read if all(isinstance(step, list) for step in case["steps"])][:PER_PROVIDER]
    return found


CASES: Final = cases()


@pytest.mark.parametrize("case", CASES, ids=[f"{case['provider']} {case['id']}" for case in CASES])
async def test_a_case_over_http(stack: Any, database: Any, case: dict[str, Any]) -> None:
    provider = case["provider"]
    changes = {"providers": {provider: ProviderSettings(secrets=(SecretStr(KEY),))}}
    async with (
        bench(database.dsn) as ledger,
        ingress.tail(stack.kafka) as tail,
        ingress.open_door(stack.kafka, database.dsn, changes=changes) as door,
    ):
        for place, (kind, body) in enumerate(case["steps"]):
            await post(door, provider, hashlib.sha256(f"{case['id']} {place}".encode()).hexdigest(), kind, body)
        came = [record_of(one) for one in await tail.drain() if dict(one.headers)["ce_source"] == provider.encode()]
        assert len(came) == len(case["steps"])
        for batch in ([one] for one in (*came, *reversed(came))):
            await ledger.settle(batch)
        columns = sorted({name for row in case["rows"] for name in row})
        rows = await ledger.fetch(
            f"select {', '.join(columns)} from payments where merged_into is null order by provider_ref"
        )
    assert rows == sorted(case["rows"], key=lambda row: str(row.get("provider_ref"))), case["title"]


async def post(door: ingress.Door, provider: str, own: str, kind: str, body: dict[str, Any]) -> None:
    raw = json.dumps(body).encode()
    url, headers = f"{door.url}/webhooks/{provider}", SIGNED[provider](own, kind, raw)
    async with door.client.post(url, data=raw, headers=headers) as answer:
        assert answer.status == 202, await answer.text()


def record_of(one: Any) -> Record:
    headers = tuple((name, value if isinstance(value, bytes) else value.encode()) for name, value in one.headers)
    return Record(one.topic, one.partition, one.offset, one.timestamp, one.key, one.value, headers)
