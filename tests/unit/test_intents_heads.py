"""The heads of intents requests: paths, API keys, Idempotency-Keys."""

from __future__ import annotations

import json
from uuid import UUID

import pytest
from pydantic import SecretStr

from producers.ingress.intents import keys, routes
from producers.ingress.intents.clients import Clients
from producers.ingress.intents.routes import ReadAction
from runtime.settings import load
from schemas.errors import SettingsError
from schemas.intents import Command
from schemas.problems import IDEMPOTENCY_KEY_MALFORMED, IDEMPOTENCY_KEY_MISSING

pytestmark = pytest.mark.unit

ID = UUID("0196f3c2-7b1e-7d3a-9c4f-0123456789ab")


@pytest.mark.parametrize(
    ("path", "action", "payment_id", "template"),
    [
        ("/payment-intents", Command.CREATE, None, "/payment-intents"),
        (f"/payment-intents/{ID}", ReadAction.PAYMENT, ID, "/payment-intents/{id}"),
        (f"/payment-intents/{str(ID).upper()}", ReadAction.PAYMENT, ID, "/payment-intents/{id}"),
        ("/payment-intents/urn:uuid:1", ReadAction.PAYMENT, None, "/payment-intents/{id}"),
        (f"/payment-intents/{ID.hex}", ReadAction.PAYMENT, None, "/payment-intents/{id}"),
        (f"/payment-intents/{ID}/timeline", ReadAction.TIMELINE, ID, "/payment-intents/{id}/timeline"),
        (f"/payment-intents/{ID}/capture", Command.CAPTURE, ID, "/payment-intents/{id}/capture"),
        (f"/payment-intents/{ID}/cancel", Command.CANCEL, ID, "/payment-intents/{id}/cancel"),
        (f"/payment-intents/{ID}/refunds", Command.REFUND, ID, "/payment-intents/{id}/refunds"),
    ],
)
def test_paths(path: str, action: object, payment_id: UUID | None, template: str) -> None:
    found = routes.parse(path)
    assert found is not None
    assert (found.action, found.payment_id, found.template) == (action, payment_id, template)
    assert found.methods == (("GET", "HEAD") if isinstance(action, ReadAction) else ("POST",))


@pytest.mark.parametrize(
    "path", ["/payment-intentsx", "/payment-intents/", f"/payment-intents/{ID}/", f"/payment-intents/{ID}/refund", "/"]
)
def test_what_is_no_path_of_the_api(path: str) -> None:
    assert routes.parse(path) is None


def test_a_payments_path_is_parsed_back() -> None:
    found = routes.parse(routes.path_of(ID))
    assert found is not None
    assert found.payment_id == ID


@pytest.mark.parametrize("form", [str(ID), str(ID).upper(), f'"{ID}"', f'  "{str(ID).upper()}"\t', f" {ID} "])
def test_all_spellings_of_a_key_are_one(form: str) -> None:
    assert keys.parse([form]) == ID


@pytest.mark.parametrize(
    "text",
    [
        "00000000-0000-0000-0000-000000000001",
        "6fa459ea-ee8a-1ca4-894e-db77e160355e",
        "f" * 8 + "-ffff" * 3 + "-" + "f" * 12,
    ],
)
def test_a_key_may_be_a_uuid_of_any_version(text: str) -> None:
    assert keys.parse([text]) == UUID(text)


@pytest.mark.parametrize("fields", [[], [""], [" "], ["", "\t"]])
def test_a_key_that_is_not_there(fields: list[str]) -> None:
    assert keys.parse(fields) is IDEMPOTENCY_KEY_MISSING


@pytest.mark.parametrize(
    "fields",
    [
        ["1"],
        [f'"{ID}'],
        [f'{ID}"'],
        [f"'{ID}'"],
        [ID.hex],
        [f"{{{ID}}}"],
        [f'"{ID}";a=1'],
        [str(ID)] * 2,
        ['""'],
        [f"{ID}\n"],
    ],
)
def test_a_key_that_is_no_uuid(fields: list[str]) -> None:
    assert keys.parse(fields) is IDEMPOTENCY_KEY_MALFORMED


def whole(word: str) -> str:
    """Return a key of the least length that begins with the word."""
    return word.ljust(24, "-")


@pytest.mark.parametrize("form", ["{}", '"{}"'])
def test_the_nil_uuid_is_no_key_and_names_no_payment(form: str) -> None:
    nil = UUID(int=0)
    assert keys.parse([form.format(nil)]) is IDEMPOTENCY_KEY_MALFORMED
    path = routes.parse(f"/payment-intents/{nil}/capture")
    assert path is not None
    assert path.payment_id is None


def clients(**keys_of: str | tuple[str, ...]) -> Clients:
    as_lists = {name: (reported,) if isinstance(reported, str) else reported for name, reported in keys_of.items()}
    return Clients({name: tuple(SecretStr(whole(key)) for key in reported) for name, reported in as_lists.items()})


def test_a_client_is_known_by_any_of_its_keys() -> None:
    known = clients(shop=("new", "old"), rival="other")
    assert [known.find([f"Bearer {whole(key)}"]) for key in ("new", "old", "other")] == ["shop", "shop", "rival"]
    assert known.find([f"bearer   {whole('new')} "]) == "shop"


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [whole("new")],
        ["Bearer"],
        ["Bearer "],
        ["Bearer new"],
        [f"Bearer {whole('new')} x"],
        [f"Bearer {whole('New')}"],
        [f"Basic {whole('new')}"],
        [f"Bearer {whole('new')}"] * 2,
        [f"Bearer {whole('ne')}\u00fc"],
    ],
)
def test_nobody_else_is(fields: list[str]) -> None:
    assert clients(shop="new").find(fields) is None


def test_without_clients_nobody_is_known() -> None:
    assert clients().find(["Bearer x"]) is None
    assert clients().find([]) is None


def test_keys_are_kept_as_digests_alone() -> None:
    known = clients(shop="sk_very_secret")
    assert whole("sk_very_secret") not in repr(vars(known))


@pytest.mark.parametrize("key", ["", "x" * 23, f"two {'x' * 24}", f"k\u00e9y{'x' * 24}", "x" * 513, f"{'x' * 24}\n"])
def test_a_key_that_cannot_be_sent_refuses_to_start_and_is_not_shown(key: str) -> None:
    with pytest.raises(SettingsError, match="RATCHET_API_KEYS: a key of 'shop'") as refused:
        Clients({"shop": (SecretStr(key),)})
    assert not key or key not in str(refused.value)


def test_two_clients_never_share_a_key() -> None:
    with pytest.raises(SettingsError, match="'rival' shares a key"):
        clients(shop="same", rival="same")
    assert clients(shop=("same", "same")).find([f"Bearer {whole('same')}"]) == "shop"


def test_keys_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    reported = {"shop": whole("one"), "rival": [whole("new"), whole("old")]}
    monkeypatch.setenv("RATCHET_API_KEYS", json.dumps(reported))
    settings = load()
    known = Clients(settings.api_keys)
    assert [known.find([f"Bearer {whole(key)}"]) for key in ("one", "new", "old")] == ["shop", "rival", "rival"]
    assert not any(whole(key) in repr(settings) for key in ("one", "new", "old"))


@pytest.mark.parametrize(
    "expected", ['{"Shop": "sesame"}', '{"shop": []}', '{"shop": {"secret": "sesame"}}', '["sesame"]']
)
def test_a_bad_table_of_keys_refuses_to_start_and_shows_none(monkeypatch: pytest.MonkeyPatch, expected: str) -> None:
    monkeypatch.setenv("RATCHET_API_KEYS", expected)
    with pytest.raises(SettingsError, match="RATCHET_API_KEYS") as refused:
        load()
    assert "sesame" not in str(refused.value)
