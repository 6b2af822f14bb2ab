"""Tokens for SASL OAUTHBEARER: kept while they last; those of client credentials are fetched from their issuer.

RFC 6749, 4.4 (the grant) and 2.3.1 (the client's name and secret in HTTP Basic); RFC 6750, 2.1 (what a token looks
like); RFC 7628 (the mechanism).
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_plus, urlencode

import structlog
from aiokafka.abc import AbstractTokenProvider
from aiokafka.conn import OAuthAuthenticator
from aiokafka.errors import SaslAuthenticationFailed

from runtime.http import HttpClient, HttpRequest, HttpUnavailableError
from runtime.kafka_security import TokenError
from runtime.settings.dispatching import HttpSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.http import HttpAnswer
    from runtime.settings import KafkaSettings

_log = structlog.get_logger()

RENEWED_AFTER: Final = 0.8
"""The part of its life after which a token is fetched anew, so that none ends on its way."""
RETRY_SECONDS: Final = 5.0
"""How long a token that is still valid is used on after its renewal failed."""
ANSWER_BYTES_MAX: Final = 256 * 1024
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_ERROR: Final = re.compile(r"[a-z_]{1,64}")
_REFUSALS: Final = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)


class KeptToken(AbstractTokenProvider):  # type: ignore[misc]
    """The token of one process, shared by its clients. One call at a time fetches; others wait for what it brings."""

    def __init__(self, settings: KafkaSettings, monotonic: Callable[[], float] = time.monotonic) -> None:
        notice_refused_tokens()
        self._settings = settings
        self._monotonic = monotonic
        self._token = ""
        self._renew_at = self._ends_at = 0.0
        self._lock: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None

    async def token(self) -> str:
        """Return a token that is valid; raise TokenError where there is none."""
        async with self._turn():
            if self._monotonic() >= self._renew_at:
                await self._renew()
            return self._token

    def _turn(self) -> asyncio.Lock:
        """Return this loop's lock: commands run a loop each."""
        loop = asyncio.get_running_loop()
        if self._lock is None or self._lock[0] is not loop:
            self._lock = loop, asyncio.Lock()
        return self._lock[1]

    async def _renew(self) -> None:
        began = self._monotonic()
        try:
            token, seconds = await self._fetch()
        except TokenError as error:
            if self._monotonic() >= self._ends_at:  # by now: an issuer that is away may take its time to fail
                raise
            _log.warning("kafka_token_not_renewed", detail=str(error))
            self._renew_at = min(began + RETRY_SECONDS, self._ends_at)
            return
        self._token, self._ends_at, self._renew_at = token, began + seconds, began + seconds * RENEWED_AFTER

    async def _fetch(self) -> tuple[str, float]:
        """Return a new token and how many seconds it lasts; raise TokenError where there is none."""
        raise NotImplementedError


class ClientCredentials(KeptToken):
    """The token that an issuer gives for a client's name and secret."""

    async def _fetch(self) -> tuple[str, float]:
        seconds, url = self._settings.connect_timeout_seconds, self._settings.oauth_token_url or ""
        bounds = HttpSettings(
            connect_timeout_seconds=seconds, total_timeout_seconds=seconds, response_bytes_max=ANSWER_BYTES_MAX
        )
        try:
            async with HttpClient(bounds) as client:
                return read_token(await client.send(_request(self._settings)), self._settings)
        except HttpUnavailableError as error:
            raise TokenError(
                f"wants a token, and {url} gives none ({error}); is it up? Check RATCHET_KAFKA__OAUTH_TOKEN_URL"
            ) from error


def _request(settings: KafkaSettings) -> HttpRequest:
    secret = settings.oauth_client_secret.get_secret_value() if settings.oauth_client_secret else ""
    login = f"{quote_plus(settings.oauth_client_id or '')}:{quote_plus(secret)}".encode()
    form = {"grant_type": "client_credentials"} | ({"scope": settings.oauth_scope} if settings.oauth_scope else {})
    headers = {
        "Authorization": f"Basic {base64.b64encode(login).decode()}",
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "application/json",
    }
    return HttpRequest("POST", settings.oauth_token_url or "", headers, urlencode(form).encode())


def read_token(answer: HttpAnswer, settings: KafkaSettings) -> tuple[str, float]:
    """Return the token of an answer and its life in seconds; one without a life is used once. Raises TokenError."""
    members = _object_in(answer.body)
    if answer.status == HTTPStatus.OK:
        token, lasts = members.get("access_token"), members.get("expires_in")
        if isinstance(token, str) and _TOKEN.fullmatch(token):
            return token, _seconds(lasts)
        raise TokenError(f"wants a token, and {settings.oauth_token_url} answers without an access_token")
    error = members.get("error")
    why = f"{answer.status} {error}" if isinstance(error, str) and _ERROR.fullmatch(error) else str(answer.status)
    if answer.status in _REFUSALS:
        raise TokenError(
            f"wants a token, and {settings.oauth_token_url} refuses the client {settings.oauth_client_id}: {why}; "
            "check RATCHET_KAFKA__OAUTH_CLIENT_ID, __OAUTH_CLIENT_SECRET, __OAUTH_SCOPE and __OAUTH_TOKEN_URL"
        )
    raise TokenError(f"wants a token, and {settings.oauth_token_url} answers {why}")


def _object_in(body: bytes) -> dict[str, Any]:
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return members if isinstance(members, dict) else {}


def _seconds(lasts: object) -> float:
    """Read `expires_in`: a number, which some issuers write as text."""
    try:
        return max(0.0, float(lasts)) if isinstance(lasts, (int, float, str)) else 0.0
    except (ValueError, OverflowError):
        return 0.0


_step: Final = OAuthAuthenticator.step


async def _refusing_step(self: OAuthAuthenticator, payload: bytes | None) -> tuple[bytes, bool] | None:
    """Take what a broker says to a token for what it is: nothing where it is taken, else why it is not."""
    if payload:
        raise SaslAuthenticationFailed("the broker refuses the token")
    step: tuple[bytes, bool] | None = await _step(self, payload)
    return step


def notice_refused_tokens() -> None:
    """Let the client notice that a broker refuses its token.

    RFC 7628, 3.2.2: a refusal is no error of the exchange but a JSON object, after which the client gives up. aiokafka
    does not look at it, and finds the connection closed at its first request.
    """
    OAuthAuthenticator.step = _refusing_step
