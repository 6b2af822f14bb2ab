"""Webhook paths: the one place that knows their form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import providers
from schemas.errors import SettingsError
from schemas.record import source_of

PREFIX: Final = "/webhooks/"


@dataclass(frozen=True, slots=True)
class WebhookPath:
    """A parsed path: provider and account ("" is the provider's own), and the path's form for logs and metrics."""

    provider: str
    account: str
    template: str


def has_secret(provider: str) -> bool:
    """Tell whether the paths of a provider end in its secret, for it signs nothing; so does one that can't be read."""
    try:
        found = providers.find(provider)
    except SettingsError:
        return True
    return found is not None and found.secret_in_path


def secrets_in(path: str) -> tuple[str, ...]:
    """Return what may be a secret in a path that has one, known endpoint or not: the parts behind the provider's."""
    provider, *rest = path.removeprefix(PREFIX).split("/")
    hides = path.startswith(PREFIX) and has_secret(provider.lower())
    return tuple(part for part in rest if part) if hides else ()


def plain_path(endpoint: tuple[str, str]) -> str:
    """Return the path of a provider's account as most senders write it; that of a secret's holder is never built."""
    return PREFIX + source_of(*endpoint)


def parse(path: str) -> WebhookPath | None:
    """Parse `/webhooks/{provider}[/{account}]`, with `/{secret}` behind it where it has one; None for anything else.

    Account names have no case: two spellings must not become two sources, or one event would count twice.
    """
    if not path.startswith(PREFIX):
        return None
    provider, *rest = path[len(PREFIX) :].split("/")
    template = PREFIX + "{provider}"
    secret = has_secret(provider)
    if secret and not (rest and rest.pop()):
        return None
    if not provider or len(rest) > 1 or "" in rest:
        return None
    account = rest[0].lower() if rest else ""
    return WebhookPath(
        provider, account, template + ("/{account}" if account else "") + ("/{secret}" if secret else "")
    )
