"""Whatever is done to a genuine request: it is refused with a reason, or what was signed is still what is read."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from profiles import FEW, examples

from producers import providers
from providers.core.contract import REASONS
from schemas.errors import SignatureRejected

if TYPE_CHECKING:
    from collections.abc import Callable

    from providers.core.contract import Notification

pytestmark = pytest.mark.unit

VECTORS = Path(__file__).parent / "vectors"
NAMES = sorted(path.stem for path in VECTORS.glob("*.json") if path.stem in providers.names())


@dataclass(frozen=True)
class Attempt:
    """One request of somebody; header names in lower case."""

    headers: dict[str, list[str]]
    body: bytes
    url: str

    def values(self, name: str) -> list[str]:
        return self.headers.get(name, [])


@dataclass(frozen=True)
class Genuine:
    """An accepted case of the vectors."""

    provider: str
    attempt: Attempt
    trust: str
    rest: dict[str, Any]

    def verify(self, attempt: Attempt) -> list[Notification] | str:
        """Return the notifications, or the reason of the refusal; any other exception is a failure."""
        try:
            return providers.verify(
                self.provider, headers=attempt.headers, body=attempt.body, url=attempt.url, **self.rest
            )
        except SignatureRejected as refused:
            return refused.reason


@cache
def genuine(provider: str) -> list[Genuine]:
    return [
        Genuine(
            provider,
            Attempt(
                {name.lower(): [value] if isinstance(value, str) else value for name, value in case["headers"].items()},
                base64.b64decode(case["body_base64"]),
                case["url"],
            ),
            case["trust"],
            {"secrets": case["secrets"], "now": case["now"], "config": case.get("config")},
        )
        for case in json.loads((VECTORS / f"{provider}.json").read_text())["cases"]
        if case["expect"] == "accept"
    ]


# --- What is signed, written down a second time from the schemes' descriptions -------------------------------------


def _adyen(attempt: Attempt) -> Any:
    body = json.loads(attempt.body.decode("utf-8", "replace"))
    if "notificationItems" not in body:
        return attempt.body
    return [_adyen_item(wrapper["NotificationRequestItem"]) for wrapper in body["notificationItems"]]


def _adyen_item(item: dict[str, Any]) -> list[Any]:
    names = ("pspReference", "originalReference", "merchantAccountCode", "merchantReference", "eventCode")
    plain = [item.get(name) or "" for name in names]
    success = str(item["success"]).lower()
    return [
        *plain,
        item["amount"]["value"],
        item["amount"]["currency"],
        success,
        item["additionalData"]["hmacSignature"],
    ]


def _braintree(attempt: Attempt) -> Any:
    form = dict(parse_qsl(attempt.body.decode("latin-1"), encoding="latin-1"))
    signature = {pair for pair in form["bt_signature"].split("&") if "integration" in pair or "new_" in pair}
    return form["bt_payload"].removesuffix("\n"), bool(signature)


def _twilio(attempt: Attempt) -> Any:
    url = re.sub(r"^(https?://[^/:?]+):[0-9]+", r"\1", attempt.url)
    if "bodySHA256" in url:
        return url, attempt.body
    form = parse_qsl(attempt.body.decode("latin-1"), keep_blank_values=True, encoding="latin-1")
    joined = "".join(name + value for name, value in sorted(set(form)))
    return url, joined, {name: value for name, value in form if name in {"MessageSid", "MessageStatus"}}


def _with_headers(*names: str) -> Callable[[Attempt], Any]:
    return lambda attempt: (attempt.body, [attempt.values(name)[:1] for name in names])


SIGNED: Final[dict[str, Callable[[Attempt], Any]]] = {
    "adyen": _adyen,
    "braintree": _braintree,
    "twilio": _twilio,
    "square": lambda attempt: (attempt.url, attempt.body),
    "paypal": _with_headers("paypal-transmission-id", "paypal-transmission-time", "paypal-cert-url"),
}
"""What the signature covers; the raw body where nothing stands here."""

MAC = re.compile(r"[A-Za-z0-9+/]{27,}")


@cache
def signature_header(provider: str) -> str:
    """Name the header without which a genuine request is refused and that holds what looks like a MAC; "" if none."""
    for case in genuine(provider):
        for name in sorted(case.attempt.headers) if case.trust == "verified" else ():
            rest = {key: value for key, value in case.attempt.headers.items() if key != name}
            refused = isinstance(case.verify(replace(case.attempt, headers=rest)), str)
            if refused and MAC.search(" ".join(case.attempt.values(name))):
                return name
    return ""


def _macs(provider: str, attempt: Attempt) -> set[str]:
    """Return what looks like a MAC or signature in the provider's header."""
    name = signature_header(provider)
    values = attempt.values(name) or attempt.values(name.replace("webhook-", "svix-"))
    return set(MAC.findall(" ".join(values)))


def _shown(provider: str, attempt: Attempt, secrets: list[str]) -> bool:
    """Tell whether a hint's sender showed the secret, where the scheme has one to show."""
    if provider == "mpesa":
        return attempt.url.partition("?")[0].rpartition("/")[2] in secrets
    return provider == "mollie" or bool({*attempt.values("verif-hash")} & {*secrets})


def assert_refused_or_signed(case: Genuine, forged: Attempt, *others: Genuine) -> None:
    """Fail unless the forged request is refused with a known reason, or still is what one of the cases signed."""
    notifications = case.verify(forged)
    if isinstance(notifications, str):
        assert notifications in REASONS
        return
    if any(one.trust == "hint" for one in notifications):
        assert _shown(case.provider, forged, case.rest["secrets"])
        return
    signed = SIGNED.get(case.provider, lambda attempt: attempt.body)
    fitting = [one for one in (case, *others) if one.trust == "verified" and signed(one.attempt) == signed(forged)]
    assert fitting
    macs = [_macs(case.provider, one.attempt) for one in fitting]
    assert any(not was or was & _macs(case.provider, forged) for was in macs)


# --- Ways to spoil a request -----------------------------------------------------------------------------------------

PLACES = st.floats(0, 1)
SNIPPETS = st.sampled_from(
    [
        b"",
        b"0",
        b"1",
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
        b"\xc3",
        b"{}",
        b'"',
        b"?",
    ]
) | st.binary(max_size=6)


@st.composite
def edits(draw: st.DrawFn, text: bytes) -> bytes:
    """Cut a piece out of the text, or none, and put a snippet in its place."""
    start = int(draw(PLACES) * len(text))
    length = draw(st.sampled_from([0, 0, 1, 1, 1, 2, 5, 40]))
    return text[:start] + draw(SNIPPETS) + text[start + length :]


@st.composite
def spoiled(draw: st.DrawFn, attempt: Attempt) -> Attempt:
    """Do one thing to a request."""
    what = draw(st.sampled_from(["body", "body", "header", "header", "drop", "twice", "url", "replace"]))
    if what == "body":
        return replace(attempt, body=draw(edits(attempt.body)))
    if what == "url":
        return replace(attempt, url=draw(edits(attempt.url.encode())).decode("latin-1"))
    name = draw(st.sampled_from(sorted(attempt.headers) or ["x"]))
    values = attempt.values(name)
    if what == "drop":
        return replace(attempt, headers={key: value for key, value in attempt.headers.items() if key != name})
    if what == "replace":
        return replace(attempt, headers=attempt.headers | {name: [draw(st.text(st.characters(max_codepoint=255)))]})
    edited = draw(edits((values[0] if values else "").encode("latin-1", "replace"))).decode("latin-1")
    kept = values if what == "twice" else values[1:]
    return replace(attempt, headers=attempt.headers | {name: draw(st.permutations([edited, *kept]))})


@pytest.mark.parametrize("provider", NAMES)
@given(data=st.data())
def test_spoiled_requests_prove_nothing_new(provider: str, data: st.DataObject) -> None:
    case = data.draw(st.sampled_from(genuine(provider)))
    forged = case.attempt
    for _ in range(data.draw(st.sampled_from([1, 1, 1, 2, 3]))):
        forged = data.draw(spoiled(forged))
    assert_refused_or_signed(case, forged)


@pytest.mark.parametrize("provider", NAMES)
@examples(FEW)
@given(data=st.data())
def test_parts_of_two_genuine_requests_make_no_third(provider: str, data: st.DataObject) -> None:
    one, other = (data.draw(st.sampled_from(genuine(provider))) for _ in range(2))
    headers = data.draw(st.sampled_from([one.attempt.headers, one.attempt.headers | other.attempt.headers]))
    assert_refused_or_signed(one, Attempt(headers, other.attempt.body, one.attempt.url), other)


@pytest.mark.parametrize("provider", NAMES)
@examples(FEW)
@given(data=st.data())
def test_every_byte_of_the_signature_counts(provider: str, data: st.DataObject) -> None:
    case = data.draw(st.sampled_from([case for case in genuine(provider) if case.trust == "verified"] or [None]))
    name = signature_header(provider)
    if case is None or len(case.attempt.values(name)) != 1:
        return
    (value,) = case.attempt.values(name)
    at = data.draw(st.integers(0, len(value) - 1))
    other = data.draw(st.sampled_from("0123456789abcdefABCDEF+/=,;é\x00").filter(lambda letter: letter != value[at]))
    changed = value[:at] + other + value[at + 1 :]
    assert_refused_or_signed(case, replace(case.attempt, headers=case.attempt.headers | {name: [changed]}))


@pytest.mark.parametrize("provider", NAMES)
@examples(FEW)
@given(data=st.data())
def test_made_up_requests_are_refused_with_a_reason(provider: str, data: st.DataObject) -> None:
    known = sorted({name for case in genuine(provider) for name in case.attempt.headers})
    letters = st.text(st.characters(max_codepoint=255), max_size=40)
    headers = data.draw(st.dictionaries(st.sampled_from(known), letters | st.lists(letters, max_size=3)))
    made_up = Attempt(
        headers,
        data.draw(st.binary(max_size=60) | st.sampled_from([b"{}", b"[]", b"a=b", b"id=tr_1", b"\xef\xbb\xbf{}"])),
        data.draw(st.text(max_size=30) | st.sampled_from(["https://[/x", f"https://h/webhooks/{provider}/x"])),
    )
    rest = {
        "secrets": data.draw(st.lists(st.text(min_size=4, max_size=30) | st.sampled_from(["", " "]), max_size=3)),
        "now": data.draw(st.floats(0, 4e9)),
    }
    found = Genuine(provider, made_up, "hint", rest).verify(made_up)
    assert found in REASONS if isinstance(found, str) else [one.trust for one in found] == ["hint"]
