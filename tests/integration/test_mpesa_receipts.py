"""M-Pesa from callback to row: what callbacks name is asked at the API, and what answers by a callback is believed.

The server plays Daraja by its published description; the test posts what it would post to `ResultURL`.
"""

from __future__ import annotations

import json
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import running_ingress as running
from consumer_harness import BatchHarness, batch_harness
from dispatching import Office, office
from outside import outside
from pydantic import SecretStr

from runtime.settings import ProviderSettings
from schemas.record import Attributes, Record

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conftest import Database

pytestmark = pytest.mark.integration

PATH_SECRET = "u7Jq2mX9cVb4RkTz8WpLn5Hs"
PATH = f"/webhooks/mpesa/{PATH_SECRET}"
PUSH, RECEIPT, BACK = "ws_CO_1", "RKX0000001", "RKX0000002"
C2B = {
    "TransactionType": "Pay Bill", "TransID": RECEIPT, "TransTime": "20260921141820", "TransAmount": "1500.00",
    "BusinessShortCode": "174379", "BillRefNumber": "INV-1", "MSISDN": "2547*****000",
}  # fmt: skip
EXPRESS = {
    "resultCode": "0", "resultDesc": "ok", "amount": "71.0", "requestId": "r1", "resultType": "0",
    "conversationID": "AG_1", "transactionId": RECEIPT, "status": "SUCCESS",
}  # fmt: skip


def stk(receipt: str = RECEIPT, amount: float = 150.0) -> dict[str, Any]:
    items = [{"Name": "Amount", "Value": amount}, {"Name": "MpesaReceiptNumber", "Value": receipt}]
    reported = {"MerchantRequestID": "m1", "CheckoutRequestID": PUSH, "ResultCode": 0, "ResultDesc": "x"}
    return {"Body": {"stkCallback": reported | {"CallbackMetadata": {"Item": items}}}}


def result(parameters: dict[str, Any], query: str, code: int = 0, occasion: str = "") -> dict[str, Any]:
    listed = [{"Key": key, "Value": value} for key, value in parameters.items()]
    reported = {"ResultType": 0, "ResultCode": code, "ResultDesc": "x", "OriginatorConversationID": "3213-416199-2"}
    return {
        "Result": reported | {
            "ConversationID": query,
            "TransactionID": parameters.get("TransactionID", "MBN0000000"),
            "ResultParameters": {"ResultParameter": listed},
            "ReferenceData": {"ReferenceItem": {"Key": "Occasion", "Value": occasion}},
        }
    }  # fmt: skip


def status_of(receipt: str, amount: str = "1500.00", **changes: Any) -> dict[str, Any]:
    return {
        "DebitPartyName": "254708374149 - John Doe",
        "CreditPartyName": "174379 - Shop",
        "ReasonType": "Pay Bill Online",
        "TransactionStatus": "Completed",
        "Amount": amount,
        "ReceiptNo": receipt,
    } | changes


REVERSAL = {
    "DebitPartyName": "174379 - Shop", "CreditPartyName": "254708374149 - John Doe",
    "ReasonType": "Organization Reversal of Customer Payment",
}  # fmt: skip


def pushed() -> Record:
    """Return the intent of a push as the relay publishes it."""
    own = uuid.uuid4()
    body = {"provider": "mpesa", "provider_ref": PUSH, "amount": 15_000, "currency": "KES"}
    value = json.dumps({"id": str(own), "client": "shop", "command": "create", "body": body}).encode()
    headers = Attributes("intents/shop", f"{own}:create", "intent.create", 1.79e9).to_headers()
    return Record("payments.intents", 0, 0, 0, str(own).encode(), value, headers)


class Till:
    """The ingress, the dispatcher, the consumer and Daraja, joined by hand."""

    def __init__(self, ingress: running.RunningIngress, jobs: Office, ledger: BatchHarness) -> None:
        self.ingress, self.office, self.ledger, self._applied = ingress, jobs, ledger, 0

    async def post(self, body: dict[str, Any], path: str = PATH) -> int:
        async with self.ingress.client.post(self.ingress.url + path, data=json.dumps(body).encode()) as response:
            return response.status

    async def ask(self, **refetch: Any) -> None:
        """Let the dispatcher ask all that is due, and the consumer apply all that was answered."""
        own = {
            "api_key": SecretStr("consumer"), "api_secret": SecretStr("hidden"), "api_merchant": "174379",
            "api_pass_key": SecretStr("passkey"), "api_base_url": self.office.world.url,
            "secrets": (SecretStr(PATH_SECRET),), "api_initiator": "operator",
            "api_initiator_credential": SecretStr("encrypted"),
        }  # fmt: skip
        lease = await self.office.lease()
        async with self.office.job("refetch", providers={"mpesa": own}, refetch=refetch) as job:
            while await job.turn(lease):
                pass
        await self.office.pool.execute("update leases set expires_at = clock_timestamp()")
        await self.apply()

    async def apply(self) -> None:
        for row in (await self.office.rows("spool"))[self._applied :]:
            self._applied += 1
            names = [name.decode() for name in row["header_names"]]
            headers = tuple(zip(names, row["header_values"], strict=True))
            await self.ledger.process([Record(row["topic"], 0, self._applied, 0, row["key"], row["value"], headers)])

    async def answer(self, parameters: dict[str, Any], *, code: int = 0) -> dict[str, Any]:
        """Post the answer to the query about a receipt where it wants it; return the query."""
        asked = next(
            one for one in reversed(self.office.world.queries) if one["TransactionID"] == parameters["ReceiptNo"]
        )
        assert urlsplit(asked["ResultURL"]).path == PATH
        assert await self.post(result(parameters, asked["ConversationID"], code, asked["Occasion"])) == 202
        await self.apply()
        return asked

    async def payments(self) -> list[dict[str, Any]]:
        return await self.ledger.fetch(
            "select provider_ref, status, captured from payments where merged_into is null order by provider_ref"
        )


@pytest.fixture
async def till(stack: Any, database: Database) -> AsyncIterator[Till]:
    async with opened(stack, database) as one:
        yield one


@asynccontextmanager
async def opened(stack: Any, database: Database) -> AsyncIterator[Till]:
    changes = {"providers": {"mpesa": ProviderSettings(secrets=(SecretStr(PATH_SECRET),), api_initiator="operator")}}
    async with (
        outside() as world,
        office(database, world) as jobs,
        running.open_ingress(stack.kafka, database.dsn, changes=changes) as ingress,
        batch_harness(database.dsn) as ledger,
    ):
        yield Till(ingress, jobs, ledger)


async def test_case_m1_a_paybill_payment_is_asked_about_and_recorded(till: Till) -> None:
    assert await till.post(C2B) == 202
    await till.ask()
    assert await till.payments() == [], "a hint moves nothing, and the API has not answered"
    [row] = await till.office.rows("refetches")
    assert (row["ref"], row["status"], row["query_id"]) == (RECEIPT, "queued", "AG_20261127_0")
    await till.answer(status_of(RECEIPT))
    assert await till.payments() == [{"provider_ref": RECEIPT, "status": "captured", "captured": 150_000}]
    [row] = await till.office.rows("refetches")
    assert (row["status"], row["query_id"]) == ("done", None)
    [logged] = await till.ledger.fetch("select source, event_type from payment_logs")
    assert logged == {"source": "mpesa", "event_type": "refetch.transaction"}


async def test_case_pb23_a_payment_between_businesses_is_asked_about(till: Till) -> None:
    assert await till.post(EXPRESS) == 202
    await till.ask()
    await till.answer(status_of(RECEIPT, "71.0", DebitPartyName="600000 - Us", CreditPartyName="174379 - Shop"))
    assert await till.payments() == [], "which business is paid nothing tells"
    assert [row["outcome"] for row in await till.ledger.fetch("select outcome from payment_logs")] == ["noop"]


async def test_an_answer_is_believed_only_for_an_open_query_and_its_receipt(till: Till) -> None:
    assert await till.post(result(status_of(RECEIPT), "AG_20261127_0")) == 202
    assert await till.post(C2B) == 202
    await till.ask()
    [query] = [one["ConversationID"] for one in till.office.world.queries if one["TransactionID"] == RECEIPT]
    for forged in (result(status_of(RECEIPT), "AG_other"), result(status_of(BACK), query)):
        assert await till.post(forged) == 202
    assert await till.office.rows("spool") == []
    assert await till.post(result(status_of(RECEIPT), query)) == 202
    assert await till.post(result(status_of(RECEIPT, "9999.00"), query)) == 202, "the query is answered"
    assert [row["value"] for row in await till.office.rows("spool")] == [
        json.dumps(result(status_of(RECEIPT), query)).encode()
    ]


async def test_an_answer_without_outcome_is_asked_for_again(till: Till) -> None:
    assert await till.post(C2B) == 202
    await till.ask()
    await till.answer(status_of(RECEIPT, TransactionStatus="Authorized"))
    [row] = await till.office.rows("refetches")
    assert (row["status"], row["query_id"], row["last_error"]) == ("queued", None, "M-Pesa has no outcome yet")
    await till.office.make_due("refetches")
    await till.ask()
    await till.answer(status_of(RECEIPT))
    assert [row["captured"] for row in await till.payments()] == [150_000]


async def test_a_push_and_its_receipt_are_one_payment_in_either_order(till: Till) -> None:
    """The till's own confirmation of a push's receipt must not count twice."""
    await till.ledger.process([pushed()])
    till.office.world.pushes[PUSH] = 200, {
        "ResponseCode": "0", "CheckoutRequestID": PUSH, "ResultCode": "0", "ResultDesc": "x"
    }  # fmt: skip
    assert await till.post(C2B | {"TransAmount": "150.00"}) == 202
    await till.ask()
    await till.answer(status_of(RECEIPT, "150.00"))
    assert [row["provider_ref"] for row in await till.payments()] == [RECEIPT, PUSH]
    assert await till.post(stk()) == 202
    await till.ask()
    await till.office.make_due("refetches")
    await till.ask()
    asked = await till.answer(status_of(RECEIPT, "150.00"))
    assert asked["Occasion"] == PUSH
    [row] = await till.payments()
    assert (row["status"], row["captured"]) == ("captured", 15_000)


async def test_case_pb4_a_reversal_takes_the_money_back(till: Till) -> None:
    await till.ledger.process([pushed()])
    till.office.world.pushes[PUSH] = 200, {
        "ResponseCode": "0", "CheckoutRequestID": PUSH, "ResultCode": "0", "ResultDesc": "x"
    }  # fmt: skip
    assert await till.post(stk()) == 202
    await till.ask()
    assert [row["captured"] for row in await till.payments()] == [15_000], "the push alone says that it was paid"
    await till.ask()
    await till.answer(status_of(RECEIPT, "150.00"))
    assert [row["captured"] for row in await till.payments()] == [15_000], "the receipt is the same money"
    parameters = {"OriginalTransactionID": RECEIPT, "Amount": 150.0, "TransactionID": BACK}
    assert await till.post(result(parameters, "AG_reversal")) == 202
    await till.ask()
    asked = await till.answer(status_of(BACK, "150.00", **REVERSAL))
    assert asked["Occasion"] == RECEIPT
    assert [(row["status"], row["captured"]) for row in await till.payments()] == [("failed", 0)]


async def test_without_an_operator_the_refetch_says_which_setting_is_missing(till: Till) -> None:
    assert await till.post(C2B) == 202
    lease = await till.office.lease()
    own = {"api_key": SecretStr("consumer"), "api_secret": SecretStr("hidden"), "api_merchant": "174379",
           "api_base_url": till.office.world.url, "secrets": (SecretStr(PATH_SECRET),)}  # fmt: skip
    async with till.office.job("refetch", providers={"mpesa": own}) as job:
        assert await job.turn(lease)
    [row] = await till.office.rows("refetches")
    assert row["status"] == "failed"
    assert "api_initiator, api_initiator_credential" in row["last_error"]
