"""Which statement a hint comes to: what it names is queued, and what answers an open query of ours is believed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

import providers
from producers.ingress.endpoints import Endpoint
from producers.ingress.hints import TOO_MANY_WAIT, Hints
from providers.core.contract import Notification
from providers.core.refetch import Called, Fetched
from runtime.settings import RefetchSettings
from runtime.sql import statement
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.unit

NAMES = {statement("producers", name): name for name in ("queue_hint", "answer_query", "refuse_query")}
BOUNDS = RefetchSettings(waiting_max=30, unknown_waiting_max=20, same_payment_seconds=10)
NAMED = {
    b"one": (("tr_1", None),),
    b"two": (("tr_1", None), ("push_2", "tr_1")),
    b"done": (("tr_1", None),),
    b"not yet": (("tr_1", None),),
    b"none": (),
}
CALLED = {b"done": Called("q_1", Fetched("payment", "tr_1")), b"not yet": Called("q_1", None, "still pending")}


class Rows:
    """Runs statements a moment later: some find nothing, or fail."""

    def __init__(self) -> None:
        self.ran: list[tuple[Any, ...]] = []
        self.empty: set[str] = set()
        self.failure: Exception | None = None

    async def run(self, work: Callable[[Any], Any]) -> Any:
        await asyncio.sleep(0)
        return await work(self)

    async def fetchval(self, text: str, *arguments: Any) -> Any:
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        self.ran.append((NAMES[text], *arguments))
        return None if NAMES[text] in self.empty else 1


class Held:
    """A clock that stands still."""

    def now(self) -> float:
        return 1_764_000_000.0


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Rows:
    monkeypatch.setattr(providers, "all_named_by_hint", lambda _, body: NAMED.get(body, ()))
    monkeypatch.setattr(providers, "answer_to_query", lambda _, body: CALLED.get(body))
    return Rows()


async def take(rows: Rows, *bodies: bytes, queries: bool = True) -> Any:
    endpoint = Endpoint("mpesa", "mpesa/acme", (), {}, account="acme", queries=queries)
    hints = Hints(rows, BOUNDS, Held(), "payments.webhooks")  # type: ignore[arg-type]
    return await hints.take(endpoint, [Notification(None, None, None, body, "hint") for body in bodies])


async def test_what_is_named_is_queued_once_within_the_bounds(rows: Rows) -> None:
    assert await take(rows, b"one", b"two", b"one", b"none") is None
    assert rows.ran == [
        ("queue_hint", "mpesa", "acme", "tr_1", 30, 20, 10.0, None),
        ("queue_hint", "mpesa", "acme", "push_2", 30, 20, 10.0, "tr_1"),
    ]


async def test_what_can_only_be_asked_by_a_query_needs_one(rows: Rows) -> None:
    """It would wait for ever, and take the place of what can be asked."""
    assert await take(rows, b"two", queries=False) is None
    assert [one[3] for one in rows.ran] == ["tr_1"]


async def test_where_there_is_no_room_the_sender_learns_it(rows: Rows) -> None:
    rows.empty.add("queue_hint")
    assert await take(rows, b"one") is TOO_MANY_WAIT


async def test_an_answer_to_an_open_query_is_no_hint(rows: Rows) -> None:
    assert await take(rows, b"done") is None
    ((name, provider, account, query, ref, topic, key, value, names, values, seconds),) = rows.ran
    assert (name, provider, account, query, ref) == ("answer_query", "mpesa", "acme", "q_1", "tr_1")
    assert (topic, key, value, seconds) == ("payments.webhooks", b"tr_1", b"done", 10.0)
    attributes = dict(zip(names, values, strict=True))
    assert attributes[b"ce_source"] == b"mpesa/acme"
    assert attributes[b"ce_time"].startswith(b"2025-11-24T"), "when it came"


async def test_an_answer_without_an_outcome_is_noted_and_no_hint(rows: Rows) -> None:
    assert await take(rows, b"not yet") is None
    assert rows.ran == [("refuse_query", "mpesa", "acme", "q_1", "still pending")]


@pytest.mark.parametrize(("body", "statement_of"), [(b"done", "answer_query"), (b"not yet", "refuse_query")])
async def test_an_answer_to_no_open_query_is_a_hint_like_any_other(rows: Rows, body: bytes, statement_of: str) -> None:
    """Anybody can make such a body up: what it names is read again, and nothing of it is believed."""
    rows.empty.add(statement_of)
    assert await take(rows, body) is None
    assert [one[0] for one in rows.ran] == [statement_of, "queue_hint"]


async def test_what_was_not_written_is_an_outage(rows: Rows) -> None:
    rows.failure = asyncpg.UniqueViolationError("another one")
    with pytest.raises(UnavailableError, match="UniqueViolationError"):
        await take(rows, b"one")
