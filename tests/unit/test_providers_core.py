"""What provider files are made of: every edge of the shared proofs, readers and checks."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

import providers
from providers.core import forms, meaning, money, payments, proof, reading
from providers.core.contract import Notification, Provider, SignedRequest
from schemas.currencies import exponent
from schemas.dead_letter import Reason
from schemas.errors import SignatureRejected, UninterpretableError
from schemas.facts import AMOUNT_MAX, REF_LENGTH_MAX, Fact, FactKind, Meaning, Ref, RefKind

pytestmark = pytest.mark.unit

REF = Ref(RefKind.PAYMENT, "pay_1")


def request(**changes: Any) -> SignedRequest:
    return SignedRequest(**({"headers": {}, "body": b"", "url": "", "secrets": (), "now": 0.0} | changes))


def test_blank_secrets_are_none() -> None:
    assert proof.live_secrets(request(secrets=("", " ", "\t", "s "))) == ("s ",)
    with pytest.raises(SignatureRejected, match="empty_secret"):
        proof.live_secrets(request(secrets=("", " ")))


@pytest.mark.parametrize(
    ("left", "right", "alike"),
    [
        ("é", "é", True),
        ("é", "e", False),
        (b"a", "a", True),
        ("\ud800", "\ud800", True),
        ("", "", True),
        ("a", "ab", False),
    ],
    ids=range(6),
)
def test_same(left: str | bytes, right: str | bytes, *, alike: bool) -> None:
    assert proof.same(left, right) is alike


def test_any_same_and_need_match() -> None:
    assert proof.any_same(["x", "b"], iter(["a", "b"]))
    assert not proof.any_same([], ["a"])
    assert not proof.any_same(["a"], [])
    with pytest.raises(SignatureRejected, match="bad_signature"):
        proof.need_match(["a"], [])


def test_hmac_of_text_and_bytes() -> None:
    wanted = "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"  # RFC-style sample: key "key"
    message = b"The quick brown fox jumps over the lazy dog"
    assert proof.hmac_hex("key", message) == proof.hmac_hex(b"key", message) == wanted
    assert proof.hmac_base64("key", message) == "97yD9DBThCSxMpjmqm+xQ+9NWaFJRhdZl0edvC0aPNg="
    assert proof.header_bytes("é☃") == b"\xe9?"


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.5", "1e3", "inf", " 1", "1 ", "1\n", "٣", "1" * 13])
def test_no_unix_seconds(text: str) -> None:
    with pytest.raises(SignatureRejected, match="malformed_header"):
        proof.need_unix_seconds(text)


@pytest.mark.parametrize("age", [0, 300, -300, 299.9])
def test_fresh(age: float) -> None:
    proof.need_fresh(1000, 1000 + age)


@pytest.mark.parametrize(("age", "reason"), [(300.1, "stale"), (-300.1, "future"), (float("nan"), "stale")])
def test_not_fresh(age: float, reason: str) -> None:
    with pytest.raises(SignatureRejected, match=reason):
        proof.need_fresh(1000, 1000 + age)


@pytest.mark.parametrize(
    "body",
    [rb'"a\ud83d"', rb'"a\\\ud83d\n"', rb'"\ud83dA"', b'"\xff\xc3\xa9"', rb'"\ude00\ud83d"', b"\\", b"", rb"\ud83"],
    ids=range(8),
)
def test_repair_keeps_every_place(body: bytes) -> None:
    fixed = reading.repaired(body)
    assert len(fixed) == len(body)
    fixed.decode()


def test_repair_touches_only_what_is_broken() -> None:
    whole = rb'{"a": "\ud83d\ude00", "b": "\\ud83d", "c": "' + "é😀".encode() + b'"}'
    assert reading.repaired(whole) == whole
    assert reading.read_json(rb'["\ud83d", "\ud83d\ude00"]') == ["\ufffd", "😀"]
    assert reading.text_at(reading.read_json(rb'["\ud83d"]'), 0) is None


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[" * 100_000, b"NaN", b"\xff\xfe", b'{"a":' + b"1" * 5000 + b"}"], ids=range(6)
)
def test_no_json(body: bytes) -> None:
    assert reading.read_json(body) is None


def test_a_body_with_a_nul_is_not_repaired() -> None:
    """JSON holds no NUL (RFC 8259, 7); two stand in for an escaped backslash while a body is repaired."""
    body = b'{"id": "a\x00\x00", "b": "\xff"}'
    assert reading.repaired(body) == body
    assert reading.read_json(body) is None, "and not the id of another"


def test_a_body_that_nobody_has_proven_is_repaired_up_to_a_bound() -> None:
    """Strict JSON costs a tenth of what a repair does; what is sound is read whatever its size."""
    decoder = msgspec.json.Decoder()
    for size, broken, read in ((100, False, True), (100, True, True), (101, True, False), (101, False, True)):
        body = b'"' + (b"\xff" if broken else b"x").rjust(size - 2, b"x") + b'"'
        assert len(body) == size
        assert (reading.decode(decoder, body, repair_bytes_max=100) is not None) is read
        assert reading.decode(decoder, body) is not None


def test_a_form_of_more_escapes_than_may_be_is_refused() -> None:
    """What base64 needs (`+`, `/`, `=`) is no escape that costs: a signed form is full of it."""
    most = b"a=" + b"%41" * forms.ESCAPES_MAX
    assert forms.read_form(most) == [(b"a", b"A" * forms.ESCAPES_MAX)]
    assert forms.read_form(most + b"%2F%3d%2B") == [(b"a", b"A" * forms.ESCAPES_MAX + b"/=+")]
    with pytest.raises(SignatureRejected, match="malformed_body: a field of the form has more than 32768 escapes"):
        forms.read_form(most + b"%41")


def test_walking() -> None:
    value = {"a": [{"b": "x"}, 7, True, "", "a\x00", "y" * 256]}
    assert reading.text_at(value, "a", 0, "b") == "x"
    assert reading.text_at(value, "a", 1) == "7"
    assert [reading.text_at(value, "a", place) for place in (2, 3, 4, 5, 6, -7)] == [None] * 6
    assert reading.text_at(value, 0) is None
    assert reading.text_at(value, "a", "b") is None
    assert reading.text_at(value) is None


def test_refs_are_those_that_are_there() -> None:
    refs = meaning.refs_of(
        (RefKind.PAYMENT, "p"), (RefKind.CHARGE, None), (RefKind.PAYMENT, "p"), (RefKind.REFERENCE, "r")
    )
    assert refs == (Ref(RefKind.PAYMENT, "p"), Ref(RefKind.REFERENCE, "r"))


def test_maybe_id() -> None:
    assert [meaning.maybe_id(value, "x") for value in (None, "", [], True, 1.5, 7, "a")] == [None] * 5 + ["7", "a"]
    with pytest.raises(UninterpretableError, match="x is missing or cannot"):
        meaning.maybe_id("\x00", "x")


@pytest.mark.parametrize(
    ("notes", "reference"),
    [
        ({"order_ref": "c", "order_id": "b", "reference": "a"}, "a"),
        ({"order_ref": "c", "order_id": "b"}, "b"),
        ({"order_ref": "c", "order_id": ""}, "c"),
        ({"cart": "d"}, None),
        (["reference"], None),
    ],
)
def test_of_several_names_of_a_reference_the_first_counts(notes: object, reference: str | None) -> None:
    assert payments.noted_reference(notes) == reference


def test_times() -> None:
    values = (0, 1.5, -1, True, "1", float("nan"), float("inf"), 10**30)
    assert [meaning.maybe_time(value) for value in values] == [0.0, 1.5, None, None, None, None, None, None]


BROKEN = [
    Meaning(refs=(Ref(RefKind.PAYMENT, ""),)),
    Meaning(refs=(Ref(RefKind.PAYMENT, "x" * (REF_LENGTH_MAX + 1)),)),
    Meaning(refs=(REF,), facts=(Fact(FactKind.REFUND, "\x00", "pending"),)),
    Meaning(facts=(Fact(FactKind.REFUND, "r", "pending"),)),
    Meaning(provider_ref="\ud800"),
    Meaning(currency="eur"),
    Meaning(amount=-1),
    Meaning(amount=AMOUNT_MAX + 1),
]


@pytest.mark.parametrize("broken", BROKEN, ids=range(len(BROKEN)))
def test_checked_refuses(broken: Meaning) -> None:
    with pytest.raises(UninterpretableError) as refused:
        meaning.checked(broken)
    assert refused.value.reason == Reason.UNDECODABLE


def test_checked_passes() -> None:
    whole = Meaning((REF,), (Fact(FactKind.REFUND, "r", "pending", 1),), currency="EUR", amount=1, provider_ref="p")
    assert meaning.checked(whole) is whole


@pytest.mark.parametrize(
    ("value", "currency", "minor"),
    [
        ("10.50", "EUR", 1050),
        (10.5, "EUR", 1050),
        (7, "JPY", 7),
        ("1.234", "KWD", 1234),
        ("0", "USD", 0),
        (0.29, "USD", 29),
        ("1.2345", "CLF", 12345),
        ("1", "UYW", 10000),
        ("3.50", "BGN", 350),
    ],
)
def test_minor_units(value: object, currency: str, minor: int) -> None:
    assert money.minor_units(value, exponent(currency), "amount") == minor


@pytest.mark.parametrize("value", ["10.505", "-1", "", "1e3", None, True, "NaN", "1" * 17, "9" * 16, "1.", 1e20, " 1"])
def test_no_amount(value: object) -> None:
    with pytest.raises(UninterpretableError, match="amount"):
        money.minor_units(value, 2, "amount")


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put a provider of the test's own making under the name stripe."""

    def place(**parts: Any) -> None:
        made = Provider(**({"name": "stripe", "verify": lambda _: []} | parts))
        monkeypatch.setattr(providers, "find", lambda _: made)

    return place


def verify_stub(**changes: Any) -> list[Notification]:
    call: dict[str, Any] = {"headers": {}, "body": b"{}", "url": "", "secrets": ["s"], "now": 0.0}
    return providers.verify("stripe", **(call | changes))


def test_whatever_goes_wrong_is_a_refusal(stub: Any) -> None:
    def fail(_: SignedRequest) -> list[Notification]:
        raise ZeroDivisionError

    stub(verify=fail)
    with pytest.raises(SignatureRejected, match="malformed_body: checking raised ZeroDivisionError"):
        verify_stub()
    with pytest.raises(SignatureRejected):
        verify_stub(headers={"X": 7})


def test_a_check_costs_what_its_provider_says_and_else_the_body_once(stub: Any) -> None:
    for one in ("github", "nobody"):
        assert providers.work(one, {}, 1000) == 1000
    stub(work=lambda headers, body_bytes: body_bytes * len(headers))
    assert providers.work("stripe", {"a": ("1",), "b": ("2",)}, 1000) == 2000


def test_headers_have_no_case_and_many_values(stub: Any) -> None:
    seen: list[SignedRequest] = []
    stub(verify=lambda one: seen.append(one) or [])
    verify_stub(headers={"X-A": ["1", "2"], "x-a": "3"}, secrets="whole")
    assert seen[0].headers == {"x-a": ("1", "2", "3")}
    assert seen[0].header("x-a") == "1"
    assert seen[0].header("x-b") is None
    assert seen[0].secrets == ("whole",)
    assert seen[0].config == {}


def test_identities_that_cannot_be_stored_are_dropped(stub: Any) -> None:
    stub(verify=lambda _: [Notification("e\x00", "k" * 256, "\ud800", b""), Notification("", "", "", b"")])
    first, second = verify_stub()
    assert first == Notification(proof.body_digest(b""), None, None, b"")
    assert second == Notification(None, None, None, b"")


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        (ValueError, Reason.UNDECODABLE),
        (RecursionError, Reason.UNDECODABLE),
        (ZeroDivisionError, Reason.UNEXPECTED),
    ],
)
def test_whatever_goes_wrong_is_uninterpretable(stub: Any, raised: type[Exception], reason: Reason) -> None:
    def fail(_kind: str, _body: bytes) -> Meaning:
        raise raised

    stub(interpret=fail)
    with pytest.raises(UninterpretableError) as refused:
        providers.interpret("stripe", "x", b"")
    assert refused.value.reason == reason


def test_a_provider_without_payments_says_nothing(stub: Any) -> None:
    stub()
    assert providers.interpret("stripe", "x", b"{}") == Meaning()
    for kind, body in (("", b"{}"), ("x", b"")):
        with pytest.raises(UninterpretableError, match="undecodable"):
            providers.interpret("stripe", kind, body)


def test_unknown_provider() -> None:
    with pytest.raises(LookupError, match="nobody"):
        providers.interpret("nobody", "x", b"")


def test_a_rescaled_amount_that_no_payment_has_is_refused() -> None:
    assert money.in_iso_units(500, "UGX", {"UGX": 2}) == 5
    with pytest.raises(UninterpretableError, match="out of range"):
        money.in_iso_units(AMOUNT_MAX, "KWD", {"KWD": 0})


def test_a_body_that_a_reader_of_hints_fails_on_names_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def named(_body: bytes) -> str:
        raise RuntimeError("nobody foresaw this")

    monkeypatch.setattr(providers, "find", lambda _name: SimpleNamespace(named=named))
    assert providers.named_by_hint("mollie", b"id=tr_1") is None


def test_what_an_unsigned_body_names_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider's room that fails over a stranger's bytes costs that hint, and nothing else."""

    def fails(_: bytes) -> Any:
        raise ZeroDivisionError

    known = providers.find("mpesa")
    assert known is not None
    assert known.refetch is not None
    assert known.refetch.query is not None
    refetch = dataclasses.replace(known.refetch, query=dataclasses.replace(known.refetch.query, answered=fails))
    broken = dataclasses.replace(known, also_named=fails, refetch=refetch)
    monkeypatch.setattr(providers, "find", lambda _: broken)
    body = b'{"Body": {"stkCallback": {"CheckoutRequestID": "ws_CO_1"}}}'
    assert providers.all_named_by_hint("mpesa", body) == (("ws_CO_1", None),)
    assert providers.answer_to_query("mpesa", body) is None
