"""`/admin/v1` without a server: whom it lets in, what it reads of a body, and what of it is done."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest
from console_parts import Playing

from ops import payment_search, people, redrives
from ops.console import admin, choosing
from ops.console.pages import redrives as redrive_pages
from ops.console.persons import Person
from ops.dlq_filters import LetterFilter
from ops.operators import ActionPage
from ops.people import PersonRole
from ops.redrives import Discarded, LetterPage, Prediction, Preview, PreviewAnswer, Started
from schemas.errors import RatchetError, SettingsError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

pytestmark = pytest.mark.unit

TOKEN = "ratchet_" + "t" * 43
NOON = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)


@pytest.fixture
def playing() -> Playing:
    found = Playing(rows_max=3)
    found.rows.tokens[TOKEN] = Person("ada", PersonRole.ADMIN, 1)
    return found


@pytest.fixture
async def program(playing: Playing) -> AsyncIterator[httpx.AsyncClient]:
    async with playing.browser(authorization=f"Bearer {TOKEN}") as client:
        yield client


async def post(program: httpx.AsyncClient, path: str, **body: Any) -> tuple[int, Any]:
    answer = await program.post(f"/admin/v1{path}", json=body)
    return answer.status_code, answer.json()


class Called:
    """Stands in a function's place: keeps what it was called with, and returns what a test wants."""

    def __init__(self, returned: Any = None) -> None:
        self.returned, self.calls = returned, list[Any]()

    async def __call__(self, *arguments: Any, **named: Any) -> Any:
        self.calls.append((arguments[1:], named))
        return self.returned

    @property
    def last(self) -> Any:
        return self.calls[-1]


class TestWhoComesIn:
    async def test_another_host_s_name_gets_nothing(self, playing: Playing) -> None:
        bound = Playing(public_url="https://ops.example")
        bound.rows.tokens = playing.rows.tokens
        headers = {"authorization": f"Bearer {TOKEN}", "host": "rebound.example"}
        async with bound.browser(**headers) as client:
            for path in ("/openapi.json", "/operators"):
                assert (await client.get(f"/admin/v1{path}")).status_code == 421

    @pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER "])
    async def test_the_scheme_in_any_case(self, playing: Playing, scheme: str) -> None:
        async with playing.browser(authorization=f"{scheme} {TOKEN}") as client:
            assert (await client.get("/admin/v1/operators")).status_code != 401

    async def test_a_wrong_token_is_written_down_and_none_is_not(self, playing: Playing) -> None:
        async with playing.browser(authorization="Bearer ratchet_wrong") as client:
            answer = await client.get("/admin/v1/operators")
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert playing.rows.noted == [("unknown", "admin, 192.0.2.1", "console.sign_in_refused")]
        async with playing.browser() as client:
            assert (await client.get("/admin/v1/operators")).status_code == 401
        assert len(playing.rows.noted) == 1

    async def test_in_an_outage_it_is_asked_again(self, playing: Playing, program: httpx.AsyncClient) -> None:
        playing.rows.away = True
        assert (await program.get("/admin/v1/operators")).status_code == 503

    @pytest.mark.parametrize(
        ("error", "status"), [(UnavailableError("x"), 503), (SettingsError("x"), 422), (RatchetError("x"), 409)]
    )
    async def test_what_a_failure_becomes(
        self, program: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
    ) -> None:
        async def failing(*_: Any) -> Any:
            raise error

        monkeypatch.setattr(redrives, "list_redrives", failing)
        assert (await program.get("/admin/v1/redrives")).status_code == status


class TestBody:
    async def test_a_field_that_nobody_reads_does_nothing(
        self, program: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A filter that is misspelt would choose everything, a dry run that is would be none."""
        choose, discard = Called([]), Called(Discarded(0, (), ()))
        monkeypatch.setattr(redrives, "choose", choose)
        monkeypatch.setattr(redrives, "discard", discard)
        for path, field in (("/dead-letters/discard", "provder"), ("/recalls", "dryrun"), ("/redrives", "id")):
            status, failure = await post(
                program, path, provider="stripe", since="2026-11-01", because="x", **{field: "1"}
            )
            assert (status, failure["error"]) == (422, "unprocessable")
            assert field in failure["message"]
        assert discard.calls == []
        assert (await post(program, "/dead-letters/discard", provider="stripe", because="x"))[0] == 200
        assert discard.last[0] == (LetterFilter(provider="stripe"),)

    async def test_it_is_bounded(self, playing: Playing, program: httpx.AsyncClient) -> None:
        bound = playing.settings.console.form_bytes_max
        taken = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal taken
            while taken < 8 * bound:
                taken += 4096
                yield b" " * 4096

        answer = await program.post("/admin/v1/dead-letters/discard", content=endless())
        assert (answer.status_code, answer.json()["error"]) == (413, "body_too_large")
        assert taken <= bound + 2 * 4096, "and no more of it is held"


READ = {
    "payments": {*payment_search.FIELDS, "after", "limit"},
    "dead-letters": {*choosing.FIELDS, "before"},
    "redrives": {"limit"},
    "notes": {"limit"},
    "recalls": {"limit"},
    "actions": {"who", "action", "since", "until", "before", "limit"},
}
"""What the listings read of a query."""


class TestQuery:
    async def test_a_name_that_nobody_reads_is_refused_and_nothing_is_read_or_done(
        self, program: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A filter that is misspelt would show everything; what stands behind the path of an order orders nothing."""
        listed, discard = Called(LetterPage(0, (), None)), Called(Discarded(0, (), ()))
        monkeypatch.setattr(redrives, "list_letters", listed)
        monkeypatch.setattr(redrives, "discard", discard)
        answer = await program.get("/admin/v1/dead-letters?provder=stripe&limit=3")
        assert (answer.status_code, answer.json()["error"]) == (422, "unprocessable")
        message = answer.json()["message"]
        assert message.startswith("'provder': there is no such query parameter; nothing was done. There are: ")
        assert {"provider", "before", "limit"} <= set(message.partition("There are: ")[2].split(", "))
        assert (await program.head("/admin/v1/dead-letters?provder=stripe")).status_code == 422
        refused = await program.post("/admin/v1/dead-letters/discard?provider=stripe", json={"because": "x"})
        assert refused.json()["message"].endswith("There are: none")
        assert (refused.status_code, listed.calls, discard.calls) == (422, [], [])

    async def test_who_may_not_ask_learns_no_name(self, playing: Playing) -> None:
        playing.rows.tokens[TOKEN] = Person("eve", PersonRole.VIEWER, 2)
        async with playing.browser(authorization=f"Bearer {TOKEN}") as client:
            assert (await client.get("/admin/v1/tokens?x=1")).status_code == 403
            assert (await client.get("/admin/v1/redrives?x=1")).status_code == 422

    async def test_each_listing_takes_what_its_description_names(self, program: httpx.AsyncClient) -> None:
        paths = (await program.get("/admin/v1/openapi.json")).json()["paths"]
        asked = {
            path: [one["name"] for one in methods["get"]["parameters"] if one["in"] == "query"]
            for path, methods in paths.items()
            if "get" in methods
        }
        named = {path: names for path, names in asked.items() if names}
        assert {path.removeprefix("/admin/v1/"): set(names) for path, names in named.items()} == READ
        for path, names in named.items():
            answer = await program.get(path, params=dict.fromkeys(names, ""))
            assert "no such query parameter" not in answer.text, path
        posted = [one for methods in paths.values() if "post" in methods for one in methods["post"]["parameters"]]
        assert {one["in"] for one in posted} == {"path"}


class TestWhatIsMeant:
    @pytest.mark.parametrize(("query", "limit"), [("", 3), ("?limit=7", 7), ("?limit=60", 60), ("?limit=9000000", 60)])
    async def test_a_listing_is_bounded(
        self, program: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, query: str, limit: int
    ) -> None:
        listed, actions, found = Called(()), Called(ActionPage((), None)), Called(LetterPage(0, (), None))
        monkeypatch.setattr(redrives, "list_redrives", listed)
        monkeypatch.setattr(admin, "list_actions", actions)
        monkeypatch.setattr(redrives, "list_letters", found)
        for path in ("redrives", "actions", "dead-letters"):
            assert (await program.get(f"/admin/v1/{path}{query}")).status_code == 200
        assert [listed.last[0][-1], actions.last[0][-1], found.last[0][1]] == [limit] * 3

    async def test_actions_between_two_times(self, program: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
        listed = Called(ActionPage((), None))
        monkeypatch.setattr(admin, "list_actions", listed)
        query = {"who": "eve", "action": "redrive", "since": "2026-11-01", "until": "2026-11-02", "before": "7"}
        await program.get("/admin/v1/actions", params=query)
        filters = listed.last[0][0]
        assert (filters.who, filters.action, filters.before) == ("eve", "redrive", 7)
        assert [moment.day for moment in (filters.since, filters.until)] == [1, 2]

    async def test_of_many_letters_their_number_is_asked(
        self, program: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(redrive_pages, "TYPED_FROM", 2)
        messages = tuple(Prediction(number, PreviewAnswer.APPLY, None, None) for number in (1, 2))
        began, given_up = Called(Started(7, Preview(2, messages))), Called(Discarded(2, (1, 2), ()))
        monkeypatch.setattr(redrives, "choose", Called([{"id": 1}, {"id": 2}]))
        monkeypatch.setattr(redrives, "discard", given_up)
        monkeypatch.setattr(redrives, "preview", Called(Preview(2, messages)))
        monkeypatch.setattr(redrives, "start", began)
        for path in ("/redrives", "/dead-letters/discard"):
            for typed in ({}, {"typed": "1"}, {"typed": "3"}):
                status, failure = await post(program, path, because="x", **typed)
                assert (status, "type that number" in failure["message"]) == (422, True), path
        assert (began.calls, given_up.calls) == ([], [])
        for path in ("/redrives", "/dead-letters/discard"):
            assert (await post(program, path, because="x", typed="2"))[0] == 200
        wanted = began.last[0][1]
        assert wanted.only_applied, "what would come back is not sent"
        assert given_up.last[1] == {"who": "ada", "because": "x", "origin": "admin, 192.0.2.1"}

    async def test_a_redrive_as_it_was_asked_for(
        self, program: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        foreseen = Called(Preview(0, ()))
        monkeypatch.setattr(redrives, "preview", foreseen)
        asked = {"reason": "orphan", "rate": 5, "max": 3, "force": False, "keep_going": True, "to": "payments.webhooks"}
        status, _ = await post(program, "/redrives/preview", **asked)
        wanted = foreseen.last[0][1]
        assert status == 200
        assert (wanted.filters.reason, wanted.rate_per_second, wanted.messages_max) == ("orphan", 5, 3)
        assert (wanted.force, wanted.policy, wanted.target_topic) == (False, "keep_going", "payments.webhooks")
        assert (wanted.requested_by, wanted.origin, wanted.only_applied) == ("ada", "admin, 192.0.2.1", True)

    async def test_why_somebody_is_removed_is_kept(
        self, program: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        removed = Called(PersonRole.VIEWER)
        monkeypatch.setattr(people, "remove", removed)
        assert (await post(program, "/operators/eve/remove"))[0] == 422
        assert (await post(program, "/operators/ada/remove", because="left"))[0] == 409
        assert (await post(program, "/operators/eve/remove", because="left"))[0] == 200
        ((operator, name, because), _) = removed.last
        assert (operator.who, name, because) == ("ada", "eve", "left")
