"""Certificates that a request names by URL: fetched within bounds, once for all who wait, and kept for a while.

Whoever asks has checked the URL against the hosts that may be asked. What cannot be fetched now says nothing about the
request: UnavailableError, so that its sender comes again. An old certificate that cannot be fetched anew still serves
for a while. Only readable certificates are kept; strangers who name URLs that hold none can't drive out those that do.
Fetches of what is not kept are counted, for everybody and for each sender, and a part of them is left to proven senders
(`fetch_budget`); a request whose certificate is kept, or is being fetched for another one, is never counted. What
strangers make us ask for in vain keeps nobody else from asking: a host's breaker for them is not that of the others.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

import structlog

from producers.ingress.verification.fetch_budget import Asker, FetchBudget
from providers.core.x509_chain import read_certificates
from runtime import metrics
from runtime.breaker import Breaker
from runtime.http import HttpRequest, need_available
from schemas.errors import SignatureRejected, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.http import HttpAnswer
    from runtime.settings import CertificateSettings, HttpSettings

_log = structlog.get_logger()

OK: Final = 200
GONE: Final = (404, 410)
"""Statuses by which the host says for sure that there is no such certificate."""
STRANGER: Final = Asker()


class Client(Protocol):
    """What sends a request: `runtime.http.HttpClient`, which follows no redirect."""

    async def send(self, request: HttpRequest) -> HttpAnswer:
        """Return the answer, or raise UnavailableError where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class _Kept:
    pem: str
    at: float


def client_bounds(http: HttpSettings, bounds: CertificateSettings) -> HttpSettings:
    """Return the bounds of the client that fetches certificates."""
    return http.model_copy(
        update={
            "connections_max": bounds.fetches_max,
            "connect_timeout_seconds": min(http.connect_timeout_seconds, bounds.timeout_seconds),
            "total_timeout_seconds": bounds.timeout_seconds,
            "response_bytes_max": bounds.bytes_max,
        }
    )


class Certificates:
    """The certificates by URL. `monotonic` tells seconds."""

    def __init__(
        self, client: Client, bounds: CertificateSettings, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._bounds = bounds
        self._monotonic = monotonic
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._fetching: dict[str, asyncio.Task[str]] = {}
        self._breakers: dict[tuple[str, bool], Breaker] = {}
        self._waiting = 0
        self._budget = FetchBudget(bounds)

    def has(self, url: str) -> bool:
        """Tell whether the certificate is kept, fresh or old."""
        return url in self._kept

    def may_ask(self, url: str, sender: str) -> bool:
        """Tell whether the sender may make us fetch this: its address has a share of the fetches of what is not kept.

        `sender` is the address as `rate_limits.AddressKeys` names it. What is kept or on its way is everybody's.
        """
        return url in self._kept or url in self._fetching or self._budget.within_share(sender, self._monotonic())

    async def get(self, url: str, asker: Asker = STRANGER) -> str:
        """Return the PEM text behind the URL; a fetch of what is not kept is counted for who asks.

        Raises UnavailableError where it can't be fetched now, SignatureRejected where there surely is none.
        """
        kept = self._kept.get(url)
        if kept is None:
            return await self._wait_for(url, asker)
        self._kept.move_to_end(url)
        age_seconds = self._monotonic() - kept.at
        if age_seconds < self._bounds.ttl_seconds:
            return kept.pem
        try:
            return await self._wait_for(url, asker)
        except UnavailableError:
            if age_seconds < self._bounds.ttl_seconds + self._bounds.stale_seconds:
                return kept.pem
            raise

    async def _wait_for(self, url: str, asker: Asker) -> str:
        self._budget.need_patience(self._waiting, proven=asker.proven or self.has(url))
        self._waiting += 1
        try:
            return await asyncio.shield(self._fetching.get(url) or self._start(url, asker))
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """Give up every fetch."""
        fetching = set(self._fetching.values())
        for task in fetching:
            task.cancel()
        if fetching:
            await asyncio.wait(fetching)

    def _start(self, url: str, asker: Asker) -> asyncio.Task[str]:
        unknown, now = not self.has(url), self._monotonic()
        proven = asker.proven or not unknown
        self._budget.need_place(len(self._fetching), proven=proven)
        if unknown:
            self._budget.need_minute(asker, now)
        breaker = self._breaker_of(url, proven=proven)
        if unknown:
            self._budget.count(asker, now)
        task = asyncio.create_task(self._fetch(url, breaker))
        self._fetching[url] = task
        task.add_done_callback(lambda done: self._fetched(url, done))
        return task

    def _breaker_of(self, url: str, *, proven: bool) -> Breaker:
        """Return the breaker of the URL's host, which may be asked now; raise UnavailableError where it may not."""
        host = urlsplit(url).netloc
        breaker = self._breakers.get((host, proven))
        if breaker is None:
            breaker = self._breakers[host, proven] = self._new_breaker()
        if not breaker.allows(self._monotonic()):
            raise UnavailableError(f"{host} failed a moment ago and is left alone")
        return breaker

    def _fetched(self, url: str, task: asyncio.Task[str]) -> None:
        del self._fetching[url]
        if task.cancelled() or task.exception() is not None:
            return
        self._kept[url] = _Kept(task.result(), self._monotonic())
        self._kept.move_to_end(url)
        if len(self._kept) > self._bounds.entries_max:
            self._kept.popitem(last=False)

    async def _fetch(self, url: str, breaker: Breaker) -> str:
        host = urlsplit(url).netloc
        try:
            answer = need_available(await self._client.send(HttpRequest("GET", url)), host)
        except UnavailableError as error:
            breaker.failed(self._monotonic())
            _log.warning("certificate_unavailable", host=host, error=str(error))
            raise
        except BaseException:
            breaker.abandoned(self._monotonic())
            raise
        breaker.succeeded()
        return _certificate(answer, host)

    def _new_breaker(self) -> Breaker:
        breaker = Breaker(self._bounds.breaker_seconds, self._bounds.breaker_failures_max)
        metrics.BREAKERS.watch("certificates", breaker)
        return breaker


def _certificate(answer: HttpAnswer, host: str) -> str:
    """Return the answer's PEM text; raise SignatureRejected where the host knows no such certificate.

    Whatever else comes (a redirect, a refusal, a page of words) may be an outage of the host's own, and proves nothing
    against the request.
    """
    if answer.status in GONE:
        raise SignatureRejected("untrusted_cert", "there is no certificate behind the URL that the request names")
    if answer.status != OK:
        raise UnavailableError(f"{host} answered {answer.status} for a certificate")
    pem = answer.body.decode("latin-1")
    try:
        read_certificates(pem)
    except SignatureRejected as error:
        raise UnavailableError(f"{host} answered something that is no certificate") from error
    return pem
