"""People and roles over HTTP: each route tried as each role, one-time passwords, removal, and what is written down."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from waiting import until

from ops import people
from ops.console.rights import LEAST
from ops.operators import Operator
from ops.people import PersonRole
from schemas.errors import RatchetError, SettingsError
from tests.integration import console_harness
from tests.integration.console_harness import (
    CARD,
    HOSTILE,
    PASSWORD,
    PAYMENT_ID,
    SECRET,
    Browser,
    Console,
    add_letter,
    console_settings,
    serving,
    status_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from runtime.stack import Endpoints
    from tests.conftest import Database

pytestmark = pytest.mark.integration

place, owner, letters = console_harness.place, console_harness.owner, console_harness.letters
"""The fixtures of the console's tests: under these names pytest finds them."""
BOSS = Operator("boss@laptop")
OWN = "three words and a river"
HOURS = 72


@pytest.fixture
async def terminal(place: Database) -> AsyncIterator[Any]:
    """Give the connection of a command, with the application's own role."""
    connection = await asyncpg.connect(place.dsn)
    yield connection
    await connection.execute("delete from operators")
    await connection.close()


@pytest.fixture(scope="module")
async def console(
    stack: Endpoints, place: Database, letters: list[int], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Console]:
    home = tmp_path_factory.mktemp("console")
    settings = console_settings(home, stack.kafka, place.dsn, password=PASSWORD, login_tries_max=50)
    async with serving(settings) as found:
        yield found


async def enter(browser: Browser, terminal: Any, role: PersonRole, name: str = "") -> str:
    """Sign in as a new person who has chosen a password; return the name."""
    name = name or f"{role}-1"
    added = await people.add(terminal, BOSS, name, role, HOURS)
    assert (await browser.sign_in(added.one_time_password, name))[0] == 303
    assert browser.headers["location"] == "/password"
    token = await browser.token("/password")
    form = {"current": added.one_time_password, "chosen": OWN, "again": OWN}
    assert (await browser.post("/password", csrf=token, **form))[0] == 303
    return name


async def actions(owner: Any, action: str) -> list[tuple[Any, ...]]:
    rows = await owner.fetch(
        "select who, origin, target, because from operator_actions where action = $1 order by id", action
    )
    return [tuple(row) for row in rows]


class TestEveryRouteAsEachRole:
    """What the table says, tried: who may not gets 403 and a row in the audit, and nothing happens."""

    @pytest.mark.parametrize("role", list(PersonRole))
    async def test_it(self, console: Console, terminal: Any, owner: Any, role: PersonRole) -> None:
        letter_id = await add_letter(owner, "conflict")
        before = len(await actions(owner, "console.refused"))
        answers, refused = {}, []
        async with Browser(console) as browser:
            name = await enter(browser, terminal, role)
            for method, route in sorted(LEAST, key=lambda key: key[1].startswith("/logout")):
                path = self.filled(route, letter_id)
                if method == "GET":
                    answers[method, route] = (await browser.get(path))[0]
                else:
                    if route.startswith("/logout"):
                        await browser.sign_in(OWN, name)
                    form = {"current": "x", "password": "x", "reason": "fatal"}
                    token = await browser.token("/password")
                    answers[method, route] = (await browser.post(path, csrf=token, **form))[0]
                least = LEAST[method, route]
                if least is not None and not role.covers(least):
                    refused.append((name, "console, 127.0.0.1", f"{method} {path}", f"needs {least}, is {role}"))
        expected = {key for key, least in LEAST.items() if least is not None and not role.covers(least)}
        assert {key for key, status in answers.items() if status == 403} == expected
        assert all(status < 500 for status in answers.values()), answers
        assert (await actions(owner, "console.refused"))[before:] == refused
        assert await status_of(owner, letter_id) == "open"

    def filled(self, route: str, letter_id: int) -> str:
        filled = route.replace("{ref}", str(PAYMENT_ID)).replace("{name}", "nobody")
        return filled.replace("{id}", str(letter_id if route.startswith("/dead-letters") else 999999))

    async def test_pages_offer_what_may_be_done(self, console: Console, terminal: Any, letters: list[int]) -> None:
        offers = {}
        for role in PersonRole:
            async with Browser(console) as browser:
                await enter(browser, terminal, role, f"somebody-{role}")
                text = (await browser.get(f"/dead-letters/{letters[0]}"))[1]
                shown = [word for word in ("/discard", "/unmask", "/redact", "/people") if word in text]
                offers[role] = shown, "Redrive these" in (await browser.get("/dead-letters"))[1]
        assert offers == {
            PersonRole.VIEWER: ([], False),
            PersonRole.OPERATOR: (["/discard"], True),
            PersonRole.ADMIN: (["/discard", "/unmask", "/redact", "/people"], True),
        }


class TestOneTimePassword:
    async def test_it_opens_the_page_for_choosing_one_alone(self, console: Console, terminal: Any) -> None:
        added = await people.add(terminal, BOSS, "ada", PersonRole.ADMIN, HOURS)
        async with Browser(console) as browser:
            await browser.sign_in(added.one_time_password, "Ada")
            for path in ("/", "/payments", "/nowhere"):
                assert (await browser.get(path))[0] == 303
                assert browser.headers["location"] == "/password"
            token = await browser.token("/password")
            assert (await browser.post("/ledger/check", csrf=token))[0] == 403
            first = added.one_time_password
            wrong = ("short", "short", "15 to 256"), (OWN, OWN[1:], "not the same"), (first, first, "one you have")
            for chosen, again, reported in wrong:
                form = {"current": first, "chosen": chosen, "again": again}
                status, text = await browser.post("/password", csrf=token, **form)
                assert status == 422
                assert reported in text
            assert (await browser.post("/password", csrf=token, current="no", chosen=OWN, again=OWN))[0] == 422

    async def test_afterwards_the_own_one_counts_and_other_sessions_end(
        self, console: Console, terminal: Any, owner: Any
    ) -> None:
        added = await people.add(terminal, BOSS, "ada", PersonRole.VIEWER, HOURS)
        async with Browser(console) as browser, Browser(console) as stranger:
            await stranger.sign_in(added.one_time_password, "ada")
            await browser.sign_in(added.one_time_password, "ada")
            token = await browser.token("/password")
            form = {"current": added.one_time_password, "chosen": OWN, "again": OWN}
            assert (await browser.post("/password", csrf=token, **form))[0] == 303
            assert (await browser.get("/payments"))[0] == 200
            assert (await browser.sign_in(OWN, "ada"))[0] == 303
            assert (await stranger.post("/logout", csrf="x"))[0] == 401, "it ended when the password changed"
            stranger.client.cookie_jar.clear()
            assert (await stranger.sign_in(added.one_time_password, "ada"))[0] == 401
        hashes = await owner.fetchval("select password_hash from operators where name = 'ada'")
        assert hashes.startswith("$argon2id$")
        assert ("ada", "console, 127.0.0.1", "ada", "") in await actions(owner, "operator.choose_password")

    async def test_one_that_nobody_used_in_time_opens_nothing(self, console: Console, terminal: Any) -> None:
        added = await people.add(terminal, BOSS, "ada", PersonRole.VIEWER, HOURS)
        await terminal.execute("update operators set one_time_until = now()")
        async with Browser(console) as browser:
            assert (await browser.sign_in(added.one_time_password, "ada"))[0] == 401


class TestWhoComesIn:
    async def test_sign_ins_are_written_down(self, console: Console, terminal: Any, owner: Any) -> None:
        async with Browser(console) as browser:
            name = await enter(browser, terminal, PersonRole.VIEWER, "eve.o'clock".replace("'", ""))
        async with Browser(console) as browser:
            await browser.sign_in()
            assert (await browser.get("/people"))[0] == 200, "the emergency password may all"
            assert (await browser.get("/password"))[0] == 404, "its password stands in the settings"
        assert (name, "console, 127.0.0.1", "console", "") in await actions(owner, "console.sign_in")
        assert ("emergency", "console, 127.0.0.1", "console", "") in await actions(owner, "console.emergency_sign_in")

    async def test_refused_ones_too_but_not_what_was_typed(
        self, console: Console, terminal: Any, owner: Any, place: Database, tmp_path: Any
    ) -> None:
        await people.add(terminal, BOSS, "ada", PersonRole.VIEWER, HOURS)
        bounded = console_settings(
            tmp_path, "127.0.0.1:9", place.dsn, password=PASSWORD, login_refusals_noted_max=3, login_tries_max=50
        )
        await owner.execute("delete from operator_actions where action = 'console.sign_in_refused'")
        async with serving(bounded) as found, Browser(found) as browser:
            for name in ("ada", "my secret phrase", "", "ada", "ada"):
                status, text = await browser.sign_in("wrong", name)
                assert status == 401
                assert "wrong" not in text
        refused = [row[0] for row in await actions(owner, "console.sign_in_refused")]
        assert refused == ["ada", "unknown", "emergency"], "so many a minute at most"

    async def test_who_is_removed_is_out_at_once(self, console: Console, terminal: Any, owner: Any) -> None:
        async with Browser(console) as browser, Browser(console) as admin:
            name = await enter(browser, terminal, PersonRole.OPERATOR)
            boss = await enter(admin, terminal, PersonRole.ADMIN)
            token = await browser.token("/password")
            mine = await admin.token("/password")
            assert (await admin.post(f"/people/{boss}/remove", csrf=mine, because="I leave"))[0] == 409
            assert (await admin.post(f"/people/{name}/remove", csrf=mine, because=" "))[0] == 422
            assert (await admin.post(f"/people/{name}/remove", csrf=mine, because="left us"))[0] == 303
            assert (await browser.post("/ledger/check", csrf=token))[0] == 401
            kept = {cookie.key: cookie.value for cookie in browser.client.cookie_jar}
            await people.add(terminal, BOSS, name, PersonRole.ADMIN, HOURS)
            browser.client.cookie_jar.update_cookies(kept)
            assert (await browser.get("/payments"))[0] == 303, "the name came back, the session did not"
        assert (boss, "console, 127.0.0.1", f"{name}, operator", "left us") in await actions(owner, "operator.remove")

    async def test_without_a_password_people_are_asked_for_once_there_are_any(
        self, stack: Endpoints, place: Database, terminal: Any, tmp_path: Any
    ) -> None:
        settings = console_settings(tmp_path, stack.kafka, place.dsn, session_check_seconds=0.01)
        async with serving(settings) as found, Browser(found) as browser, Browser(found) as stranger:
            assert (await stranger.get("/payments"))[0] == 200
            added = await people.add(terminal, BOSS, "ada", PersonRole.VIEWER, HOURS)

            async def asked() -> bool:
                return (await stranger.get("/payments"))[0] == 303

            await until(asked, "the question for a name")
            assert (await browser.sign_in("", ""))[0] == 401, "there is no emergency password"
            assert (await browser.sign_in(added.one_time_password, "ada"))[0] == 303


class TestUnmasking:
    async def test_one_payload_with_a_reason(
        self, console: Console, terminal: Any, owner: Any, letters: list[int]
    ) -> None:
        path = f"/dead-letters/{letters[0]}/unmask"
        async with Browser(console) as browser:
            name = await enter(browser, terminal, PersonRole.ADMIN)
            token = await browser.token("/password")
            assert (await browser.post(path, csrf=token, because=" "))[0] == 422
            assert await actions(owner, "dead_letter.show_raw") == []
            status, text = await browser.post(path, csrf=token, because=f"ticket 7 {HOSTILE}")
            assert status == 200
            assert browser.headers["cache-control"] == "no-store"
            assert CARD in text
            assert SECRET in text
            assert "<script>alert" not in text
            assert (await browser.post("/dead-letters/999999/unmask", csrf=token, because="none"))[0] == 404
        target = f"dead letter {letters[0]}"
        row = name, "console, 127.0.0.1", target, f"ticket 7 {HOSTILE}"
        assert await actions(owner, "dead_letter.show_raw") == [row]


class TestCommands:
    async def test_adding_listing_and_removing(self, terminal: Any, owner: Any) -> None:
        added = await people.add(terminal, BOSS, "ada", PersonRole.OPERATOR, HOURS)
        assert len(added.one_time_password) == 24
        with pytest.raises(RatchetError, match="there already"):
            await people.add(terminal, BOSS, "ada", PersonRole.ADMIN, HOURS)
        (found,) = await people.list_people(terminal)
        assert (found.name, found.role, found.added_by, found.signed_in_at) == (
            "ada",
            PersonRole.OPERATOR,
            BOSS.who,
            None,
        )
        assert await people.remove(terminal, BOSS, "ada", "left") is PersonRole.OPERATOR
        with pytest.raises(RatchetError, match="no 'ada'"):
            await people.remove(terminal, BOSS, "ada")
        assert (BOSS.who, "terminal", "ada, operator", "") in await actions(owner, "operator.add")
        assert (BOSS.who, "terminal", "ada, operator", "left") in await actions(owner, "operator.remove")

    @pytest.mark.parametrize("name", ["", "Ada", "a b", "-a", "a" * 64, "emergency", "unnamed", "unknown", "ä"])
    async def test_names_that_nobody_can_have(self, terminal: Any, name: str) -> None:
        with pytest.raises(SettingsError):
            await people.add(terminal, BOSS, name, PersonRole.VIEWER, HOURS)
        with pytest.raises(asyncpg.CheckViolationError):
            await terminal.execute(
                "insert into operators (name, role, password_hash, added_by) values ($1, 'viewer', $2, 'a')", name, OWN
            )

    def test_at_a_terminal(
        self, place: Database, terminal: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
    ) -> None:
        from typer.testing import CliRunner

        from ops.cli import app

        values = {
            "POSTGRES__DSN": place.dsn,
            "KAFKA__BOOTSTRAP": "127.0.0.1:9",
            "HOME": str(tmp_path),
            "OPERATOR": "Ann B",
        }
        for name, value in values.items():
            monkeypatch.setenv(f"RATCHET_{name}", value)

        def run(*words: str) -> Any:
            return CliRunner().invoke(app, ["operator", *words])

        added = json.loads(run("add", "ada", "--role", "admin", "--json").stdout)
        assert (added["name"], added["role"]) == ("ada", "admin")
        assert added["one_time_password"]
        assert run("add", "ada", "--role", "admin").exit_code == 1
        assert run("add", "Ada Lovelace", "--role", "admin").exit_code == 2
        assert run("add", "bob", "--role", "king").exit_code == 2
        (shown,) = json.loads(run("list", "--json").stdout)["operators"]
        assert (shown["name"], shown["added_by"]) == ("ada", "Ann B")
        assert added["one_time_password"] not in run("list").stdout
        assert json.loads(run("remove", "ada", "--json").stdout) == {"removed": "ada", "role": "admin"}
        assert run("remove", "ada").exit_code == 1


class TestAProxyThatNamesPeople:
    """The proxy signs people in, and says in a header who asks."""

    @pytest.fixture
    async def behind(self, stack: Endpoints, place: Database, tmp_path: Any) -> AsyncIterator[Console]:
        named = {"person_header": "X-Remote-User", "person_proxies": ("127.0.0.0/8",)}
        async with serving(console_settings(tmp_path, stack.kafka, place.dsn, password=PASSWORD, **named)) as found:
            yield found

    async def test_who_is_named_is_in_with_the_own_role(self, behind: Console, terminal: Any, owner: Any) -> None:
        await people.add(terminal, BOSS, "ada", PersonRole.OPERATOR, HOURS)
        letter_id = await add_letter(owner, "conflict")
        before = len(await actions(owner, "console.sign_in"))
        async with Browser(behind, **{"X-Remote-User": "Ada"}) as browser:
            assert (await browser.get("/payments"))[0] == 200
            assert (await browser.get("/people"))[0] == 403
            token = await browser.token(f"/dead-letters/{letter_id}")
            path = f"/dead-letters/{letter_id}/discard"
            assert (await browser.post(path, csrf=token, because="a test's"))[0] == 303
            await people.remove(terminal, BOSS, "ada")
            assert (await browser.post("/logout", csrf=token))[0] == 401
        assert ("ada", "console, 127.0.0.1", f"dead letter {letter_id}", "a test's") in await actions(
            owner, "dead_letter.discard"
        )
        assert (await actions(owner, "console.sign_in"))[before:] == [("ada", "console, 127.0.0.1", "console", "")]

    async def test_another_name_is_another_session(self, behind: Console, terminal: Any) -> None:
        for name, role in (("ada", PersonRole.ADMIN), ("eve", PersonRole.VIEWER)):
            await people.add(terminal, BOSS, name, role, HOURS)
        async with Browser(behind) as browser:
            assert (await browser.get("/people", **{"X-Remote-User": "ada"}))[0] == 200
            assert (await browser.get("/people", **{"X-Remote-User": "eve"}))[0] == 403

    async def test_nobody_s_name_opens_nothing(self, behind: Console, console: Console, terminal: Any) -> None:
        await people.add(terminal, BOSS, "ada", PersonRole.ADMIN, HOURS)
        async with Browser(behind) as browser:
            for name in ("bob", "emergency", "unnamed", ""):
                assert (await browser.get("/payments", **{"X-Remote-User": name}))[0] == 303, name
        async with Browser(console) as browser:
            assert (await browser.get("/payments", **{"X-Remote-User": "ada"}))[0] == 303, "no proxy may name anybody"
