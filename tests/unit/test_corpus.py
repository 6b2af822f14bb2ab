"""Reading a folder of payloads: every event is found, shown, joined and counted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from consumer.fold import newer
from ops import corpus
from ops.corpus import main

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


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
    assert capsys.readouterr().out.count("differs in the reverse order: ['PAY']") == 2


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
