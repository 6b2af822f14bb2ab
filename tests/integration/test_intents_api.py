"""The intents API on real brokers: records, requests of one key, replays, refusals, states, and separation."""

from __future__ import annotations

import asyncio
import itertools
import json
import uuid
from collections import Counter
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from consumer_harness import BatchHarness, answer, batch_harness, records, until_waiting, webhook
from running_intents import INTENT, KEYS, Api, open_api, process
from waiting import until

from producers.relay.cleaning import clean_idempotency_records
from runtime.lease import PostgresLeases
from runtime.settings import IntentsSettings
from runtime.sql import statement
from schemas.errors import LeaseLostError
from schemas.topics import EVENTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from consumer_harness import Event

pytestmark = pytest.mark.integration

PLACES = itertools.count()


@pytest.fixture
async def api(stack: Any, database: Any) -> AsyncIterator[Api]:
    async with open_api(stack.kafka, database.dsn) as opened:
        yield opened


@pytest.fixture
async def patient_api(stack: Any, database: Any) -> AsyncIterator[Api]:
    """Give an API whose requests wait for each other as long as a loaded machine takes."""
    async with open_api(stack.kafka, database.dsn, timeout_seconds=40.0, twin_wait_seconds=30.0) as opened:
        yield opened


@pytest.fixture
async def harness(database: Any) -> AsyncIterator[BatchHarness]:
    async with batch_harness(database.dsn) as opened:
        yield opened


async def tell(harness: BatchHarness, kind: str, payment: str, offset: int, **fields: Any) -> None:
    """Do what the consumer does with a webhook."""
    await harness.process(records([webhook(kind, payment, **fields)], first=offset))


async def test_an_intent_is_recorded_answered_and_queued_at_once(api: Api, harness: BatchHarness) -> None:
    reply = await api.create(reference="order-1", provider_ref="pay-1", phone="+4915112345678", metadata={"a": [1]})
    assert (reply.status, reply.json["status"], reply.json["command"]) == (202, "created", "create")
    payment_id = reply.json["id"]
    assert reply.headers["Location"] == f"/payment-intents/{payment_id}"
    assert "Idempotent-Replayed" not in reply.headers
    (row,) = await harness.fetch("select * from spool")
    headers = dict(zip(row["header_names"], row["header_values"], strict=True))
    assert (row["topic"], row["key"]) == ("payments.intents", b"pay-1")
    assert (headers[b"ce_id"], headers[b"ce_source"]) == (f"{payment_id}:create".encode(), b"intents/shop")
    reported = json.loads(row["value"])
    assert (reported["id"], reported["client"], reported["command"]) == (payment_id, "shop", "create")
    assert reported["body"] | {**INTENT, "phone": "+4915112345678", "metadata": {"a": [1]}} == reported["body"]


async def test_the_same_request_gets_the_same_bytes(api: Api, harness: BatchHarness) -> None:
    key = str(uuid.uuid4())
    first = await api.create(key=key)
    again = [await api.create(key=form) for form in (key, f'"{key}"', key.upper(), f'"{key.upper()}"')]
    again.append(await api.post(body=json.dumps(INTENT, indent=3).encode(), key=key))
    amount = f'"amount": {INTENT["amount"]}'
    spelled = json.dumps(INTENT).replace(amount, f"{amount}.0")
    assert spelled != json.dumps(INTENT), "the same number, as other languages write it"
    again.append(await api.post(body=spelled.encode(), key=key))
    assert {(reply.status, reply.body) for reply in again} == {(202, first.body)}
    assert {reply.headers["Location"] for reply in again} == {first.headers["Location"]}
    assert {reply.headers["Idempotent-Replayed"] for reply in again} == {"true"}
    assert await harness.pool.fetchval("select count(*) from spool") == 1


async def test_a_key_stands_for_one_request_of_one_client(api: Api) -> None:
    key = str(uuid.uuid4())
    first = await api.create(key=key)
    other = await api.create(key=key, amount=101)
    capture = await api.post(f"/payment-intents/{first.json['id']}/capture", key=key)
    assert [(reply.status, reply.slug) for reply in (other, capture)] == [(422, "idempotency-mismatch")] * 2
    rival = await api.of("rival").create(key=key)
    assert (rival.status, rival.json["id"] != first.json["id"]) == (202, True)


async def test_fifty_requests_of_one_key_make_one_event(api: Api, harness: BatchHarness) -> None:
    key = str(uuid.uuid4())
    replies = await asyncio.gather(*(api.create(key=key) for _ in range(50)))
    taken = [reply for reply in replies if reply.status == 202]
    rest = [reply for reply in replies if reply.status != 202]
    assert {reply.body for reply in taken} == {taken[0].body}
    assert {(reply.status, reply.slug) for reply in rest} <= {(409, "idempotency-in-progress")}
    assert sum("Idempotent-Replayed" not in reply.headers for reply in taken) == 1
    assert await harness.pool.fetchval("select count(*) from spool") == 1
    assert await harness.pool.fetchval("select count(*) from intent_claims") == 1


async def test_requests_of_one_key_at_two_ingresses_make_one_event(
    stack: Any, database: Any, harness: BatchHarness
) -> None:
    key = str(uuid.uuid4())
    async with open_api(stack.kafka, database.dsn) as one, open_api(stack.kafka, database.dsn) as other:
        replies = await asyncio.gather(*(ingress.create(key=key) for _ in range(25) for ingress in (one, other)))
    taken = {reply.body for reply in replies if reply.status == 202}
    assert len(taken) == 1
    assert {reply.status for reply in replies} <= {202, 409}
    assert await harness.pool.fetchval("select count(*) from spool") == 1


async def test_a_copy_of_a_request_that_hangs_is_answered_so(stack: Any, database: Any, harness: BatchHarness) -> None:
    """As a second process would hold it: the first one's transaction is open and does not end."""
    key = uuid.uuid4()
    name = f"intent-claim:shop:{key}"
    async with open_api(stack.kafka, database.dsn, twin_wait_seconds=0.1) as api:
        async with harness.pool.acquire() as connection, connection.transaction():
            await connection.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", name)
            reply = await api.create(key=str(key))
            assert (reply.status, reply.slug) == (409, "idempotency-in-progress")
            assert int(reply.headers["Retry-After"]) > 0
        assert (await api.create(key=str(key))).status == 202


async def test_what_is_refused_leaves_the_key_free(api: Api, harness: BatchHarness) -> None:
    key = str(uuid.uuid4())
    refused = await api.create(key=key, amount=0)
    assert (refused.status, refused.slug) == (422, "invalid-body")
    assert refused.json["errors"][0]["pointer"] == "#/amount"
    assert (await api.create(key=key)).status == 202
    assert await harness.pool.fetchval("select count(*) from intent_claims") == 1


@pytest.mark.parametrize(
    ("key", "slug"),
    [(None, "idempotency-key-missing"), ("1", "idempotency-key-malformed"), ('"x', "idempotency-key-malformed")],
)
async def test_a_key_is_needed(api: Api, key: str | None, slug: str) -> None:
    reply = await api.create(key=key)
    assert (reply.status, reply.slug) == (400, slug)


@pytest.mark.parametrize("authorization", [None, "Bearer", "Bearer nope", "Basic c2hvcDo=", KEYS["shop"]])
async def test_a_key_of_a_client_is_needed(api: Api, authorization: str | None) -> None:
    for method, path in (("POST", "/payment-intents"), ("GET", f"/payment-intents/{uuid.uuid4()}")):
        reply = await api.call(method, path, b"{}" if method == "POST" else None, Authorization=authorization)
        assert (reply.status, reply.slug) == (401, "unauthenticated")
        assert reply.headers["WWW-Authenticate"] == 'Bearer realm="ratchet"'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"nul",
        b'{"amount":' + b"9" * 5000 + b"}",
        b"[" * 200_000,
        b'{"metadata":' + b'{"a":' * 40_000 + b"1" + b"}" * 40_001,
        json.dumps({**INTENT, "reference": "\ud800"}).encode(),
        json.dumps({**INTENT, "reference": "a\x00b"}).encode(),
        json.dumps({**INTENT, "metadata": {"a": "\x00"}}).encode(),
        json.dumps({**INTENT, "metadata": {"a": float("inf")}}).encode(),
        json.dumps({**INTENT, "metadata": {"a": {"b": {"c": {"d": {"e": {}}}}}}}).encode(),
        json.dumps({**INTENT, "amount": 10**14 + 1}).encode(),
        json.dumps({**INTENT, "amount": 2**63}).encode(),
        json.dumps({**INTENT, "amount": 10.5}).encode(),
        json.dumps({**INTENT, "amount": "100"}).encode(),
        json.dumps({**INTENT, "currency": "XXX"}).encode(),
        json.dumps({**INTENT, "currency": "eur"}).encode(),
        json.dumps({**INTENT, "provider": "nobody"}).encode(),
        json.dumps({**INTENT, "phone": "0151"}).encode(),
        json.dumps({**INTENT, "surprise": 1}).encode(),
        b'{"amount": 100, "currency": "EUR", "provider": "\xff"}',
    ],
)
async def test_a_body_that_is_no_intent_is_refused(api: Api, harness: BatchHarness, body: bytes) -> None:
    reply = await api.post(body=body)
    assert (reply.status, reply.slug) == (422, "invalid-body")
    assert await harness.pool.fetchval("select count(*) from spool") == 0


async def test_http_is_taken_at_its_word(api: Api) -> None:
    path = f"/payment-intents/{uuid.uuid4()}"
    for method, place, allowed in (("GET", "/payment-intents", "POST"), ("PUT", path, "GET, HEAD")):
        reply = await api.call(method, place)
        assert (reply.status, reply.slug, reply.headers["Allow"]) == (405, "method-not-allowed", allowed)
    form = await api.call(
        "POST", "/payment-intents", b"amount=1", Content_Type="text/plain", Idempotency_Key=str(uuid.uuid4())
    )
    assert (form.status, form.slug) == (415, "unsupported-media-type")
    big = await api.post(body=b" " * (256 * 1024 + 1))
    assert (big.status, big.slug) == (413, "body-too-large")
    bare = await api.post(body=INTENT, Content_Type=None)
    assert bare.status == 202
    for nowhere in ("/payment-intents/", f"{path}/void", f"{path}/", "/payment-intents/a/b/c"):
        assert (await api.call("GET", nowhere)).slug == "unknown-path"
    assert (await api.get("no-uuid")).slug == "unknown-intent"
    assert (await api.post("/payment-intents/no-uuid/capture")).slug == "unknown-intent"
    assert (await api.call("HEAD", path)).status == 404


async def test_a_payment_is_seen_by_its_client_alone(api: Api, harness: BatchHarness) -> None:
    payment_id = (await api.create(reference="order-2")).json["id"]
    rival = api.of("rival")
    for _ in range(2):
        assert (await api.get(payment_id)).status == 200
        for reply in (
            await rival.get(payment_id),
            await rival.get(payment_id, "/timeline"),
            *[await rival.post(f"/payment-intents/{payment_id}/{what}") for what in ("capture", "cancel", "refunds")],
        ):
            assert (reply.status, reply.slug) == (404, "unknown-intent")
        await process(harness)
    refused = await rival.create(reference="order-2")
    assert (refused.status, refused.slug) == (409, "reference-taken"), "clients of one account share its references"
    assert "payment_id" not in refused.json
    assert (await rival.create(reference="order-2", account="other")).status == 202


async def test_a_payment_that_only_webhooks_opened_is_nobodys(api: Api, harness: BatchHarness) -> None:
    await tell(harness, "payment.authorized", "pay-9", 0, amount=100)
    (row,) = await harness.fetch("select id from payments")
    assert (await api.get(str(row["id"]))).slug == "unknown-intent"


async def test_it_is_shown_from_the_record_and_then_from_the_ledger(api: Api, harness: BatchHarness) -> None:
    payment_id = (await api.create(provider_ref="pay-3", reference="order-3")).json["id"]
    recorded = (await api.get(payment_id)).json
    assert (recorded["id"], recorded["status"], recorded["version"]) == (payment_id, "created", 0)
    assert (await api.get(payment_id, "/timeline")).json == {"id": payment_id, "timeline": [], "complete": True}
    await process(harness)
    await tell(harness, "payment.authorized", "pay-3", 0, amount=100)
    shown = (await api.get(payment_id)).json
    assert (shown["id"], shown["status"], shown["authorized"], shown["version"]) == (payment_id, "authorized", 100, 2)
    assert {**recorded, **{name: shown[name] for name in shown if name not in INTENT}} == shown
    moments = (await api.call("GET", shown["timeline"])).json["timeline"]
    assert [(moment["source"], moment["to_status"]) for moment in moments] == [
        ("intents/shop", "created"),
        ("standard_webhooks", "authorized"),
    ]


async def test_a_client_sees_whose_money_it_is_and_what_does_not_add_up(api: Api, harness: BatchHarness) -> None:
    payment_id = (await api.create(provider_ref="pay-30", livemode=False)).json["id"]
    scope = ("merchant_account", "livemode", "flags")
    assert [(await api.get(payment_id)).json[name] for name in scope] == ["", False, []]
    payment_id = (await api.create(provider_ref="pay-31")).json["id"]
    await process(harness)
    await tell(harness, "payment.authorized", "pay-31", 0, amount=100)
    await tell(harness, "payment.captured", "pay-31", 1, amount=250)
    shown = (await api.get(payment_id)).json
    assert [shown[name] for name in scope] == ["", True, ["over_captured"]]


async def test_a_webhook_that_came_first_and_the_intent_are_one_payment(api: Api, harness: BatchHarness) -> None:
    await tell(harness, "payment.authorized", "pay-4", 0, amount=100)
    payment_id = (await api.create(provider_ref="pay-4")).json["id"]
    await process(harness)
    assert [row["id"] for row in (await harness.tables()).payments if row["merged_into"] is None] == [
        uuid.UUID(payment_id)
    ]
    assert (await api.get(payment_id)).json["status"] == "authorized"
    moments = (await api.get(payment_id, "/timeline")).json["timeline"]
    assert [(moment["source"], moment["to_status"]) for moment in moments] == [
        ("standard_webhooks", "authorized"),
        ("ratchet", "authorized"),  # the webhook's row gave its payment to the intent's
        ("intents/shop", "authorized"),
    ]


async def test_names_are_unique_in_their_scope(api: Api, harness: BatchHarness) -> None:
    payment_id = (await api.create(reference="order-5", provider_ref="pay-5")).json["id"]
    for _ in range(2):
        for names in ({"reference": "order-5"}, {"provider_ref": "pay-5"}):
            reply = await api.create(**names)
            assert (reply.status, reply.slug, reply.json["payment_id"]) == (409, "reference-taken", payment_id)
        await process(harness)
        await harness.pool.execute("delete from intent_claims")
    assert (await api.create(provider_ref="pay-5", account="other")).status == 202


async def test_requests_under_two_keys_get_one_reference(api: Api, harness: BatchHarness) -> None:
    replies = await asyncio.gather(*(api.create(reference="order-6") for _ in range(20)))
    assert Counter(reply.status for reply in replies) == {202: 1, 409: 19}
    assert {reply.slug for reply in replies if reply.status == 409} == {"reference-taken"}
    assert await harness.pool.fetchval("select count(*) from spool") == 1


async def test_commands_follow_their_create_under_its_key(api: Api, harness: BatchHarness) -> None:
    payment_id = (await api.create(provider_ref="pay-7")).json["id"]
    path = f"/payment-intents/{payment_id}"
    capture = await api.post(f"{path}/capture", {"amount": 60})
    assert (capture.status, capture.headers["Location"]) == (202, path)
    reported = {"id": payment_id, "status": "created", "command": "capture", "currency": "EUR", "amount": 60}
    assert capture.json == reported
    rest = await api.post(f"{path}/capture")
    assert (rest.status, rest.json["amount"]) == (202, 40)
    rows = await harness.fetch("select key, value from spool order by id")
    assert [json.loads(row["value"])["command"] for row in rows] == ["create", "capture", "capture"]
    assert {row["key"] for row in rows} == {b"pay-7"}
    await process(harness)
    ledger = (await harness.tables()).ledger
    assert [(row["event_type"], row["outcome"]) for row in ledger][1:] == [("intent.capture", "noop")] * 2
    assert len({row["event_id"] for row in ledger}) == 3


async def process_answers(harness: BatchHarness, *answers: Event) -> None:
    await harness.process(records(answers, topic=EVENTS.name, first=next(PLACES)))


async def test_a_refusal_frees_the_money_at_once_and_every_state_is_shown(api: Api, harness: BatchHarness) -> None:
    """In any order a later state stands: a refund that was carried out is never taken for refused."""
    payment_id = (await api.create(provider_ref="pay-r")).json["id"]
    path = f"/payment-intents/{payment_id}"
    await process(harness)
    await tell(harness, "payment.captured", "pay-r", 0, amount=100)
    assert (await api.post(f"{path}/refunds", {"amount": 100})).status == 202
    assert (await api.post(f"{path}/refunds", {"amount": 10})).slug == "state-forbids"
    [first] = (await api.get(payment_id)).json["commands"]
    assert (first["command"], first["amount"], first["state"], first["reason"]) == ("refund", 100, "asked", None)
    await process(harness)
    await process_answers(harness, answer(payment_id, first["id"], "accepted"))
    assert (await api.get(payment_id)).json["commands"][0]["state"] == "accepted"
    assert (await api.post(f"{path}/refunds", {"amount": 10})).slug == "state-forbids"
    await process_answers(harness, answer(payment_id, first["id"], "refused", reason="the card is closed"))
    [first] = (await api.get(payment_id)).json["commands"]
    assert (first["state"], first["reason"]) == ("refused", "the card is closed")
    assert (await api.post(f"{path}/refunds", {"amount": 100})).status == 202
    second = (await api.get(payment_id)).json["commands"][1]["id"]
    late = [answer(payment_id, second, state, **({"reason": "x"} if state == "refused" else {}))
            for state in ("done", "refused", "accepted")]  # fmt: skip
    await process_answers(harness, *late[1:], late[0])
    shown = (await api.get(payment_id)).json["commands"]
    assert [(one["state"], one["reason"]) for one in shown] == [("refused", "the card is closed"), ("done", None)]
    assert (await api.post(f"{path}/refunds", {"amount": 10})).slug == "state-forbids"
    ledger = [row for row in (await harness.tables()).ledger if row["source"] == "events/gateway"]
    assert {(row["outcome"], str(row["payment_id"])) for row in ledger} == {("noop", payment_id)}
    assert len(ledger) == 5


async def test_a_command_older_than_the_table_of_commands_keeps_its_answer_in_its_record(
    api: Api, harness: BatchHarness
) -> None:
    """It holds money until it is refused, then none; what was done is not taken back by an answer that is late."""
    payment_id = (await api.create(provider_ref="pay-old")).json["id"]
    path = f"/payment-intents/{payment_id}/refunds"
    await process(harness)
    await tell(harness, "payment.captured", "pay-old", 0, amount=100)
    asked = []
    for states in (["refused"], ["done", "accepted", "refused"]):
        assert (await api.post(path, {"amount": 100})).status == 202
        asked.append((await api.get(payment_id)).json["commands"][-1]["id"])
        await process(harness)
        await harness.pool.execute("delete from commands")
        assert (await api.post(path, {"amount": 10})).slug == "state-forbids"
        for state in states:
            reported = {"reason": "x"} if state == "refused" else {}
            await process_answers(harness, answer(payment_id, asked[-1], state, **reported))
    records = await harness.pool.fetch("select state from intent_claims where command = 'refund' order by created_at")
    assert [row["state"] for row in records] == ["refused", "done"]
    assert (await api.post(path, {"amount": 10})).slug == "state-forbids"


async def test_a_command_is_answered_once_whatever_comes_after(api: Api, harness: BatchHarness) -> None:
    payment_id = (await api.create(provider_ref="pay-8")).json["id"]
    path, key = f"/payment-intents/{payment_id}/capture", str(uuid.uuid4())
    first = await api.post(path, {"amount": 100}, key=key)
    await process(harness)
    await tell(harness, "payment.captured", "pay-8", 0, amount=100)
    again = await api.post(path, {"amount": 100}, key=key)
    assert (again.status, again.body, again.headers["Idempotent-Replayed"]) == (202, first.body, "true")
    other = await api.post(path, {"amount": 100})
    assert (other.status, other.slug, other.json["state"]) == (409, "state-forbids", "captured")
    assert "captured" in other.json["detail"]


async def test_two_refunds_that_do_not_fit_together_are_one(patient_api: Api, harness: BatchHarness) -> None:
    """Neither has written its record when the other looks: the table is held until both have come as far as that."""
    api = patient_api
    payment_id = (await api.create(provider_ref="pay-10")).json["id"]
    path = f"/payment-intents/{payment_id}/refunds"
    assert (await api.post(path, {"amount": 1})).json["state"] == "created"
    await process(harness)
    await tell(harness, "payment.captured", "pay-10", 0, amount=100)
    async with harness.pool.acquire() as holder, holder.transaction():
        await holder.execute("lock table intent_claims in share row exclusive mode")  # of writers alone
        asked = [asyncio.create_task(api.post(path, {"amount": 60})) for _ in range(2)]
        await until_waiting(holder, 2)
    replies = await asyncio.gather(*asked)
    assert sorted(reply.status for reply in replies) == [202, 409]
    assert next(reply.json["state"] for reply in replies if reply.status == 409) == "captured"
    await process(harness)
    await tell(harness, "refund.succeeded", "pay-10", 1, amount=60, child="r1")
    assert (await api.post(path, {"amount": 41})).status == 409
    assert (await api.post(path)).json["amount"] == 40
    assert (await api.post(path)).status == 409


async def merged(api: Api, harness: BatchHarness, *, captured: int = 0) -> tuple[str, str]:
    """Return a payment's two ids: that of the client's intent, and that under which a webhook had opened it before."""
    await tell(harness, "payment.authorized", "pay-twice", 0, amount=100)
    if captured:
        await tell(harness, "payment.captured", "pay-twice", 1, amount=captured)
    webhooks = await harness.pool.fetchval("select id from payments")
    own = (await api.create(provider_ref="pay-twice")).json["id"]
    return own, str(webhooks)


async def test_a_merged_payment_is_one_under_both_its_ids(api: Api, harness: BatchHarness) -> None:
    own, webhooks = await merged(api, harness, captured=100)
    await process(harness)
    for tail in ("", "/timeline"):
        shown = await api.get(own, tail)
        assert (await api.get(webhooks, tail)).body == shown.body, tail
        assert shown.json["id"] == own
    assert len((await api.get(webhooks, "/timeline")).json["timeline"]) == 4, "before it was merged, and after"
    asked = await api.post(f"/payment-intents/{webhooks}/refunds", {"amount": 40})
    assert (asked.json["id"], asked.headers["Location"]) == (own, f"/payment-intents/{own}")
    (queued,) = await harness.fetch("select value from spool")
    assert json.loads(queued["value"])["id"] == own
    assert [one["amount"] for one in (await api.get(webhooks)).json["commands"]] == [40]


@pytest.mark.parametrize(
    ("what", "body", "captured", "status"),
    [
        ("refunds", {"amount": 60}, 100, "captured"),
        ("capture", {"amount": 60}, 0, "authorized"),
        ("cancel", None, 0, "authorized"),
    ],
)
async def test_a_merged_payment_has_one_lock_under_both_its_ids(  # noqa: PLR0917 - fixtures, and a case
    patient_api: Api, harness: BatchHarness, what: str, body: Any, captured: int, status: str
) -> None:
    """Both look before either has written its claim, as above."""
    ids = await merged(patient_api, harness, captured=captured)
    await process(harness)
    async with harness.pool.acquire() as holder, holder.transaction():
        await holder.execute("lock table intent_claims in share row exclusive mode")
        asked = [asyncio.create_task(patient_api.post(f"/payment-intents/{one}/{what}", body)) for one in ids]
        await until_waiting(holder, 2)
    replies = await asyncio.gather(*asked)
    assert sorted(reply.status for reply in replies) == [202, 409]
    assert [reply.json["state"] for reply in replies if reply.status == 409] == [status]


async def waits_further(observer: Any, name: str) -> bool:
    """Tell whether the session that holds this name's lock waits for another lock."""
    found = await observer.fetchval(
        """select exists (
            select from pg_locks as held join pg_locks as wanted on wanted.pid = held.pid and not wanted.granted
            where held.locktype = 'advisory' and held.granted
                and (held.classid::bigint << 32) | held.objid::bigint = hashtextextended($1, 0)
        )""",
        name,
    )
    return bool(found)


async def test_a_payment_that_is_merged_while_its_lock_is_waited_for_is_locked_as_what_it_is_then(
    patient_api: Api, harness: BatchHarness
) -> None:
    own, webhooks = await merged(patient_api, harness, captured=100)
    async with harness.pool.acquire() as holder, harness.pool.acquire() as writer, writer.transaction():
        async with holder.transaction():
            await holder.execute(statement("producers", "lock_name"), f"intent-payment:{webhooks}")
            first = asyncio.create_task(patient_api.post(f"/payment-intents/{webhooks}/refunds", {"amount": 60}))
            await until_waiting(writer)
            await process(harness)
            await writer.execute("lock table intent_claims in share row exclusive mode")
            second = asyncio.create_task(patient_api.post(f"/payment-intents/{own}/refunds", {"amount": 60}))
            await until_waiting(writer, 2)
        await until(lambda: waits_further(writer, f"intent-payment:{webhooks}"))
    assert [(await one).status for one in (second, first)] == [202, 409]


async def test_what_is_canceled_is_not_captured(api: Api, harness: BatchHarness) -> None:
    payment_id = (await api.create(provider_ref="pay-11")).json["id"]
    path = f"/payment-intents/{payment_id}"
    assert (await api.post(f"{path}/capture", {"amount": 1, "currency": "USD"})).json["state"] == "created"
    assert (await api.post(f"{path}/cancel", {"reason": "changed my mind"})).status == 202
    for what in ("capture", "cancel"):
        assert (await api.post(f"{path}/{what}")).slug == "state-forbids"
    await process(harness)
    await tell(harness, "payment.canceled", "pay-11", 0)
    assert (await api.post(f"{path}/capture")).json["state"] == "canceled"


async def test_a_request_that_the_provider_never_served_stops_counting(api: Api, harness: BatchHarness) -> None:
    path = f"/payment-intents/{(await api.create()).json['id']}/capture"
    assert [(await api.post(path)).status for _ in range(2)] == [202, 409]
    await harness.pool.execute("update intent_claims set created_at = created_at - interval '1 day 1 second'")
    assert (await api.post(path)).status == 202


async def test_postgres_away_is_503_and_comes_back(stack: Any, database: Any) -> None:
    nowhere = database.dsn.replace(database.dsn.rpartition("/")[2], "nowhere")
    async with open_api(stack.kafka, nowhere, timeout_seconds=1.0) as api:
        for reply in (await api.create(), await api.get(str(uuid.uuid4()))):
            assert (reply.status, reply.slug) == (503, "not-durable")
            assert int(reply.headers["Retry-After"]) > 0


async def test_a_postgres_that_hangs_is_503_and_nothing_is_left_of_it(
    stack: Any, database: Any, harness: BatchHarness
) -> None:
    key = str(uuid.uuid4())
    async with open_api(stack.kafka, database.dsn, timeout_seconds=0.5, connections_max=2) as api:
        await api.create()
        async with harness.pool.acquire() as connection, connection.transaction():
            await connection.execute("lock table intent_claims in access exclusive mode")
            replies = await asyncio.gather(*(api.create(key=key) for _ in range(5)))
            assert {(reply.status, reply.slug) for reply in replies} == {(503, "not-durable")}
        again = [await api.create(key=key) for _ in range(2)]
    assert [reply.status for reply in again] == [202, 202]
    assert again[0].body == again[1].body
    assert await harness.pool.fetchval("select count(*) from spool") == 2


async def test_the_document_is_served(api: Api) -> None:
    served = await api.call("GET", "/openapi.json", Authorization=None)
    assert (served.status, served.json["openapi"]) == (200, "3.1.0")
    refused = await api.call("POST", "/openapi.json", b"{}")
    assert (refused.status, refused.headers["Allow"]) == (405, "GET, HEAD")


async def test_connections_that_postgres_dropped_are_made_anew(api: Api, database: Any, harness: BatchHarness) -> None:
    key = str(uuid.uuid4())
    await api.create(key=str(uuid.uuid4()))
    await harness.pool.fetch(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name like '%intents'"
    )
    replies = [await api.create(key=key) for _ in range(3)]
    assert {reply.status for reply in replies} <= {202, 503}
    assert replies[-1].status == 202
    assert await harness.pool.fetchval("select count(*) from spool") == 2


async def test_records_are_kept_a_day_and_cleaned_in_batches_under_a_lease(
    api: Api, harness: BatchHarness, database: Any
) -> None:
    for number in range(3):
        await api.create(provider_ref=f"pay-{number}")
    await process(harness)
    waiting = await api.create()
    owner = await asyncpg.connect(database.owner_dsn)
    await owner.execute("update intent_claims set created_at = created_at - interval '3 days'")
    await owner.execute("update intent_claims set expires_at = expires_at - interval '3 days'")
    await owner.close()
    fresh = await api.create()
    lease = await PostgresLeases(harness.pool).acquire("clean", "a", 30)
    assert lease is not None
    bounds = IntentsSettings(clean_rows_max=2)
    async with harness.pool.acquire() as connection:
        assert [await clean_idempotency_records(connection, lease, bounds) for _ in range(3)] == [2, 1, 0]
        await PostgresLeases(harness.pool).release(lease)
        with pytest.raises(LeaseLostError):
            await clean_idempotency_records(connection, lease, bounds)
    left = await harness.fetch("select payment_id::text from intent_claims order by created_at")
    assert [row["payment_id"] for row in left] == [waiting.json["id"], fresh.json["id"]]
