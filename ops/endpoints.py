"""Where the brokers are: as configured, or those of the stack that runs in this home."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from runtime import settings as configuration
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from runtime.settings import Settings
    from runtime.stack.state import Endpoints, StackState


def load() -> Settings:
    """Read the settings; the home becomes absolute, so that every process means the same folder."""
    settings = configuration.load()
    return settings.model_copy(update={"home": Path.cwd() / settings.home})


def running_stack(settings: Settings) -> StackState | None:
    """Return the state of the stack that runs in this home, or None."""
    from runtime.stack import layout, state

    found = state.read(layout.at(settings.home).state)
    return found if found is not None and found.owner.alive() else None


def with_endpoints(settings: Settings, endpoints: Endpoints) -> Settings:
    """Return the settings with an embedded stack's endpoints in them."""
    kafka = settings.kafka.model_copy(update={"bootstrap": endpoints.kafka})
    dsns = {"dsn": SecretStr(endpoints.dsn), "owner_dsn": SecretStr(endpoints.owner_dsn)}
    postgres = settings.postgres.model_copy(update=dsns)
    url = None if endpoints.redis is None else SecretStr(endpoints.redis)
    redis = settings.redis.model_copy(update={"url": url})
    return settings.model_copy(update={"kafka": kafka, "postgres": postgres, "redis": redis})


def as_process(settings: Settings, process: str) -> Settings:
    """Return the settings with the database role that is this process' own, where Postgres is the embedded one.

    Elsewhere each process is given its own DSN, or all have the application's.
    """
    stack, dsn = running_stack(settings), settings.postgres.dsn
    own = None if stack is None else stack.endpoints.process_dsns.get(process)
    if stack is None or own is None or dsn is None or dsn.get_secret_value() != stack.endpoints.dsn:
        return settings
    postgres = settings.postgres.model_copy(update={"dsn": SecretStr(own), "owner_dsn": None})
    return settings.model_copy(update={"postgres": postgres})


def check_whole(settings: Settings) -> None:
    """Raise SettingsError where one of Kafka and Postgres is configured and the other is not."""
    if settings.kafka.bootstrap is None:
        raise SettingsError("RATCHET_POSTGRES__DSN is set and RATCHET_KAFKA__BOOTSTRAP is not; set both or neither")
    if settings.postgres.dsn is None:
        raise SettingsError("RATCHET_KAFKA__BOOTSTRAP is set and RATCHET_POSTGRES__DSN is not; set both or neither")


def found(settings: Settings) -> Settings:
    """Return the settings with endpoints: configured, or of the stack in this home; raise SettingsError otherwise."""
    if not settings.embedded():
        check_whole(settings)
        return settings
    stack = running_stack(settings)
    if stack is None:
        raise SettingsError(
            f"no endpoint is configured and no stack runs in {settings.home}; start one with `ratchet stack up`, "
            "or set RATCHET_KAFKA__BOOTSTRAP and RATCHET_POSTGRES__DSN"
        )
    return with_endpoints(settings, stack.endpoints)


def app_role(settings: Settings) -> str:
    """Return the role's name in the application's DSN, to which the grants go."""
    from urllib.parse import unquote, urlsplit

    dsn = settings.postgres.dsn
    name = urlsplit(dsn.get_secret_value()).username if dsn else None
    if not name:
        raise SettingsError("RATCHET_POSTGRES__DSN names no role; write it as postgresql://role:password@host:port/db")
    return unquote(name)


def owner_dsn(settings: Settings) -> str:
    """Return the DSN of the schema's owner; raise SettingsError where there is none."""
    if settings.postgres.owner_dsn is None:
        raise SettingsError("RATCHET_POSTGRES__OWNER_DSN is not set; migrations need the role that owns the schema")
    return settings.postgres.owner_dsn.get_secret_value()


def environment(settings: Settings) -> dict[str, str]:
    """Return what a role's process needs in its environment to find the brokers and the home; never the owner's DSN."""
    values = {"RATCHET_HOME": str(settings.home), "RATCHET_KAFKA__BOOTSTRAP": settings.kafka.bootstrap or ""}
    if settings.postgres.dsn is not None:
        values["RATCHET_POSTGRES__DSN"] = settings.postgres.dsn.get_secret_value()
    if settings.redis.url is not None:
        values["RATCHET_REDIS__URL"] = settings.redis.url.get_secret_value()
    return values
