"""Certificates that requests name: where they are fetched, how often, and what a failed fetch means."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from outside import outside
from pydantic import SecretStr

from producers.ingress import trust_roots
from producers.ingress.endpoints import Endpoint, open_endpoints
from producers.ingress.rate_limits import OVER_QUOTA
from producers.ingress.verification.certificates import Certificates, client_bounds
from producers.ingress.verification.fetch_budget import Asker
from producers.ingress.verification.inputs import (
    CERTIFICATE_QUOTA,
    NO_LIVE_SECRET,
    PROOF_UNAVAILABLE,
    Delivery,
    VerificationInputs,
    gather,
)
from providers.paypal import LIVE_CERTIFICATE_HOSTS
from runtime.http import HttpAnswer, HttpClient, HttpRequest, HttpUnavailableError
from runtime.settings import CertificateSettings, HttpSettings, ProviderSettings, Settings
from schemas.errors import SettingsError, SignatureRejected, UnavailableError

pytestmark = pytest.mark.unit

VECTORS = Path(__file__).parent.parent / "contract" / "vectors" / "paypal.json"
CASE = next(
    case for case in json.loads(VECTORS.read_text())["cases"] if case["name"] == "event_payment_capture_completed"
)
((URL, PEM),) = CASE["config"]["certs"].items()
(ROOT,) = CASE["config"]["trust_roots"]
OTHER = URL + "-other"
GOOD = HttpAnswer(200, PEM.encode())


class Host:
    """Plays the certificates' host: answers as asked, the last answer again and again; may be held."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.open = asyncio.Event()
        self.open.set()

    async def send(self, request: HttpRequest) -> HttpAnswer:
        assert (request.method, request.body, dict(request.headers)) == ("GET", None, {})
        self.asked.append(request.url)
        await self.open.wait()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def kept_by(host: Host, **bounds: Any) -> tuple[Certificates, Clock]:
    clock = Clock()
    return Certificates(host, CertificateSettings(**bounds), clock), clock


async def test_a_certificate_is_fetched_once_and_kept_for_its_time() -> None:
    host = Host(GOOD)
    certificates, clock = kept_by(host, ttl_seconds=10)
    assert [await certificates.get(URL) for _ in range(3)] == [PEM] * 3
    clock.now = 9.9
    await certificates.get(URL)
    assert host.asked == [URL]
    clock.now = 10
    assert await certificates.get(URL) == PEM
    assert host.asked == [URL, URL]


async def test_requests_for_one_certificate_at_once_fetch_it_once() -> None:
    host = Host(GOOD)
    host.open.clear()
    certificates, _ = kept_by(host)
    waiting = [asyncio.create_task(certificates.get(URL)) for _ in range(20)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    host.open.set()
    assert await asyncio.gather(*waiting[1:]) == [PEM] * 19
    assert host.asked == [URL]
    assert waiting[0].cancelled()


@pytest.mark.parametrize(
    "answer",
    [
        HttpUnavailableError("away"),
        HttpAnswer(500, b""),
        HttpAnswer(429, b"", 3600),
        HttpAnswer(302, PEM.encode()),
        HttpAnswer(403, PEM.encode()),
        HttpAnswer(200, b""),
        HttpAnswer(200, b"<html>a page of words</html>"),
        HttpAnswer(200, PEM.replace("MII", "MIJ").encode()),
    ],
)
async def test_what_cannot_be_fetched_now_is_unavailable_and_is_asked_again(answer: Any) -> None:
    host = Host(answer, GOOD)
    certificates, _ = kept_by(host)
    with pytest.raises(UnavailableError):
        await certificates.get(URL)
    assert await certificates.get(URL) == PEM


@pytest.mark.parametrize("status", [404, 410])
async def test_a_certificate_that_is_surely_not_there_proves_nothing(status: int) -> None:
    certificates, _ = kept_by(Host(HttpAnswer(status, b"")))
    for _ in range(10):
        with pytest.raises(SignatureRejected, match="untrusted_cert"):
            await certificates.get(URL)


async def test_an_old_certificate_serves_while_a_new_one_cannot_be_fetched() -> None:
    certificates, clock = kept_by(Host(GOOD, HttpUnavailableError("away")), ttl_seconds=10, stale_seconds=100)
    await certificates.get(URL)
    clock.now = 109
    assert await certificates.get(URL) == PEM
    clock.now = 110
    with pytest.raises(UnavailableError):
        await certificates.get(URL)


async def test_a_host_that_fails_is_left_alone_and_then_tried_once() -> None:
    host = Host(HttpUnavailableError("away"))
    certificates, clock = kept_by(host, breaker_failures_max=2, breaker_seconds=5)
    for _ in range(4):
        with pytest.raises(UnavailableError):
            await certificates.get(URL)
    assert len(host.asked) == 2
    with pytest.raises(UnavailableError):
        await certificates.get(URL.replace("api.", "api.sandbox."))
    assert len(host.asked) == 3, "another host has a breaker of its own"
    clock.now, host.answers = 5, [GOOD]
    assert await certificates.get(URL) == PEM


async def test_a_probe_that_ends_in_something_unforeseen_gives_its_place_back() -> None:
    host = Host(HttpUnavailableError("away"), RuntimeError("a bug"), GOOD)
    certificates, clock = kept_by(host, breaker_failures_max=1, breaker_seconds=5)
    with pytest.raises(UnavailableError):
        await certificates.get(URL)
    clock.now = 5
    with pytest.raises(RuntimeError):
        await certificates.get(URL)
    assert await certificates.get(URL) == PEM


@pytest.mark.parametrize("answer", [HttpAnswer(404, b""), HttpAnswer(403, b""), HttpAnswer(200, b"no certificate")])
async def test_a_probe_that_finds_no_certificate_found_the_host(answer: HttpAnswer) -> None:
    host = Host(HttpUnavailableError("away"), answer, GOOD)
    certificates, clock = kept_by(host, breaker_failures_max=1, breaker_seconds=5)
    with pytest.raises(UnavailableError):
        await certificates.get(OTHER)
    clock.now = 5
    with pytest.raises((SignatureRejected, UnavailableError)):
        await certificates.get(OTHER)
    assert await certificates.get(URL) == PEM


async def test_who_may_not_fetch_takes_no_place_of_the_probe() -> None:
    """The breaker is asked last: whoever it lets through must call."""
    host = Host(HttpUnavailableError("away"), GOOD)
    certificates, clock = kept_by(host, breaker_failures_max=1, breaker_seconds=5, fetches_a_minute_max=1)
    with pytest.raises(UnavailableError):
        await certificates.get(URL)
    clock.now = 6
    with pytest.raises(UnavailableError, match="1 unknown certificates"):
        await certificates.get(URL)
    clock.now = 61
    assert await certificates.get(URL) == PEM


async def test_one_that_grew_old_is_fetched_whatever_strangers_spent() -> None:
    host = Host(GOOD)
    certificates, clock = kept_by(host, ttl_seconds=10, fetches_a_minute_max=2)
    await certificates.get(URL)
    clock.now = 11
    await certificates.get(OTHER)
    with pytest.raises(UnavailableError, match="2 unknown certificates"):
        await certificates.get(OTHER + "2")
    assert [await certificates.get(URL) for _ in range(2)] == [PEM, PEM]
    assert host.asked == [URL, OTHER, URL], "it costs nobody's share either"
    clock.now = 61
    await certificates.get(OTHER + "2")


async def test_one_that_grew_old_is_fetched_though_strangers_ask_for_others_in_vain() -> None:
    host = Host(GOOD, HttpUnavailableError("away"), GOOD)
    certificates, clock = kept_by(host, ttl_seconds=10, breaker_failures_max=1, breaker_seconds=100)
    await certificates.get(URL)
    clock.now = 11
    with pytest.raises(UnavailableError):
        await certificates.get(OTHER)
    assert await certificates.get(URL) == PEM
    assert host.asked == [URL, OTHER, URL], "the breaker of strangers is none of what is known"


@pytest.mark.parametrize(("connect", "expected"), [(1.0, 1.0), (30.0, 4.0)])
def test_the_client_has_the_bounds_of_certificates(connect: float, expected: float) -> None:
    bounds = CertificateSettings(timeout_seconds=4.0, bytes_max=5000, fetches_max=3)
    found = client_bounds(HttpSettings(connect_timeout_seconds=connect, total_timeout_seconds=60.0), bounds)
    assert (found.connections_max, found.response_bytes_max) == (3, 5000)
    assert (found.connect_timeout_seconds, found.total_timeout_seconds) == (expected, 4.0)


async def test_fetches_and_waiters_are_bounded() -> None:
    host = Host(GOOD)
    host.open.clear()
    certificates, _ = kept_by(host, fetches_max=1, waiters_max=2)
    first = asyncio.create_task(certificates.get(URL))
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError, match="1 certificates are being fetched"):
        await certificates.get(OTHER)
    second = asyncio.create_task(certificates.get(URL))
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError, match="2 requests wait"):
        await certificates.get(URL)
    host.open.set()
    assert await asyncio.gather(first, second) == [PEM, PEM]


async def test_the_one_not_used_for_longest_goes_first() -> None:
    host = Host(GOOD)
    certificates, _ = kept_by(host, entries_max=2)
    for url in (URL, OTHER, URL, OTHER + "2", URL):
        await certificates.get(url)
    assert host.asked == [URL, OTHER, OTHER + "2"]
    await certificates.get(OTHER)
    assert host.asked[-1] == OTHER


async def test_closing_gives_up_what_is_being_fetched() -> None:
    host = Host(GOOD)
    host.open.clear()
    certificates, _ = kept_by(host)
    await certificates.close()
    waiting = asyncio.create_task(certificates.get(URL))
    await asyncio.sleep(0.01)
    await certificates.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_the_real_client_is_bounded_in_time_and_bytes_and_follows_no_redirect() -> None:
    bounds = CertificateSettings(timeout_seconds=0.15, bytes_max=5000, breaker_failures_max=100)
    async with outside() as world, HttpClient(client_bounds(HttpSettings(), bounds)) as client:
        certificates = Certificates(client, bounds)
        release = asyncio.Event()
        world.fail("/moved", 302, headers={"Location": f"{world.url}/there"}, body=PEM)
        world.fail("/large", 200, body=PEM + " " * 5000)
        world.fail("/slow", 200, holds=release, body=PEM)
        for path in ("/moved", "/large", "/slow"):
            with pytest.raises(UnavailableError):
                await certificates.get(world.url + path)
        release.set()
        assert world.asked("/there") == 0
        world.fail("/good", 200, body=PEM)
        assert await certificates.get(world.url + "/good") == PEM


def paypal(tmp_path: Path, **more: Any) -> Endpoint:
    roots = tmp_path / "roots.pem"
    roots.write_text("# ours\n" + ROOT)
    configured = ProviderSettings(**({"secrets": ("webhook-id",), "trust_roots": roots} | more))
    return open_endpoints(Settings().model_copy(update={"providers": {"paypal": configured}}))["paypal", ""]


def delivery(endpoint: Endpoint, *urls: str, now: float = 0.0) -> Delivery:
    return Delivery(endpoint, {"paypal-cert-url": list(urls)} if urls else {}, b"", "", None, now)


async def anybody(_: Any) -> Asker:
    return Asker()


FORBIDDEN = [
    "https://api.paypal.com/cert",
    "https://api.paypal.com/v1/notifications/certs/../../x",
    "https://api.paypal.com/v1/notifications/certs/",
    "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-1",
    "http://api.paypal.com/v1/notifications/certs/CERT-1",
    "https://api.paypal.com:8443/v1/notifications/certs/CERT-1",
    "https://api.paypal.com./v1/notifications/certs/CERT-1",
    "https://api.paypal.com@127.0.0.1/v1/notifications/certs/CERT-1",
    "https://127.0.0.1@api.paypal.com/v1/notifications/certs/CERT-1",
    "https://api.paypal.com:443@127.0.0.1/v1/notifications/certs/CERT-1",
    "https://127.0.0.1/v1/notifications/certs/CERT-1",
    "https://[::1]/v1/notifications/certs/CERT-1",
    "https://2130706433/v1/notifications/certs/CERT-1",
    "https://0x7f.1/v1/notifications/certs/CERT-1",
    "https://169.254.169.254/latest/meta-data/",
    "https://api.paypal.com.evil.test/v1/notifications/certs/CERT-1",
    "https://evil.test/https://api.paypal.com/v1/notifications/certs/CERT-1",
    "https://evil.test\\@api.paypal.com/v1/notifications/certs/CERT-1",
    "https://API.paypal.com/v1/notifications/certs/CERT-1",
    "https://api.paypal.com/v1/notifications/certs/CERT-1?x=https://evil.test",
    "https://api.paypal.com/v1/notifications/certs/CERT-1#@evil.test/v1/notifications/certs/CERT-1",
    "https://api.paypal.com\t.evil.test/v1/notifications/certs/CERT-1",
    "//api.paypal.com/v1/notifications/certs/CERT-1",
    "file:///etc/passwd",
    "",
]


@pytest.mark.parametrize("url", FORBIDDEN)
async def test_a_url_elsewhere_is_refused_and_nobody_is_asked(tmp_path: Path, url: str) -> None:
    host = Host(GOOD)
    certificates, _ = kept_by(host)
    for urls in ((url,), (url, URL)):
        refused = await gather(delivery(paypal(tmp_path), *urls), (), certificates, anybody)
        assert not isinstance(refused, VerificationInputs)
        assert (refused.problem.status, refused.reason) == (
            401,
            "untrusted_cert_url" if url else "malformed_header",
        )
    assert host.asked == []


async def test_a_sender_over_its_quota_makes_us_ask_nobody_for_what_is_not_kept(tmp_path: Path) -> None:
    async def nobody(_: Any) -> None:
        return None

    host = Host(GOOD)
    certificates, _ = kept_by(host)
    endpoint = paypal(tmp_path)
    assert await gather(delivery(endpoint, URL), (), certificates, nobody) is OVER_QUOTA
    assert host.asked == []
    await certificates.get(URL)
    assert isinstance(await gather(delivery(endpoint, URL), (), certificates, nobody), VerificationInputs)
    assert host.asked == [URL]


async def test_so_many_unknown_certificates_a_minute_are_fetched() -> None:
    host = Host(GOOD)
    certificates, clock = kept_by(host, fetches_a_minute_max=2)
    for number in range(2):
        await certificates.get(f"{URL}{number}")
    with pytest.raises(UnavailableError, match="2 unknown certificates"):
        await certificates.get(f"{URL}2")
    assert await certificates.get(f"{URL}1") == PEM, "what is kept needs no fetch"
    clock.now += 61
    assert await certificates.get(f"{URL}2") == PEM


async def test_a_host_that_is_left_alone_costs_nobody_s_share() -> None:
    host = Host(HttpUnavailableError("away"))
    certificates, clock = kept_by(host, fetches_per_address_a_minute_max=2, breaker_failures_max=1, breaker_seconds=5)
    for _ in range(10):
        assert certificates.may_ask(URL, "192.0.2.1")
        with pytest.raises(UnavailableError):
            await certificates.get(URL, Asker("192.0.2.1"))
    assert host.asked == [URL]
    clock.now, host.answers = 5, [GOOD]
    assert await certificates.get(URL, Asker("192.0.2.1")) == PEM


async def test_a_certificate_on_its_way_is_counted_for_the_first_who_named_it(tmp_path: Path) -> None:
    host = Host(GOOD)
    host.open.clear()
    certificates, _ = kept_by(host, fetches_per_address_a_minute_max=1)
    endpoint = paypal(tmp_path)
    both = [asyncio.create_task(gather(delivery(endpoint, URL), (), certificates, anybody)) for _ in range(20)]
    await asyncio.sleep(0.01)
    assert await gather(delivery(endpoint, OTHER), (), certificates, anybody) is CERTIFICATE_QUOTA
    host.open.set()
    assert all(isinstance(one, VerificationInputs) for one in await asyncio.gather(*both))
    assert host.asked == [URL]


async def test_an_address_gets_its_share_back_after_a_minute() -> None:
    certificates, clock = kept_by(Host(GOOD), fetches_per_address_a_minute_max=1)
    await certificates.get(URL, Asker("192.0.2.1"))
    assert certificates.may_ask(URL, "192.0.2.1"), "it is kept"
    assert not certificates.may_ask(OTHER, "192.0.2.1")
    assert certificates.may_ask(OTHER, "192.0.2.2")
    clock.now = 61
    assert certificates.may_ask(OTHER, "192.0.2.1")


STRANGER, PROVEN = Asker("192.0.2.1"), Asker("192.0.2.2", proven=True)


async def test_a_part_of_the_minute_is_left_to_proven_senders() -> None:
    gone = HttpAnswer(404, b"")
    certificates, clock = kept_by(Host(gone, gone, GOOD), fetches_a_minute_max=4, proven_share=0.5)
    for number in range(2):
        with pytest.raises(SignatureRejected):
            await certificates.get(f"{URL}-{number}", STRANGER)
    with pytest.raises(UnavailableError, match="2 unknown certificates"):
        await certificates.get(f"{URL}-x", STRANGER)
    assert await certificates.get(URL, PROVEN) == PEM
    assert await certificates.get(OTHER, PROVEN) == PEM
    with pytest.raises(UnavailableError, match="4 unknown certificates"):
        await certificates.get(f"{URL}-y", PROVEN)
    clock.now = 61
    assert await certificates.get(f"{URL}-z", STRANGER) == PEM


async def test_a_part_of_the_places_is_left_to_proven_senders_and_to_what_is_known() -> None:
    host = Host(GOOD)
    certificates, clock = kept_by(host, fetches_max=3, waiters_max=3, proven_share=0.4, ttl_seconds=10)
    await certificates.get(URL, STRANGER)
    clock.now = 11
    host.open.clear()
    held = [asyncio.create_task(certificates.get(f"{OTHER}{number}", STRANGER)) for number in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError, match="2 requests wait"):
        await certificates.get(f"{OTHER}2", STRANGER)
    known = asyncio.create_task(certificates.get(URL, STRANGER))
    await asyncio.sleep(0)
    host.open.set()
    assert await asyncio.gather(known, *held) == [PEM] * 3
    assert host.asked.count(URL) == 2, "it had grown old and was fetched again, whoever asked"


async def test_strangers_use_all_fetches_at_once_but_those_of_proven_senders() -> None:
    host = Host(GOOD)
    certificates, _ = kept_by(host, fetches_max=2, proven_share=0.5)
    host.open.clear()
    held = asyncio.create_task(certificates.get(OTHER, STRANGER))
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError, match="1 certificates are being fetched"):
        await certificates.get(URL, STRANGER)
    genuine = asyncio.create_task(certificates.get(URL, PROVEN))
    await asyncio.sleep(0)
    host.open.set()
    assert await asyncio.gather(held, genuine) == [PEM] * 2


async def test_what_strangers_ask_for_in_vain_keeps_no_proven_sender_from_asking() -> None:
    host = Host(HttpAnswer(429, b""))
    certificates, _ = kept_by(host, breaker_failures_max=1)
    for _ in range(2):
        with pytest.raises(UnavailableError):
            await certificates.get(OTHER, STRANGER)
    assert host.asked == [OTHER], "the host is left alone by strangers"
    host.answers = [GOOD]
    assert await certificates.get(URL, PROVEN) == PEM


async def test_the_inputs_hold_the_certificate_and_the_roots(tmp_path: Path) -> None:
    between = tmp_path / "between.pem"
    between.write_text(ROOT)
    endpoint = paypal(tmp_path, intermediates=between, certificate_hosts=("api.paypal.com",))
    certificates, _ = kept_by(Host(GOOD))
    inputs = await gather(delivery(endpoint, URL), (), certificates, anybody)
    assert isinstance(inputs, VerificationInputs)
    assert inputs.secrets == ("webhook-id",)
    assert inputs.config == {
        "allowed_cert_hosts": ("api.paypal.com",),
        "trust_roots": [ROOT.strip()],
        "intermediates": [ROOT.strip()],
        "certs": {URL: PEM},
    }
    assert "certs" not in endpoint.config
    bare = await gather(delivery(endpoint), (), certificates, anybody)
    assert isinstance(bare, VerificationInputs)
    assert "certs" not in bare.config


async def test_a_certificate_that_is_away_is_reported_as_such_and_one_that_is_not_there_is_no_proof(
    tmp_path: Path,
) -> None:
    away, _ = kept_by(Host(HttpUnavailableError("away")))
    assert await gather(delivery(paypal(tmp_path), URL), (), away, anybody) is PROOF_UNAVAILABLE
    gone, _ = kept_by(Host(HttpAnswer(404, b"")))
    refused = await gather(delivery(paypal(tmp_path), URL), (), gone, anybody)
    assert not isinstance(refused, VerificationInputs)
    assert (refused.problem.status, refused.reason) == (401, "untrusted_cert")


async def test_without_a_live_secret_nobody_is_asked(tmp_path: Path) -> None:
    host = Host(GOOD)
    certificates, _ = kept_by(host)
    ended = ({"secret": "id", "not_after": "2026-11-01T00:00:00Z"},)
    endpoint = paypal(tmp_path, secrets=ended)
    assert await gather(delivery(endpoint, URL, now=4e9), (), certificates, anybody) is NO_LIVE_SECRET
    assert host.asked == []


def test_without_roots_of_its_own_the_system_decides(tmp_path: Path) -> None:
    endpoint = paypal(tmp_path, trust_roots=None)
    assert endpoint.certificate_hosts == LIVE_CERTIFICATE_HOSTS
    assert endpoint.config["intermediates"] == []
    assert endpoint.config["trust_roots"] == trust_roots.system_roots()
    assert all(pem.startswith("-----BEGIN CERTIFICATE-----") for pem in trust_roots.system_roots())


def test_a_system_root_that_cannot_be_read_spoils_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    class Context:
        def get_ca_certs(self, *, binary_form: bool) -> list[bytes]:
            return [b"broken", trust_roots.ssl.PEM_cert_to_DER_cert(ROOT.strip())]

    monkeypatch.setattr(trust_roots.ssl, "create_default_context", Context)
    (found,) = trust_roots.system_roots()
    assert trust_roots.ssl.PEM_cert_to_DER_cert(found) == trust_roots.ssl.PEM_cert_to_DER_cert(ROOT.strip())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "cannot be read: No such file"),
        ("no certificate", "holds no certificate"),
        (ROOT.replace("MII", "MIJ"), "certificate 1 of .* cannot be read"),
    ],
)
def test_roots_that_cannot_be_read_refuse_to_start(tmp_path: Path, text: str | None, expected: str) -> None:
    file = tmp_path / "mine.pem"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SettingsError, match=f"RATCHET_PROVIDERS__PAYPAL__TRUST_ROOTS: .*{expected}"):
        paypal(tmp_path, trust_roots=file)


def test_settings_of_another_provider_refuse_to_start(tmp_path: Path) -> None:
    wrong = ProviderSettings(secrets=(SecretStr("s"),), certificate_hosts=("api.paypal.com",))
    with pytest.raises(SettingsError, match=r"STRIPE: .* those of stripe name none"):
        open_endpoints(Settings().model_copy(update={"providers": {"stripe": wrong}}))
    dotted = ProviderSettings(accounts={"acme.ke": ProviderSettings(secrets=(SecretStr("s"),))})
    with pytest.raises(SettingsError, match=r"MPESA__ACCOUNTS: 'acme.ke' is no account name"):
        open_endpoints(Settings().model_copy(update={"providers": {"mpesa": dotted}}))
