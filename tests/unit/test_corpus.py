"""Reading a folder of payloads: every event is found, shown, joined and counted."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest

import providers
from consumer.fold import newer
from ops import corpus
from ops.corpus import main
from ops.literals import DEPTH_MAX, TEXT_LENGTH_MAX, mappings_in

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


_AT = "new Date(1, 2).toISOString()"


def one_of_money(name: str) -> bool:
    provider = providers.find(name)
    return provider is not None and provider.catalogue is not None


def item(code: str, own: str, **fields: object) -> dict[str, object]:
    return {
        "eventCode": code,
        "pspReference": own,
        "success": "true",
        "amount": {"value": 1000, "currency": "EUR"},
        **fields,
    }


def test_a_folder_is_read_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paid = {"live": "false", "notificationItems": [{"NotificationRequestItem": item("AUTHORISATION", "PAY")}]}
    (tmp_path / "paid.json").write_text(json.dumps(paid))
    (tmp_path / "deep").mkdir()
    taken = item("CAPTURE", "CAP", originalReference="PAY")
    odd = [taken, item("TELEPORT", "PAY"), item("REPORT_AVAILABLE", "R")]
    (tmp_path / "deep" / "more.json").write_text(json.dumps(odd))
    (tmp_path / "broken.json").write_text("{")
    main("adyen", tmp_path)
    shown = capsys.readouterr().out
    assert "broken.json: no JSON" in shown
    assert "deep/more.json: TELEPORT: unknown_kind" in shown
    assert "['PAY']: captured refunds none dispute none amount 1000 authorized 1000 captured 1000" in shown
    assert shown.splitlines()[-1] == str({"facts": 2, "unknown_kind": 1, "nothing": 1})
    assert "differs" not in shown


def test_rows_that_differ_in_the_reverse_order_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [item("AUTHORISATION", "PAY"), item("CAPTURE", "CAP", originalReference="PAY")]
    (tmp_path / "items.json").write_text(json.dumps(items))
    monkeypatch.setattr(corpus, "newer", lambda known, facts: {} if known else newer(known, facts))
    corpus.main("adyen", tmp_path)
    shown = capsys.readouterr().out
    assert shown.count("differs in the reverse order: ['PAY']") == 2
    assert len({line.split(":")[0] for line in shown.splitlines() if line.startswith("differs in order")}) > 1


def test_payloads_inside_pages_and_without_a_kind_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    order = {"id": 1, "financial_status": "paid", "total_price": "10.00", "currency": "EUR"}
    (tmp_path / "orders.md").write_text(f"An order {{is}}:\n```\n{json.dumps(order, indent=2)}\n```\n")
    main("shopify", tmp_path)
    assert "orders.md: orders/updated: facts: payment=1" in capsys.readouterr().out


def test_a_kind_of_two_parts_is_read_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    event = {"id": "EV1", "resource_type": "payments", "action": "confirmed", "links": {"payment": "PM1"}}
    (tmp_path / "events.json").write_text(json.dumps({"events": [event]}))
    main("gocardless", tmp_path)
    assert "events.json: payments.confirmed: facts: payment=PM1" in capsys.readouterr().out


def test_answers_of_an_api_are_read_where_the_webhook_only_names_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    payment = {"resource": "payment", "id": "tr_1", "mode": "test", "status": "paid", "profileId": "pfl_1"}
    payment |= {"amount": {"value": "10.00", "currency": "EUR"}}
    (tmp_path / "mollie.json").write_text(json.dumps([payment, {"resource": "payment", "status": "paid"}]))
    main("mollie", tmp_path)
    assert "mollie.json: refetch.payment: facts: payment=tr_1" in capsys.readouterr().out
    transaction = {"id": 7, "tx_ref": "ORD-1", "amount": 5, "currency": "NGN", "status": "successful"}
    answers = [{"status": "success", "message": "fetched", "data": data} for data in (transaction, [], {"id": 7})]
    (tmp_path / "mollie.json").write_text(json.dumps(answers))
    main("flutterwave", tmp_path)
    assert capsys.readouterr().out.splitlines()[-1] == "{'facts': 1}"


def test_both_versions_of_flutterwave_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fourth = {"id": "chg_1", "reference": "ORD-1", "amount": 5, "currency": "NGN", "status": "succeeded"}
    third = {"id": 7, "tx_ref": "ORD-2", "amount": 5, "currency": "NGN", "status": "successful"}
    events = [{"webhook_id": "wbk_1", "type": "charge.completed", "data": fourth}]
    events.append({"event": "charge.completed", "data": third})
    (tmp_path / "events.json").write_text(json.dumps(events))
    main("flutterwave", tmp_path)
    assert capsys.readouterr().out.splitlines()[-1] == "{'facts': 2}"


def test_documents_of_xml_are_found_bare_in_a_form_and_as_its_fields(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = "<notification><kind>{}</kind><subject>{}</subject></notification>"
    sale = "<transaction><id>{}</id><amount>10.00</amount><currency-iso-code>USD</currency-iso-code></transaction>"
    paid = [document.format("transaction_disbursed", sale.format(name)) for name in ("one", "two", "three")]
    payloads = [base64.encodebytes(one.encode()).decode() for one in paid]
    (tmp_path / "fields.json").write_text(json.dumps([{"bt_signature": "a|b", "bt_payload": payloads[0]}, {"a": 1}]))
    (tmp_path / "form.txt").write_text(
        f"curl -d '{urlencode({'bt_signature': 'a|b', 'bt_payload': payloads[1]})}' host"
    )
    (tmp_path / "test.rb").write_text(f"a = '{paid[2]}'\nb = '{document.format('#{kind}', '')}'")
    assert main("braintree", tmp_path) == 0
    shown = capsys.readouterr().out
    for name in ("one", "two", "three"):
        assert f"['{name}']: captured refunds none dispute none amount 1000" in shown
    assert [line for line in shown.splitlines() if line.endswith(" read")] == [
        "fields.json: 1 read",
        "form.txt: 1 read",
        "test.rb: 1 read",
    ]
    assert shown.splitlines()[-2:] == ["3 events in 3 of 3 files", "{'facts': 3}"]


@pytest.mark.parametrize("provider", sorted(name for name in providers.names() if one_of_money(name)))
def test_a_folder_without_an_event_of_the_provider_is_a_failure(
    provider: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "package.json").write_text('{"name": "a shop"}')
    assert main(provider, tmp_path) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"corpus: {tmp_path}: no event of {provider} in 1 files\n"


@pytest.mark.parametrize(("provider", "folder"), [("strip", "."), ("stripe", "nowhere"), ("twilio", ".")])
def test_what_is_not_there_is_named(
    provider: str, folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(provider, tmp_path / folder) == 2
    assert capsys.readouterr().err.startswith("corpus: ")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('x = {"a": 1, "b": [1, {"c": None}], **base, "d": 1_000}', [{"a": 1, "b": [1, {"c": None}], "d": 1000}]),
        ("{:a => 1, 'b' => nil, c: 'x'}", [{"a": 1, "b": None, "c": "x"}]),
        ("['a' => 1, 'b' => array('c' => TRUE)]", [{"a": 1, "b": {"c": True}}]),
        ("{ a: 1, ...rest, id, at: new Date(1, 2).toISOString(), }", [{"a": 1, "id": "id", "at": _AT}]),
        ('post({a: 1}); var X = `{\n "b": 012 }`', [{"a": 1}, {"b": "012"}]),
        ('don\'t {is}: ```\n{ "a": "it\'s" }\n```', [{"a": "it's"}]),
        ('{"body": dump({"type": "paid"}), # of an order\n "n": -1.5}', [{"body": [{"type": "paid"}], "n": -1.5}]),
        ("{'a': \"\\q\", 1: [2]}", [{"a": "\\q", "1": [2]}]),
        ("interface A { id: string; name: string }", []),
        ("function f() { return x ? {b: 1} : y }", [{"b": 1}]),
        ("{a: }", []),
        ("{a: 1", []),
        ("{a: [1; 2]}", []),
        ("{a: 1 b: 2}", [{"a": "1 b: 2"}]),
        ("{a: 1, [key]: 2}", []),
        ("{a: 1, : }", []),
        ("{a: f(1]}", []),
        ("{" * 2 + "a: 1}", [{"a": 1}]),
        ("{a: f(" * 400 + "1" + ")}" * 400, None),
        ("{a:" * (DEPTH_MAX + 2) + "1" + "}" * (DEPTH_MAX + 2), None),
        ("{a: 1}" + " " * TEXT_LENGTH_MAX, []),
    ],
)
def test_mappings_of_any_language_are_read(text: str, found: list[object] | None) -> None:
    read = list(mappings_in(text))
    assert read == found if found is not None else read
