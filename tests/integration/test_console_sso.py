"""Signing in by OpenID Connect, against a provider that does the whole code flow with PKCE."""

from __future__ import annotations

import base64
import hmac
import re
import socket
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import asyncpg
import pytest
from joserfc.jwk import RSAKey

from tests.integration.chromium import chromium
from tests.integration.console_harness import PASSWORD, Browser, Console, console_settings, serving
from tests.integration.oidc_provider import CLIENT, SECRET, Provider, providing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from runtime.stack import Endpoints
    from tests.conftest import Database

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

ROLES = {"oncall": "operator", "all": "viewer"}


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with providing() as found:
        yield found


@pytest.fixture
async def console(stack: Endpoints, database: Database, provider: Provider, tmp_path: Path) -> AsyncIterator[Console]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    sso = {"issuer": provider.issuer, "client_id": CLIENT, "client_secret": SECRET, "roles": ROLES}
    named = {"bind": address, "public_url": f"http://{address}", "sso": sso}
    async with serving(console_settings(tmp_path, stack.kafka, database.dsn, password=PASSWORD, **named)) as found:
        yield found


async def at_the_provider(browser: Browser, path: str = "/sso/login?next=/payments") -> str:
    """Begin to sign in; return the path with which the provider sends the visitor back."""
    status, _ = await browser.get(path)
    assert status == 303, browser.headers
    async with aiohttp.ClientSession() as client, client.get(browser.headers["location"]) as answer:
        found = re.search(r"href='([^']+)'", await answer.text())
    assert found
    return found[1].removeprefix(browser.url)


async def test_who_signs_in_there_is_in_here_with_the_role_of_the_claim(
    console: Console, provider: Provider, database: Database
) -> None:
    async with Browser(console) as browser:
        assert (await browser.get("/payments"))[0] == 303, "people have to sign in"
        assert "Sign in with 127.0.0.1" in (await browser.get("/login"))[1]
        status, page = await browser.get(await at_the_provider(browser))
        assert status == 200
        assert "url=/payments" in page
        assert (await browser.get("/redrives/new"))[0] == 200
        assert (await browser.get("/people"))[0] == 403
        assert "ada@example.com" in (await browser.get("/payments"))[1]
        token = await browser.token("/payments")
        assert (await browser.post("/logout", csrf=token))[0] == 303
        assert (await browser.get("/payments"))[0] == 303
    (asked,) = provider.asked
    assert {"state", "nonce", "code_challenge"} <= asked.keys()
    connection = await asyncpg.connect(database.dsn)
    row = await connection.fetchrow("select who, origin from operator_actions where action = 'console.sign_in'")
    assert tuple(row) == ("ada@example.com", "console, 127.0.0.1")
    assert await connection.fetchval("select count(*) from operators") == 0
    await connection.close()


FORGERIES: dict[str, Callable[[Provider], dict[str, Any]]] = {
    "another nonce": lambda _: {"claims": {"nonce": "n"}},
    "no nonce": lambda _: {"claims": {"nonce": None}},
    "another audience": lambda _: {"claims": {"aud": "another"}},
    "another issuer": lambda _: {"claims": {"iss": "https://evil.example"}},
    "it has ended": lambda _: {"claims": {"exp": int(time.time()) - 3600}},
    "no end": lambda _: {"claims": {"exp": None}},
    "another key": lambda _: {"key": RSAKey.generate_key(2048, {"kid": "first"}, private=True)},
    "another state": lambda _: {"state": "s"},
    "no role": lambda _: {"claims": {"groups": ["sales"]}},
    "no groups": lambda _: {"claims": {"groups": None}},
    "no name": lambda _: {"claims": {"email": None}},
    "a reserved name": lambda _: {"claims": {"email": "emergency"}},
    "an address that is not verified": lambda _: {"claims": {"email_verified": False}},
}


@pytest.mark.parametrize("name", FORGERIES)
async def test_what_is_not_right_opens_nothing(console: Console, provider: Provider, name: str) -> None:
    provider.wrong = FORGERIES[name](provider)
    async with Browser(console) as browser:
        status, page = await browser.get(await at_the_provider(browser))
        assert status == 401, page
        assert (await browser.get("/payments"))[0] == 303


async def test_a_key_of_ours_signs_nothing_for_the_provider(console: Console, provider: Provider) -> None:
    """HMAC with the public key, as those try it who hope that we take the algorithm from the token."""
    async with Browser(console) as browser:
        back = await at_the_provider(browser)
        public, real = provider.key.as_pem(private=False), provider.id_token

        def forged(asked: dict[str, str]) -> str:
            header = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"first"}').rstrip(b"=")
            signed = header + b"." + real(asked).split(".")[1].encode()
            mac = base64.urlsafe_b64encode(hmac.digest(public, signed, "sha256")).rstrip(b"=")
            return f"{signed.decode()}.{mac.decode()}"

        provider.id_token = forged  # type: ignore[method-assign]
        assert (await browser.get(back))[0] == 401


async def test_an_answer_counts_once_and_in_the_browser_that_began(console: Console, provider: Provider) -> None:
    async with Browser(console) as browser, Browser(console) as stranger:
        back = await at_the_provider(browser)
        assert (await stranger.get(back))[0] == 401, "somebody else's answer signs nobody in"
        assert provider.codes, "nothing was asked of the provider for a stranger"
        assert (await browser.get(back))[0] == 200
        assert (await browser.get(back))[0] == 401


async def test_keys_that_were_changed_are_read_again(console: Console, provider: Provider) -> None:
    async with Browser(console) as browser:
        assert (await browser.get(await at_the_provider(browser)))[0] == 200
        provider.key = provider.published = RSAKey.generate_key(2048, {"kid": "second"}, private=True)
        assert (await browser.get(await at_the_provider(browser)))[0] == 200


async def test_the_verifier_is_sent_to_the_provider_alone(console: Console, provider: Provider) -> None:
    async with Browser(console) as browser:
        await browser.get("/sso/login")
        query = dict(parse_qsl(urlsplit(browser.headers["location"]).query))
        assert "code_verifier" not in query
        cookie = next(one for one in browser.headers.getall("set-cookie") if one.startswith("ratchet_sso="))
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie


async def test_a_provider_that_is_away_or_another_is_reported(console: Console, provider: Provider) -> None:
    provider.wrong = {"issuer": "https://another.example"}
    async with Browser(console) as browser:
        status, page = await browser.get("/sso/login")
        assert (status, "another issuer" in page) == (503, True)
        assert (await browser.sign_in())[0] == 303, "the emergency password opens all the same"


async def test_without_a_provider_there_is_no_such_page(stack: Endpoints, database: Database, tmp_path: Path) -> None:
    settings = console_settings(tmp_path, stack.kafka, database.dsn, password=PASSWORD)
    async with serving(settings) as found, Browser(found) as browser:
        for path in ("/sso/login", "/sso/callback?code=x&state=y"):
            assert (await browser.get(path))[0] == 404


@pytest.mark.slow
async def test_in_a_real_browser(console: Console, provider: Provider) -> None:
    """The session's cookie is SameSite=Strict, and the visitor comes from another site."""
    async with chromium() as browser:
        page = await browser.new_page()
        await page.goto(f"{console.url}/payments?status=failed")
        await page.click("text=Sign in with")
        await page.click("text=Continue as Ada")
        await page.wait_for_url("**/payments?status=failed")
        assert "ada@example.com" in await page.inner_text("header")
