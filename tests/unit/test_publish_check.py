"""`ratchet publish --check` without brokers: what a record says, what is wrong with it, and how it is given."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from events import INTENT_ID, intent
from typer.testing import CliRunner

import providers
from ops.cli import app
from ops.publish_check import record_of
from schemas.commands import CommandRecord
from schemas.events import ALL

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
VALUE = intent().value or b""
REFUND = json.dumps({"id": str(INTENT_ID), "client": "shop", "command": "refund", "body": {}}).encode()
MISSPELT = REFUND.replace(b"{}", b'{"ammount": 100}')


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in [name for name in os.environ if name.startswith("RATCHET_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RATCHET_HOME", str(tmp_path))

    def run(content: bytes, *words: str) -> Any:
        (tmp_path / "record.json").write_bytes(content)
        return CliRunner().invoke(app, ["publish", "--check", str(tmp_path / "record.json"), *words])

    return run


def stated(result: Any) -> dict[str, Any]:
    return dict(json.loads(result.stdout))


def test_a_record_that_is_well_formed_would_be_taken(check: Any) -> None:
    result = check(VALUE + b"\n", "--json", "--header", f"ce_id={INTENT_ID}:create")
    found = stated(result)
    assert (result.exit_code, found["would"], found["topic"]) == (0, "take", "payments.intents")
    says = found["says"]
    assert (says["source"], says["event_id"]) == ("intents/shop", f"{INTENT_ID}:create")
    assert says["references"] == [{"kind": "id", "reference": str(INTENT_ID)}]
    assert says["facts"][0] == {"kind": "terms", "key": "intent", "state": "asked", "amount": 1000}
    assert [note.partition(";")[0] for note in found["notes"]] == ["it has no key"]


def test_a_record_that_is_wrong_says_what_to_mend_and_is_a_problem(check: Any) -> None:
    result = check(MISSPELT, "--json", "--header", "ce_id=1")
    found = stated(result)
    assert (result.exit_code, found["would"], found["outcome"], found["says"]) == (1, "illegal", "undecodable", None)
    assert "body.ammount: there is no such field; did you mean amount?" in found["why"]
    text = check(MISSPELT, "--header", "ce_id=1").stdout
    assert text.startswith("It would become a dead letter.\nundecodable: intent: body.ammount")


def test_what_is_right_and_may_be_meant_otherwise_is_noted(check: Any) -> None:
    text = check(REFUND, "--header", "ce_id=r-1").stdout
    assert "intent.refund r-1 of intents/shop" in text
    assert "Note: it names no amount: all that is left." in text
    assert "Note: it waits for the payment's create where that has not come." in text


def test_a_document_holds_topic_key_headers_and_value_byte_for_byte(check: Any) -> None:
    twice = REFUND.replace(b"{}", b'{"amount": 700, "amount": 900}')
    document = b'{"topic": "payments.intents", "key": "k", "headers": {"ce_id": "1"}, "value": %s}' % twice
    assert "amount stands twice" in stated(check(document, "--json"))["why"]
    record = record_of(document)
    assert (record.topic, record.key, record.value, record.headers) == (
        "payments.intents", b"k", twice, (("ce_id", b"1"),),
    )  # fmt: skip
    text = json.dumps({"key": "k", "headers": {"ce_id": None}, "value": REFUND.decode()}).encode()
    assert (record_of(text).value, record_of(text).headers) == (REFUND, (("ce_id", None),))
    assert record_of(b'{"key": "k", "value": null}').value is None
    assert record_of(text, headers=[("ce_id", "2")]).headers == (("ce_id", b"2"),)
    assert record_of(document, topic="payments.events").topic == "payments.events"


def test_a_value_that_is_framed_is_named(check: Any) -> None:
    found = stated(check(b"\x00\x00\x00\x00\x07" + VALUE, "--json"))
    assert "Confluent's wire format (byte 0, then schema id 7" in found["why"]


@pytest.mark.parametrize(
    "words",
    [
        ("--topic", "payments.webhooks"),
        ("--topic", "payments.dlq"),
        ("--header", "ce_id"),
        ("--books",),
    ],
)
def test_wrong_usage_is_2(check: Any, words: tuple[str, ...]) -> None:
    result = check(VALUE, *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1


def test_a_file_that_is_not_there_or_too_large_is_2(check: Any, tmp_path: Path) -> None:
    assert check(b"x" * (2 * 1024 * 1024 + 1)).exit_code == 2
    result = CliRunner().invoke(app, ["publish", "--check", str(tmp_path / "none.json")])
    assert (result.exit_code, "can't be read" in result.stderr) == (2, True)


PAGE = (ROOT / "docs" / "publish.md").read_text()
SHOWN = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
DOCUMENTS = [one for one in SHOWN if '"topic"' in one]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_page_on_publishing_shows_records_that_would_be_taken(check: Any, document: str) -> None:
    found = stated(check(document.encode(), "--json"))
    assert (found["would"], found["topic"]) == ("take", json.loads(document)["topic"])
    assert all("RATCHET_SOURCES" in note or "waits" in note for note in found["notes"])


def test_the_page_on_publishing_shows_a_command_as_an_executor_gets_it() -> None:
    (command,) = [json.loads(one) for one in SHOWN if one not in DOCUMENTS]
    CommandRecord.model_validate_json(json.dumps(command))
    assert set(command) == set(CommandRecord.model_fields)


def test_the_page_s_event_without_kafka_is_signed_and_read(tmp_path: Path) -> None:
    """Run the page's lines with a `curl` that writes down what it was given, and check that as the ingress does."""
    (script,) = [one for one in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) if "curl" in one]
    (tmp_path / "curl").write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" > '{tmp_path}/reported'\n")
    (tmp_path / "curl").chmod(0o755)
    secret = "whsec_" + base64.b64encode(bytes(range(250, 256)) + bytes(18)).decode()
    variables = {"SECRET": secret, "INGRESS": "http://ingress", "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["/bin/sh", "-eu", "-c", script], env=variables, check=True)
    reported = (tmp_path / "reported").read_text().splitlines()
    body = reported[reported.index("--data-binary") + 1]
    headers = dict(one.split(": ") for one in reported if one.startswith("webhook-"))
    (one,) = providers.verify(
        "standard_webhooks", headers=headers, body=body.encode(), url=reported[1], secrets=[secret], now=time.time()
    )
    assert (one.event_id, one.kind, reported[1]) == (
        "evt-2", "payment.captured", "http://ingress/webhooks/standard_webhooks/billing",
    )  # fmt: skip
    meaning = providers.interpret("standard_webhooks", one.kind or "", one.body)
    assert [(fact.kind, fact.amount) for fact in meaning.facts if fact.kind == "capture"] == [("capture", 1000)]


def test_the_page_on_publishing_names_every_type() -> None:
    assert len(DOCUMENTS) == 5
    rows = [line for line in (ROOT / "docs" / "publish.md").read_text().splitlines() if re.match(r"\| `[a-z]+\.", line)]
    named = set[str]()
    for row in rows:
        family = ""
        for name in re.findall(r"`([a-z_.]+)`", row.split("|")[1]):
            family = name.partition(".")[0] or family
            named.add(f"{family}{name}" if name.startswith(".") else name)
    assert named == set(ALL)


def test_an_event_is_kept_apart_from_a_command_by_its_type_and_its_source_is_looked_at(
    check: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = b'{"payment_id": "b-1", "id": "c-1", "amount": 1, "currency": "EUR"}'
    words = ("--header", "ce_id=1", "--header", "ce_source=billing", "--header", "ce_type=payment.captured", "--json")
    assert (stated(check(value, *words))["would"], stated(check(value, *words))["topic"]) == ("take", "payments.events")
    assert "neither RATCHET_SOURCES nor RATCHET_EXECUTORS is set here" in stated(check(value, *words))["notes"][-1]
    monkeypatch.setenv("RATCHET_SOURCES", '["pos"]')
    assert "is none of RATCHET_SOURCES (pos)" in stated(check(value, *words))["why"]
    monkeypatch.setenv("RATCHET_SOURCES", '["stripe"]')
    assert check(value, *words).exit_code == 2


def test_what_an_executor_may_publish_is_looked_at_where_only_executors_are_bound(
    check: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = b'{"payment_id": "b-1", "id": "c-1", "amount": 1, "currency": "EUR"}'
    words = ("--header", "ce_id=1", "--header", "ce_source=billing", "--header", "ce_type=payment.captured", "--json")
    monkeypatch.setenv("RATCHET_EXECUTORS", '{"pos": ["stripe"]}')
    assert all("neither" not in note for note in stated(check(value, *words))["notes"])


def test_a_header_s_value_may_have_an_equals_sign(check: Any) -> None:
    says = stated(check(REFUND, "--json", "--header", "ce_id=r=1"))["says"]
    assert says["event_id"] == "r=1"
    assert (says["provider"], says["account"], says["livemode"]) == (None, None, None), "a command is of a payment"


def test_the_record_may_come_from_standard_input() -> None:
    result = CliRunner().invoke(app, ["publish", "--check", "-", "--json"], input=VALUE)
    assert stated(result)["would"] == "take"
