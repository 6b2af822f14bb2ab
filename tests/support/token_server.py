"""A token endpoint on loopback (RFC 6749, 4.4) that gives JWTs: unsecured ones, or signed with a key (RS256)."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from local_http import served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CLIENT: Final = "ratchet:client"
SECRET: Final = "token-topsecret/+ 1"
"""Both need what RFC 6749, 2.3.1 says of their encoding."""
ISSUER: Final = "https://issuer.example"
KEY_ID: Final = "key-1"


@dataclass
class Issuer:
    """What the endpoint gives, and what it was asked. `answers` are given first, in order."""

    url: str = ""
    seconds: float = 300.0
    scope: str = "kafka"
    asked: list[dict[str, Any]] = field(default_factory=list)
    answers: list[tuple[int, bytes]] = field(default_factory=list)
    pause_seconds: float = 0.0
    key: rsa.RSAPrivateKey | None = None
    audience: str = "kafka"

    def token(self) -> str:
        """Return a JWT, signed where there is a key."""
        now = time.time()
        claims = {
            "sub": "ratchet",
            "iat": now - 1,
            "exp": now + self.seconds,
            "scope": self.scope,
            "aud": self.audience,
        }
        claims |= {"iss": ISSUER, "n": len(self.asked)}
        header = {"alg": "none"} if self.key is None else {"alg": "RS256", "kid": KEY_ID}
        reported = f"{_part(header)}.{_part(claims)}"
        signature = b""
        if self.key is not None:
            signature = self.key.sign(reported.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{reported}.{_text(signature)}"


def key_set(key: rsa.RSAPrivateKey) -> bytes:
    """Return the JWK set (RFC 7517) that proves what the key signs."""
    public = key.public_key().public_numbers()
    numbers = {
        name: _text(one.to_bytes((one.bit_length() + 7) // 8)) for name, one in (("n", public.n), ("e", public.e))
    }
    return json.dumps({"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID, **numbers}]}).encode()


def _part(found: dict[str, Any]) -> str:
    return _text(json.dumps(found).encode())


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


async def _give(issuer: Issuer, request: web.Request) -> web.Response:
    form = dict(await request.post())
    login = base64.b64decode(request.headers.get("Authorization", "").removeprefix("Basic ")).decode()
    issuer.asked.append(form | {"login": login})
    await asyncio.sleep(issuer.pause_seconds)
    if issuer.answers:
        status, body = issuer.answers.pop(0)
        return web.Response(status=status, body=body)
    if login != "ratchet%3Aclient:token-topsecret%2F%2B+1" or form.get("grant_type") != "client_credentials":
        return web.json_response({"error": "invalid_client", "error_description": login}, status=401)
    return web.json_response({"access_token": issuer.token(), "token_type": "Bearer", "expires_in": issuer.seconds})


@asynccontextmanager
async def token_server(**given: Any) -> AsyncIterator[Issuer]:
    """Serve until the context ends."""
    issuer = Issuer(**given)
    app = web.Application()
    app.add_routes([web.post("/token", partial(_give, issuer))])
    async with served(app) as url:
        issuer.url = f"{url}/token"
        yield issuer
