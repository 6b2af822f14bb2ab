"""/admin/v1: who may ask for what, by every route of its table; what it does is what the console does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import aiohttp
import asyncpg
import pytest

from ops import people, tokens
from ops.console.rights import ADMIN
from ops.operators import Operator
from ops.passwords import hashed
from ops.people import PersonRole
from schemas.errors import RatchetError
from tests.integration import console_harness
from tests.integration.console_harness import (
    CARD,
    PASSWORD,
    PAYMENT_ID,
    Console,
    add_applicable,
    add_letter,
    console_settings,
    serving,
    status_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from runtime.stack import Endpoints
    from tests.conftest import Database

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

place, owner, letters = console_harness.place, console_harness.owner, console_harness.letters
"""The fixtures of the console's tests: under these names pytest finds them."""

BOSS = Operator("boss@host")
DAYS = 7


@pytest.fixture(scope="module")
async def console(
    stack: Endpoints, place: Database, letters: list[int], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Console]:
    settings = console_settings(tmp_path_factory.mktemp("console"), stack.kafka, place.dsn, password=PASSWORD)
    async with serving(settings) as found:
        yield found


@pytest.fixture
async def terminal(place: Database, owner: Any) -> AsyncIterator[Any]:
    """Give what a terminal has: the application's role. Whoever it adds is gone afterwards."""
    connection = await asyncpg.connect(place.dsn)
    yield connection
    await connection.execute("delete from operators")
    await connection.close()


async def token_of(terminal: Any, person: PersonRole, role: PersonRole | None = None, name: str = "") -> str:
    """Return a token of somebody who has chosen a password."""
    name = name or f"{person}-1"
    await people.add(terminal, BOSS, name, person, 1)
    await terminal.execute(
        "update operators set one_time_until = null, password_hash = $2 where name = $1", name, hashed("x" * 16)
    )
    return (await tokens.issue(terminal, BOSS, name, role or person, DAYS)).token


class Program:
    """A client with a token."""

    def __init__(self, console: Console, token: str) -> None:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self.url = f"{console.url}/admin/v1"
        self.client = aiohttp.ClientSession(headers=headers)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        async with self.client.request(method, self.url + path, json=body) as answer:
            return answer.status, await answer.json()


def filled(route: str, letter_id: int) -> str:
    path = route.removeprefix("/admin/v1").replace("{ref}", str(PAYMENT_ID)).replace("{name}", "nobody")
    return path.replace("{id}", str(letter_id if route.startswith("/admin/v1/dead-letters") else 999999))


class TestEveryRouteAsEachRole:
    @pytest.mark.parametrize("role", list(PersonRole))
    async def test_it(self, console: Console, terminal: Any, owner: Any, role: PersonRole) -> None:
        letter_id = await add_letter(owner, "conflict")
        answers = {}
        async with Program(console, await token_of(terminal, role)) as program:
            for method, route in ADMIN:
                body = {"reason": "fatal"} if method == "POST" else None
                answers[method, route] = await program.ask(method, filled(route, letter_id), body)
        refused = {key for key, least in ADMIN.items() if least is not None and not role.covers(least)}
        assert {key for key, (status, _) in answers.items() if status == 403} == refused
        assert all(status < 500 and status != 401 for status, _ in answers.values()), answers
        assert await status_of(owner, letter_id) == "open"
        noted = await owner.fetchval(
            "select count(*) from operator_actions"
            " where who = $1 and action = 'console.refused' and origin like 'admin, %'",
            f"{role}-1",
        )
        assert noted == len(refused)

    @pytest.mark.parametrize("token", ["", "ratchet_nobodys", "x", "ratchet_" + "x" * 200])
    async def test_without_a_token_nothing_but_the_description(self, console: Console, token: str) -> None:
        async with Program(console, token) as program:
            for method, route in ADMIN:
                status, _ = await program.ask(method, filled(route, 1), {} if method == "POST" else None)
                assert status == (200 if route.endswith("openapi.json") else 401), route


class TestTokens:
    async def test_it_is_never_for_more_than_the_person_may(self, console: Console, terminal: Any) -> None:
        token = await token_of(terminal, PersonRole.VIEWER, PersonRole.ADMIN)
        async with Program(console, token) as program:
            assert (await program.ask("GET", "/redrives"))[0] == 200
            assert (await program.ask("GET", "/operators"))[0] == 403

    async def test_nor_for_more_than_it_was_made_for(self, console: Console, terminal: Any) -> None:
        async with Program(console, await token_of(terminal, PersonRole.ADMIN, PersonRole.VIEWER)) as program:
            assert (await program.ask("GET", "/operators"))[0] == 403

    async def test_it_ends(self, console: Console, terminal: Any, owner: Any) -> None:
        async with Program(console, await token_of(terminal, PersonRole.ADMIN)) as program:
            assert (await program.ask("GET", "/operators"))[0] == 200
            await owner.execute(
                "update operator_tokens set made_at = now() - interval '2 d', ends_at = now() - interval '1 s'"
            )
            assert (await program.ask("GET", "/operators"))[0] == 401

    async def test_taken_back_or_with_its_person_gone(self, console: Console, terminal: Any) -> None:
        async with (
            Program(console, await token_of(terminal, PersonRole.ADMIN, name="ann")) as ann,
            Program(console, await token_of(terminal, PersonRole.ADMIN, name="bob")) as bob,
        ):
            listed = {one.name: one for one in await tokens.list_tokens(terminal)}
            assert await tokens.revoke(terminal, BOSS, listed["ann"].id) == "ann"
            assert (await ann.ask("GET", "/operators"))[0] == 401
            await people.remove(terminal, BOSS, "bob")
            assert (await bob.ask("GET", "/operators"))[0] == 401
        with pytest.raises(RatchetError, match="no token"):
            await tokens.revoke(terminal, BOSS, listed["ann"].id)
        with pytest.raises(RatchetError, match="no 'nobody'"):
            await tokens.issue(terminal, BOSS, "nobody", PersonRole.VIEWER, DAYS)

    async def test_what_is_kept_opens_nothing(self, console: Console, terminal: Any, owner: Any) -> None:
        token = await token_of(terminal, PersonRole.ADMIN)
        kept = await owner.fetchval("select digest from operator_tokens")
        assert kept == tokens.digest(token)
        async with Program(console, kept.hex()) as program:
            assert (await program.ask("GET", "/payments"))[0] == 401


class TestWhatItDoes:
    @pytest.fixture
    async def program(self, console: Console, terminal: Any) -> AsyncIterator[Program]:
        async with Program(console, await token_of(terminal, PersonRole.ADMIN, name="ada")) as found:
            yield found

    async def test_payments_and_dead_letters_are_found_and_masked(self, program: Program, letters: list[int]) -> None:
        _, found = await program.ask("GET", "/payments?provider=stripe&limit=1")
        assert [one["id"] for one in found["payments"]] == [str(PAYMENT_ID)]
        _, document = await program.ask("GET", "/payments/ch_1")
        assert len(document["payments"][0]["timeline"]) == 4
        assert (await program.ask("GET", "/payments/nobody"))[0] == 404
        status, failure = await program.ask("GET", "/payments?status=faild")
        assert (status, failure["error"]) == (422, "unprocessable")
        _, page = await program.ask("GET", "/dead-letters?reason=unknown_kind")
        assert page["total"] == 1
        _, letter = await program.ask("GET", f"/dead-letters/{letters[0]}")
        assert CARD not in str(letter)

    async def test_a_payload_in_clear_needs_a_reason_and_is_written_down(
        self, program: Program, owner: Any, letters: list[int]
    ) -> None:
        path = f"/dead-letters/{letters[0]}/unmask"
        assert (await program.ask("POST", path, {}))[0] == 422
        status, letter = await program.ask("POST", path, {"because": "ticket 7"})
        assert (status, "value_base64" in letter) == (200, True)
        row = await owner.fetchrow("select * from operator_actions where action = 'dead_letter.show_raw'")
        assert (row["who"], row["origin"], row["because"]) == ("ada", "admin, 127.0.0.1", "ticket 7")

    async def test_a_letter_is_given_up(self, program: Program, owner: Any) -> None:
        letter_id = await add_letter(owner, "conflict")
        assert (await program.ask("POST", f"/dead-letters/{letter_id}/discard", {"because": "a test's"}))[0] == 200
        assert await status_of(owner, letter_id) == "discarded"
        assert (await program.ask("POST", f"/dead-letters/{letter_id}/discard", {"because": "again"}))[0] == 409

    async def test_a_redrive_of_what_would_be_applied(self, program: Program, owner: Any) -> None:
        letter_id = await add_applicable(owner, "data_rejected")
        _, seen = await program.ask("POST", "/redrives/preview", {"ids": str(letter_id)})
        assert seen["would"]["apply"] == 1
        status, begun = await program.ask("POST", "/redrives", {"ids": str(letter_id), "because": "mended"})
        assert status == 200
        _, progress = await program.ask("GET", f"/redrives/{begun['redrive']}")
        assert (progress["requested_by"], progress["selected"]) == ("ada", 1)
        assert (await program.ask("POST", f"/redrives/{begun['redrive']}/stop", {}))[0] == 200

    async def test_a_recall_is_ordered_followed_and_stopped(self, program: Program, owner: Any) -> None:
        asked = {"provider": "Stripe", "since": "2026-11-01", "dry_run": True, "because": "ticket 7"}
        status, begun = await program.ask("POST", "/recalls", asked)
        assert status == 200, begun
        path = f"/recalls/{begun['recall']}"
        _, found = await program.ask("GET", path)
        assert (found["source"], found["status"], found["dry_run"], found["requested_by"]) == (
            "stripe", "queued", True, "ada",
        )  # fmt: skip
        status, refused = await program.ask("POST", "/recalls", {"provider": "stripe", "since": "2026-11-01"})
        assert (status, "is not over" in refused["message"]) == (409, True)
        assert (await program.ask("POST", f"{path}/stop"))[1]["status"] == "stopped"
        _, listed = await program.ask("GET", "/recalls")
        assert [one["id"] for one in listed["orders"]] == [begun["recall"]]
        assert (await program.ask("GET", "/recalls/987654"))[0] == 404
        rows = await owner.fetch("select action, because from operator_actions where action like 'recall%' order by id")
        assert [tuple(row) for row in rows] == [("recall.start", "ticket 7"), ("recall.stop", "")]

    @pytest.mark.parametrize(
        ("body", "sentence"),
        [
            ({"provider": "adyen", "since": "2026-11-01"}, "adyen has no list that could be asked"),
            ({"since": "2026-11-01"}, "whose list"),
            ({"provider": "stripe"}, "from when on"),
            ({"provider": "stripe", "since": "0001-01-01T00:00+23:59"}, "no ISO 8601 time"),
            ({"provider": "stripe", "since": "2026-11-01", "until": "2026-10-01"}, "before until"),
        ],
    )
    async def test_a_recall_that_can_not_be_meant(self, program: Program, body: Any, sentence: str) -> None:
        status, failure = await program.ask("POST", "/recalls", body)
        assert (status, sentence in failure["message"]) == (422, True), failure

    @pytest.mark.parametrize(
        "body", [[], "x", {"ids": ["1"]}, {"ids": {"a": 1}}, {"reason": "\0"}, {"reason": "\ud800"}]
    )
    async def test_a_body_that_cannot_be_read(self, program: Program, body: Any) -> None:
        status, failure = await program.ask("POST", "/redrives/preview", body)
        assert (status, failure["error"]) == (400, "bad_request")

    async def test_nobody_removes_themselves(self, program: Program, terminal: Any) -> None:
        await people.add(terminal, BOSS, "eve", PersonRole.VIEWER, 1)
        assert (await program.ask("POST", "/operators/ada/remove", {"because": "x"}))[0] == 409
        assert (await program.ask("POST", "/operators/eve/remove", {"because": "left"}))[0] == 200
        _, found = await program.ask("GET", "/operators")
        assert [one["name"] for one in found["operators"]] == ["ada"]

    async def test_it_is_described(self, program: Program) -> None:
        _, document = await program.ask("GET", "/openapi.json")
        described = {(method.upper(), path) for path, one in document["paths"].items() for method in one}
        assert described == set(ADMIN)
