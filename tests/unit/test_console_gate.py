"""The gate of the console's pages, without a server: whither a sign-in leads, who is counted, whom a proxy names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from console_parts import PASSWORD, Playing, sign_in, token_of

from ops.console.sessions import COOKIE, SECURE_COOKIE
from ops.console.shield import HEADERS, NO_STORE
from ops.people import PersonRole
from schemas.errors import RatchetError, SettingsError, UnavailableError

if TYPE_CHECKING:
    import httpx

pytestmark = pytest.mark.unit

WORDS = "three words and a river"
ELSEWHERE = ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"]


def where(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.headers.get("location", "")


class TestWhither:
    """After signing in a visitor goes on where they came from, and never to another site."""

    @pytest.mark.parametrize("target", ELSEWHERE)
    async def test_never_to_another_site(self, target: str) -> None:
        async with Playing().browser() as client:
            assert where(await sign_in(client, next=target)) == (303, "/")
            assert where(await client.get("/login", params={"next": target})) == (303, "/")

    async def test_to_the_page_that_was_asked_for(self) -> None:
        async with Playing().browser() as client:
            status, login = where(await client.get("/payments?status=failed&since=2026-11-01"))
            assert (status, login) == (303, "/login?next=%2Fpayments%3Fstatus%3Dfailed%26since%3D2026-11-01")
            target = "/payments?status=failed&amp;since=2026-11-01"
            assert f'name="next" value="{target}"' in (await client.get(login)).text
            assert where(await sign_in(client, next="/payments?status=failed")) == (303, "/payments?status=failed")
            assert where(await client.get("/login?next=/notes")) == (303, "/notes")

    async def test_of_a_field_that_is_posted_twice_the_last_counts(self) -> None:
        playing = Playing()
        for name in ("ada", "eve"):
            playing.rows.add(name, PersonRole.VIEWER, WORDS)
        async with playing.browser() as client:
            fields = {"csrf": await token_of(client), "name": ["ada", "eve"], "password": WORDS}
            await client.post("/login", data=fields)
        assert [person.name for person in playing.rows.live.values()] == ["eve"]


class TestGuesses:
    async def test_a_sender_of_ipv6_is_its_whole_site(self) -> None:
        playing = Playing(login_tries_max=2)
        answers = []
        for host in range(1, 5):
            async with playing.browser(f"2001:db8:0:7::{host}") as client:
                answers.append((await sign_in(client, "wrong")).status_code)
        assert answers == [401, 401, 429, 429]
        async with playing.browser("2001:db8:0:8::1") as client:
            assert (await sign_in(client, "wrong")).status_code == 401

    async def test_who_knows_a_password_guesses_at_another_s_no_more_often(self) -> None:
        """Whoever has an account could sign in between, and be forgotten with all guesses."""
        playing = Playing(login_tries_max=3)
        playing.rows.add("eve", PersonRole.VIEWER, WORDS)
        answers = []
        async with playing.browser() as client:
            for _ in range(3):
                answers += [
                    (await sign_in(client, "wrong")).status_code,
                    (await sign_in(client, WORDS, "eve")).status_code,
                ]
                client.cookies.clear()
        assert answers == [401, 303, 401, 303, 401, 429]

    async def test_who_signs_in_again_and_again_is_let_in(self) -> None:
        playing = Playing(login_tries_max=2)
        async with playing.browser() as client:
            for _ in range(5):
                assert (await sign_in(client)).status_code == 303
                client.cookies.clear()


class TestCookie:
    @pytest.fixture
    def playing(self) -> Playing:
        return Playing(public_url="https://127.0.0.1:8081")

    async def test_over_https_the_one_that_this_host_alone_can_set_counts(self, playing: Playing) -> None:
        """A sibling site, or whoever sits on the wire of plain http, can set the other one for the same path."""
        eve, ada = (playing.rows.add(name, PersonRole.ADMIN, WORDS) for name in ("eve", "ada"))
        planted = playing.parts.sessions.cookie(await playing.parts.sessions.sign_in(eve, "a"))
        own = playing.parts.sessions.cookie(await playing.parts.sessions.sign_in(ada, "a"))
        async with playing.browser() as client:
            both = {"cookie": f"{COOKIE}={planted}; {SECURE_COOKIE}={own}"}
            assert ">ada<" in (await client.get("/password", headers=both)).text
            alone = {"cookie": f"{COOKIE}={planted}"}
            assert where(await client.get("/password", headers=alone)) == (303, "/login?next=%2Fpassword")

    async def test_it_is_secure_and_of_this_host_alone(self, playing: Playing) -> None:
        async with playing.browser() as client:
            cookie = (await client.get("/login")).headers["set-cookie"].lower()
        name, *attributes = cookie.split("; ")
        assert name.startswith(f"{SECURE_COOKIE}=".lower())
        assert sorted(attributes) == ["httponly", "max-age=43200", "path=/", "samesite=strict", "secure"]


class TestAProxyThatNamesPeople:
    @pytest.fixture
    def playing(self) -> Playing:
        found = Playing(person_header="X-Remote-User", person_proxies=["10.0.0.0/8"])
        for name in ("ada", "eve"):
            found.rows.add(name, PersonRole.VIEWER)
        return found

    async def test_in_an_outage_nobody_is_taken_for_another(self, playing: Playing) -> None:
        """One browser, two people: the cookie is of the one before."""
        async with playing.browser("10.0.0.1") as client:
            assert ">ada<" in (await client.get("/password", headers={"x-remote-user": "ada"})).text
            playing.rows.away = True
            assert ">ada<" in (await client.get("/password", headers={"x-remote-user": "ada"})).text
            assert (await client.get("/password", headers={"x-remote-user": "eve"})).status_code == 303

    async def test_who_is_nobody_here_is_not_taken_for_another(self, playing: Playing) -> None:
        async with playing.browser("10.0.0.1") as client:
            await client.get("/password", headers={"x-remote-user": "ada"})
            assert (await client.get("/password", headers={"x-remote-user": "bob"})).status_code == 303

    async def test_the_emergency_password_opens_in_an_outage(self, playing: Playing) -> None:
        playing.rows.away = True
        async with playing.browser("10.0.0.1", **{"x-remote-user": "ada"}) as client:
            assert (await sign_in(client)).status_code == 303
            assert (await client.get("/login")).status_code == 303


class TestFailures:
    @pytest.mark.parametrize(
        ("error", "status"),
        [
            (UnavailableError("Postgres is away"), 503),
            (SettingsError("since: no time"), 422),
            (RatchetError("it is not open"), 409),
            (KeyError("x"), 500),
        ],
    )
    async def test_what_a_page_s_failure_becomes(self, error: Exception, status: int) -> None:
        playing = Playing()

        async def failing(*_: Any, **__: Any) -> Any:
            raise error

        playing.looks.fetch = failing  # type: ignore[method-assign]
        async with playing.browser() as client:
            await sign_in(client)
            answer = await client.get("/parked")
            assert answer.status_code == status
            assert ('http-equiv="refresh"' in answer.text) is (status == 503)

    async def test_who_is_signed_out_does_nothing(self) -> None:
        playing = Playing()
        async with playing.browser() as client:
            await sign_in(client)
            token = await token_of(client, "/notes")
            playing.rows.live.clear()
            answer = await client.post("/notes", data={"csrf": token, "note": "x"})
            assert answer.status_code == 401
            assert PASSWORD not in answer.text


class TestShield:
    @pytest.mark.parametrize("https", [True, False])
    async def test_every_answer_carries_all_of_it(self, *, https: bool) -> None:
        playing = Playing(**({"public_url": "https://127.0.0.1:8081"} if https else {}))
        names = {name.decode() for name, _ in HEADERS}
        assert names >= {"x-frame-options", "cross-origin-opener-policy", "cross-origin-resource-policy"}
        async with playing.browser() as client:
            for path in ("/login", "/notes", "/nowhere", "/admin/v1/status"):
                answer = await client.get(path)
                found = {name: answer.headers.get_list(name) for name in (*names, NO_STORE[0].decode())}
                assert found == {name.decode(): [value.decode()] for name, value in (*HEADERS, NO_STORE)}, path
                assert ("strict-transport-security" in answer.headers) is https
