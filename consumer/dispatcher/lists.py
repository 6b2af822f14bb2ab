"""One account's lists at a provider: what is asked for what never came, within its rate and behind its breaker."""

from __future__ import annotations

import asyncio
from functools import cache, partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import structlog

import providers
from consumer.dispatcher.apis import Again, Calls, Refused, accounts, credentials_of
from runtime import metrics
from runtime.http import need_available
from schemas.record import source_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from providers.core.recall import Listing, Page, PageAsked, Recall
    from providers.core.refetch import Credentials
    from runtime.http import HttpAnswer, HttpClient
    from runtime.settings import AccountSettings, Settings

log = structlog.get_logger()

ADVICE: Final = "set RATCHET_PROVIDERS__<NAME>__SECRETS and __API_KEY"
ASK_AGAIN: Final = "what was read is spooled, ask again for the rest"


class Lists:
    """Asks one account's lists; see `ask`."""

    def __init__(
        self, source: tuple[str, str], recall: Recall, credentials: Credentials, settings: Settings, client: HttpClient
    ) -> None:
        self.provider, self.account = source
        self.source = source_of(*source)
        self.recall = recall
        self._calls = Calls(credentials, recall.grant, client, settings, settings.recall.requests_per_second_max)
        metrics.BREAKERS.watch(f"{self.source} lists", self._calls.breaker)

    def ready(self, now: float) -> bool:
        """Tell whether a call could leave now."""
        return self._calls.breaker.would_allow(now)

    async def ask(self, listing: Listing, asked: PageAsked) -> Page | Again | Refused | None:
        """Ask for one page; None where another call is finding out whether the API is well again."""
        return await self._calls.ask(partial(self._ask, listing, asked))

    async def _ask(self, listing: Listing, asked: PageAsked) -> Page | Again | Refused:
        granted_before = self._calls.granted
        refusal = await self._calls.authorize()
        if refusal is not None:
            return refusal
        answer = await self._calls.send(listing.request(asked, self._calls.credentials))
        if granted_before and answer.status == HTTPStatus.UNAUTHORIZED:
            self._calls.forget_token()
            return Again(f"{self._calls.host} takes the access token no longer")
        return self._page_of(listing, asked, need_available(answer, self._calls.host))

    def _page_of(self, listing: Listing, asked: PageAsked, answer: HttpAnswer) -> Page | Again | Refused:
        host = self._calls.host
        if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            return Refused(f"{host} refuses the credentials ({answer.status}); check the provider's api_ settings")
        if answer.status != HTTPStatus.OK:
            return Refused(f"{host} refuses the list {listing.name} ({answer.status})")
        page = listing.read(asked, answer.body)
        if page is None:
            return Refused(f"{host} answered with something else than the list {listing.name}")
        if page.following is not None and page.following == asked.page:
            return Refused(f"{host} names the same page of {listing.name} again and again")
        return page


async def ask_within(seconds: float, lists: Lists, listing: Listing, asked: PageAsked) -> Page | Again | Refused | None:
    """Ask for one page, see `Lists.ask`; what takes longer is to be asked again."""
    try:
        async with asyncio.timeout(seconds):
            return await lists.ask(listing, asked)
    except TimeoutError:
        return Again(f"no answer in {seconds:g} s")


def open_lists(settings: Settings, client: HttpClient) -> dict[tuple[str, str], Lists]:
    """Return the lists of every account that is to be recalled, by provider and account (lower case)."""
    opened = {}
    for provider, account, configured in accounts(settings):
        if not wants_recall(settings, provider, configured):
            continue
        lists = lists_of(settings, client, provider, account, configured)
        if isinstance(lists, str):
            log.error("recall_not_possible", provider=provider, account=account, reason=lists)
        else:
            opened[provider, account] = lists
    return opened


def wants_recall(settings: Settings, provider: str, configured: AccountSettings) -> bool:
    """Tell whether an account is asked regularly; one without a setting of its own does as its provider's."""
    whole = {name.lower(): found for name, found in settings.providers.items()}[provider]
    return bool(whole.recall if configured.recall is None else configured.recall)


def lists_of(
    settings: Settings, client: HttpClient, provider: str, account: str, configured: AccountSettings
) -> Lists | str:
    """Return the lists of one account, or why it can't be asked."""
    impossible, recall = why_not(provider, account, configured), _recall_of(provider)
    if impossible is not None or recall is None:
        return impossible or ""
    return Lists((provider, account), recall, credentials_of(configured, recall.base_url), settings, client)


def open_for_orders(
    settings: Settings, client: HttpClient, regularly: Mapping[tuple[str, str], Lists]
) -> dict[tuple[str, str], Lists | str]:
    """Return of every account that is configured its lists, or why it can't be asked.

    What is asked `regularly` anyway keeps one rate limit and one breaker.
    """
    return {
        (provider, account): regularly.get((provider, account))
        or lists_of(settings, client, provider, account, configured)
        for provider, account, configured in accounts(settings)
    }


@cache
def with_list() -> tuple[str, ...]:
    """Return the providers that have a list, by name."""
    return tuple(name for name in sorted(providers.names()) if _recall_of(name) is not None)


def without_list(provider: str) -> str | None:
    """Return the sentence that a provider has no list that could be asked; None where it has."""
    if _recall_of(provider) is not None:
        return None
    return f"{provider} has no list that could be asked; {', '.join(with_list())} have"


def why_not(provider: str, account: str, configured: AccountSettings) -> str | None:
    """Return why an account can't be asked for what never came; None where it can."""
    recall = _recall_of(provider)
    if recall is None:
        return without_list(provider)
    credentials = credentials_of(configured, recall.base_url)
    missing = [name for name in ("key", *recall.needs) if not getattr(credentials, name)]
    if not missing:
        return None
    wanted = ", ".join(f"API_{name.upper()}" for name in missing)
    place = "__".join(filter(None, (provider, f"ACCOUNTS__{account}" if account else ""))).upper()
    return f"set {wanted} of RATCHET_PROVIDERS__{place}"


def _recall_of(provider: str) -> Recall | None:
    found = providers.find(provider)
    return None if found is None else found.recall


def client_bounds(settings: Settings) -> Mapping[str, int]:
    """Return what differs for a client that reads lists: a page is larger than one payment."""
    return {"response_bytes_max": settings.recall.response_bytes_max}
