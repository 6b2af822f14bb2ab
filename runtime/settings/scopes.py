"""What the settings say of each endpoint, and which endpoints a client may name. Read once, then looked up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from schemas.record import source_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from runtime.settings import Settings
    from runtime.settings.outside import AccountSettings, ClientSettings, ProviderSettings

EndpointKey = tuple[str, str]
"""(provider, account), both in lower case; the account is "" for the provider's own endpoint."""


@dataclass(frozen=True, slots=True)
class EndpointTerms:
    """What the settings say of one endpoint.

    `livemode` is the mode of deliveries that don't sign theirs. `capture` is what an authorization that no intent
    announced means where the provider doesn't say it, None where it isn't set (then it waits for a capture). `unsigned`
    is whether unsigned hints are taken, None where it isn't set. `merchant_accounts` are the only ones it takes
    webhooks of; empty means any.
    """

    livemode: bool = True
    capture: Literal["automatic", "manual"] | None = None
    unsigned: bool | None = None
    merchant_accounts: tuple[str, ...] = ()


DEFAULT_TERMS: Final = EndpointTerms()
"""The terms of an endpoint that isn't configured."""


class Scopes:
    """The endpoints of the settings, the clients that may name them, and the services that report their payments."""

    def __init__(
        self,
        providers: Mapping[str, ProviderSettings],
        clients: Mapping[str, ClientSettings],
        sources: Iterable[str] = (),
        executors: Mapping[str, Iterable[str]] | None = None,
    ) -> None:
        self.sources = frozenset(sources)
        self.executors = {name: frozenset(accounts) for name, accounts in (executors or {}).items()}
        self._terms = {key: _terms(found, whole) for key, found, whole in _accounts(providers)}
        self._configured = {key for key, found, _ in _accounts(providers) if _in_use(found)}
        self._own = {
            client: frozenset(map(_key, found.accounts))
            for client, found in clients.items()
            if found.accounts is not None
        }

    def terms(self, provider: str, account: str) -> EndpointTerms:
        """Return what is set for an endpoint; the defaults for one that isn't configured. Names have no case."""
        return self._terms.get((provider.lower(), account.lower()), DEFAULT_TERMS)

    def is_configured(self, provider: str, account: str) -> bool:
        """Tell whether the endpoint has a secret or an API key: whether anything of it could ever come in."""
        return (provider.lower(), account.lower()) in self._configured

    def may_use(self, client: str, provider: str, account: str) -> bool:
        """Tell whether the endpoint is one of the client's; a client without a list of its own may name all."""
        own = self._own.get(client)
        return own is None or (provider.lower(), account.lower()) in own

    def may_own(self, client: str, provider: str, account: str) -> bool:
        """Tell whether the client's intent may own payments of the endpoint: the consumer's check.

        Upstream services publish intents past the ingress, so the consumer asks again. A consumer that was given no
        provider's settings can't know which endpoints there are, and asks for the client's own list alone.
        """
        known = self.is_configured(provider, account) or not self._configured
        return known and self.may_use(client, provider, account)

    def configured(self) -> list[EndpointKey]:
        """Return the endpoints that are configured, sorted."""
        return sorted(self._configured)

    def unbounded(self, clients: Iterable[str]) -> list[str]:
        """Return those of the clients that have no list of their own and may name every endpoint, sorted."""
        return sorted(client for client in clients if client not in self._own)

    def shared(self) -> dict[str, list[str]]:
        """Return the endpoints that several clients list, each with those clients, sorted; for doctor."""
        found: dict[str, list[str]] = {}
        for client, own in sorted(self._own.items()):
            for key in own:
                found.setdefault(source_of(*key), []).append(client)
        return {place: clients for place, clients in sorted(found.items()) if len(clients) > 1}

    def not_configured(self) -> dict[str, list[str]]:
        """Return the endpoints that a client's list names and that aren't configured, by client; for doctor."""
        return {
            client: missing
            for client, own in sorted(self._own.items())
            if (missing := sorted(source_of(*key) for key in own - self._configured))
        }


def scopes_of(settings: Settings) -> Scopes:
    """Return the scopes that the settings describe."""
    return Scopes(settings.providers, settings.clients, settings.sources, settings.executors)


def _accounts(
    providers: Mapping[str, ProviderSettings],
) -> Iterator[tuple[EndpointKey, AccountSettings, ProviderSettings]]:
    for name, whole in providers.items():
        yield (name.lower(), ""), whole, whole
        for account, found in whole.accounts.items():
            yield (name.lower(), account.lower()), found, whole


def _in_use(found: AccountSettings) -> bool:
    return found.api_key is not None or any(secret.get_secret_value() for secret in found.secrets)


def _terms(found: AccountSettings, whole: ProviderSettings) -> EndpointTerms:
    unsigned = whole.unsigned if found.unsigned is None else found.unsigned
    return EndpointTerms(
        livemode=(found.mode or whole.mode or "live") == "live",
        capture=found.capture or whole.capture,
        unsigned=unsigned,
        merchant_accounts=found.merchant_accounts,
    )


def _key(path: str) -> EndpointKey:
    provider, _, account = path.lower().partition("/")
    return provider, account
