"""One account's API at a provider: its credentials, its rate limit, its breaker and its access token."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

import structlog

import providers
from providers.core.refetch import Answer, ApiRequest, Credentials, Denied, Fetched, Gone, Grant, Later, Refetch, Watch
from runtime import metrics
from runtime.breaker import Breaker
from runtime.http import HttpAnswer, HttpRequest, HttpUnavailableError, need_available
from runtime.secret_windows import live_at
from schemas.record import source_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from pydantic import SecretStr

    from runtime.http import HttpClient
    from runtime.settings import AccountSettings, Settings

log = structlog.get_logger()

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Answered:
    """The API answered with the payment: `body` is its own bytes."""

    fetched: Fetched
    body: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """No later try will do better, unless somebody changes something; `error` says what."""

    error: str


@dataclass(frozen=True, slots=True)
class Absent:
    """The API is well and has nothing under this reference, or shows nothing that could have one of its shape."""

    error: str


@dataclass(frozen=True, slots=True)
class Again:
    """A later try may do better. `after_seconds` is what the API asked for, or None."""

    error: str
    after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Awaited:
    """The API took the query with this id; its answer comes by a webhook."""

    query: str


Outcome = Answered | Awaited | Absent | Refused | Again


def outcome_of(reported: Answer, answer: HttpAnswer, host: str) -> Outcome:
    """Return what an answer comes to; `reported` is what the provider's file reads in it. Pure.

    Raises HttpUnavailableError for a status that tells that the API is not well.
    """
    if isinstance(reported, Fetched):
        return Answered(reported, answer.body)
    if reported is Later.NOT_NOW:
        return Again(f"{host} has no outcome yet")
    if reported is None:
        need_available(answer, host)
        reported = _BY_STATUS.get(answer.status)
    if reported is Gone.GONE:
        return Absent(f"{host} does not know this payment ({answer.status})")
    if reported is Denied.DENIED:
        return Refused(f"{host} refuses the credentials ({answer.status}); check the provider's api_ settings")
    if answer.status == HTTPStatus.OK:
        return Again(f"{host} answered with something else than this payment")
    return Refused(f"{host} refuses the request ({answer.status})")


_BY_STATUS: Final[dict[int, Gone | Denied]] = {
    HTTPStatus.NOT_FOUND: Gone.GONE,
    HTTPStatus.GONE: Gone.GONE,
    HTTPStatus.UNAUTHORIZED: Denied.DENIED,
    HTTPStatus.FORBIDDEN: Denied.DENIED,
}


_SETTINGS: Final = {"answers_url": "public_url and a secret that is live"}
"""What to set for a field of `Credentials` that is no setting itself."""


class CallRateLimiter:
    """Spreads calls: at most so many a second."""

    def __init__(self, per_second: float) -> None:
        self._interval = 1 / per_second
        self.free_at = 0.0

    async def wait(self) -> None:
        """Wait for this call's turn."""
        now = time.monotonic()
        mine = max(now, self.free_at)
        self.free_at = mine + self._interval
        await asyncio.sleep(mine - now)


class Calls:
    """The calls of one account's API: within its rate, behind its breaker, with its access token where it wants one."""

    def __init__(
        self,
        credentials: Credentials,
        grant: Grant | None,
        client: HttpClient,
        settings: Settings,
        per_second_max: float,
    ) -> None:
        self.host = urlsplit(credentials.base_url).netloc
        self.rate_limiter = CallRateLimiter(per_second_max)
        self.breaker = Breaker(settings.dispatcher.breaker_seconds, settings.dispatcher.breaker_failures_max)
        self._configured = credentials
        self._grant = grant
        self._client = client
        self._token_margin_seconds = settings.refetch.token_margin_seconds
        self._token, self._token_until = "", 0.0

    async def ask(self, question: Callable[[], Awaitable[Found]]) -> Found | Again | None:
        """Put a question of one or more calls; None where another one is finding out whether the API is well again."""
        if not self.breaker.allows(time.monotonic()):
            return None
        try:
            answered = await question()
        except HttpUnavailableError as error:
            now = time.monotonic()
            self.breaker.failed(now)
            if error.retry_after_seconds is not None:
                self.breaker.rest(now, error.retry_after_seconds)
            return Again(str(error), error.retry_after_seconds)
        except BaseException:
            self.breaker.abandoned(time.monotonic())
            raise
        self.breaker.succeeded()
        return answered

    @property
    def granted(self) -> bool:
        """Whether there is an access token that lives on."""
        return self._token_until > time.monotonic()

    @property
    def credentials(self) -> Credentials:
        """What is configured, with the access token."""
        return replace(self._configured, token=self._token)

    async def authorize(self) -> Refused | None:
        """Get an access token where the API wants one and there is none that lives on."""
        if self._grant is None or self.granted:
            return None
        asked_at = time.monotonic()
        answer = need_available(await self.send(self._grant.request(self._configured)), self.host)
        read = self._grant.read(answer.body) if answer.status == HTTPStatus.OK else None
        if read is None:
            return Refused(f"{self.host} grants no access token: {answer.status}; check the provider's api_ settings")
        self._token = read[0]
        self._token_until = asked_at + max(read[1] - self._token_margin_seconds, 0.0)
        return None

    def forget_token(self) -> None:
        """Ask for another access token before the next call: this one is taken no longer."""
        self._token_until = 0.0

    async def send(self, request: ApiRequest) -> HttpAnswer:
        """Send one request when its turn has come."""
        await self.rate_limiter.wait()
        return await self._client.send(HttpRequest(request.method, request.url, request.headers, request.body))


class Budget:
    """Grants so many calls a minute, evenly spread."""

    def __init__(self, per_minute: int) -> None:
        self._interval = 60 / per_minute
        self._free_at = 0.0

    def take(self, now: float) -> bool:
        """Take the next call where it is granted now; whoever doesn't make it gives it back."""
        if self._free_at > now:
            return False
        self._free_at = now + self._interval
        return True

    def give_back(self) -> None:
        """Give back the call that was taken and not made."""
        self._free_at -= self._interval


class Api:
    """Asks one account's API; see `ask`. `answers_url` tells where answers are to be posted now."""

    def __init__(  # noqa: PLR0913, PLR0917 - an account: what it is asked, as whom, within what, and where it answers
        self,
        source: tuple[str, str],
        refetch: Refetch,
        credentials: Credentials,
        settings: Settings,
        client: HttpClient,
        answers_url: Callable[[], str],
    ) -> None:
        self.provider, self.account = source
        self._refetch = refetch
        self._answers_url = answers_url
        self._calls = Calls(credentials, refetch.grant, client, settings, settings.refetch.requests_per_second_max)
        self.breaker = self._calls.breaker
        metrics.BREAKERS.watch(source_of(*source), self.breaker)
        self.guesses = Budget(settings.refetch.unknown_per_minute_max)
        """Calls about ids that nobody knows."""

    @property
    def watches(self) -> tuple[Watch, ...]:
        """What is asked again by itself."""
        return self._refetch.watches

    def ready(self, now: float) -> bool:
        """Tell whether a call could leave now: the API is well, and its rate allows one."""
        return self.breaker.would_allow(now) and self._calls.rate_limiter.free_at <= now

    async def ask(self, ref: str, unix_seconds: float, about: str | None = None) -> Outcome | None:
        """Ask for one payment, `about` being what its id belongs to.

        None where another call is finding out whether the API is well again.
        """
        return await self._calls.ask(partial(self._ask, ref, about, unix_seconds))

    async def _ask(self, ref: str, about: str | None, unix_seconds: float) -> Outcome:
        """Call once, and again for each other object that the id may be of, until the API knows one."""
        outcome = await self._ask_by(ref, about, unix_seconds)
        instead = self._refetch.instead(ref) if isinstance(outcome, Absent) else None
        return outcome if instead is None else await self._ask(instead, about, unix_seconds)

    async def _ask_by(self, ref: str, about: str | None, unix_seconds: float) -> Outcome:
        """Call once; a token that was granted before may have been revoked, so a refusal of it is tried again."""
        granted_before = self._calls.granted
        refusal = await self._calls.authorize()
        if refusal is not None:
            return refusal
        request = self._request(ref, about, unix_seconds)
        if not isinstance(request, ApiRequest):
            return request
        answer = await self._calls.send(request)
        query = self._refetch.query.accepted(answer.status, answer.body) if self._refetch.query else None
        if query is not None:
            return Awaited(query)
        reported = self._refetch.answer(ref, answer.status, answer.body)
        if granted_before and (reported is Denied.DENIED or answer.status == HTTPStatus.UNAUTHORIZED):
            self._calls.forget_token()
            return Again(f"{self._calls.host} takes the access token no longer")
        return outcome_of(reported, answer, self._calls.host)

    def _request(self, ref: str, about: str | None, unix_seconds: float) -> ApiRequest | Absent | Refused:
        credentials, query = self._calls.credentials, self._refetch.query
        request = self._refetch.request(ref, credentials, unix_seconds)
        if request is not None or query is None:
            return request or Absent(f"the API of {self.provider} can't be asked about this reference")
        credentials = replace(credentials, answers_url=self._answers_url())
        missing = [name for name in query.needs if not getattr(credentials, name)]
        if missing:
            wanted = ", ".join(_SETTINGS.get(name, f"api_{name}") for name in missing)
            return Refused(f"the API of {self.provider} can't be asked about this reference; set {wanted}")
        request = query.request(ref, about, credentials)
        return request or Absent(f"the API of {self.provider} can't be asked about this reference")


def open_apis(settings: Settings, client: HttpClient) -> dict[tuple[str, str], Api]:
    """Return the APIs that are configured, by provider and account (lower case, "" is the provider's own)."""
    apis = {}
    for provider, account, configured in accounts(settings):
        found = providers.find(provider)
        if found is None or found.refetch is None or configured.api_key is None:
            continue
        credentials = credentials_of(configured, found.refetch.base_url)
        missing = [name for name in found.refetch.needs if not getattr(credentials, name)]
        if missing:
            log.error("refetch_not_configured", provider=provider, account=account, missing=missing)
            continue
        answers_url = partial(_answers_url, settings, provider, account, configured)
        apis[provider, account] = Api((provider, account), found.refetch, credentials, settings, client, answers_url)
    return apis


def accounts(settings: Settings) -> Iterator[tuple[str, str, AccountSettings]]:
    """Return every account that is configured: provider and account in lower case, and its settings."""
    for name, provider in settings.providers.items():
        yield name.lower(), "", provider
        for account, configured in provider.accounts.items():
            yield name.lower(), account.lower(), configured


def credentials_of(configured: AccountSettings, base_url: str) -> Credentials:
    """Return what the settings say of an account's API; `base_url` is the provider's public one."""
    return Credentials(
        base_url=(configured.api_base_url or base_url).rstrip("/"),
        key=_reveal(configured.api_key),
        secret=_reveal(configured.api_secret),
        merchant=configured.api_merchant or "",
        pass_key=_reveal(configured.api_pass_key),
        initiator=configured.api_initiator or "",
        initiator_credential=_reveal(configured.api_initiator_credential),
    )


def _answers_url(settings: Settings, provider: str, account: str, configured: AccountSettings) -> str:
    """Return where the provider posts its answers: the endpoint's own path, which ends in its secret; "" where none is.

    The newest secret that is live ends it: answers come within minutes. So this is asked for each query; what was live
    when the process began may have ended since.
    """
    secrets = live_at(configured.secrets, time.time())
    if not secrets or not settings.public_url:
        return ""
    path = f"{source_of(provider, account)}/{secrets[0]}"
    return f"{settings.webhook_base_url()}/webhooks/{path}"


def _reveal(secret: SecretStr | None) -> str:
    return "" if secret is None else secret.get_secret_value()
