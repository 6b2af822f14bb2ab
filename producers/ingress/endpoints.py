"""Which webhook endpoints are open, by provider and account; read once from the settings."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import providers
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runtime.settings import AccountSettings, Settings

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}\Z")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One open endpoint.

    `source` is `provider` or `provider/account`; `config` is what `verify` needs beside secrets.
    """

    provider: str
    source: str
    secrets: tuple[str, ...] = field(repr=False)
    config: Mapping[str, Any] = field(repr=False)


Endpoints = dict[tuple[str, str], Endpoint]


def open_endpoints(settings: Settings) -> Endpoints:
    """Return every endpoint that has a secret; raise SettingsError for a name that can't be one."""
    return {
        (provider, account): Endpoint(
            provider,
            f"{provider}/{account}" if account else provider,
            tuple(secret.get_secret_value() for secret in found.secrets),
            config_of(found),
        )
        for provider, account, found in _accounts(settings)
        if any(secret.get_secret_value() for secret in found.secrets)
    }


def config_of(account: AccountSettings) -> dict[str, Any]:
    """Return what the provider's check needs beside secrets, in the form that `providers.verify` takes."""
    return {"merchant_accounts": list(account.merchant_accounts)} if account.merchant_accounts else {}


def _accounts(settings: Settings) -> Iterator[tuple[str, str, AccountSettings]]:
    for raw_provider, found in settings.providers.items():
        provider = raw_provider.lower()
        if provider not in providers.names():
            raise SettingsError(
                f"RATCHET_PROVIDERS__{raw_provider.upper()}: there is no such provider; "
                f"there are {', '.join(sorted(providers.names()))}"
            )
        yield provider, "", found
        for raw_account, account in found.accounts.items():
            if not _NAME.match(raw_account.lower()):
                raise SettingsError(
                    f"RATCHET_PROVIDERS__{raw_provider.upper()}__ACCOUNTS: {raw_account!r} is no account name; "
                    "use 1 to 64 letters, digits, '_', '-' or '.'"
                )
            yield provider, raw_account.lower(), account
