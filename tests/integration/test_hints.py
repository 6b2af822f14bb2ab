"""Unsigned webhooks at the ingress: they move nothing, and cost at most one bounded look-up of what they name."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import json
import uuid
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
import running_ingress as running
from consumer_harness import batch_harness, records, webhook
from pydantic import SecretStr
from relay_rows import add_payment

from runtime.settings import LimitSettings, PostgresSettings, ProviderSettings, RefetchSettings
from runtime.sql import statement

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.integration

VECTORS = Path(__file__).parents[1] / "contract" / "vectors"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PATH_SECRET = "u7Jq2mX9cVb4RkTz8WpLn5Hs"
HASH = "flutterwave-secret-hash-v3"
PROVIDERS = {
    "mollie": ProviderSettings(secrets=(SecretStr("live_secret"),)),
    "mpesa": ProviderSettings(secrets=(SecretStr(PATH_SECRET),)),
    "flutterwave": ProviderSettings(shown_secrets=(SecretStr(HASH),), unsigned=True),
}
CHANGES = {"providers": PROVIDERS, "limits": LimitSettings(unsigned_requests_max=1_000_000)}


@pytest.fixture
async def pool(database: Any) -> AsyncIterator[Any]:
    async with asyncpg.create_pool(database.dsn, min_size=1, max_size=4) as opened:
        yield opened


async def post(ingress: running.RunningIngress, path: str, body: bytes, **headers: str) -> tuple[int, Any]:
    async with ingress.client.post(ingress.url + path, data=body, headers=headers) as response:
        await response.read()
        return response.status, response.headers


async def hint(ingress: running.RunningIngress, ref: str) -> tuple[int, Any]:
    return await post(ingress, "/webhooks/mollie", f"id={ref}".encode(), **FORM)


def bodies() -> list[tuple[str, bytes, dict[str, str]]]:
    """Return every provider's published bodies, each as a hint of the providers that have any: path, body, headers."""
    found = []
    for file in sorted(VECTORS.glob("*.json")):
        for case in json.loads(file.read_text())["cases"]:
            if case["expect"] == "accept":
                body = base64.b64decode(case["body_base64"])
                found += [
                    ("/webhooks/mollie", body, FORM),
                    (f"/webhooks/mpesa/{PATH_SECRET}", body, {}),
                    ("/webhooks/flutterwave", body, {"verif-hash": HASH}),
                ]
    return found


async def everything(pool: Any) -> dict[str, list[Any]]:
    """Return all rows of the tables that a hint must leave as they are."""
    tables = ("payments", "payment_refs", "payment_logs", "parked_events", "dead_letters", "spool")
    return {table: [tuple(row) for row in await pool.fetch(f"select * from {table} order by 1, 2")] for table in tables}


async def test_no_body_of_any_provider_moves_anything_as_a_hint(stack: Any, database: Any, pool: Any) -> None:
    async with batch_harness(database.dsn) as tables:
        known = [webhook("payment.authorized", ref, amount=100, reference=ref) for ref in ("tr_1", "ws_CO_1", "INV-1")]
        await tables.process(records(known))
    before = await everything(pool)
    async with (
        running.tail(stack.kafka) as tail,
        running.open_ingress(stack.kafka, database.dsn, changes=CHANGES) as ingress,
    ):
        statuses = Counter([(await post(ingress, path, body, **headers))[0] for path, body, headers in bodies()])
        for ref in ("tr_1", "tr_unknown"):
            assert (await hint(ingress, ref))[0] == 202
        mine = [one for one in await tail.drain() if (one.headers and dict(one.headers)["ce_source"] in PROVIDERS)]
    assert mine == [], "no record"
    assert statuses[202] > 20
    assert set(statuses) == {202, 401}
    assert await everything(pool) == before
    assert await pool.fetchval("select count(*) from refetches") > 5


async def test_a_hint_is_one_row_however_often_it_comes(stack: Any, database: Any, pool: Any) -> None:
    changes = CHANGES | {"refetch": RefetchSettings(same_payment_seconds=600)}
    async with running.open_ingress(stack.kafka, database.dsn, changes=changes) as ingress:
        assert [(await hint(ingress, "tr_1"))[0] for _ in range(3)] == [202] * 3
        (first,) = await pool.fetch("select * from refetches")
        assert (first["status"], first["known"], first["priority"]) == ("queued", False, 9)
        await pool.execute("update refetches set status = 'done', attempts = 3, updated_at = clock_timestamp()")
        assert (await hint(ingress, "tr_1"))[0] == 202
    (row,) = await pool.fetch("select *, next_attempt_at - clock_timestamp() as wait from refetches")
    assert (row["id"], row["status"], row["attempts"]) == (first["id"], "queued", 0)
    assert 500 < row["wait"].total_seconds() <= 600, "not sooner than a payment may be read again"


async def test_what_is_known_goes_first_and_has_room_of_its_own(stack: Any, database: Any, pool: Any) -> None:
    await pool.execute(
        "insert into intent_claims (client, idempotency_key, fingerprint, command, payment_id, event_id, record_key,"
        " provider, account, provider_ref, currency, amount, answer, expires_at) values ('shop', gen_random_uuid(),"
        " sha256(''), 'create', gen_random_uuid(), 'e', 'k', 'mollie', '', 'tr_known', 'EUR', 1, '',"
        " now() + interval '2 days')"
    )
    changes = CHANGES | {"refetch": RefetchSettings(unknown_waiting_max=2, waiting_max=4)}
    async with running.open_ingress(stack.kafka, database.dsn, changes=changes) as ingress:
        assert [(await hint(ingress, f"tr_{number}"))[0] for number in range(3)] == [202, 202, 429]
        status, headers = await hint(ingress, "tr_9")
        assert (status, headers["Retry-After"]) == (429, "60")
        assert (await hint(ingress, "tr_0"))[0] == 202, "it waits already"
        assert (await hint(ingress, "tr_known"))[0] == 202
        stk = json.dumps({"Body": {"stkCallback": {"CheckoutRequestID": "ws_CO_1", "ResultCode": 0}}}).encode()
        assert (await post(ingress, f"/webhooks/mpesa/{PATH_SECRET}", stk))[0] == 202, (
            "another endpoint has its own room"
        )
    rows = await pool.fetch(
        "select ref, known, priority from refetches where provider = 'mollie' order by priority, id"
    )
    assert [tuple(row) for row in rows] == [("tr_known", True, 1), ("tr_0", False, 9), ("tr_1", False, 9)]


@pytest.mark.slow
@pytest.mark.timeout(480)
async def test_ten_thousand_made_up_ids_cost_a_bounded_queue(stack: Any, database: Any, pool: Any) -> None:
    limits = LimitSettings(unsigned_requests_max=1_000_000)
    async with running.open_ingress(stack.kafka, database.dsn, changes=CHANGES | {"limits": limits}) as ingress:
        statuses: Counter[int] = Counter()

        async def flood(numbers: range) -> None:
            for number in numbers:
                statuses[(await hint(ingress, f"tr_{number:07}"))[0]] += 1

        await asyncio.gather(*(flood(range(start, 10_000, 8)) for start in range(8)))
    bound = RefetchSettings().unknown_waiting_max
    assert set(statuses) == {202, 429}
    queued = await pool.fetchval("select count(*) from refetches")
    slack = ingress.settings.ingress.hint_connections_max
    assert bound <= queued == statuses[202] <= bound + slack
    assert await pool.fetchval("select count(*) from payment_logs") == 0
    assert await pool.fetchval("select count(*) from spool") == 0


async def test_signed_webhooks_alone_where_the_settings_say_so(stack: Any, database: Any, pool: Any) -> None:
    v3 = json.dumps(
        {"event": "charge.completed", "data": {"id": 4400001, "tx_ref": "ORD-77", "amount": 2500, "currency": "NGN",
         "status": "successful"}, "event.type": "CARD_TRANSACTION"}
    ).encode()  # fmt: skip
    signed = PROVIDERS | {
        "mollie": ProviderSettings(secrets=(SecretStr("live_secret"),), unsigned=False),
        "flutterwave": ProviderSettings(shown_secrets=(SecretStr(HASH),)),
    }
    async with running.open_ingress(stack.kafka, database.dsn, changes=CHANGES | {"providers": signed}) as ingress:
        assert (await hint(ingress, "tr_1"))[0] == 401
        assert (await post(ingress, "/webhooks/flutterwave", v3, **{"verif-hash": HASH}))[0] == 401
    assert await pool.fetchval("select count(*) from refetches") == 0
    async with running.open_ingress(stack.kafka, database.dsn, changes=CHANGES) as ingress:
        assert (await post(ingress, "/webhooks/flutterwave", v3, **{"verif-hash": HASH}))[0] == 202
        assert (await post(ingress, "/webhooks/flutterwave", v3, **{"verif-hash": "else"}))[0] == 401
    (row,) = await pool.fetch("select provider, ref from refetches")
    assert tuple(row) == ("flutterwave", "4400001")


@pytest.mark.parametrize(
    ("body", "ref"),
    [
        ({"Body": {"stkCallback": {"CheckoutRequestID": "ws_CO_7", "ResultCode": 1032}}}, "ws_CO_7"),
        ({"TransactionType": "Pay Bill", "TransID": "RKX0000001", "BillRefNumber": "INV-1"}, "RKX0000001"),
        ({"TransactionType": "", "TransID": "RKX0000002", "BillRefNumber": "INV-1"}, "RKX0000002"),
        ({"TransID": "RKX0000003"}, "RKX0000003"),
        (
            {"Result": {"ResultCode": 0, "ConversationID": "AG_1", "TransactionID": "RKX0000005", "ResultParameters":
             {"ResultParameter": [{"Key": "OriginalTransactionID", "Value": "RKX0000004"}]}}},
            "RKX0000004",
        ),
        ({"Result": {"ResultCode": 0, "ConversationID": "AG_2"}}, None),
    ],
)  # fmt: skip
async def test_what_mpesa_names_can_be_asked_about(
    stack: Any, database: Any, pool: Any, body: dict[str, Any], ref: str | None
) -> None:
    async with running.open_ingress(stack.kafka, database.dsn, changes=CHANGES) as ingress:
        assert (await post(ingress, f"/webhooks/mpesa/{PATH_SECRET}", json.dumps(body).encode()))[0] == 202
    assert [row["ref"] for row in await pool.fetch("select ref from refetches")] == ([] if ref is None else [ref])


async def test_the_sender_comes_again_while_postgres_is_away(stack: Any, database: Any) -> None:
    away = PostgresSettings(dsn=SecretStr("postgresql://nobody@127.0.0.1:1/none"), connect_timeout_seconds=0.5)
    async with running.open_ingress(
        stack.kafka, database.dsn, connected=False, changes=CHANGES | {"postgres": away}
    ) as ingress:
        status, headers = await hint(ingress, "tr_1")
    assert (status, "Retry-After" in headers) == (503, True)


NOW = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)
FAR = NOW + dt.timedelta(days=3650)


async def queue(
    pool: Any,
    *,
    ref: str = "tr_1",
    waiting_max: int = 9,
    unknown_max: int = 9,
    again_seconds: float = 0.0,
    about: Any = None,
) -> Any:
    """Queue what a hint at the endpoint mollie/Acme names; return the row, None where too many wait."""
    bounds = waiting_max, unknown_max, again_seconds, about
    found = await pool.fetch(statement("producers", "queue_hint"), "mollie", "Acme", ref, *bounds)
    return await pool.fetchrow("select * from refetches where id = $1", found[0]["id"]) if found else None


async def add(connection: Any, table: str, **row: Any) -> None:
    places = ", ".join(f"${place}" for place in range(1, len(row) + 1))
    await connection.execute(f"insert into {table} ({', '.join(row)}) values ({places})", *row.values())


HERE = {"provider": "mollie", "account": "Acme"}


async def waits(pool: Any, ref: str, **changed: Any) -> None:
    """Write a row of the endpoint's queue."""
    row = {
        **HERE,
        "ref": ref,
        "reason": "stale",
        "status": "queued",
        "attempts": 2,
        "known": True,
        "priority": 5,
        "next_attempt_at": FAR,
        "updated_at": NOW,
        "about": None,
    }
    await add(pool, "refetches", **row | changed)


async def claim(connection: Any, **changed: Any) -> None:
    """Write an intent of a client that names tr_1."""
    row = {
        **HERE,
        "provider_ref": "tr_1",
        "client": "shop",
        "idempotency_key": uuid.uuid4(),
        "fingerprint": b"f" * 32,
        "command": "create",
        "payment_id": uuid.uuid4(),
        "event_id": "e",
        "record_key": "k",
        "currency": "EUR",
        "amount": 1,
        "answer": b"",
        "expires_at": FAR,
    }
    await add(connection, "intent_claims", **row | changed)


async def test_a_hint_is_of_something_known_by_what_is_named_at_its_endpoint(pool: Any, database: Any) -> None:
    owner = await asyncpg.connect(database.owner_dsn)
    elsewhere = ({"provider": "mpesa"}, {"account": "Other"})
    try:
        one = await add_payment(owner)
        bound = {**HERE, "merchant_account": "", "livemode": True, "kind": "payment", "ref": "tr_1", "payment_id": one}
        for changed in (
            {},
            {"kind": "charge"},
            {"ref": "tr_2"},
            {"payment_id": None},
            {"kind": "reference"},
            *elsewhere,
        ):
            await add(owner, "payment_refs", **bound | changed)
            asked, known = await queue(pool), changed in ({}, {"kind": "charge"})
            assert (asked["known"], asked["priority"]) == (known, 1 if known else 9), changed
            await owner.execute("delete from payment_refs; delete from refetches")
        for changed in ({}, {"provider_ref": "tr_2"}, *elsewhere):
            await claim(owner, **changed)
            assert (await queue(pool))["known"] is (not changed), changed
            await owner.execute("delete from intent_claims; delete from refetches")
    finally:
        await owner.close()


async def test_a_hint_finds_room_beside_what_waits_at_its_endpoint(pool: Any) -> None:
    elsewhere = ({"provider": "mpesa"}, {"account": "Other"}, {"status": "done"})
    for number, changed in enumerate(elsewhere):
        await waits(pool, f"tr_elsewhere_{number}", **changed, known=False)
    await waits(pool, "tr_known")
    assert await queue(pool, waiting_max=1) is None, "as many wait as may"
    assert (await queue(pool, waiting_max=2, unknown_max=1))["status"] == "queued"
    assert await queue(pool, ref="tr_2", waiting_max=9, unknown_max=1) is None, "of the unknown fewer may"
    assert await queue(pool, ref="tr_2", waiting_max=2, unknown_max=9) is None
    assert await queue(pool, ref="tr_elsewhere_0", waiting_max=2) is None, "that one waits at another endpoint"
    assert await queue(pool, ref="tr_elsewhere_1", waiting_max=2) is None
    assert await queue(pool, ref="tr_elsewhere_2", waiting_max=2) is None, "it waits no more"
    assert (await queue(pool, ref="tr_1", waiting_max=2))["id"], "it waits already"
    await pool.execute("update refetches set known = true")
    assert (await queue(pool, ref="tr_2", waiting_max=9, unknown_max=1))["known"] is False


async def test_a_hint_wakes_what_has_ended_and_takes_nothing_back_of_what_waits(pool: Any) -> None:
    waiting = {"status": "queued", "priority": 5}
    ended = {"status": "done", "priority": 5}
    for name, changed in {
        "waits": waiting | {"about": "before"},
        "waits, urgent": waiting | {"priority": 0},
        "waits, unknown": waiting | {"known": False},
        "done": ended,
        "done, unknown": ended | {"known": False},
        "failed, of late": ended | {"status": "failed", "updated_at": FAR},
    }.items():
        await waits(pool, name, **changed)
    found = {
        name: await queue(pool, ref=name, again_seconds=60.0, about="now")
        for name in ("waits", "waits, urgent", "waits, unknown", "done", "done, unknown", "failed, of late")
    }
    columns = ("reason", "status", "attempts", "known", "priority", "about")
    assert {name: tuple(row[column] for column in columns) for name, row in found.items()} == {
        "waits": ("stale", "queued", 2, True, 5, "before"),
        "waits, urgent": ("stale", "queued", 2, True, 0, "now"),
        "waits, unknown": ("stale", "queued", 2, False, 5, "now"),
        "done": ("hint", "queued", 0, True, 5, "now"),
        "done, unknown": ("hint", "queued", 0, False, 9, "now"),
        "failed, of late": ("hint", "queued", 0, True, 5, "now"),
    }
    assert {name for name, row in found.items() if row["next_attempt_at"] == FAR} == {
        *("waits", "waits, urgent", "waits, unknown"),
    }
    assert found["failed, of late"]["next_attempt_at"] == FAR + dt.timedelta(seconds=60), "not read again sooner"
    assert NOW < found["done"]["next_attempt_at"] < FAR
    assert {name for name, row in found.items() if NOW < row["updated_at"] < FAR} == set(found)
    await pool.execute("delete from refetches")
    new = await queue(pool, about="now")
    assert tuple(new[column] for column in columns) == ("hint", "queued", 0, False, 9, "now")


async def test_a_hint_of_what_is_known_by_now_goes_first(pool: Any) -> None:
    for ref, known in (("tr_1", False), ("tr_2", True)):
        await waits(pool, ref, known=known, priority=9)
        await claim(pool, provider_ref=ref)
        row = await queue(pool, ref=ref, unknown_max=0)
        assert (row["known"], row["priority"]) == (True, 1)


async def test_a_hint_is_the_webhook_of_what_a_list_had_shown(pool: Any, database: Any) -> None:
    """Its object and endpoint tell; the first that comes is noted."""
    owner = await asyncpg.connect(database.owner_dsn)
    try:
        for event_id, source, ref, at in (
            *(("shown", "mollie/acme", "tr_1", None), ("before", "mollie/acme", "tr_1", NOW)),
            *(("of another", "mollie/acme", "tr_2", None), ("elsewhere", "mollie/other", "tr_1", None)),
        ):
            row = {"source": source, "event_id": event_id, "kind": "k", "ref": ref, "webhook_at": at}
            await add(owner, "recalled_events", **row, occurred_at=NOW, history=False)
        assert await queue(pool) is not None
        found = {row["event_id"]: row["webhook_at"] for row in await owner.fetch("select * from recalled_events")}
    finally:
        await owner.close()
    assert found.pop("shown") > NOW
    assert found == {"before": NOW, "of another": None, "elsewhere": None}
