"""Secrets with a window: as settings say them, when they are live, and what doctor tells of them."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from pydantic import SecretStr

from ops import doctor, doctor_settings
from producers.ingress.endpoints import open_endpoints
from runtime.secret_windows import DatedSecret, live_at
from runtime.settings import AccountSettings, ProviderSettings, Settings, load
from schemas.errors import SettingsError

pytestmark = pytest.mark.unit

NAME = "RATCHET_PROVIDERS__STRIPE__SECRETS"
NOVEMBER = dt.datetime(2026, 11, 1, tzinfo=dt.UTC).timestamp()
DAY = 24 * 3600.0


def dated(secret: str, start: float | None = None, end: float | None = None) -> DatedSecret:
    times = [None if at is None else dt.datetime.fromtimestamp(at, dt.UTC) for at in (start, end)]
    return DatedSecret(secret=SecretStr(secret), not_before=times[0], not_after=times[1])


def test_texts_and_windows_stand_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    items = [
        {"secret": "whsec_next", "not_before": "2026-11-01T00:00:00Z"},
        {"secret": "whsec_last", "not_after": "2026-11-02T01:00:00+01:00"},
        "whsec_always",
    ]
    monkeypatch.setenv(NAME, json.dumps(items))
    monkeypatch.setenv("RATCHET_PROVIDERS__STRIPE__ACCOUNTS__ACME__SECRETS", json.dumps(items[:1]))
    settings = load()
    secrets = settings.providers["stripe"].secrets
    assert live_at(secrets, NOVEMBER - 1) == ("whsec_last", "whsec_always")
    assert live_at(secrets, NOVEMBER) == ("whsec_next", "whsec_last", "whsec_always")
    assert live_at(secrets, NOVEMBER + DAY) == ("whsec_next", "whsec_last", "whsec_always"), "an end belongs to it"
    assert live_at(secrets, NOVEMBER + DAY + 1) == ("whsec_next", "whsec_always")
    endpoint = open_endpoints(settings)["stripe", "acme"]
    assert (endpoint.live_secrets(NOVEMBER - 1), endpoint.live_secrets(NOVEMBER)) == ((), ("whsec_next",))
    assert "whsec_" not in repr(settings) + repr(endpoint)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"secret": "topsecret", "not_before": "2026-11-01T00:00:00"}, "NOT_BEFORE"),
        ({"secret": "topsecret", "not_after": "soon"}, "NOT_AFTER"),
        ({"secret": "topsecret", "until": 1}, "UNTIL"),
        ({"not_after": "2026-11-01T00:00:00Z"}, "SECRET"),
        ({"secret": "topsecret", "not_before": "2026-11-02T00:00:00Z", "not_after": "2026-11-01T00:00:00Z"}, "later"),
        (7, "SECRETS__0"),
    ],
)
def test_a_window_that_is_none_is_named_and_its_secret_is_not(
    monkeypatch: pytest.MonkeyPatch, item: object, expected: str
) -> None:
    monkeypatch.setenv(NAME, json.dumps([item]))
    with pytest.raises(SettingsError) as caught:
        load()
    assert NAME in str(caught.value)
    assert expected in str(caught.value)
    assert "topsecret" not in str(caught.value)


def findings(*secrets: SecretStr | DatedSecret) -> list[doctor.Finding]:
    account = AccountSettings(secrets=secrets)
    settings = Settings().model_copy(update={"providers": {"adyen": ProviderSettings(accounts={"ACME": account})}})
    return doctor_settings.secret_findings(settings, NOVEMBER)


def test_doctor_tells_of_secrets_that_end_within_a_fortnight() -> None:
    assert findings() == []
    assert findings(SecretStr("whsec_always"), dated("whsec_long", end=NOVEMBER + 15 * DAY)) == []
    (last,) = findings(dated("whsec_last", end=NOVEMBER + 13 * DAY))
    assert (last.check, last.ok, last.found) == ("secrets of adyen/ACME", False, "number 1 ends 2026-11-14 00:00 UTC")
    (rotating,) = findings(SecretStr("whsec_next"), dated("whsec_last", end=NOVEMBER + 13 * DAY))
    assert (rotating.ok, rotating.found) == (True, "number 2 ends 2026-11-14 00:00 UTC")
    (gap,) = findings(dated("whsec_last", end=NOVEMBER + DAY), dated("whsec_far", start=NOVEMBER + 20 * DAY))
    assert not gap.ok


def test_doctor_tells_of_an_endpoint_that_takes_nothing_now() -> None:
    (ended,) = findings(dated("whsec_old", end=NOVEMBER - DAY), dated("whsec_next", start=NOVEMBER + DAY))
    assert not ended.ok
    assert ended.found == "none is live now: every webhook is answered 401; number 1 ended 2026-10-31 00:00 UTC"
    assert "whsec" not in repr(ended)
