"""Signing in by OpenID Connect: the code flow with PKCE (RFC 7636), state and nonce (OpenID Connect Core, 3.1).

What an ID token says counts once its signature, issuer, audience, times and nonce are right (Core, 3.1.3.7). Nothing is
asked of the provider for somebody who did not begin here: the callback needs the cookie of an attempt first.
"""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import time
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_plus, urlencode, urlsplit

from itsdangerous import BadData, URLSafeTimedSerializer

from ops.console.persons import Person
from ops.loopback import leads_to_loopback
from ops.people import NAME, RESERVED, PersonRole
from runtime import log
from schemas.errors import RatchetError, SettingsError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.settings import ConsoleSettings

COOKIE: Final = "ratchet_sso"
PURPOSE: Final = b"ratchet console sso"
CALLBACK: Final = "/sso/callback"
ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
)
"""Signatures by keys of which the provider alone has the secret half: never `none`, never HMAC."""
ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")

_log = log.get("console")


class SignInRefusedError(RatchetError):
    """Nobody comes in by this answer of the provider; the message is for the visitor."""


@dataclass(frozen=True, slots=True)
class SignIn:
    """A sign-in that began: what its cookie holds until the provider sends the visitor back."""

    state: str
    nonce: str
    verifier: str
    target: str


def check_sso(settings: ConsoleSettings) -> None:
    """Raise SettingsError where people are to sign in by a provider and the library for it is not there."""
    if settings.sso.issuer is None:
        return
    if find_spec("authlib") is None:
        raise SettingsError("RATCHET_CONSOLE__SSO__ISSUER: needs authlib; install ratchet-payments[sso]")


def _is_safe(url: str) -> bool:
    return url.startswith("https://") or (url.startswith("http://") and leads_to_loopback(url))


class SignOn:
    """Asks the provider that the settings name."""

    def __init__(self, settings: ConsoleSettings) -> None:
        self._settings = settings
        self._sso = settings.sso
        self._metadata: dict[str, Any] = {}
        self._keys: Any = {}
        self._read_at = 0.0

    @property
    def on(self) -> bool:
        """Whether people sign in by a provider here."""
        return self._sso.issuer is not None

    @property
    def host(self) -> str:
        """What people know the provider by."""
        return urlsplit(self._sso.issuer or "").hostname or ""

    @property
    def redirect_uri(self) -> str:
        """Where the provider sends people back to."""
        return (self._settings.public_url or "").rstrip("/") + CALLBACK

    async def begin(self, target: str) -> tuple[str, SignIn]:
        """Return where the visitor goes to sign in, and what to remember; raise UnavailableError: no provider."""
        from authlib.oauth2.rfc7636 import create_s256_code_challenge

        metadata = await self._described()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        attempt = SignIn(state, nonce, verifier, target)
        query = {
            "response_type": "code",
            "client_id": self._sso.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": self._sso.scopes,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": create_s256_code_challenge(attempt.verifier),
            "code_challenge_method": "S256",
        }
        joint = "&" if "?" in metadata["authorization_endpoint"] else "?"
        return metadata["authorization_endpoint"] + joint + urlencode(query), attempt

    async def finish(self, attempt: SignIn | None, query: Mapping[str, str]) -> Person:
        """Return who signed in; raise SignInRefusedError or UnavailableError. Without an attempt nothing is asked."""
        if attempt is None:
            raise SignInRefusedError("this sign-in was not begun in this browser, or took too long; begin again")
        if not hmac.compare_digest(attempt.state.encode(), query.get("state", "").encode()):
            raise SignInRefusedError("this sign-in was not begun in this browser; begin again")
        if "error" in query or "code" not in query:
            raise SignInRefusedError(f"{self.host} did not sign you in; begin again")
        issuer = query.get("iss")
        if issuer is not None and issuer != self._sso.issuer:  # RFC 9207
            raise SignInRefusedError("the answer is of another provider; begin again")
        tokens = await self._exchange(query["code"], attempt.verifier)
        return self._person(await self._claims(tokens, attempt.nonce))

    async def _exchange(self, code: str, verifier: str) -> dict[str, Any]:
        metadata, sso = await self._described(), self._sso
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect_uri,
                "code_verifier": verifier, "client_id": sso.client_id or ""}  # fmt: skip
        if sso.client_secret is None:
            return await self._ask("POST", metadata["token_endpoint"], form)
        secret, methods = sso.client_secret.get_secret_value(), metadata.get("token_endpoint_auth_methods_supported")
        if methods and "client_secret_basic" not in methods:
            return await self._ask("POST", metadata["token_endpoint"], form | {"client_secret": secret})
        return await self._ask("POST", metadata["token_endpoint"], form, (sso.client_id or "", secret))

    async def _claims(self, tokens: Mapping[str, Any], nonce: str) -> Mapping[str, Any]:
        """Return what the ID token says, once all of it is right."""
        from authlib.oidc.core import CodeIDToken
        from joserfc import jwt
        from joserfc.errors import InvalidKeyIdError, JoseError
        from joserfc.jwk import KeySet
        from joserfc.jws import JWSRegistry

        registry = JWSRegistry(algorithms=list(ALGORITHMS), strict_check_header=False)
        options = {
            "iss": {"essential": True, "value": self._sso.issuer},
            "aud": {"essential": True, "value": self._sso.client_id},
            "nonce": {"essential": True, "value": nonce},
        }
        params = {"nonce": nonce, "client_id": self._sso.client_id, "access_token": tokens.get("access_token")}
        try:
            text = tokens["id_token"]
            try:
                token = jwt.decode(text, KeySet.import_key_set(self._keys), registry=registry)
            except InvalidKeyIdError:
                self._metadata = {}  # keys were changed since they were read: all of it is read again
                await self._described()
                token = jwt.decode(text, KeySet.import_key_set(self._keys), registry=registry)
            claims = CodeIDToken(token.claims, token.header, options, params)
            claims.validate(leeway=self._sso.leeway_seconds)
        except (JoseError, KeyError, ValueError, TypeError) as error:
            _log.warning("console_sso_token_refused", error=type(error).__name__)
            raise SignInRefusedError(f"what {self.host} says of you is not proven; begin again") from error
        return claims  # type: ignore[no-any-return] # a dict, which authlib does not type

    def _person(self, claims: Mapping[str, Any]) -> Person:
        sso = self._sso
        name = str(claims.get(sso.name_claim) or "").lower()
        if not NAME.fullmatch(name) or name in RESERVED:
            raise SignInRefusedError(f"{self.host} gives you no name ({sso.name_claim}) that can be used here")
        # Apple's token has it as a text or a boolean, others leave it out.
        if sso.name_claim == "email" and str(claims.get("email_verified")).lower() == "false":
            raise SignInRefusedError(f"{self.host} has not verified your address")
        held = claims.get(sso.role_claim)
        values = {held} if isinstance(held, str) else {one for one in held or () if isinstance(one, str)}
        roles = [PersonRole(role) for value, role in sso.roles.items() if value in values]
        if not roles:
            raise SignInRefusedError(f"{name} has no role here: {sso.role_claim} at {self.host} names none")
        return Person(name, max(roles, key=list(PersonRole).index))

    async def _described(self) -> dict[str, Any]:
        """Return the provider's description; it and the keys are read again after a while."""
        if self._metadata and time.monotonic() - self._read_at < self._sso.metadata_seconds:
            return self._metadata
        issuer = self._sso.issuer or ""
        found = await self._ask("GET", f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != issuer or not all(_is_safe(str(found.get(name, ""))) for name in ENDPOINTS):
            raise UnavailableError(f"{self.host} describes itself as another issuer, or with addresses in clear")
        self._keys = await self._ask("GET", found["jwks_uri"])
        self._metadata, self._read_at = found, time.monotonic()
        return found

    async def _ask(
        self, method: str, url: str, form: Mapping[str, str] | None = None, basic: tuple[str, str] | None = None
    ) -> dict[str, Any]:
        """Return a JSON object of the provider; raise SignInRefusedError where it refuses, UnavailableError else."""
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=self._sso.timeout_seconds)
        headers = {} if basic is None else {"authorization": _basic(*basic)}
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.request(method, url, data=form, headers=headers, allow_redirects=False) as answer,
            ):
                body = bytearray()
                async for chunk in answer.content.iter_any():
                    body += chunk
                    if len(body) > self._sso.answer_bytes_max:
                        raise UnavailableError(f"{self.host} says too much")
                status = answer.status
            document = json.loads(body)
        except (aiohttp.ClientError, TimeoutError, ValueError, RecursionError) as error:
            raise UnavailableError(f"{self.host} does not answer as an OpenID provider does") from error
        if method == "POST" and 400 <= status < 500:  # noqa: PLR2004 - a refusal (RFC 6749, 5.2)
            raise SignInRefusedError(f"{self.host} does not take this sign-in; begin again")
        if status != 200 or not isinstance(document, dict):  # noqa: PLR2004 - the one that has a document
            raise UnavailableError(f"{self.host} answers {status}")
        return document


def _basic(client_id: str, secret: str) -> str:
    """Return how a client says who it is (RFC 6749, 2.3.1): both parts encoded as a form has them."""
    both = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return f"Basic {base64.b64encode(both.encode()).decode()}"


def sealed(key: bytes, attempt: SignIn) -> str:
    """Return an attempt as its cookie holds it."""
    return str(URLSafeTimedSerializer(key, salt=PURPOSE).dumps(asdict(attempt)))


def opened(key: bytes, cookie: str | None, seconds: int) -> SignIn | None:
    """Return the attempt of a cookie; None where it is forged or too old."""
    try:
        return SignIn(**URLSafeTimedSerializer(key, salt=PURPOSE).loads(cookie or "", max_age=seconds))
    except (BadData, TypeError):
        return None
