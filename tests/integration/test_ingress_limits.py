"""The ingress' guards on real brokers: quotas by Redis or local, copies of a delivery, and the spool's groups."""

from __future__ import annotations

import asyncio
import re
import uuid
from typing import Any

import asyncpg
import pytest
import running_ingress as running
from pydantic import SecretStr
from running_intents import INTENT, KEYS, Api

from runtime.settings import LimitSettings, RedisSettings

pytestmark = pytest.mark.integration

NOWHERE = "127.0.0.1:1"
FORGED = {"secret": "whsec_forged"}
OVER = "https://iana.org/assignments/http-problem-types#quota-exceeded"


def shared(stack: Any, prefix: str, **limits: Any) -> dict[str, Any]:
    return {
        "redis": RedisSettings(url=SecretStr(stack.redis), key_prefix=prefix),
        "limits": LimitSettings(**limits),
        "api_keys": {client: (SecretStr(key),) for client, key in KEYS.items()},
    }


async def forge(ingress: running.RunningIngress, **headers: str) -> tuple[int, Any]:
    """Post a forged webhook; return its status and its fields."""
    _, body = running.event()
    status, _, fields = await ingress.post(body, **{**running.signature(body, **FORGED), **headers})
    return status, fields


def fields_hold(fields: Any, name: str, quota: int, left: int) -> bool:
    policy = fields["RateLimit-Policy"] == f'"{name}";q={quota};w=60'
    return policy and bool(re.fullmatch(rf'"{name}";r={left};t=[1-9][0-9]?', fields["RateLimit"]))


async def test_an_address_over_its_quota_still_gets_its_genuine_webhooks_taken(
    stack: Any, database: Any, topic_prefix: str
) -> None:
    changes = shared(stack, topic_prefix, unverified_requests_max=5)
    async with running.open_ingress(stack.kafka, database.dsn, changes=changes) as ingress:
        answers = [await forge(ingress) for _ in range(8)]
        assert [status for status, _ in answers] == [401] * 5 + [429] * 3
        for number, (_, fields) in enumerate(answers[:5]):
            assert fields_hold(fields, "unverified", 5, 4 - number)
        for _, fields in answers[5:]:
            assert fields_hold(fields, "unverified", 5, 0)
            assert 1 <= int(fields["Retry-After"]) <= 61
            assert fields["Content-Type"] == "application/problem+json"
        for _ in range(20):
            _, body = running.event()
            status, _, fields = await ingress.post(body)
            assert status == 202
            assert "Retry-After" not in fields
            assert fields_hold(fields, "unverified", 5, 0)
        assert (await forge(ingress))[0] == 429


async def test_the_quota_is_that_of_the_sender_behind_the_proxy(stack: Any, database: Any, topic_prefix: str) -> None:
    changes = shared(stack, topic_prefix, unverified_requests_max=1)
    proxies = {"trusted_proxies": ["127.0.0.1/32"]}
    async with running.open_ingress(stack.kafka, database.dsn, changes=changes, **proxies) as ingress:
        for sender, status in (("192.0.2.1", 401), ("192.0.2.1", 429), ("192.0.2.2", 401), ("192.0.2.1", 429)):
            assert (await forge(ingress, **{"X-Forwarded-For": f"203.0.113.9, {sender}"}))[0] == status
        for site, status in (("2001:db8:0:1::1", 401), ("2001:db8:0:1::2", 429), ("2001:db8:0:2::1", 401)):
            assert (await forge(ingress, **{"X-Forwarded-For": site}))[0] == status


async def test_two_ingresses_share_a_quota_and_each_has_its_own_without_redis(
    stack: Any, database: Any, topic_prefix: str
) -> None:
    changes = shared(stack, topic_prefix, unverified_requests_max=3)
    async with (
        running.open_ingress(stack.kafka, database.dsn, changes=changes) as one,
        running.open_ingress(stack.kafka, database.dsn, changes=changes) as other,
    ):
        assert [(await forge(ingress))[0] for ingress in (one, other, one, other, one)] == [401, 401, 401, 429, 429]
    alone = changes | {"redis": RedisSettings(url=SecretStr("redis://127.0.0.1:1/0"))}
    async with (
        running.open_ingress(stack.kafka, database.dsn, changes=alone) as one,
        running.open_ingress(stack.kafka, database.dsn, changes=alone) as other,
    ):
        assert [(await forge(ingress))[0] for ingress in (one, one, one, one, other)] == [401, 401, 401, 429, 401]


async def test_hints_that_anybody_can_send_have_a_quota(stack: Any, database: Any, topic_prefix: str) -> None:
    from runtime.settings import ProviderSettings

    mollie = {"providers": {"mollie": ProviderSettings(secrets=(SecretStr("live_secret"),))}}
    changes = shared(stack, topic_prefix, unsigned_requests_max=2) | mollie
    async with running.open_ingress(stack.kafka, database.dsn, changes=changes) as ingress:
        statuses = []
        for number in range(3):
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            async with ingress.client.post(
                ingress.url + "/webhooks/mollie", data=f"id=tr_{number:06}".encode(), headers=headers
            ) as response:
                statuses.append(response.status)
        assert statuses == [202, 202, 429]


async def test_a_client_over_its_quota_is_reported_when_to_come_again(
    stack: Any, database: Any, topic_prefix: str
) -> None:
    changes = shared(stack, topic_prefix, requests_max=3, endpoints={"payment": 2})
    async with running.open_ingress(stack.kafka, database.dsn, changes=changes) as ingress:
        api = Api(ingress.url, ingress.client)
        replies = [await api.create() for _ in range(5)]
        assert [reply.status for reply in replies] == [202] * 3 + [429] * 2
        for left, reply in zip((2, 1, 0), replies, strict=False):
            assert fields_hold(reply.headers, "default", 3, left)
            assert "Retry-After" not in reply.headers
        for reply in replies[3:]:
            assert (reply.slug, reply.json["type"]) == ("quota-exceeded", OVER)
            assert fields_hold(reply.headers, "default", 3, 0)
            assert 1 <= int(reply.headers["Retry-After"]) <= 61
        assert (await api.of("rival").create()).status == 202, "another client has a quota of its own"
        looks = [await api.get(replies[0].json["id"]) for _ in range(3)]
        assert [look.status for look in looks] == [200, 200, 429], "so has another endpoint"
        assert fields_hold(looks[0].headers, "default", 2, 1)
        refused = await api.post(f"/payment-intents/{uuid.uuid4()}/capture")
        assert (refused.status, fields_hold(refused.headers, "default", 3, 2)) == (404, True)


async def test_a_refused_request_leaves_its_key_free(stack: Any, database: Any, topic_prefix: str) -> None:
    changes = shared(stack, topic_prefix, requests_max=1)
    key = str(uuid.uuid4())
    async with running.open_ingress(stack.kafka, database.dsn, changes=changes) as ingress:
        api = Api(ingress.url, ingress.client)
        assert (await api.create()).status == 202
        assert (await api.create(key=key)).status == 429
    async with running.open_ingress(stack.kafka, database.dsn, changes=shared(stack, topic_prefix + "x")) as ingress:
        reply = await Api(ingress.url, ingress.client).post(body=INTENT, key=key)
        assert (reply.status, "Idempotent-Replayed" in reply.headers) == (202, False)


@pytest.mark.parametrize("copies", [200])
async def test_a_storm_of_copies_is_one_record(stack: Any, database: Any, copies: int) -> None:
    async with running.tail(stack.kafka) as tail, running.open_ingress(stack.kafka, database.dsn) as ingress:
        event_id, body = running.event()
        answers = await asyncio.gather(*(ingress.post(body) for _ in range(copies)))
        assert {(status, answer) for status, answer, _ in answers} == {(202, b'{"accepted":1}')}
        records = [record for record in await tail.drain() if dict(record.headers)["ce_id"] == event_id.encode()]
        assert len(records) == 1
        assert (await ingress.post(body, **running.signature(body, **FORGED)))[0] == 401, "a forged copy is no copy"


async def test_many_at_once_are_each_in_the_spool_once_in_few_transactions(database: Any) -> None:
    async with running.open_ingress(NOWHERE, database.dsn, publish_timeout_seconds=0.5) as ingress:
        events = [running.event() for _ in range(150)]
        answers = await asyncio.gather(*(ingress.post(body) for _, body in events))
        assert {status for status, _, _ in answers} == {202}
    connection = await asyncpg.connect(database.dsn)
    try:
        rows = await connection.fetch("select value, header_names, header_values, relay_xid from spool")
    finally:
        await connection.close()
    assert sorted(row["value"] for row in rows) == sorted(body for _, body in events)
    ids = [dict(zip(row["header_names"], row["header_values"], strict=True))[b"ce_id"].decode() for row in rows]
    assert sorted(ids) == sorted(event_id for event_id, _ in events)
    assert len({row["relay_xid"] for row in rows}) < len(rows), "requests shared transactions"


async def test_a_group_that_fails_is_503_for_all_and_leaves_nothing(database: Any) -> None:
    owner = await asyncpg.connect(database.owner_dsn)
    try:
        await owner.execute("alter table spool add constraint nothing_more check (octet_length(value) < 0) not valid")
        async with running.open_ingress(NOWHERE, database.dsn, publish_timeout_seconds=0.5) as ingress:
            bodies = [running.event()[1] for _ in range(20)]
            answers = await asyncio.gather(*(ingress.post(body) for body in bodies))
            assert {status for status, _, _ in answers} == {503}
            assert all("Retry-After" in fields for _, _, fields in answers)
            assert await owner.fetchval("select count(*) from spool") == 0
            await owner.execute("alter table spool drop constraint nothing_more")
            answers = await asyncio.gather(*(ingress.post(body) for body in bodies))
            assert {status for status, _, _ in answers} == {202}
            assert await owner.fetchval("select count(*) from spool") == 20
    finally:
        await owner.close()
