"""What an OpenID provider says is believed as far as it is proven: its answer, its token, its addresses."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from console_parts import Playing
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from local_http import served

from ops.console import sso
from ops.console.sso import SignIn, SignInRefusedError, SignOn, opened, sealed
from ops.people import PersonRole
from runtime.settings import ConsoleSettings
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.unit

ISSUER = "https://id.example"
ROLES = {"oncall": "operator", "all": "viewer", "heads": "admin"}
ATTEMPT = SignIn("s" * 43, "n" * 43, "v" * 43, "/payments")
KEY = ECKey.generate_key("P-256", {"kid": "first", "use": "sig"}, private=True)


def settings(**more: Any) -> ConsoleSettings:
    named = {"issuer": ISSUER, "client_id": "console", "roles": ROLES}
    return ConsoleSettings(password="x" * 16, public_url="https://ops.example", sso=named | more)


class PlayedSignOn(SignOn):
    """Signing in with a provider that says what a test wants; what it is asked is kept."""

    def __init__(self, **more: Any) -> None:
        super().__init__(settings(**more))
        self.claims: dict[str, Any] = {"sub": "1", "email": "ada@example.com", "groups": ["oncall"]}
        self.keys = [KEY]
        self.asked: list[str] = []
        self.described: dict[str, Any] = {}

    async def _ask(self, method: str, url: str, *_: Any) -> dict[str, Any]:
        self.asked.append(f"{method} {url}")
        if url.endswith("/.well-known/openid-configuration"):
            ends = {name: f"{ISSUER}/{name}" for name in sso.ENDPOINTS}
            return {"issuer": ISSUER} | ends | self.described
        if method == "GET":
            return dict(KeySet(self.keys).as_dict(private=False))
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": "console", "nonce": ATTEMPT.nonce, "iat": now, "exp": now + 300} | self.claims
        header = {"alg": "ES256", "kid": "first"}
        return {"access_token": "at", "id_token": jwt.encode(header, claims, KEY)}


async def finish(played: SignOn, **query: str) -> Any:
    return await played.finish(ATTEMPT, {"state": ATTEMPT.state, "code": "c"} | query)


async def test_the_highest_role_counts() -> None:
    played = PlayedSignOn()
    for groups, role in (
        ("oncall", PersonRole.OPERATOR),
        (["all", "oncall"], PersonRole.OPERATOR),
        (["heads", "all"], PersonRole.ADMIN),
        (["sales", "all"], PersonRole.VIEWER),
    ):
        played.claims["groups"] = groups
        assert (await finish(played)).role is role, groups


@pytest.mark.parametrize("groups", [None, [], "", "heads of sales", ["Heads"], [7], [["heads"]], "a"])
async def test_what_is_no_role_here_is_none(groups: Any) -> None:
    played = PlayedSignOn()
    played.claims["groups"] = groups
    with pytest.raises(SignInRefusedError, match="no role here"):
        await finish(played)


@pytest.mark.parametrize("verified", [False, "false"])
async def test_an_address_that_is_not_verified_is_nobody_s_name(verified: Any) -> None:
    """Apple's ID token has this claim as a text or a boolean; an address that anybody may type in is no proof."""
    played = PlayedSignOn()
    for fine in (True, "true"):
        played.claims["email_verified"] = fine
        assert (await finish(played)).name == "ada@example.com"
    played.claims["email_verified"] = verified
    with pytest.raises(SignInRefusedError, match="not verified"):
        await finish(played)


@pytest.mark.parametrize(
    "query",
    [
        {"iss": "https://another.example"},
        {"iss": ""},
        {"error": "access_denied"},
        {"state": ""},
        {"state": ATTEMPT.nonce},
    ],
)
async def test_an_answer_that_is_not_the_provider_s_asks_it_nothing(query: Mapping[str, str]) -> None:
    played = PlayedSignOn()
    with pytest.raises(SignInRefusedError):
        await finish(played, **query)
    with pytest.raises(SignInRefusedError):
        await played.finish(ATTEMPT, {"code": "c"})
    assert played.asked == []
    assert (await finish(played, iss=ISSUER)).name == "ada@example.com"


@pytest.mark.parametrize(
    ("claim", "value"),
    [("exp", -200), ("iat", 400), ("nbf", 400), ("aud", ["another"]), ("nonce", ATTEMPT.state)],
)
async def test_a_token_of_another_time_or_attempt_proves_nothing(claim: str, value: Any) -> None:
    played = PlayedSignOn()
    played.claims[claim] = int(time.time()) + value if isinstance(value, int) else value
    with pytest.raises(SignInRefusedError, match="not proven"):
        await finish(played)


async def test_a_clock_that_is_off_by_less_than_the_leeway_is_borne() -> None:
    played = PlayedSignOn(leeway_seconds=60)
    played.claims["exp"] = int(time.time()) - 30
    assert (await finish(played)).role is PersonRole.OPERATOR


@pytest.mark.parametrize("name", sso.ENDPOINTS)
@pytest.mark.parametrize("url", ["http://id.example/x", "ftp://id.example/x", "", None, "//id.example/x"])
async def test_no_secret_goes_over_a_wire_in_clear(name: str, url: str | None) -> None:
    played = PlayedSignOn()
    played.described = {name: url}
    with pytest.raises(UnavailableError, match="in clear"):
        await played.begin("/")
    played.described = {name: "http://127.0.0.1:1/x"}
    await played.begin("/")


async def test_keys_that_were_withdrawn_prove_nothing_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    played, now = PlayedSignOn(metadata_seconds=10), [1000.0]
    monkeypatch.setattr(sso.time, "monotonic", lambda: now[0])
    await finish(played)
    played.keys = [ECKey.generate_key("P-256", {"kid": "first"}, private=True)]
    now[0] += 9
    await finish(played)
    now[0] += 1
    with pytest.raises(SignInRefusedError, match="not proven"):
        await finish(played)


def test_an_attempt_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    key, now = b"k" * 32, time.time()
    cookie = sealed(key, ATTEMPT)
    assert opened(key, cookie, 600) == ATTEMPT
    assert opened(b"l" * 32, cookie, 600) is None
    monkeypatch.setattr(time, "time", lambda: now + 602)
    assert opened(key, cookie, 600) is None


class TestAsking:
    """What is asked over the wire."""

    @pytest.fixture
    def asking(self) -> SignOn:
        return SignOn(settings(answer_bytes_max=1000, timeout_seconds=0.2))

    async def test_what_a_provider_may_answer(self, asking: SignOn) -> None:
        answers = {
            "long": web.Response(text='{"a": "%s"}' % ("x" * 1000)),
            "moved": web.Response(status=302, headers={"location": "/fine"}),
            "list": web.json_response([]),
            "none": web.Response(text="<html>"),
            "broken": web.json_response({}, status=500),
        }
        application, reached = web.Application(), []

        async def answer(request: web.Request) -> web.StreamResponse:
            reached.append(request.path)
            if request.path == "/refused":
                return web.json_response({"error": "invalid_grant"}, status=int(request.query["status"]))
            return answers.get(request.path[1:], web.json_response({"fine": 1}))

        application.router.add_route("*", "/{name}", answer)
        async with served(application) as url:
            for method in ("GET", "POST"):
                assert await asking._ask(method, f"{url}/fine") == {"fine": 1}
            for name in answers:
                reached.clear()
                with pytest.raises(UnavailableError):
                    await asking._ask("POST", f"{url}/{name}", {"client_secret": "s"})
                assert reached == [f"/{name}"], "a secret goes where it was to go, and no further"
            for status in (400, 401, 403):
                with pytest.raises(SignInRefusedError):
                    await asking._ask("POST", f"{url}/refused?status={status}", {})
            with pytest.raises(UnavailableError):
                await asking._ask("GET", f"{url}/refused?status=400")

    async def test_one_that_is_away(self, asking: SignOn) -> None:
        with pytest.raises(UnavailableError):
            await asking._ask("GET", "http://127.0.0.1:1/")


@pytest.mark.parametrize(("target", "kept"), [("//evil.example", "/"), ("/payments?q=1", "/payments?q=1")])
async def test_a_sign_in_there_leads_to_no_other_site(target: str, kept: str) -> None:
    named = {"issuer": ISSUER, "client_id": "console", "roles": ROLES}
    playing = Playing(public_url="http://127.0.0.1:8081", sso=named)
    object.__setattr__(playing.parts, "sso", PlayedSignOn())
    async with playing.browser() as client:
        answer = await client.get("/sso/login", params={"next": target})
        attempt = opened(b"k" * 32, answer.cookies[sso.COOKIE], 600)
    assert attempt is not None
    assert attempt.target == kept
