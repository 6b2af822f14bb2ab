"""Bounds of settings that are no plain counts: refused one step beyond, and named; taken at the bound itself."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from runtime.settings import PREFIX, SmsSettings, load
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

HOUR, DAY = 3600, 24 * 3600
BOUNDS: dict[str, tuple[list[Any], list[Any]]] = {
    "AUDIT__SEAL_KEY": (["k" * 31, ""], ["k" * 32]),
    "AUDIT__ARCHIVE_FILE_ROWS_MAX": ([999, 1_000_001], [1000, 1_000_000]),
    "CONSOLE__PASSWORD": (["p" * 15], ["p" * 16]),
    "CONSOLE__ONE_TIME_PASSWORD_HOURS": ([0, 24 * 30 + 1], [1, 24 * 30]),
    "CONSOLE__PUBLIC_URL": (["https://me@ops.example", "https://ops.example#top"], ["https://ops.example/console"]),
    "INGRESS__CERTIFICATES__PROVEN_SHARE": ([-0.1, 1], [0, 0.99]),
    "INTENTS__KEPT_SECONDS": ([DAY - 1], [DAY]),
    "INTENTS__COMMANDS_KEPT_SECONDS": ([2 * DAY - 1], [2 * DAY]),
    "KAFKA__OAUTH_TOKEN_URL": (["http://127.0.0.1.evil.example/", "http://10.0.0.1/"], []),
    "OPERATOR": ([" anna", "anna ", "an\nna", "an\x1bna", "a" * 129, ""], ["anna of shop 7", "a" * 128]),
    "RECALL__KEPT_DAYS": ([29], [30]),
    "REDIS__KEY_PREFIX": (["shop:{1}", "shop*", "s hop", "s" * 65], ["shop:a_b.c-d:", ""]),
    "REDRIVE__FAILURE_RATIO_MAX": ([0, 1.01], [1]),
    "REFETCH__REQUESTS_PER_SECOND_MAX": ([0, -1], [0.01]),
    "RELAY__POOL_CONNECTIONS_MAX": ([8], [9]),
    "RETENTION__REFETCHES_DAYS": ([29], [30]),
    "RETENTION__SMS_DAYS": ([29], [30]),
    "ROLE__DRAIN_SECONDS_MAX": ([0, -1], [0.1]),
    "TELEMETRY__SAMPLE_RATIO": ([-0.1, 1.01], [0, 1]),
}
"""What each refuses, and what it takes."""


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith(PREFIX):
            monkeypatch.delenv(name)


def given(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(PREFIX + name, value if isinstance(value, str) else json.dumps(value))


@pytest.mark.parametrize("name", BOUNDS)
def test_a_value_beyond_its_bound_is_refused_and_one_at_it_is_taken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refused, taken = BOUNDS[name]
    for value in refused:
        given(monkeypatch, **{name: value})
        with pytest.raises(SettingsError, match=f"^{PREFIX}{name}"):
            load()
    for value in taken:
        given(monkeypatch, **{name: value})
        load()


def test_a_file_is_one_that_can_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    there = tmp_path / "ca.pem"
    there.touch()
    given(monkeypatch, KAFKA__BOOTSTRAP="b:1", KAFKA__SECURITY_PROTOCOL="SSL", KAFKA__CA_FILE=str(there))
    assert load().kafka.ca_file == there
    for wrong in (tmp_path, tmp_path / "gone.pem"):
        given(monkeypatch, KAFKA__CA_FILE=str(wrong))
        with pytest.raises(SettingsError, match="is no file that can be read"):
            load()


TOGETHER: dict[str, tuple[dict[str, Any], str]] = {
    "Twilio's three, one alone": ({"SMS__TWILIO__ACCOUNT_SID": "AC1"}, "belong together"),
    "Twilio's three, two alone": (
        {"SMS__TWILIO__AUTH_TOKEN": "t", "SMS__TWILIO__FROM": "+491"},
        "belong together",
    ),
    "a header that nobody may set": ({"CONSOLE__PERSON_HEADER": "X-Person"}, "belong together"),
    "proxies without their header": ({"CONSOLE__PERSON_PROXIES": ["10.0.0.0/8"]}, "belong together"),
    "an issuer without roles": (
        {"CONSOLE__SSO__ISSUER": "https://id.example", "CONSOLE__SSO__CLIENT_ID": "c"},
        "needs client_id and roles",
    ),
    "an issuer without a client": (
        {"CONSOLE__SSO__ISSUER": "https://id.example", "CONSOLE__SSO__ROLES": {"a": "viewer"}},
        "needs client_id and roles",
    ),
    "an issuer that leads nowhere": (
        {
            "CONSOLE__SSO__ISSUER": "https://id.example",
            "CONSOLE__SSO__CLIENT_ID": "c",
            "CONSOLE__SSO__ROLES": {"a": "viewer"},
        },
        "needs public_url",
    ),
    "TLS for the embedded Kafka": ({"KAFKA__SECURITY_PROTOCOL": "SSL"}, "set RATCHET_KAFKA__BOOTSTRAP too"),
    "a password of no key": (
        {"KAFKA__BOOTSTRAP": "b:1", "KAFKA__SECURITY_PROTOCOL": "SSL", "KAFKA__KEY_PASSWORD": "p"},
        "KEY_FILE is not",
    ),
    "a key's password without TLS": ({"KAFKA__BOOTSTRAP": "b:1", "KAFKA__KEY_PASSWORD": "p"}, "is for TLS"),
}


@pytest.mark.parametrize("case", TOGETHER)
def test_what_belongs_together_is_all_set_or_not_at_all(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, why = TOGETHER[case]
    given(monkeypatch, **settings)
    with pytest.raises(SettingsError, match=why):
        load()


@pytest.mark.parametrize(
    ("client", "template", "wanted"),
    [
        ("shop", "captured", False),
        ("shop", "refunded", True),
        ("quiet", "refunded", False),
        ("other", "captured", True),
        (None, "captured", True),
    ],
)
def test_a_client_s_customers_get_what_it_does_not_refuse(
    client: str | None,
    template: str,
    wanted: bool,  # noqa: FBT001 - a case
) -> None:
    sms = SmsSettings(off={"shop": ("captured",), "quiet": ("*",), "*": ("captured",)})
    assert sms.wants(client, template) is wanted


def test_an_account_has_no_case_in_the_settings_either(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, PROVIDERS={"adyen": {"accounts": {"Acme": {"secrets": ["aa"]}}}})
    found = load().providers["adyen"].account("aCME")
    assert found is not None
    assert found.secrets
