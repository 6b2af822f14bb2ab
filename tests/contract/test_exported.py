"""The exported contracts: of one mind with the code, valid by the official schemas, and true of real records."""

from __future__ import annotations

import base64
import copy
import datetime as dt
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import jsonschema_rs
import pytest
import yaml
from typer.testing import CliRunner

from ops.cli import app
from ops.schema_commands import files
from producers.ingress.intents.queued import Asking, record_of
from producers.ingress.publishing import records
from producers.relay.records import change_of, command_of, letter_of, state_of
from providers.core.contract import Notification, Trust
from schemas import header_shapes, topics
from schemas.dead_letter import Reason
from schemas.intents import COMMAND_BODIES, Command
from schemas.topics import INTENTS, WEBHOOKS

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "schemas" / "exported"
OFFICIAL = Path(__file__).parent / "official"
SCHEMAS = sorted(path.stem for path in (KEPT / "json-schema").iterdir())
NOW = dt.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=dt.UTC)
PAYMENT = UUID("01890000-0000-7000-8000-000000000001")
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
BODIES: dict[Command, list[dict[str, Any]]] = {
    Command.CREATE: [
        {"amount": 100, "currency": "EUR", "provider": "stripe"},
        {
            "amount": 1, "currency": "JPY", "provider": "adyen", "account": "ACME", "reference": "ORD-1",
            "provider_ref": "x", "capture": "automatic", "phone": "+31612345678", "metadata": {"a": [1, {"b": None}]},
        },
    ],
    Command.CAPTURE: [{}, {"amount": 5, "currency": "EUR"}],
    Command.CANCEL: [{}, {"reason": "the customer asked"}],
    Command.REFUND: [{}, {"amount": 5, "reason": ""}],
}  # fmt: skip
CHANGE = {
    "payment_id": PAYMENT, "version": 4, "source": "adyen/acme", "event_id": 'e"1ü', "event_type": "CAPTURE",
    "outcome": "late", "from_status": None, "to_status": "captured", "event_amount": 10**15,
    "occurred_at": None, "recorded_at": NOW, "provider": "adyen", "account": "acme", "merchant_account": "Shop",
    "livemode": True, "provider_ref": "PAY", "reference": None, "client": None, "status": "captured",
    "refund_status": "none", "dispute_status": "none", "currency": "EUR", "amount": 10**15, "authorized": 10**15,
    "captured": 10**15, "refunded": 0, "disputed": 0, "flags": [], "intent_id": None, "merged_into": None,
    "metadata": '{"cart": 7}', "created_at": NOW, "epoch": 1_790_000_000,
}  # fmt: skip
LETTER = {
    "topic": "payments.webhooks", "partition": 2, "offset": 2**40, "timestamp_ms": 1_767_323_045_678, "key": b"k",
    "value": b"\xff", "message": "no JSON", "reason": "undecodable", "delivery_count": 1, "redrive_count": 3,
    "header_names": [b"ce_id"], "header_values": [b"evt_1"], "digest": bytes(32), "value_left_out": False,
}  # fmt: skip


@cache
def exported() -> dict[str, str]:
    """Return the files as the code writes them; made by the first test that asks, as they take a second to make."""
    return files()


@cache
def asyncapi() -> Any:
    return yaml.load(exported()["asyncapi.yaml"], getattr(yaml, "CSafeLoader", yaml.SafeLoader))


@cache
def schema(name: str) -> Any:
    return json.loads(exported()[f"json-schema/{name}.json"])


def official(name: str) -> Any:
    return jsonschema_rs.validator_for(json.loads((OFFICIAL / f"{name}.json").read_text()))


def binary() -> set[str]:
    """Return the headers whose values are bytes, by the exported schema."""
    properties = header_shapes.dead_letter()["properties"]
    return {name for name, shape in properties.items() if "contentEncoding" in shape}


def as_json(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, str]:
    """Return headers as their schema has them: text, and base64 where the value is bytes."""
    return {
        name: base64.b64encode(value).decode() if name in binary() else value.decode()
        for name, value in headers
        if value is not None
    }


def complaints(name: str, value: Any) -> list[str]:
    validator = jsonschema_rs.validator_for(schema(name), validate_formats=True)
    return [error.message for error in validator.iter_errors(value)]


def test_the_kept_copies_are_what_the_code_says() -> None:
    kept = {str(path.relative_to(KEPT)): path.read_text() for path in KEPT.rglob("*.*") if path.is_file()}
    advice = "run `ratchet schema export schemas/exported`"
    assert sorted(kept) == sorted(exported()), advice
    assert [name for name, text in exported().items() if kept[name] != text] == [], advice


def test_the_command_writes_them(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["schema", "export", str(tmp_path / "new"), "--json"])
    assert result.exit_code == 0, result.output
    assert sorted(json.loads(result.stdout)["written"]) == sorted(exported())
    assert {name: (tmp_path / "new" / name).read_text() for name in exported()} == exported()
    elsewhere = CliRunner().invoke(app, ["schema", "export", str(tmp_path), "--server-url", "https://pay.example"])
    assert elsewhere.exit_code == 0
    assert json.loads((tmp_path / "openapi.json").read_text())["servers"] == [{"url": "https://pay.example"}]


def test_a_folder_that_is_a_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    result = CliRunner().invoke(app, ["schema", "export", str(tmp_path / "taken")])
    assert result.exit_code == 2
    assert "can't be written to" in result.stderr


def test_openapi_is_valid() -> None:
    assert list(official("openapi-3.1").iter_errors(json.loads(exported()["openapi.json"]))) == []


def test_asyncapi_is_valid() -> None:
    assert list(official("asyncapi-3.0.0").iter_errors(asyncapi())) == []


@pytest.mark.parametrize(
    "path",
    [
        ("operations", "publishWebhook", "action"),
        ("channels", "webhooks", "bindings", "kafka", "topicConfiguration", "retention.ms"),
        ("components", "schemas", "Change", "type"),
        ("components", "messages", "Intent", "bindings", "kafka", "bindingVersion"),
    ],
)
def test_the_official_schema_sees_what_is_wrong(path: tuple[str, ...]) -> None:
    broken = copy.deepcopy(asyncapi())
    place = broken
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = "wrong"
    assert not official("asyncapi-3.0.0").is_valid(broken)


def test_every_topic_is_a_channel_with_its_settings() -> None:
    found = {channel["address"]: channel["bindings"]["kafka"] for channel in asyncapi()["channels"].values()}
    assert set(found) == {topic.name for topic in topics.ALL}
    for topic in topics.ALL:
        settings = found[topic.name]["topicConfiguration"]
        assert (settings["retention.ms"], settings["max.message.bytes"]) == (topic.retention_ms, topic.record_bytes_max)
        assert settings["cleanup.policy"] == ["compact" if topic.compacted else "delete"]


def test_every_reference_of_asyncapi_leads_somewhere() -> None:
    references: list[str] = []

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            references.extend([node["$ref"]] if isinstance(node.get("$ref"), str) else [])
        for member in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            walk(member)

    walk(asyncapi())
    assert references
    for reference in references:
        place: Any = asyncapi()
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_json_schema_is_one(name: str) -> None:
    jsonschema_rs.meta.validate(schema(name))
    jsonschema_rs.validator_for(schema(name))
    assert schema(name)["$id"] == f"urn:ratchet:schema:{name}"


@pytest.mark.parametrize("trace", [None, TRACE])
@pytest.mark.parametrize("event_id", ["evt_1", None])
def test_records_of_the_ingress_fit(trace: str | None, event_id: str | None) -> None:
    arrival = records.Arrival("stripe/acme", 1_700_000_000.25, "application/json", trace)
    found = Notification(event_id=event_id, kind=None, payment_ref=None, body=b"{}", trust=Trust.HINT)
    (record,) = records.build([found], arrival, WEBHOOKS.name)
    headers = as_json(record.headers)
    assert complaints("webhook-headers", headers) == []
    assert ("traceparent" in headers) is (trace is not None)
    assert set(headers) <= set(schema("webhook-headers")["properties"])
    assert complaints("webhook-headers", headers | {"ce_ratchettrust": "maybe"})
    assert complaints("webhook-headers", {name: headers[name] for name in headers if name != "ce_id"})


@pytest.mark.parametrize(("command", "body"), [(command, body) for command in Command for body in BODIES[command]])
def test_records_of_the_intents_fit(command: Command, body: dict[str, Any]) -> None:
    asking = Asking("shop", UUID(int=1), 1_700_000_000.0, TRACE)
    checked = COMMAND_BODIES[command].model_validate(body).model_dump(mode="json", exclude_unset=True)
    record = record_of(asking, command, PAYMENT, checked, event_id="e", key="k", topic=INTENTS.name)
    value = json.loads(record.value)
    assert complaints("intent-record", value) == []
    assert complaints("intent-headers", as_json(record.headers)) == []
    assert complaints("intent-record", value | {"body": value["body"] | {"amount": -1}})
    assert complaints("intent-record", value | {"id": "no-uuid"})
    assert complaints("intent-record", value | {"more": 1})


def test_a_body_belongs_to_its_command() -> None:
    value = {"id": str(PAYMENT), "client": "shop", "command": "cancel", "body": {"amount": 5}}
    assert complaints("intent-record", value)
    assert complaints("intent-record", value | {"command": "refund"}) == []


@pytest.mark.parametrize("trace", [None, TRACE])
def test_changes_fit(trace: str | None) -> None:
    record = change_of(CHANGE | {"traceparent": trace})
    assert record is not None
    value, headers = json.loads(record.value or b""), as_json(record.headers)
    assert complaints("change", value) == complaints("change-headers", headers) == []
    assert set(headers) <= set(schema("change-headers")["properties"])
    for wrong in ({"version": 0}, {"outcome": "done"}, {"payment_id": "x"}, {"recorded_at": "today"}):
        assert complaints("change", value | wrong), wrong
    assert complaints("change", value | {"more": 1}) == [], "a field may be added"


def test_states_fit() -> None:
    record = state_of(CHANGE)
    assert record is not None
    value, headers = json.loads(record.value or b""), as_json(record.headers)
    assert complaints("state", value) == complaints("state-headers", headers) == []
    assert set(headers) == set(schema("state-headers")["properties"])
    assert complaints("state", {name: value[name] for name in value if name != "version"})
    assert complaints("state-headers", headers | {"ce_type": "payment.changed"})


@pytest.mark.parametrize("trace", [None, TRACE])
def test_commands_fit(trace: str | None) -> None:
    cancel = {
        "payment_id": PAYMENT, "attempt_id": PAYMENT, "command_id": "c1", "client": "shop", "command": "cancel",
        "provider": "adyen", "account": "", "merchant_account": "Shop", "livemode": True, "provider_ref": None,
        "reference": None, "currency": None, "amount": None, "reason": "late", "metadata": None,
        "asked_at": NOW, "expires_at": NOW, "traceparent": trace, "due": True,
    }  # fmt: skip
    for row in (cancel, cancel | {"command": "refund", "amount": 5, "currency": "EUR", "metadata": '{"cart": 7}'}):
        record = command_of(row)
        assert record is not None
        value, headers = json.loads(record.value or b""), as_json(record.headers)
        assert complaints("command-record", value) == complaints("command-headers", headers) == []
        assert set(headers) <= set(schema("command-headers")["properties"])
        for wrong in ({"command": "create"}, {"amount": 0}, {"attempt_id": None}, {"expires_at": "today"}):
            assert complaints("command-record", value | wrong), wrong
        assert complaints("command-record", value | {"more": 1}) == [], "a field may be added"
        assert complaints("command-headers", headers | {"ce_type": "command.create"})


@pytest.mark.parametrize("reason", list(Reason))
def test_dead_letters_fit_and_have_every_header(reason: Reason) -> None:
    headers = as_json(letter_of(LETTER | {"reason": reason.value}).headers)
    assert complaints("dead-letter-headers", headers) == []
    left_out = {"ratchet-dlq-truncated", "ratchet-dlq-digest"}
    assert set(headers) - {"ce_id"} | left_out == set(schema("dead-letter-headers")["properties"])
    smaller = as_json(letter_of(LETTER | {"reason": reason.value, "value_left_out": True}).headers)
    assert left_out <= set(smaller)
    assert complaints("dead-letter-headers", smaller) == []
    assert complaints("dead-letter-headers", headers | {"ratchet-dlq-reason": "bad luck"})
    assert complaints("dead-letter-headers", headers | {"kafka_dlt-original-offset": "AAAA"})
    assert complaints("dead-letter-headers", headers | {"__dlq.errors.offset": "-1"})


def test_each_command_is_a_shape_of_its_own_of_which_generators_make_a_type() -> None:
    """A body that hangs on `if` and `then` is any object to them."""
    found = schema("intent-record")
    shapes = [one["$ref"].rpartition("/")[2] for one in found["$defs"]["IntentRecord"]["oneOf"]]
    reported = {shape: found["$defs"][shape]["properties"] for shape in shapes}
    bodies = {of["command"]["const"]: of["body"]["$ref"].rpartition("/")[2] for of in reported.values()}
    assert bodies == {command.value: body.__name__ for command, body in COMMAND_BODIES.items()}
    assert "allOf" not in json.dumps(found)


@pytest.mark.parametrize("name", ["change", "state"])
def test_what_is_read_may_gain_a_field(name: str) -> None:
    shape = schema(name)["$defs"][name.title()]
    assert shape.get("additionalProperties", True) is True
