"""What verification needs beside a request's own bytes: the secrets that are live, the sender's address, a certificate.

Everything that says no before a certificate would be fetched is asked first, so that a stranger makes us call nobody
but a listed host.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from producers.ingress.answers import Refusal
from producers.ingress.rate_limits import OVER_QUOTA
from producers.ingress.sources import may_send, sender_address
from schemas import problems
from schemas.errors import SignatureRejected, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from producers.ingress.endpoints import Endpoint
    from producers.ingress.sources import Network
    from producers.ingress.verification.certificates import Certificates
    from producers.ingress.verification.fetch_budget import Asker
    from providers.core.contract import NamedCertificate

MayFetch = Callable[["Delivery"], Awaitable["Asker | None"]]
"""Says who would make us call somebody; None where that address is over its quota."""

UNTRUSTED_SOURCE: Final = Refusal(problems.SIGNATURE_REJECTED, "untrusted_source")
NO_LIVE_SECRET: Final = Refusal(problems.SIGNATURE_REJECTED, "empty_secret")
CERTIFICATE_QUOTA: Final = Refusal(problems.QUOTA_EXCEEDED, "certificate_quota_exceeded")
PROOF_UNAVAILABLE: Final = Refusal(problems.PROOF_UNAVAILABLE, "proof_unavailable")


@dataclass(slots=True)
class Delivery:
    """One request to one endpoint: `url` as the signature covers it, `peer` the connection's other end.

    `sender` names the address that it came from as `rate_limits.AddressKeys` does.
    """

    endpoint: Endpoint
    headers: dict[str, list[str]]
    body: bytes
    url: str = field(repr=False)
    peer: str | None
    received_at: float
    sender: str = "unknown"

    @property
    def forwarded_for(self) -> Sequence[str]:
        """Return the values of X-Forwarded-For, in order."""
        return self.headers.get("x-forwarded-for", ())


@dataclass(slots=True)
class VerificationInputs:
    """What `providers.verify` takes beside the request."""

    secrets: tuple[str, ...] = field(repr=False)
    config: Mapping[str, Any] = field(repr=False)


async def gather(
    delivery: Delivery, trusted_proxies: Sequence[Network], certificates: Certificates, may_fetch: MayFetch
) -> VerificationInputs | Refusal:
    """Return what the request is verified with, or why it is refused unread. `may_fetch` is asked before a fetch."""
    endpoint = delivery.endpoint
    if endpoint.networks:
        sender = sender_address(delivery.peer, delivery.forwarded_for, trusted_proxies)
        if not may_send(sender, endpoint.networks):
            return UNTRUSTED_SOURCE
    secrets = endpoint.live_secrets(delivery.received_at)
    if not secrets and not endpoint.config.get("shown_secrets"):
        return NO_LIVE_SECRET
    named = delivery.headers.get(endpoint.certificate.header) if endpoint.certificate else None
    if endpoint.certificate is None or not named:
        return VerificationInputs(secrets, endpoint.config)
    found = await _certificate(named[0], endpoint.certificate, delivery, certificates, may_fetch)
    return found if isinstance(found, Refusal) else VerificationInputs(secrets, {**endpoint.config, "certs": found})


async def _certificate(
    named: str, certificate: NamedCertificate, delivery: Delivery, certificates: Certificates, may_fetch: MayFetch
) -> dict[str, str] | Refusal:
    """Return the certificate that the request names, by its URL."""
    try:
        url = certificate.url(named, delivery.endpoint.certificate_hosts)
        if certificates.has(url):
            return {url: await certificates.get(url)}
        asker = await may_fetch(delivery)
        if asker is None:
            return OVER_QUOTA
        if not certificates.may_ask(url, asker.sender):
            return CERTIFICATE_QUOTA
        return {url: await certificates.get(url, asker)}
    except SignatureRejected as rejected:
        return Refusal(problems.SIGNATURE_REJECTED, rejected.reason)
    except UnavailableError:
        return PROOF_UNAVAILABLE
