"""Every case of `vectors/` through the ingress: what is genuine is in Kafka as it was sent, all else leaves nothing.

One server and one connection to Kafka serve all; each case gets an ingress of its own behind them, with its secrets,
its public URL, its certificates and its time.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import running_ingress as running
from consumer_processes import new_database
from pydantic import SecretStr, ValidationError

from producers.ingress import app as ingress_app
from producers.ingress import webhooks
from producers.ingress.clock_check import ClockCheck
from producers.ingress.publishing.records import digest
from producers.ingress.verification.certificates import Certificates
from runtime.http import HttpAnswer
from runtime.settings import CertificateSettings, LimitSettings, ProviderSettings
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.integration

VECTORS = Path(__file__).parent.parent / "contract" / "vectors"
UNSHOWN = "a-key-that-signs-and-is-never-shown"
PADDING = "0aZ9"
NAMES = sorted(path.stem for path in VECTORS.glob("*.json"))


class Still:
    """A clock that shows one time."""

    def __init__(self, now: float) -> None:
        self._now = now

    def now(self) -> float:
        return self._now


class CertificateHost:
    """Answers with the case's certificates, and with 404 for any other URL."""

    def __init__(self, certs: dict[str, str]) -> None:
        self._certs = certs
        self.asked: list[str] = []

    async def send(self, request: Any) -> HttpAnswer:
        self.asked.append(request.url)
        pem = self._certs.get(request.url)
        return HttpAnswer(404, b"") if pem is None else HttpAnswer(200, pem.encode())


class Switch:
    """Stands where the ingress' application stands, and passes requests on to the case's own."""

    def __init__(self) -> None:
        self.build = ingress_app.build_app
        self.shared: tuple[Any, Any] = (None, None)
        self.transactions: Any = None
        self.rates: Any = None
        self.hints: Any = None
        self.current: Any = None

    def __call__(  # noqa: PLR0917 - as the application's builder
        self,
        settings: Any,
        publisher: Any,
        readiness: Any,
        clocks: Any,
        certificates: Any,
        transactions: Any,
        rates: Any,
        hints: Any,
    ) -> Any:
        self.shared, self.transactions, self.rates = (publisher, readiness), transactions, rates
        self.hints = hints
        self.current = None

        async def pass_on(scope: Any, receive: Any, send: Any) -> None:
            await self.current(scope, receive, send)

        return pass_on

    def turn(self, settings: Any, case: dict[str, Any]) -> CertificateHost:
        host = CertificateHost(case.get("config", {}).get("certs", {}))
        certificates = Certificates(host, CertificateSettings())
        clocks = ClockCheck(Still(case["now"]))
        self.current = self.build(
            settings, *self.shared, clocks, certificates, self.transactions, self.rates, self.hints
        )
        return host


@pytest.fixture(scope="module")
async def switch() -> AsyncIterator[Switch]:
    made = Switch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingress_app, "build_app", made)
        yield made


@pytest.fixture(scope="module")
async def ingress(stack: Any, switch: Switch) -> AsyncIterator[running.RunningIngress]:
    """Open one ingress for all cases; its database takes the hints."""
    unlimited = {"limits": LimitSettings(unverified_requests_max=1_000_000, unsigned_requests_max=1_000_000)}
    async with (
        new_database(stack) as database,
        running.open_ingress(stack.kafka, database.dsn, changes=unlimited) as opened,
    ):
        yield opened


@pytest.fixture
async def tail(stack: Any) -> AsyncIterator[running.Tail]:
    async with running.tail(stack.kafka) as following:
        yield following


def settings_of(base: Any, provider: str, case: dict[str, Any], folder: Path) -> Any:
    """Say in settings what the case says of its endpoint."""
    config, more = case.get("config", {}), {}
    for name in ("trust_roots", "intermediates"):
        if config.get(name):
            more[name] = folder / f"{name}.pem"
            more[name].write_text("\n".join(config[name]))
    secrets = tuple(SecretStr(secret) for secret in case["secrets"])
    shown = provider == "flutterwave" and "verif-hash" in {name.lower() for name in case["headers"]}
    configured = ProviderSettings(
        secrets=(SecretStr(UNSHOWN),) if shown else secrets,
        shown_secrets=secrets if shown else (),
        merchant_accounts=tuple(config.get("merchant_accounts", ())),
        certificate_hosts=tuple(config.get("allowed_cert_hosts", ())),
        unsigned=case.get("trust") == "hint" or None,
        **more,
    )
    url = urlsplit(case["url"])
    return base.model_copy(update={"public_url": f"{url.scheme}://{url.netloc}", "providers": {provider: configured}})


def lengthened(case: dict[str, Any]) -> dict[str, Any]:
    """Return an M-Pesa case with its secrets as long as a path's must be: those of the cases are four short."""
    url = case["url"]
    for secret in filter(None, case["secrets"]):
        url = url.replace(secret, f"{secret}{PADDING}")
    return {**case, "url": url, "secrets": [secret and f"{secret}{PADDING}" for secret in case["secrets"]]}


def target_of(case: dict[str, Any]) -> str:
    """Return path and query of the case's URL."""
    return case["url"].partition("://")[2].partition("/")[2].join(("/", ""))


def request_bytes(case: dict[str, Any], target: str, trace: str, body: bytes) -> bytes:
    lines = [f"POST {target} HTTP/1.1", "Host: ingress.test", f"Content-Length: {len(body)}", "Connection: close"]
    for name, value in case["headers"].items():
        values = value if isinstance(value, list) else [value]
        lines += [f"{name}: {one}" for one in values if name.lower() not in ("content-length", "host")]
    return "\r\n".join([*lines, f"traceparent: {trace}", "", ""]).encode("latin-1") + body


def statuses_allowed(provider: str, case: dict[str, Any], target: str) -> set[int]:
    """Return how a refused case may be answered: 401, but 404 for a path or an endpoint that there is not."""
    path = target.partition("?")[0]
    here = path.startswith(f"/webhooks/{provider}/") if provider == "mpesa" else path == f"/webhooks/{provider}"
    if not here or not any(case["secrets"]):
        return {404}
    return {401} if path.count("/") == (3 if provider == "mpesa" else 2) and not path.endswith("/") else {404}


@pytest.mark.parametrize("provider", NAMES)
async def test_every_case_through_the_ingress(
    provider: str, tail: running.Tail, ingress: running.RunningIngress, switch: Switch, tmp_path: Path
) -> None:
    cases = json.loads((VECTORS / f"{provider}.json").read_text())["cases"]
    cases = [lengthened(case) for case in cases] if provider == "mpesa" else cases
    arrived: dict[str, list[Any]] = defaultdict(list)
    for number, case in enumerate(cases):
        try:
            host = switch.turn(settings_of(ingress.settings, provider, case, tmp_path), case)
        except (SettingsError, ValidationError):
            assert case.get("reason") == "empty_secret", "an ingress refuses to open only where a secret is none"
            continue
        await post(ingress, host, provider, number, case)
    for record in await tail.drain():
        arrived[dict(record.headers)["traceparent"].decode()].append(record)
    for number, case in enumerate(cases):
        records = arrived.pop(trace_of(number), [])
        if case["expect"] == "reject" or case["trust"] == "hint":
            assert records == [], case["name"]
        else:
            check_records(provider, case, records)
    assert not arrived


def trace_of(number: int) -> str:
    return f"00-{number + 1:032x}-00f067aa0ba902b7-01"


async def post(
    ingress: running.RunningIngress, host: CertificateHost, provider: str, number: int, case: dict[str, Any]
) -> None:
    """Post one case, and look at the answer."""
    target = signed = target_of(case)
    if "/webhooks/" not in target or "webhook.site" in case["url"]:
        target = f"/webhooks/{provider}"
    with pytest.MonkeyPatch.context() as patch:
        if target != signed:  # Published by the provider for a path of its own; the ingress' is /webhooks/.
            patch.setattr(webhooks, "target_of", lambda _scope: signed)
        body = base64.b64decode(case["body_base64"])
        answer = await running.exchange(ingress.address, request_bytes(case, target, trace_of(number), body))
    (status,) = running.statuses(answer)
    if case["expect"] == "accept":
        assert status == 202, (case["name"], answer)
    else:
        assert status in statuses_allowed(provider, case, target), (case["name"], answer)
        reported = json.loads(answer.partition(b"\r\n\r\n")[2])
        assert set(reported) == {"type", "title", "status"}
        assert "Retry-After" not in answer.decode("latin-1")
    if case.get("reason") in ("untrusted_cert_url", "empty_secret"):
        assert host.asked == [], case["name"]


def check_records(provider: str, case: dict[str, Any], records: list[Any]) -> None:
    body = base64.b64decode(case["body_base64"])
    expected = case.get("events", [{}] * max(1, len(records)))
    assert len(records) == len(expected), case["name"]
    if len(expected) == 1 and provider not in ("adyen", "gocardless"):
        assert records[0].value == body, case["name"]
    got = []
    for record in records:
        assert record.value in body, case["name"]
        reported = {name: value.decode() for name, value in record.headers}
        assert reported["ce_source"] == provider
        assert reported["ce_ratchettrust"] == case["trust"]
        assert dt.datetime.fromisoformat(reported["ce_time"]).timestamp() == case["now"]
        got.append((reported["ce_id"], reported["ce_type"], record.key.decode()))
    if "events" in case:
        assert sorted(got) == sorted(names_of(event, record_of(event, records)) for event in expected), case["name"]


def record_of(event: dict[str, Any], records: list[Any]) -> bytes:
    """Return the body of an event without an id, which comes alone."""
    assert event["event_id"] or len(records) == 1
    return records[0].value


def names_of(event: dict[str, Any], body: bytes) -> tuple[str, str, str]:
    """Return ce_id, ce_type and key as they must be."""
    event_id = event["event_id"] or digest(body)
    return event_id, event["kind"] or "unknown", event["payment_ref"] or event_id
