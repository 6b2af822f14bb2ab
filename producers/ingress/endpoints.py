"""Which webhook endpoints are open, by provider and account; read once from the settings."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import providers
from producers.ingress.routes import has_secret
from producers.ingress.trust_roots import certificates_of, system_roots
from runtime.secret_windows import DatedSecret, is_strong, live_at
from schemas.errors import SettingsError, SignatureRejected
from schemas.record import source_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import SecretStr

    from producers.ingress.sources import Network
    from providers.core.contract import NamedCertificate
    from runtime.settings import AccountSettings, ProviderSettings, Settings

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}\Z")
_PATH_SECRET: Final = re.compile(r"[A-Za-z0-9._~-]+\Z")
_NAME_IN_SECRET_PATH: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}\Z")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One open endpoint.

    `source` is `provider` or `provider/account`; `config` is what `verify` needs beside secrets; `networks` are the
    only ones it takes requests from, if any; `certificate_hosts` may serve the certificate that a request names, None
    where it names none; `certificate` says how it does. `unsigned` tells whether it takes unsigned webhooks, as hints,
    and `hints_by_anybody` that those carry no secret at all.
    `queries` tells whether its API can be asked what it answers by a webhook. `body_bytes_max` is how large its bodies
    may be, None where only the bound of all holds.
    """

    provider: str
    source: str
    secrets: tuple[SecretStr | DatedSecret, ...] = field(repr=False)
    config: Mapping[str, Any] = field(repr=False)
    networks: tuple[Network, ...] = ()
    certificate_hosts: tuple[str, ...] | None = None
    account: str = ""
    unsigned: bool = False
    body_bytes_max: int | None = None
    queries: bool = False
    certificate: NamedCertificate | None = None
    hints_by_anybody: bool = False

    def live_secrets(self, now: float) -> tuple[str, ...]:
        """Return the secrets that are live at a unix time."""
        return live_at(self.secrets, now)


Endpoints = dict[tuple[str, str], Endpoint]


def open_endpoints(settings: Settings) -> Endpoints:
    """Return every endpoint that has a secret, live or not; raise SettingsError for what can't be."""
    return {
        (provider, account): _endpoint(provider, account, found, whole, settings.ingress.body_bytes_max)
        for provider, account, found, whole in _accounts(settings)
        if any(secret.get_secret_value() for secret in (*found.secrets, *found.shown_secrets))
    }


def _endpoint(provider: str, account: str, found: AccountSettings, whole: ProviderSettings, bytes_max: int) -> Endpoint:
    _need_usable(provider, account, found)
    known = providers.find(provider)
    named = known.certificate if known else None
    hosts = whole.certificate_hosts or named.hosts if named else None
    config = config_of(found, shows_secret=known is not None and known.shows_secret) | (
        {} if hosts is None else _certificate_config(provider, whole, hosts)
    )
    source = source_of(provider, account)
    networks = found.source_networks or whole.source_networks
    most = found.body_bytes_max or whole.body_bytes_max
    if most is not None and most > bytes_max:
        raise SettingsError(
            f"RATCHET_PROVIDERS__{provider.upper()}: BODY_BYTES_MAX {most} is above RATCHET_INGRESS__BODY_BYTES_MAX,"
            f" {bytes_max}, which no body may exceed"
        )
    unsigned = takes_unsigned(provider, whole.unsigned if found.unsigned is None else found.unsigned)
    queries = found.api_initiator is not None
    return Endpoint(
        provider,
        source,
        found.secrets,
        config,
        networks,
        hosts,
        account,
        unsigned,
        most,
        queries,
        named,
        hints_by_anybody=known is not None and known.hints_by_anybody,
    )


def _need_usable(provider: str, account: str, found: AccountSettings) -> None:
    """Raise SettingsError for a secret that fits nothing a sender could send, or that could be guessed.

    A check that finds no key in its secrets says so before it looks at the request.
    """
    place = f"__ACCOUNTS__{account.upper()}" if account else ""
    setting = f"RATCHET_PROVIDERS__{provider.upper()}{place}__SECRETS"
    keys = {secret.get_secret_value() for secret in found.secrets}
    known = providers.find(provider)
    if found.shown_secrets and not (known and known.shows_secret):
        raise SettingsError(f"{setting[: -len('SECRETS')]}SHOWN_SECRETS: {provider} shows no secret; use SECRETS")
    for secret in found.shown_secrets:
        text = secret.get_secret_value()
        if text in keys or not is_strong(text):
            raise SettingsError(
                f"{setting[: -len('SECRETS')]}SHOWN_SECRETS: a secret that is shown on each request must be none of"
                " SECRETS, and have 24 characters or more"
            )
    for number, secret in enumerate(found.secrets, 1):
        text = secret.get_secret_value()
        if not text:
            continue
        if (complaint := _unusable(provider, text)) is not None:
            raise SettingsError(f"{setting}: secret {number} is no key of {provider}: {complaint}")
        if has_secret(provider) and not (is_strong(text) and _PATH_SECRET.match(text)):
            raise SettingsError(
                f"{setting}: secret {number} stands in a path; use 24 letters and digits or more, as"
                " `openssl rand -hex 24` makes them"
            )


def _unusable(provider: str, secret: str) -> str | None:
    """Return why the secret holds no key of the provider's kind, or None where it does."""
    try:
        providers.verify(provider, headers={}, body=b"", url="", secrets=[secret], now=0)
    except SignatureRejected as rejected:
        return rejected.detail if rejected.reason == "empty_secret" else None
    return None


def takes_unsigned(provider: str, wanted: bool | None) -> bool:  # noqa: FBT001 - the setting's own three values
    """Tell whether unsigned webhooks are taken; where the setting says nothing, if the provider's own are unsigned."""
    found = providers.find(provider)
    return found is not None and found.unsigned if wanted is None else wanted


def config_of(account: AccountSettings, *, shows_secret: bool = False) -> dict[str, Any]:
    """Return what the provider's check needs beside secrets, in the form that `providers.verify` takes."""
    shown = [secret.get_secret_value() for secret in account.shown_secrets]
    config: dict[str, Any] = {"shown_secrets": shown} if shows_secret else {}
    return config | ({"merchant_accounts": list(account.merchant_accounts)} if account.merchant_accounts else {})


def _certificate_config(provider: str, whole: ProviderSettings, hosts: tuple[str, ...]) -> dict[str, Any]:
    setting = f"RATCHET_PROVIDERS__{provider.upper()}__"
    roots, between = whole.trust_roots, whole.intermediates
    return {
        "allowed_cert_hosts": hosts,
        "trust_roots": system_roots() if roots is None else certificates_of(roots, setting + "TRUST_ROOTS"),
        "intermediates": [] if between is None else certificates_of(between, setting + "INTERMEDIATES"),
    }


def _names_certificate(provider: str) -> bool:
    found = providers.find(provider)
    return found is not None and found.certificate is not None


def _accounts(settings: Settings) -> Iterator[tuple[str, str, AccountSettings, ProviderSettings]]:
    for raw_provider, found in settings.providers.items():
        provider, setting = raw_provider.lower(), f"RATCHET_PROVIDERS__{raw_provider.upper()}"
        if provider not in providers.names():
            raise SettingsError(
                f"{setting}: there is no such provider; there are {', '.join(sorted(providers.names()))}"
            )
        if (found.trust_roots or found.intermediates or found.certificate_hosts) and not _names_certificate(provider):
            raise SettingsError(
                f"{setting}: trust roots, intermediates and certificate hosts are for requests that name a certificate;"
                f" those of {provider} name none"
            )
        yield provider, "", found, found
        for raw_account, account in found.accounts.items():
            _need_name(raw_account, provider, setting)
            yield provider, raw_account.lower(), account, found


def _need_name(account: str, provider: str, setting: str) -> None:
    secret_follows = has_secret(provider)
    if not (_NAME_IN_SECRET_PATH if secret_follows else _NAME).match(account.lower()):
        characters = "letters, digits, '_' or '-'" if secret_follows else "letters, digits, '_', '-' or '.'"
        raise SettingsError(f"{setting}__ACCOUNTS: {account!r} is no account name; use 1 to 64 {characters}")
