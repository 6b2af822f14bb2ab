"""Each setting of the ingress reaches the part that it is of, an account's before its provider's."""

from __future__ import annotations

import dataclasses
from ipaddress import ip_network
from typing import Any

import pytest
from pydantic import SecretStr

from producers.ingress import app
from producers.ingress.endpoints import Endpoint, open_endpoints
from producers.ingress.http.protocol import HttpBounds, HttpConnections
from runtime.settings import IngressSettings, ProviderSettings, Settings
from schemas.errors import SettingsError

pytestmark = pytest.mark.unit

NETWORK, OTHER = ip_network("192.0.2.0/24"), ip_network("198.51.100.0/24")
RENAMED = {
    "deadline_seconds": "receipt_deadline_seconds",
    "head_bytes_max": "header_bytes_max",
    "head_fields_max": "header_fields_max",
}


def test_a_connection_has_the_bounds_of_the_settings() -> None:
    """Each figure is another one, so that none can stand in another's place."""
    names = {field.name: RENAMED.get(field.name, field.name) for field in dataclasses.fields(HttpBounds)}
    figures: dict[str, Any] = {name: 101 + number for number, name in enumerate(names.values())}
    figures |= {"trusted_proxies": (NETWORK,), "backlog_connections": 11, "keep_alive_seconds": 12, "drain_seconds": 13}
    ingress = IngressSettings(**figures)
    config = app._configuration(lambda *_: None, ingress)  # type: ignore[arg-type]
    connections: Any = config.http
    assert isinstance(connections, HttpConnections)
    bounds = connections._bounded.bounds
    assert {field: getattr(bounds, field) for field in names} == {field: figures[name] for field, name in names.items()}
    assert (config.backlog, config.timeout_keep_alive, config.timeout_graceful_shutdown) == (11, 12, 13)
    places = connections._bounded.places
    assert places._exempt("192.0.2.7")
    assert (places._connections_max, places._per_address_max) == (
        figures["connections_max"],
        figures["connections_per_address_max"],
    )


def endpoints(provider: str, **of_provider: Any) -> dict[str, Endpoint]:
    configured = ProviderSettings.model_validate(of_provider)
    found = open_endpoints(Settings().model_copy(update={"providers": {provider: configured}}))
    return {account: one for (_, account), one in found.items()}


def test_an_account_has_its_own_bounds_or_those_of_its_provider() -> None:
    found = endpoints(
        "stripe",
        secrets=["whsec_1"],
        source_networks=[str(NETWORK)],
        body_bytes_max=1000,
        accounts={
            "own": {"secrets": ["whsec_2"], "source_networks": [str(OTHER)], "body_bytes_max": 2000},
            "none": {"secrets": ["whsec_3"]},
        },
    )
    assert {name: (one.networks, one.body_bytes_max) for name, one in found.items()} == {
        "": ((NETWORK,), 1000),
        "own": ((OTHER,), 2000),
        "none": ((NETWORK,), 1000),
    }


@pytest.mark.parametrize(
    ("whole", "own", "taken"),
    [
        (None, None, True),
        (False, None, False),
        (None, False, False),
        (False, True, True),
        (True, False, False),
    ],
)
def test_an_account_says_itself_whether_it_takes_hints(*, whole: bool | None, own: bool | None, taken: bool) -> None:
    found = endpoints("mollie", unsigned=whole, accounts={"acme": {"secrets": ["mollie-secret"], "unsigned": own}})
    assert found["acme"].unsigned is taken


def test_a_provider_that_signs_takes_no_hints_unless_the_settings_say_so() -> None:
    assert not endpoints("stripe", secrets=["whsec_1"])[""].unsigned


def test_certificates_come_from_the_hosts_of_the_settings(tmp_path: Any) -> None:
    from tests.unit.test_ingress_certificates import ROOT

    roots = tmp_path / "roots.pem"
    roots.write_text(ROOT)
    own = endpoints("paypal", secrets=["id"], trust_roots=str(roots), certificate_hosts=["certs.example"])[""]
    assert (own.certificate_hosts, own.config["allowed_cert_hosts"]) == (("certs.example",), ("certs.example",))
    assert len(own.config["trust_roots"]) == 1, "these roots, and none of the system's"


def test_queries_are_of_the_account_that_can_ask_them() -> None:
    secret = "u7Jq2mX9cVb4RkTz8WpLn5Hs"
    accounts = {"asks": {"secrets": [secret], "api_initiator": "us"}, "not": {"secrets": [secret]}}
    found = endpoints("mpesa", secrets=[secret], accounts=accounts)
    assert {name: one.queries for name, one in found.items()} == {"": False, "asks": True, "not": False}


def test_each_secret_is_looked_at() -> None:
    with pytest.raises(SettingsError, match="secret 2 is no key of adyen"):
        endpoints("adyen", secrets=["aabb", "no hex"])
    with pytest.raises(SettingsError, match="ACCOUNTS__ACME"):
        endpoints("adyen", secrets=["aabb"], accounts={"acme": {"secrets": [SecretStr("no hex")]}})
