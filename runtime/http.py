"""HTTP out: one bounded client a role for the services it asks.

Every bound has a name in `HttpSettings`: connections, time-outs, the size of an answer. TLS is verified, redirects are
not followed (one could lead into our own network; a service that moves must be configured anew), proxies and cookies of
the environment are not used, and no compression is asked for, so the bound on bytes holds for memory too.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

import aiohttp

from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from runtime.settings import HttpSettings

_NEVER_SENT: Final = (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError, aiohttp.InvalidURL)
_LATER: Final = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)
_DIGITS_MAX: Final = 9


class HttpUnavailableError(UnavailableError):
    """A service gave no usable answer; it says nothing about the service's side of the call.

    `sent` is False where the request surely never left (no connection): only then nothing can have happened there.
    `retry_after_seconds` is what the service asked for, or None.
    """

    def __init__(self, message: str, *, sent: bool = True, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.sent = sent
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One call. Headers, body and query may hold secrets and phone numbers, so a `repr` shows the method alone."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """One answer. `retry_after_seconds` is the header of that name, bounded by the settings, or None."""

    status: int
    body: bytes = field(repr=False)
    retry_after_seconds: float | None = None


class HttpClient:
    """Sends requests; use it as an async context, which opens and closes its connections."""

    def __init__(self, bounds: HttpSettings) -> None:
        self._bounds = bounds
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=self._bounds.connections_max, limit_per_host=0)
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=self._bounds.total_timeout_seconds, connect=self._bounds.connect_timeout_seconds
            ),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=("Accept-Encoding",),
            headers={"User-Agent": "ratchet", "Accept-Encoding": "identity"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, request: HttpRequest) -> HttpAnswer:
        """Return the answer, whatever its status; raise HttpUnavailableError where there is none.

        That is: no connection, a time-out, a connection dropped on the way, an answer over `response_bytes_max`.
        """
        assert self._session is not None, "the client is used as an async context"
        host = urlsplit(request.url).netloc
        try:
            async with self._session.request(
                request.method, request.url, headers=request.headers, data=request.body, allow_redirects=False
            ) as response:
                body = await self._read(response, host)
                return HttpAnswer(response.status, body, self._retry_after(response.headers.get("Retry-After")))
        except _NEVER_SENT as error:
            raise HttpUnavailableError(f"{host} took no connection: {type(error).__name__}", sent=False) from None
        except TimeoutError:
            raise HttpUnavailableError(f"{host} did not answer in {self._bounds.total_timeout_seconds:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise HttpUnavailableError(f"{host} broke the connection: {type(error).__name__}") from None

    async def _read(self, response: aiohttp.ClientResponse, host: str) -> bytes:
        """Read the body up to its bound; what is longer is no answer of an API that we know."""
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > self._bounds.response_bytes_max:
                raise HttpUnavailableError(f"{host} answered more than {self._bounds.response_bytes_max} bytes")
        return bytes(body)

    def _retry_after(self, value: str | None) -> float | None:
        seconds = retry_after_seconds(value, dt.datetime.now(dt.UTC))
        return None if seconds is None else min(seconds, self._bounds.retry_after_seconds_max)


def need_available(answer: HttpAnswer, host: str) -> HttpAnswer:
    """Return the answer, or raise HttpUnavailableError for 408, 425, 429 and 5xx: the call may succeed later."""
    if answer.status in _LATER or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise HttpUnavailableError(f"{host} answered {answer.status}", retry_after_seconds=answer.retry_after_seconds)
    return answer


def retry_after_seconds(value: str | None, now: dt.datetime) -> float | None:
    """Read `Retry-After` (RFC 9110, section 10.2.3): seconds or an HTTP date; None where it is neither."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value.strip()[:_DIGITS_MAX])
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError):  # also of a year that no calendar has
        return None
    return max(0.0, (date.replace(tzinfo=date.tzinfo or dt.UTC) - now).total_seconds())
