"""Certificates that a request names by URL: fetched within bounds, once for all who wait, and kept for a while.

Whoever asks has checked the URL against the hosts that may be asked. What cannot be fetched now says nothing about the
request: UnavailableError, so that its sender comes again. An old certificate that cannot be fetched anew still serves
for a while. Only readable certificates are kept; strangers who name URLs
that hold none can't drive out those that do.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

import structlog

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
MINUTE_SECONDS: Final = 60
GONE: Final = (404, 410)
"""Statuses by which the host says for sure that there is no such certificate."""


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
        self._breakers: dict[str, Breaker] = {}
        self._waiting = 0
        self._fetched_at: deque[float] = deque()

    def has(self, url: str) -> bool:
        """Tell whether the certificate is kept, fresh or old."""
        return url in self._kept

    async def get(self, url: str) -> str:
        """Return the PEM text behind the URL.

        Raises UnavailableError where it can't be fetched now, SignatureRejected where there surely is none.
        """
        kept = self._kept.get(url)
        if kept is None:
            return await self._wait_for(url)
        self._kept.move_to_end(url)
        age_seconds = self._monotonic() - kept.at
        if age_seconds < self._bounds.ttl_seconds:
            return kept.pem
        try:
            return await self._wait_for(url)
        except UnavailableError:
            if age_seconds < self._bounds.ttl_seconds + self._bounds.stale_seconds:
                return kept.pem
            raise

    async def _wait_for(self, url: str) -> str:
        if self._waiting >= self._bounds.waiters_max:
            raise UnavailableError(f"{self._waiting} requests wait for a certificate already")
        self._waiting += 1
        try:
            return await asyncio.shield(self._fetching.get(url) or self._start(url))
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """Give up every fetch."""
        fetching = set(self._fetching.values())
        for task in fetching:
            task.cancel()
        if fetching:
            await asyncio.wait(fetching)

    def _start(self, url: str) -> asyncio.Task[str]:
        if len(self._fetching) >= self._bounds.fetches_max:
            raise UnavailableError(f"{len(self._fetching)} certificates are being fetched already")
        if url not in self._kept:
            self._need_room_for_unknown()
        task = asyncio.create_task(self._fetch(url))
        self._fetching[url] = task
        task.add_done_callback(lambda done: self._fetched(url, done))
        return task

    def _need_room_for_unknown(self) -> None:
        """Raise UnavailableError beyond the fetches a minute: strangers decide which URLs are named."""
        now = self._monotonic()
        while self._fetched_at and self._fetched_at[0] <= now - MINUTE_SECONDS:
            self._fetched_at.popleft()
        if len(self._fetched_at) >= self._bounds.fetches_a_minute_max:
            raise UnavailableError(f"{len(self._fetched_at)} unknown certificates were fetched within a minute")
        self._fetched_at.append(now)

    def _fetched(self, url: str, task: asyncio.Task[str]) -> None:
        del self._fetching[url]
        if task.cancelled() or task.exception() is not None:
            return
        self._kept[url] = _Kept(task.result(), self._monotonic())
        self._kept.move_to_end(url)
        if len(self._kept) > self._bounds.entries_max:
            self._kept.popitem(last=False)

    async def _fetch(self, url: str) -> str:
        host = urlsplit(url).netloc
        breaker = self._breakers.setdefault(host, self._new_breaker())
        if not breaker.allows(self._monotonic()):
            raise UnavailableError(f"{host} failed a moment ago and is left alone")
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
        raise SignatureRejected("untrusted_cert", "there is no certificate behind PAYPAL-CERT-URL")
    if answer.status != OK:
        raise UnavailableError(f"{host} answered {answer.status} for a certificate")
    pem = answer.body.decode("latin-1")
    try:
        read_certificates(pem)
    except SignatureRejected as error:
        raise UnavailableError(f"{host} answered something that is no certificate") from error
    return pem
