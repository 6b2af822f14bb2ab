"""A few cases of each kind over the wire: signed as the provider signs, through Kafka, into rows.

The cases are those of `tests/contract/cases` and `tests/contract/histories`, which hold on the pure functions in every
order. PayPal's certificate is the test's own, served where the ingress would fetch PayPal's.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import zlib
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import running_ingress as running
from consumer_harness import batch_harness, until
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from pydantic import SecretStr
from running_consumer import consuming

from producers.ingress import app as ingress_app
from producers.ingress.verification.certificates import Certificates
from runtime.http import HttpAnswer
from runtime.kafka import ensure_topics
from runtime.settings import AccountSettings, KafkaSettings, ProviderSettings
from schemas.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable


pytestmark = pytest.mark.integration

FOLDERS: Final = [Path(__file__).parents[1] / "contract" / name for name in ("cases", "histories")]
KEY: Final = "sk_test_9d7f4c2b8a6e1f3055aa"
HEX_KEY: Final = KEY.encode().hex()
CERTIFICATE: Final = "https://api.paypal.com/v1/notifications/certs/CERT-1"


def mac(body: bytes, name: str = "sha256") -> Any:
    return hmac.new(KEY.encode(), body, name)


@cache
def signer() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def certificate() -> bytes:
    """Return a certificate of PayPal's signer, which is its own root."""
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "verify.paypal.com")]), datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(signer().public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    return made.sign(signer(), SHA256()).public_bytes(Encoding.PEM)


class PayPalsHost:
    """Serves the certificate where PayPal does."""

    async def send(self, request: Any) -> HttpAnswer:
        return HttpAnswer(200, certificate()) if request.url == CERTIFICATE else HttpAnswer(404, b"")


def paypal_headers(own: str, _kind: str, body: bytes) -> dict[str, str]:
    at = "2026-09-21T14:18:20Z"
    signed = f"{own}|{at}|{KEY}|{zlib.crc32(body)}".encode()
    signature = base64.b64encode(signer().sign(signed, PKCS1v15(), SHA256())).decode()
    return {
        "PAYPAL-TRANSMISSION-ID": own, "PAYPAL-TRANSMISSION-TIME": at, "PAYPAL-TRANSMISSION-SIG": signature,
        "PAYPAL-CERT-URL": CERTIFICATE, "PAYPAL-AUTH-ALGO": "SHA256withRSA",
    }  # fmt: skip


SIGNED: Final[dict[str, Callable[[str, str, bytes], dict[str, str]]]] = {
    "adyen": lambda *_: {},
    "checkout": lambda _own, _kind, body: {"Cko-Signature": mac(body).hexdigest()},
    "mollie": lambda _own, _kind, body: {"X-Mollie-Signature": f"sha256={mac(body).hexdigest()}"},
    "paypal": paypal_headers,
    "paystack": lambda _own, _kind, body: {"X-Paystack-Signature": mac(body, "sha512").hexdigest()},
    "razorpay": lambda own, _kind, body: {
        "X-Razorpay-Signature": mac(body).hexdigest(), "X-Razorpay-Event-Id": own,
    },
    "shopify": lambda own, kind, body: {
        "X-Shopify-Hmac-Sha256": base64.b64encode(mac(body).digest()).decode(),
        "X-Shopify-Topic": kind, "X-Shopify-Event-Id": own,
    },
    "stripe": lambda _own, _kind, body: running.signature(body, KEY, time.time()),
}  # fmt: skip
"""The headers of a genuine webhook, by (event id, kind, body)."""


def signed_item(item: dict[str, Any]) -> dict[str, Any]:
    """Return the body of Adyen's webhook with the one item, signed in it."""
    amount = item["amount"]
    names = ("pspReference", "originalReference", "merchantAccountCode", "merchantReference")
    fields = [*(item.get(name, "") for name in names), amount["value"], amount["currency"], item["eventCode"]]
    text = ":".join(str(field) for field in (*fields, item["success"]))
    signature = base64.b64encode(mac(text.encode()).digest()).decode()
    own = {**item, "additionalData": {"hmacSignature": signature}}
    return {"live": "true", "notificationItems": [{"NotificationRequestItem": own}]}


PATIENT: Final = {"hedge_seconds": 60.0, "publish_timeout_seconds": 60.0}
"""Records are looked for in the topic: on a full machine an acknowledgement may take longer than the spool waits."""
PER_PROVIDER: Final = 4


def cases() -> list[dict[str, Any]]:
    """Return the first cases of each provider that are webhooks alone."""
    found = []
    for name in SIGNED:
        paths = [*sorted(FOLDERS[0].glob(f"*_{name}.jsonl")), *FOLDERS[1].glob(f"{name}.jsonl")]
        lines = [line for path in paths for line in path.read_text().splitlines()]
        read = [{"id": line_id(line), **json.loads(line)} for line in lines]
        found += [case for case in read if all(isinstance(step, list) for step in case["steps"])][:PER_PROVIDER]
    return found


def line_id(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()[:6]


CASES: Final = cases()


@pytest.mark.parametrize("case", CASES, ids=[f"{case['provider']} {case['id']}" for case in CASES])
async def test_a_case_over_http(
    stack: Any, database: Any, case: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider, more = case["provider"], {}
    if provider == "paypal":
        monkeypatch.setattr(ingress_app, "Certificates", lambda _client, bounds: Certificates(PayPalsHost(), bounds))
        more["trust_roots"] = tmp_path / "roots.pem"
        more["trust_roots"].write_bytes(certificate())
    secret = SecretStr(HEX_KEY if provider == "adyen" else KEY)
    changes = {"providers": {provider: ProviderSettings(secrets=(secret,), **more)}}
    async with (
        batch_harness(database.dsn) as ledger,
        running.tail(stack.kafka) as tail,
        running.open_ingress(stack.kafka, database.dsn, changes=changes, **PATIENT) as ingress,
    ):
        posted = set()
        for place, (kind, body) in enumerate(case["steps"]):
            await post(ingress, provider, hashlib.sha256(f"{case['id']} {place}".encode()).hexdigest(), kind, body)
            posted.add(json.dumps(own_of(provider, body)).encode())
        came = [record_of(one) for one in await tail.drain() if dict(one.headers)["ce_source"] == provider.encode()]
        assert {one.value for one in came} == posted
        for batch in ([one] for one in (*came, *reversed(came))):
            await ledger.process(batch)
        columns = sorted({name for row in case["rows"] for name in row})
        rows = await ledger.fetch(
            f"select {', '.join(columns)} from payments where merged_into is null order by provider_ref"
        )
    assert rows == sorted(case["rows"], key=lambda row: str(row.get("provider_ref"))), case["title"]


def own_of(provider: str, body: dict[str, Any]) -> Any:
    """Return what the record of an event holds: of Adyen's webhook the item."""
    if provider != "adyen":
        return body
    return signed_item(body)["notificationItems"][0]["NotificationRequestItem"]


async def test_a_dispute_of_two_payments_reaches_both(
    stack: Any, database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingress_app, "Certificates", lambda _client, bounds: Certificates(PayPalsHost(), bounds))
    roots = tmp_path / "roots.pem"
    roots.write_bytes(certificate())
    changes = {"providers": {"paypal": ProviderSettings(secrets=(SecretStr(KEY),), trust_roots=roots)}}
    money, kind, event_id = {"currency_code": "EUR", "value": "10.00"}, "PAYMENT.CAPTURE.COMPLETED", f"WH-{tmp_path}"
    async with (
        batch_harness(database.dsn) as ledger,
        running.tail(stack.kafka) as tail,
        running.open_ingress(stack.kafka, database.dsn, changes=changes, **PATIENT) as ingress,
    ):
        dispute = {
            "dispute_id": "D1", "dispute_amount": money, "status": "OPEN",
            "disputed_transactions": [{"seller_transaction_id": f"{tmp_path.name}{n}"} for n in (1, 2)],
        }  # fmt: skip
        reported = "CUSTOMER.DISPUTE.CREATED"
        await post(ingress, "paypal", "t0", reported, {"id": event_id, "event_type": reported, "resource": dispute})
        for n in (1, 2):
            capture = {"id": f"{tmp_path.name}{n}", "amount": money, "parent_payment": f"P{n}"}
            await post(
                ingress, "paypal", f"t{n}", kind, {"id": f"{event_id}{n}", "event_type": kind, "resource": capture}
            )
        came = [record_of(one) for one in await tail.drain() if event_id in (one_id(one) or "")]
        assert max(filter(None, map(one_id, came))) == f"{event_id}:{tmp_path.name}2"
        await ledger.process(came)
        await ledger.process(came)
        rows = await ledger.fetch("select provider_ref, captured, dispute_status from payments order by provider_ref")
        logged = await ledger.fetch("select count(*) as n from payment_logs where event_type = $1", reported)
    assert rows == [{"provider_ref": f"P{n}", "captured": 1000, "dispute_status": "open"} for n in (1, 2)]
    assert logged == [{"n": 2}]


def two_payees() -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the webhooks of an order of two merchants, by their ids: its captures name no payee, as those of 2021."""
    amounts = {"P1": "10.00", "P2": "20.00"}
    money = {payee: {"currency_code": "EUR", "value": amount} for payee, amount in amounts.items()}
    related = {"supplementary_data": {"related_ids": {"order_id": "O1"}}}
    units = [
        {
            "reference_id": f"unit-{payee}", "amount": amount, "payee": {"merchant_id": payee},
            "payments": {"captures": [{"id": f"C-{payee}", "status": "COMPLETED", "amount": amount}]},
        }
        for payee, amount in money.items()
    ]  # fmt: skip
    links = [{"rel": "up", "href": "https://api.paypal.com/v2/payments/captures/C-P2"}]
    back = {"id": "R1", "status": "COMPLETED", "amount": {"currency_code": "EUR", "value": "3.00"}, "links": links}
    taken = "PAYMENT.CAPTURE.COMPLETED"
    return {
        "WH-ORDER": ("CHECKOUT.ORDER.COMPLETED", {"id": "O1", "status": "COMPLETED", "purchase_units": units}),
        **{f"WH-C-{payee}": (taken, {"id": f"C-{payee}", "amount": money[payee], **related}) for payee in money},
        "WH-R1": ("PAYMENT.CAPTURE.REFUNDED", back),
    }


@pytest.mark.parametrize("first", ["WH-ORDER", "WH-R1"])
async def test_an_order_of_two_merchants_over_http_is_a_payment_of_each(  # noqa: PLR0917 - fixtures
    stack: Any, database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, topic_prefix: str, first: str
) -> None:
    """The endpoint lists both merchants; ingress and consumer are real, and the order comes first or last."""
    monkeypatch.setattr(ingress_app, "Certificates", lambda _client, bounds: Certificates(PayPalsHost(), bounds))
    roots = tmp_path / "roots.pem"
    roots.write_bytes(certificate())
    account = AccountSettings(secrets=(SecretStr(KEY),), merchant_accounts=("P1", "P2"))
    kafka = KafkaSettings(bootstrap=stack.kafka, topic_prefix=topic_prefix, group=topic_prefix)
    paypal = ProviderSettings(trust_roots=roots, accounts={"market": account})
    await ensure_topics(kafka)
    webhooks = two_payees()
    in_order = list(webhooks) if first == "WH-ORDER" else list(webhooks)[::-1]
    changes = {"kafka": kafka, "providers": {"paypal": paypal}}
    async with (
        batch_harness(database.dsn) as ledger,
        running.open_ingress(stack.kafka, database.dsn, changes=changes, **PATIENT) as ingress,
        consuming(ingress.settings),
    ):

        async def processed() -> bool:
            counted = "select count(*) from payment_logs where source = 'paypal/market'"
            return bool(await ledger.pool.fetchval(counted) == len(webhooks) + 1)

        for own in (*in_order, first):  # the first one again: it has no second effect
            kind, resource = webhooks[own]
            body = {"id": own, "event_type": kind, "resource": resource}
            await post(ingress, "paypal/market", own, kind, body)
        await until(processed, "the order's two events, two captures and a refund are in the ledger")
        columns = "merchant_account, captured, refunded, status, flags, provider_ref"
        rows = await ledger.fetch(f"select {columns} from payments where merged_into is null order by merchant_account")
        logged = await ledger.fetch(
            "select event_id, survivor.merchant_account from payment_logs"
            " join payments named on named.id = payment_logs.payment_id"
            " join payments survivor on survivor.id = coalesce(named.merged_into, named.id)"
            " where source = 'paypal/market' order by event_id"
        )
        lost = await ledger.fetch("select event_id from parked_events union all select message from dead_letters")
    assert rows == [
        {
            "merchant_account": payee, "captured": captured, "refunded": refunded, "status": "captured", "flags": [],
            "provider_ref": "O1",
        }
        for payee, captured, refunded in (("P1", 1000, 0), ("P2", 2000, 300))
    ]  # fmt: skip
    assert [(row["event_id"], row["merchant_account"]) for row in logged] == [
        ("WH-C-P1", "P1"),
        ("WH-C-P2", "P2"),
        ("WH-ORDER", "P1"),
        ("WH-ORDER:P2", "P2"),
        ("WH-R1", "P2"),
    ]
    assert lost == []


def one_id(one: Any) -> str | None:
    found = dict(one.headers).get("ce_id")
    return found.decode() if isinstance(found, bytes) else found


async def post(ingress: running.RunningIngress, provider: str, own: str, kind: str, body: dict[str, Any]) -> None:
    raw = json.dumps(signed_item(body) if provider == "adyen" else body).encode()
    url, headers = f"{ingress.url}/webhooks/{provider}", SIGNED[provider.partition("/")[0]](own, kind, raw)
    async with ingress.client.post(url, data=raw, headers=headers) as answer:
        assert answer.status == 202, await answer.text()


def record_of(one: Any) -> Record:
    headers = tuple((name, value if isinstance(value, bytes) else value.encode()) for name, value in one.headers)
    return Record(one.topic, one.partition, one.offset, one.timestamp, one.key, one.value, headers)
