"""What is asked before a webhook is verified: from where it came, at which time, and whom we would call for it."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any, Final

import pytest

from producers.ingress.endpoints import Endpoint, open_endpoints
from producers.ingress.rate_limits import OVER_QUOTA
from producers.ingress.verification.certificates import Certificates
from producers.ingress.verification.fetch_budget import Asker
from producers.ingress.verification.inputs import (
    NO_LIVE_SECRET,
    UNTRUSTED_SOURCE,
    Delivery,
    VerificationInputs,
    gather,
)
from runtime.settings import CertificateSettings, ProviderSettings, Settings
from tests.unit.test_ingress_certificates import GOOD, PEM, URL, Host

pytestmark = pytest.mark.unit

PROXY: Final = (ip_network("10.0.0.0/8"),)
OURS: Final = "198.51.100.7"
STRANGER: Final = "203.0.113.9"
NOVEMBER: Final = 1_793_491_200.0  # 2026-11-01T00:00:00Z


def endpoint(provider: str, **settings: Any) -> Endpoint:
    configured = ProviderSettings(**settings)
    return open_endpoints(Settings().model_copy(update={"providers": {provider: configured}}))[provider, ""]


class AskerOnPaper:
    """Lets everybody fetch, or nobody, and counts who asked."""

    def __init__(self, *, allows: bool = True) -> None:
        self.times, self._allows = 0, allows

    async def __call__(self, _: Delivery) -> Asker | None:
        self.times += 1
        return Asker("somebody") if self._allows else None


async def gathered(
    of: Endpoint,
    host: Host | None = None,
    may: AskerOnPaper | None = None,
    *,
    at: float = 0.0,
    peer: str = "10.0.0.1",
    **headers: Any,
) -> Any:
    named = {name.replace("_", "-"): values for name, values in headers.items()}
    delivery = Delivery(of, named, b"", "", peer, at)
    return await gather(delivery, PROXY, Certificates(host or Host(GOOD), CertificateSettings()), may or AskerOnPaper())


@pytest.mark.parametrize(
    ("lines", "ours"),
    [
        ([OURS], True),
        ([f"{STRANGER}, {OURS}"], True),
        ([STRANGER, OURS], True),
        ([OURS, STRANGER], False),
        ([f"{OURS}, {STRANGER}"], False),
        ([OURS, f"{STRANGER}, 10.0.0.2"], False),
        ([], False),
    ],
)
async def test_who_a_proxy_heard_from_last_sent_it_whatever_line_says_so(lines: list[str], ours: bool) -> None:  # noqa: FBT001
    """A proxy may add a line of its own; what stands before it a stranger wrote."""
    of = endpoint("stripe", secrets=("whsec_1",), source_networks=(f"{OURS}/32",))
    found = await gathered(of, x_forwarded_for=lines)
    assert isinstance(found, VerificationInputs) if ours else found is UNTRUSTED_SOURCE


async def test_a_stranger_s_address_makes_us_call_nobody() -> None:
    of, host, may = endpoint("paypal", secrets=("id",), source_networks=(f"{OURS}/32",)), Host(GOOD), AskerOnPaper()
    assert (
        await gathered(of, host, may, peer=STRANGER, x_forwarded_for=[OURS], paypal_cert_url=[URL]) is UNTRUSTED_SOURCE
    )
    assert (host.asked, may.times) == ([], 0)
    found = await gathered(of, host, may, peer=OURS, paypal_cert_url=[URL])
    assert (found.config["certs"], host.asked, may.times) == ({URL: PEM}, [URL], 1)


@pytest.mark.parametrize(("at", "live"), [(NOVEMBER - 1, ("old", "new")), (NOVEMBER + 1, ("new",))])
async def test_the_secrets_are_those_of_the_time_at_which_it_came(at: float, live: tuple[str, ...]) -> None:
    """A body may take long, and be checked when its secret has gone."""
    secrets = ({"secret": "old", "not_after": "2026-11-01T00:00:00Z"}, "new")
    assert (await gathered(endpoint("stripe", secrets=secrets), at=at)).secrets == live


async def test_a_secret_that_is_only_shown_is_enough_and_none_is_not() -> None:
    gone = ({"secret": "old", "not_after": "2026-11-01T00:00:00Z"},)
    shown = "0123456789abcdef0123456789abcdef"
    found = await gathered(endpoint("flutterwave", secrets=gone, shown_secrets=(shown,)), at=NOVEMBER + 1)
    assert (found.secrets, found.config["shown_secrets"]) == ((), [shown])
    assert await gathered(endpoint("flutterwave", secrets=gone), at=NOVEMBER + 1) is NO_LIVE_SECRET


async def test_who_is_over_its_quota_makes_us_call_nobody() -> None:
    host, may = Host(GOOD), AskerOnPaper(allows=False)
    assert await gathered(endpoint("paypal", secrets=("id",)), host, may, paypal_cert_url=[URL]) is OVER_QUOTA
    assert (host.asked, may.times) == ([], 1)
