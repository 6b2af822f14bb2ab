"""The configuration: one frozen tree, read from the environment and a TOML file; nobody else reads either.

Environment names begin with RATCHET_ and nest by `__`; RATCHET_CONFIG names a TOML file with the same tree. The
environment wins. An unknown name or a bad value refuses to start and is named. Names end in their unit.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping  # noqa: TC003 - pydantic reads the annotations
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from runtime.settings.base import (  # noqa: TC001 - pydantic reads the annotations
    AccountPath,
    ApiKeys,
    ClientName,
    HttpUrl,
    JsonTuple,
    OperatorName,
)
from runtime.settings.brokers import KafkaSettings, PostgresSettings, RedisSettings, StackSettings
from runtime.settings.certificates import CertificateSettings
from runtime.settings.dispatching import DispatcherSettings, HttpSettings, RecallSettings, RefetchSettings
from runtime.settings.intents import IntentsSettings
from runtime.settings.keeping import AuditSettings, RedriveSettings, RetentionSettings
from runtime.settings.limits import LimitSettings
from runtime.settings.outside import AccountSettings, ClientSettings, ProviderSettings, SmsSettings, TwilioSettings
from runtime.settings.processes import LogSettings, OpsSettings, RoleSettings, SampleSettings
from runtime.settings.roles import ConsoleSettings, ConsumerSettings, IngressSettings, ParkingSettings, RelaySettings
from runtime.settings.watch import MetricsSettings, TelemetrySettings
from schemas.errors import SettingsError

__all__ = [
    "AccountSettings",
    "AuditSettings",
    "CertificateSettings",
    "ClientSettings",
    "ConsoleSettings",
    "ConsumerSettings",
    "DispatcherSettings",
    "HttpSettings",
    "IngressSettings",
    "IntentsSettings",
    "KafkaSettings",
    "LimitSettings",
    "LogSettings",
    "MetricsSettings",
    "OpsSettings",
    "ParkingSettings",
    "PostgresSettings",
    "ProviderSettings",
    "RecallSettings",
    "RedisSettings",
    "RedriveSettings",
    "RefetchSettings",
    "RelaySettings",
    "RetentionSettings",
    "RoleSettings",
    "SampleSettings",
    "Settings",
    "SmsSettings",
    "StackSettings",
    "TelemetrySettings",
    "TwilioSettings",
    "load",
]

PREFIX: Final = "RATCHET_"


class Settings(BaseSettings):
    """All of it. Build it with `load`, which turns every complaint into a SettingsError."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid", case_sensitive=False
    )

    home: Path = Path(".ratchet")
    """Where the embedded brokers, run files and logs are kept."""
    config: Path | None = None
    """A TOML file with the same tree; the environment wins."""
    test_stack: Literal["embedded", "containers"] = "embedded"
    """What the tests run on: the embedded brokers, or containers."""
    operator: OperatorName | None = None
    """Who acts at this terminal, for the audit; unset: the user of the system."""
    public_url: HttpUrl | None = None
    """The ingress' URL as providers see it: part of some signatures."""
    kafka: KafkaSettings = KafkaSettings()
    postgres: PostgresSettings = PostgresSettings()
    redis: RedisSettings = RedisSettings()
    ingress: IngressSettings = IngressSettings()
    intents: IntentsSettings = IntentsSettings()
    limits: LimitSettings = LimitSettings()
    consumer: ConsumerSettings = ConsumerSettings()
    parking: ParkingSettings = ParkingSettings()
    relay: RelaySettings = RelaySettings()
    redrive: RedriveSettings = RedriveSettings()
    audit: AuditSettings = AuditSettings()
    retention: RetentionSettings = RetentionSettings()
    http: HttpSettings = HttpSettings()
    dispatcher: DispatcherSettings = DispatcherSettings()
    refetch: RefetchSettings = RefetchSettings()
    recall: RecallSettings = RecallSettings()
    sms: SmsSettings = SmsSettings()
    console: ConsoleSettings = ConsoleSettings()
    role: RoleSettings = RoleSettings()
    ops: OpsSettings = OpsSettings()
    sample: SampleSettings = SampleSettings()
    log: LogSettings = LogSettings()
    metrics: MetricsSettings = MetricsSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    stack: StackSettings = StackSettings()
    providers: Mapping[str, ProviderSettings] = Field(default_factory=dict)
    api_keys: Mapping[ClientName, ApiKeys] = Field(default_factory=dict)
    """For each client of the intents API its key of 24 characters or more, or a list of keys."""
    clients: Mapping[ClientName, ClientSettings] = Field(default_factory=dict)
    sources: JsonTuple[ClientName] = ()
    """Services that may publish events of their own."""
    executors: Mapping[ClientName, JsonTuple[AccountPath]] = Field(default_factory=dict)
    """For each service that carries out commands, the endpoints that it serves."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings

    def embedded(self) -> bool:
        """Tell whether the embedded stack serves: no endpoint is configured."""
        return self.kafka.bootstrap is None and self.postgres.dsn is None

    def webhook_base_url(self) -> str:
        """Return the URL that providers call, without a trailing slash: part of some signatures."""
        return (self.public_url or f"http://{self.ingress.bind}").rstrip("/")


def load() -> Settings:
    """Read the settings; raise SettingsError naming what is unknown or bad, and never a secret's value."""
    known = {name.upper() for name in Settings.model_fields}
    for name in os.environ:
        if name.upper().startswith(PREFIX) and name.upper()[len(PREFIX) :].split("__")[0] not in known:
            raise SettingsError(f"{name} is no setting of Ratchet; remove it, or see README.md for the names")
    file_name = os.environ.get("RATCHET_CONFIG")
    try:
        from_file: dict[str, Any] = tomllib.loads(Path(file_name).read_text()) if file_name else {}
        return Settings(**from_file)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = PREFIX + "__".join(str(part) for part in first["loc"]).upper()
        raise SettingsError(f"{name}: {first['msg']}") from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"settings cannot be read: {error}") from None
