"""What proves a request at the ingress: certificates, secrets in their time, secret paths, addresses, signed URLs.

And what does not count: how the body is encoded, or what it holds.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import datetime as dt
import gzip
import hashlib
import hmac
import io
import json
import logging
import time
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import aiohttp
import asyncpg
import pytest
import running_ingress as running
import structlog

from producers.ingress import webhooks
from producers.ingress.publishing.records import digest
from runtime import log
from runtime.settings import ProviderSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.integration

PATH_SECRET = "u7Jq2mX9cVb4RkTz8WpLn5Hs"
TOKEN = "twilio-auth-token"
PREFIXED = "https://pay.example/hooks/v1"
LOOPBACK = ("127.0.0.0/8",)


def provider(**configured: Any) -> ProviderSettings:
    return ProviderSettings(**configured)


@pytest.fixture
async def tail(stack: Any) -> AsyncIterator[running.Tail]:
    async with running.tail(stack.kafka) as following:
        yield following


@pytest.fixture
def lines() -> Iterator[Any]:
    """Give a function that returns everything logged so far, as it goes to standard error."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level, configuration = root.handlers[:], root.level, structlog.get_config()
    log.configure("ingress", "debug", stream)
    yield stream.getvalue
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**configuration)


def requests_in(text: str) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, text.splitlines()) if line["event"] == "request"]


@contextlib.asynccontextmanager
async def open_ingress(
    stack: Any, url: str = running.PUBLIC_URL, **providers: Any
) -> AsyncIterator[running.RunningIngress]:
    proxies = providers.pop("trusted_proxies", ())
    changes = {"providers": providers, "public_url": url}
    async with running.open_ingress(stack.kafka, stack.dsn, changes=changes, trusted_proxies=proxies) as ingress:
        yield ingress


# --- PayPal's certificate ---------------------------------------------------------------------------------------


LISTED = "https://localhost/v1/notifications/certs/CERT-1"


def paypal_headers(url: str) -> dict[str, str]:
    parts = {"ID": "id", "TIME": "time", "SIG": base64.b64encode(b"x" * 256).decode()}
    signed = {f"PAYPAL-TRANSMISSION-{name}": value for name, value in parts.items()}
    return signed | {"PAYPAL-CERT-URL": url, "PAYPAL-AUTH-ALGO": "SHA256withRSA"}


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """List the hosts to which the ingress' own HTTP client connects."""
    made: list[str] = []
    connect = aiohttp.TCPConnector.connect

    async def noting(connector: Any, request: Any, *more: Any, **named: Any) -> Any:
        if request.headers.get("User-Agent") == "ratchet":
            made.append(str(request.url))
        return await connect(connector, request, *more, **named)

    monkeypatch.setattr(aiohttp.TCPConnector, "connect", noting)
    return made


async def test_a_certificate_is_fetched_from_a_listed_host_alone(
    stack: Any, connections: list[str], lines: Any
) -> None:
    configured = provider(secrets=["webhook-id"], certificate_hosts=["localhost"])
    async with running.open_ingress(stack.kafka, stack.dsn, changes={"providers": {"paypal": configured}}) as ingress:
        port = ingress.address.rpartition(":")[2]
        for url in (
            f"https://localhost:{port}/v1/notifications/certs/CERT-1",
            f"http://localhost:{port}/v1/notifications/certs/CERT-1",
            f"https://127.0.0.1:{port}/v1/notifications/certs/CERT-1",
            f"https://localhost@127.0.0.1:{port}/v1/notifications/certs/CERT-1",
            f"https://localhost:443@127.0.0.1:{port}/v1/notifications/certs/CERT-1",
            f"https://user:pass@localhost:{port}/v1/notifications/certs/CERT-1",
            "https://localhost./v1/notifications/certs/CERT-1",
            "https://127.0.0.1/v1/notifications/certs/CERT-1",
            "https://[::1]/v1/notifications/certs/CERT-1",
            "https://LOCALHOST/v1/notifications/certs/CERT-1",
            "https://localhost\\@127.0.0.1/v1/notifications/certs/CERT-1",
            "https://api.paypal.com/v1/notifications/certs/CERT-1",
            "https://localhost/cert",
            "https://localhost/v1/notifications/certs/../../x",
        ):
            status, answer, _ = await ingress.post(b"{}", "/webhooks/paypal", **paypal_headers(url))
            assert (status, json.loads(answer)["type"]) == (401, "urn:ratchet:problem:signature-rejected"), url
        assert connections == []
        assert {line["reason"] for line in requests_in(lines())} == {"untrusted_cert_url"}
        status, answer, headers = await ingress.post(b"{}", "/webhooks/paypal", **paypal_headers(LISTED))
        assert (status, json.loads(answer)["type"]) == (503, "urn:ratchet:problem:proof-unavailable")
        assert int(headers["Retry-After"]) > 0
        assert connections == [LISTED], "the ingress does connect to what is listed"
    assert requests_in(lines())[-1]["reason"] == "proof_unavailable"


# --- secrets in their time --------------------------------------------------------------------------------------


def at(seconds: float) -> str:
    return dt.datetime.fromtimestamp(time.time() + seconds, dt.UTC).isoformat()


async def test_a_secret_counts_inside_its_window_alone(stack: Any, lines: Any) -> None:
    new, old, ended = "whsec_new_0123456789", running.SECRET, "whsec_ended_0123456789"
    secrets = [
        {"secret": new, "not_before": at(3600)},
        {"secret": old, "not_before": at(-3600), "not_after": at(3600)},
        {"secret": ended, "not_after": at(-1)},
    ]
    gone = provider(secrets=secrets, accounts={"acme": {"secrets": [secrets[0], secrets[2]]}})
    async with open_ingress(stack, stripe=gone) as ingress:
        _, body = running.event()
        for secret, status in ((old, 202), (new, 401), (ended, 401)):
            assert (await ingress.post(body, **running.signature(body, secret)))[0] == status
        for secret in (new, ended):
            path = "/webhooks/stripe/acme"
            assert (await ingress.post(body, path, **running.signature(body, secret)))[0] == 401
    reported = [line["reason"] for line in requests_in(lines())]
    assert reported == [None, "bad_signature", "bad_signature", "empty_secret", "empty_secret"]


# --- M-Pesa: the secret is the path -----------------------------------------------------------------------------


def mpesa_body() -> tuple[str, bytes]:
    checkout_id = f"ws_CO_{uuid.uuid4().hex}"
    return checkout_id, json.dumps(
        {"Body": {"stkCallback": {"CheckoutRequestID": checkout_id, "ResultCode": 0}}}
    ).encode()


@pytest.mark.parametrize(("path", "source"), [("", "mpesa"), ("/ACME", "mpesa/acme")])
async def test_a_secret_path_takes_hints(stack: Any, database: Any, tail: running.Tail, path: str, source: str) -> None:
    configured = provider(secrets=[PATH_SECRET], accounts={"acme": {"secrets": [PATH_SECRET]}})
    checkout_id, body = mpesa_body()
    changes = {"providers": {"mpesa": configured}}
    async with running.open_ingress(stack.kafka, database.dsn, changes=changes) as ingress:
        assert (await ingress.post(body, f"/webhooks/mpesa{path}/{PATH_SECRET}"))[0] == 202
        assert (await ingress.post(body, f"/webhooks/mpesa{path}/{PATH_SECRET.lower()}"))[0] == 401
    assert await tail.drain() == []
    async with asyncpg.create_pool(database.dsn, min_size=1, max_size=1) as pool:
        (row,) = await pool.fetch("select provider, account, ref, reason, status from refetches")
    assert tuple(row) == (*(f"{source}/".split("/")[:2]), checkout_id, "hint", "queued")


async def test_the_secret_path_is_in_no_line_whatever_happens(
    stack: Any, database: Any, lines: Any, monkeypatch: Any
) -> None:
    stack = dataclasses.replace(stack, dsn=database.dsn)  # hints are rows
    configured = provider(secrets=[PATH_SECRET])
    percent = "".join(f"%{ord(character):02x}" for character in PATH_SECRET)
    async with open_ingress(stack, mpesa=configured) as ingress:
        _, body = mpesa_body()
        for path, sent, status in (
            (f"/webhooks/mpesa/{PATH_SECRET}", body, 202),
            (f"/webhooks/mpesa/{PATH_SECRET}", b"x" * (1024 * 1024 + 1), 413),
            (f"/webhooks/mpesa/{PATH_SECRET}", b"{}", 401),
            (f"/webhooks/mpesa/nobody/{PATH_SECRET}", body, 404),
            (f"/webhooks/mpesa/a/b/{PATH_SECRET}", body, 404),
            (f"/webhooks/MPesa/{PATH_SECRET}", body, 404),
            (f"/webhooks/mpesa?token={PATH_SECRET}", body, 404),
        ):
            assert (await ingress.post(sent, path))[0] == status, path
        spelled = running.raw_request(body, "Connection: close", path=f"/webhooks/mpesa/{percent}")
        assert running.statuses(await running.exchange(ingress.address, spelled)) == [401]
        async with ingress.client.put(ingress.url + f"/webhooks/mpesa/{PATH_SECRET}", data=b"") as response:
            assert response.status == 405

        def broken(delivery: Any, _inputs: Any) -> None:
            raise RuntimeError(f"{delivery.url} and {delivery.url.rpartition('/')[2]}")

        monkeypatch.setattr(webhooks, "verified", broken)
        assert (await ingress.post(body, f"/webhooks/mpesa/{PATH_SECRET}"))[0] == 503
        assert running.statuses(await running.exchange(ingress.address, spelled)) == [503]
        await running.until(lambda: len(requests_in(lines())) == 11)
    text = lines()
    assert PATH_SECRET not in text
    assert percent not in text
    assert "request_failed" in text
    assert "RuntimeError: " in text
    assert "/webhooks/{provider}/{secret}" in text


async def test_hints_come_from_allowed_networks_alone(stack: Any, database: Any, lines: Any) -> None:
    stack = dataclasses.replace(stack, dsn=database.dsn)  # hints are rows
    closed = provider(
        secrets=[PATH_SECRET],
        source_networks=["196.201.214.0/24"],
        accounts={"here": {"secrets": [PATH_SECRET], "source_networks": list(LOOPBACK)}},
    )
    path, here = f"/webhooks/mpesa/{PATH_SECRET}", f"/webhooks/mpesa/here/{PATH_SECRET}"
    safaricom, stranger = "196.201.214.200", "203.0.113.9"
    async with open_ingress(stack, mpesa=closed) as ingress:
        _, body = mpesa_body()
        for headers in ({}, {"X-Forwarded-For": safaricom}):
            status, answer, _ = await ingress.post(body, path, **headers)
            assert (status, json.loads(answer)["type"]) == (401, "urn:ratchet:problem:signature-rejected")
        assert (await ingress.post(body, here))[0] == 202
    async with open_ingress(stack, mpesa=closed, trusted_proxies=LOOPBACK) as ingress:
        for forwarded, status in (
            (safaricom, 202),
            (f"{stranger}, {safaricom}, 127.0.0.9", 202),
            (f"{safaricom}, {stranger}", 401),
            ("127.0.0.9", 401),
            ("unknown", 401),
        ):
            assert (await ingress.post(body, path, **{"X-Forwarded-For": forwarded}))[0] == status, forwarded
    refused = [line["reason"] for line in requests_in(lines()) if line["status"] == 401]
    assert refused == ["untrusted_source"] * 5


# --- signed URLs behind a prefix --------------------------------------------------------------------------------


def twilio_signature(url: str, fields: dict[str, str]) -> dict[str, str]:
    signed = url + "".join(name + value for name, value in sorted(fields.items()))
    mac = hmac.digest(TOKEN.encode(), signed.encode(), hashlib.sha1)
    content_type = "application/x-www-form-urlencoded"
    return {"X-Twilio-Signature": base64.b64encode(mac).decode(), "Content-Type": content_type}


@pytest.mark.parametrize("configured", [PREFIXED, PREFIXED.replace("example", "example:443"), PREFIXED + "/"])
@pytest.mark.parametrize("port", ["", ":443"])
async def test_twilio_signs_the_public_url_with_or_without_its_port(
    stack: Any, tail: running.Tail, configured: str, port: str
) -> None:
    fields = {"MessageSid": f"SM{uuid.uuid4().hex}", "MessageStatus": "delivered"}
    body, target = urlencode(fields).encode(), "/webhooks/twilio?tenant=a%20b"
    public = PREFIXED.replace("example", f"example{port}")
    async with open_ingress(stack, configured, twilio=provider(secrets=[TOKEN])) as ingress:
        assert (await ingress.post(body, target, **twilio_signature(public + target, fields)))[0] == 202
        local = f"http://{ingress.address}"
        assert (await ingress.post(body, target, **twilio_signature(local + target, fields)))[0] == 401
    (record,) = await tail.drain()
    assert dict(record.headers)["ce_id"].decode() == f"{fields['MessageSid']}:delivered"
    assert record.value == body


async def test_square_signs_the_public_url_and_no_header_changes_it(stack: Any, tail: running.Tail) -> None:
    event_id = uuid.uuid4().hex
    body = json.dumps({"event_id": event_id, "type": "payment.updated"}).encode()
    target = "/webhooks/square/acme?x=%C3%A9&y"

    def signed(public: str) -> dict[str, str]:
        mac = hmac.digest(b"square-key", (public + target).encode() + body, hashlib.sha256)
        return {"X-Square-HmacSha256-Signature": base64.b64encode(mac).decode()}

    async with open_ingress(
        stack, PREFIXED, square=provider(accounts={"acme": {"secrets": ["square-key"]}})
    ) as ingress:
        elsewhere = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http", "X-Forwarded-Prefix": "/x"}
        request = [f"POST {target} HTTP/1.1", "Host: evil.example", f"Content-Length: {len(body)}", "Connection: close"]
        for public, status in ((PREFIXED, 202), ("https://evil.example", 401), ("https://pay.example", 401)):
            heads = [f"{name}: {value}" for name, value in (signed(public) | elsewhere).items()]
            answer = await running.exchange(ingress.address, "\r\n".join([*request, *heads, "", ""]).encode() + body)
            assert running.statuses(answer) == [status], public
    (record,) = await tail.drain()
    assert dict(record.headers)["ce_source"] == b"square/acme"
    assert dict(record.headers)["ce_id"].decode() == event_id


# --- bodies of any kind -----------------------------------------------------------------------------------------


async def test_a_compressed_body_is_verified_and_kept_as_it_came(stack: Any, tail: running.Tail) -> None:
    bomb = gzip.compress(b"\0" * (256 * 1024 * 1024), compresslevel=9)
    event_id, plain = running.event()
    small = gzip.compress(plain)
    assert len(bomb) < 1024 * 1024
    async with running.open_ingress(stack.kafka, stack.dsn) as ingress:
        for body in (bomb, small, b"no gzip at all"):
            started = time.monotonic()
            answer = await running.exchange(
                ingress.address, running.raw_request(body, "Content-Encoding: gzip", "Connection: close")
            )
            assert running.statuses(answer) == [202]
            assert time.monotonic() - started < 2
        over_what_it_holds = running.raw_request(plain, "Content-Encoding: gzip", "Connection: close")
        forged = over_what_it_holds.partition(b"\r\n\r\n")[0].replace(
            b"Content-Length: %d" % len(plain), b"Content-Length: %d" % len(small)
        )
        assert running.statuses(await running.exchange(ingress.address, forged + b"\r\n\r\n" + small)) == [401]
    records = await tail.drain()
    assert sorted(record.value for record in records) == sorted((bomb, small, b"no gzip at all"))
    assert {dict(record.headers)["ce_id"].decode() for record in records} == {
        digest(record.value) for record in records
    }
    assert event_id not in str(records)


ODD = [
    b'{"id":"evt_deep","data":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    b'{"id":"evt_nul\\u0000","type":"a\\u0000b","data":{"object":{"id":"pi\\u0000"}}}',
    b'{"id":"evt_\x00raw"}',
    b'{"id":"evt_\\ud800","type":"\\udfff","data":{"object":{"id":"pi_\\ud83d"}}}',
    b'{"id":"evt_\xed\xa0\x80"}',
    b'{"id":' + b"9" * 100_000 + b"}",
    b"\xff\xfe{\x00}\x00",
]


@pytest.mark.parametrize("body", ODD, ids=range(len(ODD)))
async def test_an_odd_body_that_is_genuine_is_one_record(stack: Any, tail: running.Tail, body: bytes) -> None:
    async with running.open_ingress(stack.kafka, stack.dsn) as ingress:
        assert (await ingress.post(body))[:2] == (202, b'{"accepted":1}')
    (record,) = await tail.drain()
    assert record.value == body
    reported = {name: value.decode() for name, value in record.headers}
    assert reported["ce_id"] == digest(body)
    assert "\x00" not in reported["ce_type"]
