"""The configuration: environment over file, and complaints that name the setting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from runtime.settings import PREFIX, Settings, load
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.upper().startswith(PREFIX):
            monkeypatch.delenv(name)


def secrets_of(settings: Settings, provider: str) -> list[str]:
    return [secret.get_secret_value() for secret in settings.providers[provider].secrets]


def test_defaults_need_no_environment() -> None:
    settings = load()
    assert settings.embedded()
    assert settings.ingress.bind == "127.0.0.1:8080"
    assert settings.webhook_base_url() == "http://127.0.0.1:8080"


def test_the_public_url_has_no_slash_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_PUBLIC_URL", "https://pay.example/hooks/")
    assert load().webhook_base_url() == "https://pay.example/hooks"


@pytest.mark.parametrize("name", ["RATCHET_KAFKA__BOOTSTRAP", "RATCHET_POSTGRES__DSN"])
def test_an_endpoint_means_no_embedded_stack(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "somewhere:1")
    assert not load().embedded()


def test_nested_names_and_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_PARKING__DEADLINE_SECONDS", "12.5")
    monkeypatch.setenv("ratchet_kafka__partitions", "9")
    settings = load()
    assert (settings.parking.deadline_seconds, settings.kafka.partitions) == (12.5, 9)


def test_secrets_and_accounts_of_a_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_PROVIDERS__STRIPE__SECRETS", '["whsec_new","whsec_old"]')
    monkeypatch.setenv("RATCHET_PROVIDERS__ADYEN__ACCOUNTS__ACME__SECRETS", '["aa"]')
    settings = load()
    assert secrets_of(settings, "stripe") == ["whsec_new", "whsec_old"]
    adyen = settings.providers["adyen"]
    assert adyen.account("") is adyen
    acme = adyen.account("AcMe")
    assert acme is not None
    assert acme.secrets == (SecretStr("aa"),)
    assert adyen.account("other") is None


def test_a_file_has_the_same_tree_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "ratchet.toml"
    file.write_text(
        '[kafka]\npartitions = 3\nbootstrap = "file:1"\n[providers.stripe]\nsecrets = ["whsec_file"]\n'
        "[parking]\ndeadline_seconds = 5\n"
    )
    monkeypatch.setenv("RATCHET_CONFIG", str(file))
    monkeypatch.setenv("RATCHET_KAFKA__PARTITIONS", "8")
    settings = load()
    assert (settings.kafka.partitions, settings.kafka.bootstrap) == (8, "file:1")
    assert settings.parking.deadline_seconds == 5
    assert secrets_of(settings, "stripe") == ["whsec_file"]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("RATCHET_KAKFA__BOOTSTRAP", "x", "RATCHET_KAKFA__BOOTSTRAP is no setting"),
        ("RATCHET_", "x", "RATCHET_ is no setting"),
        ("RATCHET_KAFKA__BOOTSTRAPS", "x", "RATCHET_KAFKA__BOOTSTRAPS"),
        ("RATCHET_KAFKA__PARTITIONS", "0", "RATCHET_KAFKA__PARTITIONS"),
        ("RATCHET_KAFKA__PARTITIONS", "many", "RATCHET_KAFKA__PARTITIONS"),
        ("RATCHET_PARKING__DEADLINE_SECONDS", "-1", "RATCHET_PARKING__DEADLINE_SECONDS"),
        ("RATCHET_TEST_STACK", "docker", "RATCHET_TEST_STACK"),
        ("RATCHET_LOG__LEVEL", "loud", "RATCHET_LOG__LEVEL"),
        ("RATCHET_PROVIDERS__STRIPE__SECRETS", "whsec_topsecret", "RATCHET_PROVIDERS__STRIPE__SECRETS"),
        ("RATCHET_PROVIDERS", '{"stripe": whsec_topsecret}', "providers"),
    ],
)
def test_a_bad_setting_is_named_and_its_value_is_not(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load()
    assert expected in str(caught.value)
    assert "topsecret" not in str(caught.value)


def test_a_file_that_is_missing_or_broken_or_has_an_unknown_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "ratchet.toml"
    monkeypatch.setenv("RATCHET_CONFIG", str(file))
    with pytest.raises(SettingsError, match="cannot be read"):
        load()
    for text, reported in (("= no toml", "cannot be read"), ("[kafka]\nbrokers = 1\n", "RATCHET_KAFKA__BROKERS")):
        file.write_text(text)
        with pytest.raises(SettingsError, match=reported):
            load()


def test_settings_and_their_groups_are_frozen() -> None:
    settings = load()
    with pytest.raises(ValidationError):
        settings.kafka = settings.kafka
    for name in Settings.model_fields:
        group = getattr(settings, name)
        if isinstance(group, BaseModel):
            assert group.model_config["frozen"], name
            assert group.model_config["extra"] == "forbid", name


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_PROVIDERS__STRIPE__SECRETS", '["whsec_topsecret"]')
    monkeypatch.setenv("RATCHET_POSTGRES__DSN", "postgresql://app:topsecret@localhost/x")
    assert "topsecret" not in repr(load())
