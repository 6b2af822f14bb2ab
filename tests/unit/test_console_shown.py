"""What pages say of what they show: that it is all of it, that it is masked, and no more than a page may hold."""

from __future__ import annotations

import datetime as dt
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from console_parts import Looks
from starlette.datastructures import QueryParams

from ops import letter_notes, redrives
from ops.console import recall_orders
from ops.console.pages import letters, payments
from ops.operators import ActionFilter, Operator, list_actions
from ops.recall_order import RecallOrder
from ops.redrives import LetterPage
from runtime.settings import Settings
from schemas.errors import RatchetError, SettingsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.unit

NOON = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
SETTINGS = Settings()
CARD = "4111111111111111"
ADA = Operator("ada", "console, 192.0.2.1")


def visit_of(looks: Looks, query: str = "", **path: str) -> Any:
    """Return a visit whose page is what its template would get."""
    asked = QueryParams(query)
    return SimpleNamespace(
        parts=SimpleNamespace(settings=SETTINGS, reader=looks),
        request=SimpleNamespace(path_params=path, query_params=asked),
        number=lambda name: int(path[name]),
        query=lambda name: asked.get(name, ""),
        render=lambda _template, *_, **shown: shown,
    )


@pytest.mark.parametrize("rows", [0, 1])
async def test_a_timeline_that_fills_its_page_is_not_all_of_it(rows: int) -> None:
    """The newest rows are those that a page leaves out: a refund would seem not to have come."""
    bound = SETTINGS.ops.timeline_rows_max
    payment = {"id": "p", "phone": None, "metadata": None, "currency": "EUR"} | dict.fromkeys(payments.MONEY, 0)
    row = {"recorded_at": NOON, "facts": "[]", "to_status": None, "event_type": "k", "outcome": "noop", "id": 1}
    looks = Looks({"find_payments": [payment], "read_timeline": [row] * (bound - rows)})
    shown: Any = await payments.show(visit_of(looks, ref="p"))
    assert shown["whole"] is bool(rows)


async def test_a_letter_s_key_is_masked_as_its_payload_is() -> None:
    letter = {
        "id": 7,
        "key": CARD.encode(),
        "value": CARD.encode(),
        "header_names": [b"x"],
        "header_values": [CARD.encode()],
    }
    looks = Looks({"read_letter": [letter], "read_discard": [{"because": f"card {CARD}"}]})
    shown: Any = await letters.show_one(visit_of(looks, id="7"))
    assert CARD not in str([shown[name] for name in ("key", "payload", "headers", "discarded")])


@pytest.mark.parametrize(("query", "limit"), [("", 50), ("limit=7", 7), ("limit=100000", 50)])
async def test_a_page_of_letters_is_bounded(monkeypatch: pytest.MonkeyPatch, query: str, limit: int) -> None:
    asked: list[int] = []

    async def listed(_connection: Any, _filters: Any, most: int, _before: Any) -> LetterPage:
        asked.append(most)
        return LetterPage(0, (), None)

    async def nothing(*_: Any) -> tuple[()]:
        return ()

    monkeypatch.setattr(redrives, "list_letters", listed)
    monkeypatch.setattr(redrives, "group_letters", nothing)
    monkeypatch.setattr(letter_notes, "list_notes", nothing)
    await letters.show_all(visit_of(Looks(), query))
    assert asked == [limit]


class Postgres:
    """A connection whose statements find what a test wants, in turn; what is written down is kept."""

    def __init__(self, *found: list[dict[str, Any]]) -> None:
        self.found = list(found)
        self.noted: list[tuple[Any, ...]] = []

    async def fetch(self, statement: str, *arguments: Any) -> list[dict[str, Any]]:
        if "insert into operator_actions" in statement:
            self.noted.append(arguments)
            return []
        return self.found.pop(0) if self.found else []

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield


async def test_a_page_of_actions_ends_at_its_last_row() -> None:
    rows = [{"id": number, "target": "", "because": ""} for number in (9, 8, 7)]
    page = await list_actions(cast("Any", Postgres(rows)), ActionFilter(), 2)
    assert ([row["id"] for row in page.actions], page.before) == ([9, 8], 8), "7 is the first of the next page"
    page = await list_actions(cast("Any", Postgres(rows[:2])), ActionFilter(), 2)
    assert page.before is None


ORDER = {
    "id": 7, "provider": "stripe", "account": "", "since": NOON, "until": NOON, "dry_run": False, "requested_by": "ada",
    "because": "", "requested_at": NOON, "status": "stopped", "asked_since": None, "secret_since": None, "list": None,
    "pages": 0, "known": 0, "new": 0, "history": 0, "kinds": "{}", "first_at": None, "last_at": None, "error": None,
    "stopped_by": "ada", "next_at": NOON, "started_at": None, "ended_at": NOON,
}  # fmt: skip


class TestRecall:
    @pytest.mark.parametrize("changed", [True, False])
    async def test_a_stop_that_changes_nothing_is_not_written_down(self, *, changed: bool) -> None:
        postgres = Postgres([{"id": 7}] if changed else [], [ORDER])
        await recall_orders.stop_recall(cast("Any", postgres), ADA, 7)
        assert [one[2:] for one in postgres.noted] == [("recall.stop", "recall 7", "")] * changed

    async def test_what_is_in_the_way_is_named_and_nothing_is_written_down(self) -> None:
        order = RecallOrder("stripe", "", NOON - dt.timedelta(days=1), NOON, dry_run=False, because="x")
        for found, sentence in (([ORDER], "recall 7 of stripe is not over"), ([], "3 recalls are not over")):
            postgres = Postgres([], [], found)
            with pytest.raises(RatchetError, match=sentence):
                await recall_orders.order_recall(cast("Any", postgres), ADA, order, 3)
            assert postgres.noted == []

    def test_what_can_be_meant(self) -> None:
        def check(**changed: Any) -> None:
            order = {"provider": "stripe", "account": "eu", "since": NOON, "until": NOON + dt.timedelta(hours=2)}
            recall_orders.check(
                RecallOrder(**order | {"dry_run": False, "because": ""} | changed), NOON + dt.timedelta(hours=1)
            )

        check()
        check(account="")
        check(because="x" * 500, until=NOON + dt.timedelta(days=9))
        late = NOON + dt.timedelta(hours=1)
        for changed, sentence in (
            ({"provider": ""}, "whose list"),
            ({"provider": "adyen"}, "no list"),
            ({"account": "eu/x"}, "account"),
            ({"account": "eu\n"}, "account"),
            ({"account": "-eu"}, "account"),
            ({"since": NOON + dt.timedelta(hours=2)}, "before until"),
            ({"since": late}, "nothing has happened"),
            ({"because": "x" * 501}, "more than 500"),
        ):
            with pytest.raises(SettingsError, match=sentence):
                check(**changed)
