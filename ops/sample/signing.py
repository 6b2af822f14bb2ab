"""Signs a post as its provider does, with secrets of this run, and puts the post's fault into it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets as random_secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from ops.sample import adyen, hints, orders, standard, stripe
from ops.sample.post import Fault, Style
from ops.simulated import players
from ops.simulated.players import PLAYERS
from schemas.topics import BODY_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ops.sample.post import Post

STALE_SECONDS: Final = 24 * 3600
PUBLIC_KEY_PREFIX: Final = "whpk_"
MERCHANT_ACCOUNT: Final = "RatchetSample"
INTENTS_PATH: Final = "/payment-intents"
FORM: Final = "application/x-www-form-urlencoded"
_LAST_DIGIT: Final = re.compile(rb"[0-9](?=[^0-9]*\Z)")


@dataclass(frozen=True, slots=True)
class Signer:
    """What one provider's signature needs: its secret, and for Adyen the account of items that name none.

    `public_url` is the ingress' URL as the provider knows it, which Square signs.
    """

    secret: str
    merchant_account: str = MERCHANT_ACCOUNT
    public_url: str = ""


@dataclass(frozen=True, slots=True)
class SignedPost:
    """A signed request as it is sent. `path` starts with a slash."""

    path: str
    headers: Mapping[str, str]
    body: bytes


def new_secret(provider: str) -> str:
    """Return a random secret in the provider's own format."""
    if provider == adyen.NAME:
        return random_secrets.token_hex(32).upper()
    if provider == standard.NAME:
        return "whsec_" + base64.b64encode(random_secrets.token_bytes(24)).decode()
    if provider in PLAYERS:
        return players.new_secret(provider)
    return f"whsec_{random_secrets.token_urlsafe(24)}"


def can_sign(provider: str, secret: str) -> bool:
    """Tell whether the secret can sign; a public key can only verify."""
    if provider in PLAYERS:
        return players.can_sign(provider, secret)
    return bool(secret.strip()) and not (provider == standard.NAME and secret.startswith(PUBLIC_KEY_PREFIX))


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, hashlib.sha256)


def _stripe(post: Post, signer: Signer, at: int) -> tuple[dict[str, str], bytes]:
    """t=<unix>,v1=<hex>: HMAC-SHA256 over '<t>.' + body; while a secret is rolled, a v1 a secret (docs.stripe.com)."""
    message = f"{at}.".encode() + post.body
    signatures = [_hmac(signer.secret.encode(), message).hex()]
    if post.style is Style.ROTATION:
        signatures.insert(0, _hmac(b"whsec_of_the_other_side", message).hex())
    header = ",".join([f"t={at}", *(f"v1={signature}" for signature in signatures)])
    return {"Stripe-Signature": header}, post.body


def _adyen_payload(item: Mapping[str, Any]) -> str:
    """Return what an item's signature covers: eight fields joined by colons, absent ones empty (docs.adyen.com)."""
    amount = item["amount"]
    fields = (
        item["pspReference"],
        item.get("originalReference", ""),
        item["merchantAccountCode"],
        item["merchantReference"],
        str(amount["value"]),
        amount["currency"],
        item["eventCode"],
        item["success"],
    )
    return ":".join(fields)


def _adyen(post: Post, signer: Signer, _at: int) -> tuple[dict[str, str], bytes]:
    """Put each item's signature into its additionalData."""
    body = json.loads(post.body)
    for wrapped in body["notificationItems"]:
        item = wrapped["NotificationRequestItem"]
        item["merchantAccountCode"] = item["merchantAccountCode"] or signer.merchant_account
        signature = _hmac(bytes.fromhex(signer.secret), _adyen_payload(item).encode())
        item["additionalData"]["hmacSignature"] = base64.b64encode(signature).decode()
    return {}, json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def _standard(post: Post, signer: Signer, at: int) -> tuple[dict[str, str], bytes]:
    """v1,<base64>: HMAC-SHA256 over '<id>.<timestamp>.' + body, a space-separated list (standardwebhooks.com)."""
    encoded = signer.secret.removeprefix("whsec_")
    key = base64.b64decode(encoded + "=" * (-len(encoded) % 4))
    signature = base64.b64encode(_hmac(key, f"{post.message_id}.{at}.".encode() + post.body)).decode()
    listed = f"v1,{signature}"
    if post.style is Style.ROTATION:
        listed = f"v1,{base64.b64encode(bytes(32)).decode()} {listed}"
    prefix = "svix" if post.style is Style.SVIX else "webhook"
    return {f"{prefix}-id": post.message_id, f"{prefix}-timestamp": str(at), f"{prefix}-signature": listed}, post.body


def _unsigned(post: Post, _signer: Signer, _at: int) -> tuple[dict[str, str], bytes]:
    """Mollie's ordinary webhook is a form, and not signed (docs.mollie.com)."""
    return {"Content-Type": FORM}, post.body


def _bearer(post: Post, signer: Signer, _at: int) -> tuple[dict[str, str], bytes]:
    """Name the client by its key, and the request by the key that makes it one (contract of the intents API)."""
    return {"Authorization": f"Bearer {signer.secret}", "Idempotency-Key": post.message_id}, post.body


_SEALS: Final[dict[str, Callable[[Post, Signer, int], tuple[dict[str, str], bytes]]]] = {
    stripe.NAME: _stripe,
    adyen.NAME: _adyen,
    standard.NAME: _standard,
    hints.NAME: _unsigned,
    orders.CLIENT: _bearer,
}


def _broken(fault: Fault, headers: dict[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
    """Break a good seal: alter the body under it, or tear it."""
    if fault is Fault.ALTERED:
        return headers, _altered(body)
    if fault is Fault.MALFORMED:
        return dict.fromkeys(headers, "v1"), body.replace(b'"hmacSignature":"', b'"hmacSignature":"!')
    if fault is Fault.OVERSIZE:
        return headers, body + b" " * (BODY_BYTES_MAX + 1 - len(body))
    return headers, body


def _altered(body: bytes) -> bytes:
    """Return another body: another name for the amount, else another last digit."""
    if b'"amount"' in body:
        return body.replace(b'"amount"', b'"Amount"', 1)
    return _LAST_DIGIT.sub(lambda digit: b"1" if digit[0] == b"0" else b"0", body)


def _as_played(post: Post, secret: str, url: str) -> tuple[dict[str, str], bytes]:
    """Sign as a provider does that the sample does not post."""
    player = PLAYERS[post.provider]
    signed = b"" if player.signed_field is None else player.signed_field(post.body, secret) + b"&"
    return dict(player.seal(post, secret, url)), signed + post.body


def seal(post: Post, signers: Mapping[str, Signer], now: float) -> SignedPost:
    """Return a post signed at `now` (unix seconds), with its fault if it has one."""
    signer, at = signers[post.provider], int(now)
    if post.fault is Fault.FORGED:
        signer = replace(signer, secret=new_secret(post.provider))
    if post.fault is Fault.STALE:
        at -= STALE_SECONDS
    name = "nobody" if post.fault is Fault.UNKNOWN_PROVIDER else post.provider
    path = INTENTS_PATH if post.provider == orders.CLIENT else f"/webhooks/{name}"
    if post.provider in PLAYERS and not post.hint:
        headers, body = _as_played(post, signer.secret, signer.public_url + path)
    else:
        headers, body = _SEALS[post.provider](post, signer, at)
    if post.fault is not None:
        headers, body = _broken(post.fault, headers, body)
    return SignedPost(path, {"Content-Type": "application/json"} | headers, body)
