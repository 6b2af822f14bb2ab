"""What the settings say of endpoints and clients: who may name which account, in which mode, captured how."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

import providers
from runtime.settings import AccountSettings, ClientSettings, ProviderSettings, Settings, load
from runtime.settings.scopes import DEFAULT_TERMS, Scopes, scopes_of
from schemas.errors import SettingsError

pytestmark = pytest.mark.unit

ADYEN = {
    "mode": "test",
    "capture": "automatic",
    "accounts": {
        "ACME": {"secrets": ["aa"], "mode": "live", "merchant_accounts": ["AcmeShop"]},
        "idle": {"unsigned": True},
    },
}
STRIPE = {"secrets": ["whsec_1"]}


def scopes(**clients: list[str]) -> Scopes:
    found = {"adyen": ProviderSettings.model_validate(ADYEN), "Stripe": ProviderSettings.model_validate(STRIPE)}
    return Scopes(found, {name: ClientSettings(accounts=tuple(own)) for name, own in clients.items()})


def test_an_account_without_its_own_terms_has_its_providers() -> None:
    found = scopes()
    acme, idle = found.terms("adyen", "acme"), found.terms("Adyen", "IDLE")
    assert (acme.livemode, acme.capture, acme.unsigned, acme.merchant_accounts) == (
        True, "automatic", None, ("AcmeShop",),
    )  # fmt: skip
    assert (idle.livemode, idle.capture, idle.unsigned) == (False, "automatic", True)
    assert found.terms("mollie", "") == DEFAULT_TERMS == found.terms("stripe", "")


def test_an_account_of_a_provider_may_say_otherwise() -> None:
    whole = ProviderSettings.model_validate({"unsigned": True, "accounts": {"acme": {"unsigned": False}}})
    found = Scopes({"mollie": whole}, {})
    assert (found.terms("mollie", "").unsigned, found.terms("mollie", "acme").unsigned) == (True, False)


def test_only_what_has_a_secret_or_a_key_is_configured() -> None:
    found = scopes()
    assert [found.is_configured(*one) for one in (("stripe", ""), ("adyen", "ACME"), ("adyen", ""), ("adyen", "idle"))]\
        == [True, True, False, False]  # fmt: skip
    by_key = Scopes({"mollie": ProviderSettings(api_key=SecretStr("live"))}, {})
    assert by_key.is_configured("mollie", "")


def test_a_client_may_use_its_own_accounts_alone() -> None:
    found = scopes(shop=["Stripe", "adyen/acme"], narrow=["adyen/acme"], nothing=[])
    asked = (("stripe", ""), ("adyen", "acme"), ("adyen", ""), ("stripe", "acme"))
    reported = {
        client: [found.may_use(client, *one) for one in asked] for client in ("shop", "narrow", "nothing", "new")
    }
    assert reported == {
        "shop": [True, True, False, False],
        "narrow": [False, True, False, False],
        "nothing": [False] * 4,
        "new": [True] * 4,
    }
    assert [found.may_own("new", *one) for one in asked] == [True, True, False, False]
    assert [found.may_own("narrow", *one) for one in asked] == [False, True, False, False]


def test_who_knows_no_endpoint_looks_at_the_clients_list_alone() -> None:
    blind = Scopes({}, {"shop": ClientSettings(accounts=("stripe",))})
    assert blind.may_own("shop", "stripe", "")
    assert not blind.may_own("shop", "adyen", "")
    assert blind.may_own("other", "adyen", "")


def test_a_list_that_names_what_is_not_there_is_found() -> None:
    assert scopes(shop=["stripe", "stripe/x", "paypal"], other=["stripe"]).not_configured() == {
        "shop": ["paypal", "stripe/x"]
    }


def test_the_environment_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("RATCHET_CLIENTS__SHOP__ACCOUNTS", '["stripe","adyen/Acme"]'),
        ("RATCHET_PROVIDERS__ADYEN__CAPTURE", "automatic"),
        ("RATCHET_PROVIDERS__ADYEN__ACCOUNTS__ACME__MODE", "test"),
        ("RATCHET_PROVIDERS__MOLLIE__UNSIGNED", "false"),
    ):
        monkeypatch.setenv(name, value)
    found = scopes_of(load())
    assert found.may_use("shop", "adyen", "acme")
    assert not found.may_use("shop", "adyen", "")
    terms = found.terms("adyen", "acme")
    assert (terms.livemode, terms.capture) == (False, "automatic")
    assert found.terms("mollie", "").unsigned is False


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RATCHET_CLIENTS__SHOP__ACCOUNTS", '["stripe/a/b"]'),
        ("RATCHET_CLIENTS__SHOP__ACCOUNTS", '[""]'),
        ("RATCHET_CLIENTS__SHOP__KEYS", "[]"),
        ("RATCHET_PROVIDERS__ADYEN__MODE", "sandbox"),
        ("RATCHET_PROVIDERS__ADYEN__CAPTURE", "late"),
    ],
)
def test_what_can_not_be_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        scopes_of(load())


def test_services_and_executors_are_named_with_their_accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_SOURCES", '["billing", "pos"]')
    monkeypatch.setenv("RATCHET_EXECUTORS", '{"gateway": ["Stripe", "adyen/ACME"]}')
    found = scopes_of(load())
    assert found.sources == {"billing", "pos"}
    assert found.executors == {"gateway": {"stripe", "adyen/acme"}}
    for name, value in (("SOURCES", '["Billing Service"]'), ("EXECUTORS", '{"gateway": ["a/b/c"]}')):
        monkeypatch.setenv(f"RATCHET_{name}", value)
        with pytest.raises(SettingsError, match=f"RATCHET_{name}"):
            load()
        monkeypatch.delenv(f"RATCHET_{name}")


def test_doctor_says_who_shares_and_what_is_open() -> None:
    from ops.doctor_settings import scope_findings
    from runtime.settings import Settings

    keys = {name: (SecretStr(name * 10),) for name in ("shop", "rival")}
    found = {"adyen": ProviderSettings.model_validate({"secrets": ["aa"]})}
    reported = scope_findings(
        Settings(providers=found, api_keys=keys, clients={"shop": ClientSettings(accounts=("x",))})
    )
    assert [(one.check, one.ok) for one in reported] == [
        ("accounts of client shop", False),
        ("accounts of clients", True),
        ("capture of adyen", True),
    ]
    assert "rival" in reported[1].found
    assert "shop" not in reported[1].found
    quiet = {"adyen": ProviderSettings.model_validate({"secrets": ["aa"], "capture": "manual"})}
    assert scope_findings(Settings(providers=quiet, api_keys={"shop": keys["shop"]})) == []


def test_doctor_warns_of_each_account_that_several_clients_list() -> None:
    """The first intent that fits owns a payment: so these clients share their customers' money."""
    from ops.doctor_settings import scope_findings
    from runtime.settings import Settings

    def reported(**clients: tuple[str, ...]) -> list[str]:
        found = {
            "stripe": ProviderSettings.model_validate(STRIPE),
            "adyen": ProviderSettings.model_validate({**ADYEN, "secrets": ["aa"]}),
        }
        own = {name: ClientSettings(accounts=accounts) for name, accounts in clients.items()}
        findings = scope_findings(Settings(providers=found, clients=own))
        return [one.found for one in findings if one.check == "shared accounts" and one.ok and one.advice]

    assert reported(shop=("Stripe", "adyen/acme"), mall=("stripe",), rival=("adyen",)) == [
        "stripe is listed by mall, shop"
    ]
    assert reported(shop=("stripe", "adyen/ACME"), mall=("stripe", "Adyen/acme", "stripe")) == [
        "adyen/acme is listed by mall, shop; stripe is listed by mall, shop"
    ]
    assert reported(shop=("stripe",), rival=("adyen",)) == []


def test_doctor_tells_whose_commands_nobody_may_answer() -> None:
    from ops.doctor_settings import executor_findings
    from runtime.settings import Settings

    keys = {"shop": (SecretStr("shop" * 10),)}
    endpoint = {"secrets": ["aa"], "accounts": {"ACME": {"secrets": ["bb"]}}}
    found = {"stripe": ProviderSettings.model_validate(endpoint)}
    assert executor_findings(Settings(providers=found)) == []
    (reported,) = executor_findings(Settings(providers=found, api_keys=keys, executors={"gateway": ("stripe",)}))
    assert (reported.ok, reported.found) == (True, "nobody may answer commands for: stripe/acme")
    both = {"gateway": ("stripe", "stripe/acme")}
    assert executor_findings(Settings(providers=found, api_keys=keys, executors=both)) == []
    as_written = {"gateway": ("Stripe", "stripe/ACME")}
    assert executor_findings(Settings(providers=found, api_keys=keys, executors=as_written)) == []


def test_an_endpoint_that_can_not_be_asked_for_what_never_came_is_a_problem() -> None:
    from ops.doctor_settings import recall_findings

    key, secret = SecretStr("k"), SecretStr("s" * 24)
    found = {
        "stripe": ProviderSettings(secrets=(secret,), api_key=key, recall=True),
        "paypal": ProviderSettings(secrets=(secret,), api_key=key, recall=True),
        "adyen": ProviderSettings(recall=True, accounts={"acme": AccountSettings(secrets=(secret,))}),
        "mollie": ProviderSettings(secrets=(secret,)),
    }
    reported = {one.check: (one.ok, one.found) for one in recall_findings(Settings(providers=found))}
    assert reported.keys() == {"recall of paypal", "recall of adyen/acme"}
    assert reported["recall of paypal"] == (False, "set API_SECRET of RATCHET_PROVIDERS__PAYPAL")
    assert "adyen has no list that could be asked; " in reported["recall of adyen/acme"][1]


def test_doctor_tells_which_webhooks_say_nothing_of_money_without_an_api_key() -> None:
    from ops.doctor_settings import api_findings

    key, secret = SecretStr("k"), SecretStr("s" * 24)
    found = {
        "stripe": ProviderSettings(
            secrets=(secret,), accounts={"ACME": AccountSettings(secrets=(secret,), api_key=key)}
        ),
        "mollie": ProviderSettings(accounts={"shop": AccountSettings()}),
        "flutterwave": ProviderSettings(secrets=(secret,), api_key=key),
        "mpesa": ProviderSettings(secrets=(secret,), api_key=key),
        "square": ProviderSettings(secrets=(secret,)),
        "github": ProviderSettings(secrets=(secret,)),
    }
    reported = {one.check: one for one in api_findings(Settings(providers=found))}
    assert reported.keys() == {"API of stripe", "API of mollie/shop", "API of mpesa"}
    assert all(one.ok for one in reported.values()), "a warning: nothing is broken"
    stripe = reported["API of stripe"]
    assert stripe.found == "api_key is not set: thin events name what they are about and tell nothing of its money"
    assert "RATCHET_PROVIDERS__STRIPE__API_KEY" in stripe.advice
    assert reported["API of mollie/shop"].found.startswith("api_key is not set: ")
    assert "RATCHET_PROVIDERS__MOLLIE__ACCOUNTS__SHOP__API_KEY" in reported["API of mollie/shop"].advice
    assert reported["API of mpesa"].found.startswith("api_secret, api_merchant are not set: ")


def test_doctor_shows_them_among_the_settings() -> None:
    from ops.doctor_settings import configuration

    settings = Settings(providers={"stripe": ProviderSettings(secrets=(SecretStr("s" * 24),))})
    assert "API of stripe" in {one.check for one in configuration(settings)}


@pytest.mark.parametrize("name", sorted(providers.paying()))
def test_whoever_takes_hints_says_why_its_webhooks_need_the_api(name: str) -> None:
    """A hint moves nothing, and what a thin event asks for the API alone shows."""
    found = providers.find(name)
    assert found is not None
    if found.named is not None:
        assert found.learned_by_api
    assert not found.learned_by_api or found.refetch is not None
