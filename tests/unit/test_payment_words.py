"""What the words of `ratchet payment` become, which of the payments that a name means are shown, and as what."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from rich.console import Console as RichConsole
from typer.testing import CliRunner

from ops import endpoints, payment_commands, server
from ops.cli import app
from ops.payment_commands import payments_table, timeline_table
from ops.payment_search import PaymentFilter, PaymentPage, Place
from ops.payment_timeline import PaymentTimeline
from runtime.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from typer.testing import Result

pytestmark = pytest.mark.unit

NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
EARLIER = NOW - dt.timedelta(days=3)
COLUMNS = (
    "status", "refund_status", "dispute_status", "amount", "authorized", "captured", "refunded", "disputed", "provider",
    "account", "merchant_account", "provider_ref", "client", "reference", "intent_id", "metadata", "currency",
)  # fmt: skip


def payment(name: str, intent: str | None = None, **other: Any) -> dict[str, Any]:
    moments = {"created_at": NOW, "updated_at": NOW}
    return dict.fromkeys(COLUMNS) | moments | {
        "id": name, "intent_id": intent, "livemode": True, "flags": [], "status": "captured",
    } | other  # fmt: skip


def shown(what: Any) -> str:
    console = RichConsole(width=300, no_color=True)
    with console.capture() as found:
        console.print(what)
    return found.get()


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(endpoints, "load", Settings)
    monkeypatch.setattr(endpoints, "found", lambda settings: settings)
    monkeypatch.setattr(server, "read", lambda *_: None)
    yield
    server.choose(None)


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["payment", *words])


def named(monkeypatch: pytest.MonkeyPatch, found: Sequence[dict[str, Any]]) -> None:
    """Have a name mean these payments."""

    async def find(*_: object) -> Sequence[dict[str, Any]]:
        await asyncio.sleep(0)
        return found

    async def read(_: object, meant: Sequence[dict[str, Any]]) -> list[PaymentTimeline]:
        await asyncio.sleep(0)
        return [PaymentTimeline(one, ()) for one in meant]

    monkeypatch.setattr(payment_commands, "find", find)
    monkeypatch.setattr(payment_commands, "read_timelines", read)


INTENT, TRIED, AGAIN, OTHER = payment("i"), payment("a", "i"), payment("b", "i"), payment("c")


@pytest.mark.parametrize(
    ("found", "meant"),
    [
        ([INTENT], ["i"]),
        ([INTENT, TRIED], ["i"]),
        ([INTENT, TRIED, AGAIN], ["i"]),
        ([INTENT, OTHER], ["i", "c"]),
        ([INTENT, TRIED, OTHER], ["i", "a", "c"]),
        ([OTHER, TRIED], ["c", "a"]),
    ],
)
def test_an_intent_stands_for_its_attempts_and_for_nothing_else(
    found: list[dict[str, Any]], meant: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A payment that another name hides looks as if nobody had paid it."""
    named(monkeypatch, found)
    document = json.loads(run("show", "ORD-1", "--json").stdout)
    payments = document["payments"] if len(meant) > 1 else [document]
    assert [one["payment"]["id"] for one in payments] == meant


def test_a_name_that_means_nothing_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    named(monkeypatch, [])
    result = run("show", "ORD-1", "--json")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "ratchet: no payment 'ORD-1'\n")


WORDS = (
    "--status", "failed", "--provider", "adyen", "--account", "shop", "--mode", "test", "--dispute", "lost", "--amount",
    "12.50 EUR", "--client", "web", "--reference", "ORD-1", "--since", "2026-01-02", "--until", "2026-01-03",
)  # fmt: skip
MEANT = PaymentFilter(
    "failed", "adyen", "shop", livemode=False, since=NOW, until=NOW + dt.timedelta(days=1), disputes=("lost",),
    currency="EUR", amount=1250, client="web", reference="ORD-1",
)  # fmt: skip


def test_each_choice_of_a_list_and_where_it_goes_on_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []

    async def find_page(_: Settings, *words: Any) -> PaymentPage:
        await asyncio.sleep(0)
        asked.append(words)
        return PaymentPage((payment("a"),), "further")

    place = Place(NOW, UUID(int=7))
    monkeypatch.setattr(payment_commands, "find_page", find_page)
    document = json.loads(run("list", *WORDS, "--after", place.text(), "--limit", "9", "--json").stdout)
    assert asked == [(MEANT, 9, place)]
    assert (document["after"], [one["id"] for one in document["payments"]]) == ("further", ["a"])
    assert "--after further" in run("list").stdout
    assert asked[1] == (PaymentFilter(), 100, None)


def test_a_console_gets_what_was_written_and_where_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []

    class Console:
        def pages(self, *words: Any) -> dict[str, Any]:
            asked.append(words)
            return {"payments": [], "after": None}

    after = Place(NOW, UUID(int=7)).text()
    monkeypatch.setattr(server, "read", lambda *_: Console())
    assert run("list", *WORDS, "--after", after, "--limit", "9").exit_code == 0
    written = {name.removeprefix("--"): text for name, text in zip(WORDS[::2], WORDS[1::2], strict=True)}
    assert asked == [("/payments", "payments", "after", 9, written, after)]


def test_test_money_is_called_so_in_a_list() -> None:
    """Else somebody ships what nobody paid."""
    table = shown(payments_table("", [payment("a", livemode=False), payment("b")]))
    assert (table.count("captured (test)"), table.count("(test)")) == (1, 1)


@pytest.mark.parametrize("occurred_at", [EARLIER, None])
def test_a_timeline_has_when_it_happened_and_else_when_it_came(occurred_at: dt.datetime | None) -> None:
    row = {
        "occurred_at": occurred_at, "recorded_at": NOW, "event_type": "charge.failed", "outcome": "late",
        "version": None,
        "from_status": "created", "to_status": "created", "amount": 0, "source": "stripe", "event_id": "evt_1",
    }  # fmt: skip
    table = shown(timeline_table([row], "JPY"))
    assert (occurred_at or NOW).isoformat(sep=" ", timespec="seconds") in table
    assert "0 JPY" in table, "nothing is an amount too"
    assert "older than what was known" in table
    assert "->" not in table, "what changed nothing has moved nowhere"
