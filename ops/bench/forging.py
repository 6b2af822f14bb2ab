"""Genuine requests, ways to forge them, and what their signatures cover. Pure, but for reading the vectors.

What is signed is written down here a second time, from the schemes' descriptions: the product's own idea of it is what
is under test.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from producers.providers import names, verify
from schemas.errors import SignatureRejected

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from random import Random

    from producers.providers import Notification

FAMILIES: Final = {
    "hmac_body": "HMAC over the raw body",
    "hmac_timestamped": "HMAC over time and body",
    "hmac_url": "HMAC over URL and body",
    "hmac_fields": "HMAC over named fields",
    "hmac_form": "HMAC over a form",
    "certificate": "RSA under a certificate",
    "ed25519": "ed25519",
    "shown_secret": "the secret itself, shown",
    "unsigned": "unsigned, a hint at most",
}
"""Kinds of verification; a provider that nothing is known of counts as `hmac_body`."""

_OF_PROVIDER: Final = {
    "adyen": "hmac_fields",
    "braintree": "hmac_form",
    "mpesa": "shown_secret",
    "paypal": "certificate",
    "square": "hmac_url",
    "standard_webhooks": "hmac_timestamped",
    "stripe": "hmac_timestamped",
    "twilio": "hmac_form",
}
_URL_COUNTS: Final = ("square", "twilio", "mpesa")
_MAC: Final = re.compile(r"[A-Za-z0-9+/]{27,}")


@dataclass(frozen=True, slots=True)
class ForgerySample:
    """One request and what it is checked with; header names in lower case.

    `needed_headers` are the headers without which it is refused.
    """

    provider: str
    family: str
    headers: dict[str, tuple[str, ...]]
    body: bytes
    url: str
    rest: dict[str, Any] = field(compare=False)
    needed_headers: tuple[str, ...] = ()

    def values(self, name: str) -> tuple[str, ...]:
        """Return all values of a header."""
        return self.headers.get(name, ())

    def verified(self) -> list[Notification]:
        """Return what the product finds in it; raise what the product raises."""
        return verify(self.provider, headers=self.headers, body=self.body, url=self.url, **self.rest)


@cache
def samples(vectors: Path, family: str) -> dict[str, list[ForgerySample]]:
    """Return the genuine requests of a family by provider, from the accepted cases of the vectors."""
    found: dict[str, list[ForgerySample]] = {}
    for path in sorted(vectors.glob("*.json")):
        if path.stem not in names():
            continue
        cases = json.loads(path.read_text())["cases"]
        genuine = [_sample(path.stem, case) for case in cases if case["expect"] == "accept"]
        mine = [replace(one, needed_headers=_needed_headers(one)) for one in genuine if one.family == family]
        if mine:
            found[path.stem] = mine
    return found


def _sample(provider: str, case: dict[str, Any]) -> ForgerySample:
    headers = {name.lower(): (value,) if isinstance(value, str) else tuple(value) for name, value in _headers(case)}
    body = base64.b64decode(case["body_base64"])
    rest = {"secrets": case["secrets"], "now": case["now"], "config": case.get("config")}
    sample = ForgerySample(provider, "", headers, body, case["url"], rest)
    return replace(sample, family=_family(sample, case["trust"]))


def _headers(case: dict[str, Any]) -> list[tuple[str, Any]]:
    return list(case["headers"].items())


def _family(sample: ForgerySample, trust: str) -> str:
    """Return the family of a request; some providers have more than one scheme."""
    family = _OF_PROVIDER.get(sample.provider, "hmac_body")
    if trust == "hint":
        return "unsigned" if sample.provider == "mollie" else "shown_secret"
    if sample.provider == "adyen" and sample.values("hmacsignature"):
        return "hmac_body"
    if sample.provider == "twilio" and "bodySHA256" in sample.url:
        return "hmac_url"
    if sample.provider == "standard_webhooks" and "v1a," in " ".join(sum(sample.headers.values(), ())):
        return "ed25519"
    return family


def _needed_headers(sample: ForgerySample) -> tuple[str, ...]:
    return tuple(name for name in sample.headers if not _passes(_without(sample, name)))


def _passes(sample: ForgerySample) -> bool:
    try:
        sample.verified()
    except SignatureRejected:
        return False
    return True


def _without(sample: ForgerySample, name: str) -> ForgerySample:
    return replace(sample, headers={key: value for key, value in sample.headers.items() if key != name})


# --- what is proven ------------------------------------------------------------------------------------------------


def proves_nothing_new(forged: ForgerySample, found: Sequence[Notification], genuine: Sequence[ForgerySample]) -> bool:
    """Tell whether an accepted request still is what one of the genuine ones proved, though it is not byte for byte."""
    if any(one.trust == "hint" for one in found):
        return forged.family == "unsigned" or _shows_secret(forged)
    if forged.family in ("unsigned", "shown_secret"):
        return False
    try:
        signed = _signed(forged)
    except Exception:  # noqa: BLE001 - what can't be read is not what was signed
        return False
    fitting = [one for one in genuine if _signed(one) == signed]
    return any(not _macs(one) or _macs(one) & _macs(forged) for one in fitting)


def _shows_secret(forged: ForgerySample) -> bool:
    if forged.provider == "mpesa":
        return forged.url.partition("?")[0].rpartition("/")[2] in forged.rest["secrets"]
    return bool({value for values in forged.headers.values() for value in values} & {*forged.rest["secrets"]})


def _macs(sample: ForgerySample) -> set[str]:
    return {mac for values in sample.headers.values() for value in values for mac in _MAC.findall(value)}


def _signed(sample: ForgerySample) -> Any:
    reader = _SIGNED.get(sample.provider)
    if reader is None or (sample.provider == "adyen" and sample.family == "hmac_body"):
        return sample.body
    return reader(sample)


def _first(sample: ForgerySample, *names_: str) -> tuple[str, ...]:
    return next((sample.values(name)[:1] for name in names_ if sample.values(name)), ())


def _stripe(sample: ForgerySample) -> Any:
    parts = ",".join(sample.values("stripe-signature")).split(",")
    return sample.body, {part.strip() for part in parts if part.strip().startswith("t=")}


def _standard(sample: ForgerySample) -> Any:
    return sample.body, [_first(sample, f"webhook-{part}", f"svix-{part}") for part in ("id", "timestamp")]


def _adyen(sample: ForgerySample) -> Any:
    items = json.loads(sample.body.decode("utf-8", "replace"))["notificationItems"]  # unsigned texts may be broken
    return [_adyen_item(wrapper["NotificationRequestItem"]) for wrapper in items]


def _adyen_item(item: dict[str, Any]) -> list[Any]:
    plain = ("pspReference", "originalReference", "merchantAccountCode", "merchantReference", "eventCode")
    amount = item["amount"]
    shown = [item.get(name) or "" for name in plain]
    return [*shown, str(amount["value"]), amount["currency"], str(item["success"]).lower()]


def _braintree(sample: ForgerySample) -> Any:
    form = dict(parse_qsl(sample.body.decode("latin-1"), encoding="latin-1"))
    return form["bt_payload"].removesuffix("\n")


def _twilio(sample: ForgerySample) -> Any:
    url = re.sub(r"^(https?://[^/:?]+):[0-9]+", r"\1", sample.url)
    if sample.family == "hmac_url":
        return url, sample.body
    form = parse_qsl(sample.body.decode("latin-1"), keep_blank_values=True, encoding="latin-1")
    joined = "".join(name + value for name, value in sorted(set(form)))
    return url, joined, {name: value for name, value in form if name in ("MessageSid", "MessageStatus")}


def _paypal(sample: ForgerySample) -> Any:
    return sample.body, [_first(sample, f"paypal-{part}") for part in ("transmission-id", "transmission-time")]


_SIGNED: Final[dict[str, Callable[[ForgerySample], Any]]] = {
    "adyen": _adyen,
    "braintree": _braintree,
    "paypal": _paypal,
    "square": lambda sample: (sample.url, sample.body),
    "standard_webhooks": _standard,
    "stripe": _stripe,
    "twilio": _twilio,
}
"""What the signature covers; the raw body where nothing stands here."""


# --- ways to forge -------------------------------------------------------------------------------------------------

_SNIPPETS: Final = (
    b"0",
    b"1",
    b"9",
    b"a",
    b"\n",
    b" ",
    b"=",
    b"&",
    b",",
    b"|",
    b":",
    b"/",
    b"%00",
    b"\xff",
    b'"',
    b"{}",
)
_NUMBER: Final = re.compile(rb"[0-9]+")
_HEX: Final = "0123456789abcdef"
_LETTERS: Final = _HEX + "ABCDEFGHIJKLMNOPQRSTUVWXYZ+/=,; \xe9\x00"


def forge(random: Random, genuine: Sequence[ForgerySample]) -> ForgerySample:
    """Return one of the genuine requests with one to three things done to it."""
    forged = random.choice(genuine)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        forged = _spoil(random, forged, genuine)
    return forged


def _spoil(random: Random, sample: ForgerySample, genuine: Sequence[ForgerySample]) -> ForgerySample:
    parts: list[Callable[[Random, ForgerySample, Sequence[ForgerySample]], ForgerySample]] = []
    if sample.family != "shown_secret":
        parts += [_spoil_body, _spoil_body]
    if sample.needed_headers:
        parts += [_spoil_header, _spoil_header]
    if sample.provider in _URL_COUNTS:
        parts.append(_spoil_url)
    if sample.family == "unsigned":
        parts.append(_pretend)
    return random.choice(parts)(random, sample, genuine)


def _spoil_body(random: Random, sample: ForgerySample, genuine: Sequence[ForgerySample]) -> ForgerySample:
    if random.random() < 0.05:  # noqa: PLR2004 - now and then, the whole body of another request
        return replace(sample, body=random.choice(genuine).body)
    return replace(sample, body=_edited(random, sample.body))


def _edited(random: Random, text: bytes) -> bytes:
    """Change a number, a bit or a byte, cut something out, put something in, or take a part of it twice."""
    at = random.randrange(len(text) + 1)
    head, tail = text[:at], text[at:]
    match random.randrange(7):
        case 0:
            return head + _NUMBER.sub(str(random.randrange(10**9)).encode(), tail, count=1)
        case 1:
            return head + bytes(byte ^ 1 << random.randrange(8) for byte in tail[:1]) + tail[1:]
        case 2:
            tail = random.choice(_SNIPPETS) + tail
        case 3:
            tail = tail[random.choice((1, 1, 2, 5, 40)) :]
        case 4:
            tail = b""
        case 5:
            head += tail[: random.randrange(20)]
        case _:
            tail = random.choice(_SNIPPETS) + tail[1:]
    return head + tail


def _spoil_header(random: Random, sample: ForgerySample, genuine: Sequence[ForgerySample]) -> ForgerySample:
    name = random.choice(sample.needed_headers)
    values = sample.values(name)
    value = values[0] if values else ""
    match random.randrange(8):
        case 0:
            values = random.choice(genuine).values(name)
        case 1:
            return _without(sample, name)
        case 2:
            values = (_MAC.sub(lambda was: "".join(random.choices(_LETTERS[:40], k=len(was[0]))), value),)
        case 3:
            values = (value.swapcase(),)
        case 4:
            values = (*(_edited_text(random, value) for _ in range(3)),)
        case 5:
            values = (re.sub(r"[0-9]{9,11}", lambda was: str(int(was[0]) + random.randrange(-400, 400)), value),)
        case _:
            values = (_edited_text(random, value),)
    return replace(sample, headers=sample.headers | {name: values})


def _edited_text(random: Random, value: str) -> str:
    """Change one letter, which the shape of the value mostly survives; or any bytes of it."""
    if value and random.random() < 0.7:  # noqa: PLR2004
        at = random.randrange(len(value))
        return value[:at] + random.choice(_LETTERS) + value[at + 1 :]
    return _edited(random, value.encode("latin-1", "replace")).decode("latin-1")


def _spoil_url(random: Random, sample: ForgerySample, genuine: Sequence[ForgerySample]) -> ForgerySample:
    if random.random() < 0.1:  # noqa: PLR2004
        return replace(sample, url=random.choice(genuine).url)
    return replace(sample, url=_edited_text(random, sample.url))


def _pretend(random: Random, sample: ForgerySample, _genuine: Sequence[ForgerySample]) -> ForgerySample:
    """Add a made-up signature to a request that has none."""
    made_up = "sha256=" + "".join(random.choices(_HEX, k=64))
    return replace(sample, headers=sample.headers | {f"x-{sample.provider}-signature": (made_up,)})
