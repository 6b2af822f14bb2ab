"""An OpenID provider for tests: the code flow with PKCE, one person, and what a test wants wrong about it."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, urlencode

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from local_http import served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CLIENT = "ratchet-console"
SECRET = "a secret of the client"


class Provider:
    """Signs everybody in who asks, as the person whose claims it holds; `wrong` changes what it says."""

    def __init__(self) -> None:
        self.claims: dict[str, Any] = {"sub": "1", "email": "ada@example.com", "groups": ["oncall", "all"]}
        self.wrong: dict[str, Any] = {}
        self.key = RSAKey.generate_key(2048, {"kid": "first", "use": "sig"}, private=True)
        self.published = self.key
        self.codes: dict[str, dict[str, str]] = {}
        self.asked: list[dict[str, str]] = []
        self.issuer = ""

    async def describe(self, _: web.Request) -> web.Response:
        return web.json_response({
            "issuer": self.wrong.get("issuer", self.issuer),
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
        })  # fmt: skip

    async def keys(self, _: web.Request) -> web.Response:
        return web.json_response(KeySet([self.published]).as_dict(private=False))

    async def authorize(self, request: web.Request) -> web.Response:
        query = dict(request.query)
        self.asked.append(query)
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        assert query["client_id"] == CLIENT
        code = secrets.token_urlsafe(16)
        self.codes[code] = query
        answer = {"code": code, "state": self.wrong.get("state", query["state"])}
        target = f"{query['redirect_uri']}?{urlencode(answer)}"
        return web.Response(text=f"<!doctype html><title>Provider</title><a href='{target}'>Continue as Ada</a>",
                            content_type="text/html")  # fmt: skip

    async def token(self, request: web.Request) -> web.Response:
        form = await request.post()
        asked = self.codes.pop(str(form["code"]), None)
        basic = base64.b64encode(f"{CLIENT}:{quote_plus(SECRET)}".encode()).decode()
        made = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
        challenge = base64.urlsafe_b64encode(made).rstrip(b"=").decode()
        if (
            asked is None
            or request.headers.get("authorization") != f"Basic {basic}"
            or asked["code_challenge"] != challenge
            or asked["redirect_uri"] != form["redirect_uri"]
        ):
            return web.json_response({"error": "invalid_grant"}, status=400)
        return web.json_response({"access_token": "at", "token_type": "Bearer", "id_token": self.id_token(asked)})

    def id_token(self, asked: dict[str, str]) -> str:
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "nonce": asked["nonce"], "iat": now, "exp": now + 300}
        claims |= self.claims | self.wrong.get("claims", {})
        claims = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": "RS256", "kid": self.key.kid}
        return str(jwt.encode(header, claims, self.wrong.get("key", self.key)))


@asynccontextmanager
async def providing() -> AsyncIterator[Provider]:
    """Run a provider while the context lasts."""
    provider, app = Provider(), web.Application()
    app.router.add_get("/.well-known/openid-configuration", provider.describe)
    app.router.add_get("/keys", provider.keys)
    app.router.add_get("/authorize", provider.authorize)
    app.router.add_post("/token", provider.token)
    async with served(app) as provider.issuer:
        yield provider
