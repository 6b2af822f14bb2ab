"""Whether the console may be bound where it is: without a password on loopback alone; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.loopback import is_loopback, leads_to_loopback
from runtime.health import split_address
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from runtime.settings import ConsoleSettings


def check_exposure(settings: ConsoleSettings) -> None:
    """Raise SettingsError where others, also by a proxy, could reach a console that asks nobody for a password."""
    if settings.password is not None:
        return
    host, _ = split_address(settings.bind)
    for name, reached in (
        ("PUBLIC_URL", settings.public_url),
        ("TRUSTED_PROXIES", settings.trusted_proxies),
        ("PERSON_PROXIES", settings.person_proxies),
    ):
        if reached and not (name == "PUBLIC_URL" and leads_to_loopback(settings.public_url or "")):
            raise SettingsError(
                f"RATCHET_CONSOLE__{name} says that others reach the console; set RATCHET_CONSOLE__PASSWORD, "
                "16 characters at least"
            )
    if not is_loopback(host):
        raise SettingsError(
            f"RATCHET_CONSOLE__BIND: {settings.bind} can be reached from other machines; "
            "set RATCHET_CONSOLE__PASSWORD, or bind to 127.0.0.1"
        )
