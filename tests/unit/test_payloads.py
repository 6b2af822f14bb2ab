"""What of a payload people may see."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.payloads import FIELDS_MAX, SEAM_LENGTH, harmless, is_personal, mask_tree, phone, show_headers, show_payload
from runtime.masking import DEPTH_MAX, MASK

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.unit

CARD = "4111111111111111"


def shown(value: object) -> str:
    return show_payload(json.dumps(value).encode(), 10_000).text


def test_json_is_indented_and_masked() -> None:
    payload = show_payload(json.dumps({"id": "evt_1", "card": {"number": CARD}, "amount": 1250}).encode(), 10_000)
    assert payload.form == "JSON"
    assert not payload.cut
    assert json.loads(payload.text) == {"id": "evt_1", "card": {"number": MASK}, "amount": 1250}


@pytest.mark.parametrize(
    "value",
    [
        {"phone": "0712 345 678"},
        {"customer": {"phone_number": 254712345678}},
        {"msisdn": "254712345678"},
        {"email": "ada@example.com"},
        {"client_secret": "pi_1_secret_2"},
        {"From": "4155552671", "To": "4155552672"},
        {"Item": [{"Name": "PhoneNumber", "Value": 254712345678}]},
        {"list": [{"name": "card_number", "value": "1"}]},
        {"text": f"card {CARD}, call +254712345678, key sk_live_abcdefgh"},
        {CARD: 1},
        [int(CARD)],
    ],
)
def test_what_is_secret_or_personal_is_masked(value: object) -> None:
    text = shown(value)
    assert MASK in text
    for secret in ("712345678", "0712 345", "ada@", "_secret_2", "41555526", CARD, "abcdefgh", '"1"'):
        assert secret not in text


def test_what_is_neither_stays() -> None:
    value = {
        "from_status": "created",
        "total": 12,
        "Item": [{"Name": "Amount", "Value": 12}],
        "phone": None,
        "name": "x",
    }
    assert json.loads(shown(value)) == value


def test_forms_are_read_field_by_field() -> None:
    body = b"MessageSid=SM1&From=%2B14155552671&To=%2B254712345678&Body=hi&Empty="
    payload = show_payload(body, 10_000)
    assert payload.form == "form"
    assert payload.text.splitlines() == ["MessageSid = SM1", f"From = {MASK}", f"To = {MASK}", "Body = hi", "Empty = "]


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (None, "empty", ""),
        (b"", "empty", ""),
        (b"plain words", "text", "plain words"),
        (b'"a string"', "text", '"a string"'),
        (b"12", "text", "12"),
        (b"\xff\x00A", "bytes", "\ufffd\ufffdA"),
    ],
)
def test_other_payloads(value: bytes | None, form: str, text: str) -> None:
    payload = show_payload(value, 100)
    assert (payload.form, payload.text, payload.bytes_total) == (form, text, len(value or b""))


def test_bytes_that_are_no_text_are_masked_too() -> None:
    assert CARD not in show_payload(b"\xff " + CARD.encode(), 100).text


PERSONAL = (
    b'"phone": "254712345678", "email": "jane@example.com", "cvc": "737", "client_secret": "pi_1_secret_abcdefgh"'
)


@pytest.mark.parametrize(
    "body",
    [
        b"{" + PERSONAL,
        b"{" + PERSONAL + b', "note": "\xff"}',
        b"{" + PERSONAL + b"} and more",
        b"{" + PERSONAL + b', "a": "\x00"',
        b'{"n": ' + b"1" * 4301 + b", " + PERSONAL + b"}",
        b"{" + PERSONAL.replace(b'"', b"'") + b"}",
        json.dumps({"body": "{" + PERSONAL.decode() + "}"}).encode(),
        json.dumps({"body": "{" + PERSONAL.decode()}).encode()[:-3],
        b"a=b c&phone=254712345678&email=jane%40example.com&cvc=737&client_secret=pi_1_secret_abcdefgh",
        b"phone: 254712345678\nemail: jane at example.com\ncvc = 737\nclient-secret: pi_1_secret_abcdefgh",
        (
            b"<a><phone k='v'>254712345678</phone><email>jane@example.com</email><cvc>737</cvc>"
            b"<ns:client_secret>pi_1_secret_abcdefgh</ns:client_secret>"
        ),
        b'{"Item": [{"Name": "PhoneNumber", "Value": 254712345678}, {"name": "cvc", "value": "737"}',
        b'{"phones": ["254712345678"], "email": {"a": "jane@example.com"}, "card": {"cvc": "737"',
    ],
)
def test_what_does_not_parse_is_masked_by_its_names(body: bytes) -> None:
    text = show_payload(body, 10_000).text
    assert MASK in text
    for secret in ("712345678", "jane", "737", "abcdefgh"):
        assert secret not in text


def test_braintree_s_envelope_is_opened() -> None:
    xml = b"<customer><email>jane@example.com</email><phone>254712345678</phone><id>c1</id></customer>"
    body = b"bt_signature=key|abc&bt_payload=" + base64.encodebytes(xml).replace(b"\n", b"%0A").replace(b"+", b"%2B")
    text = show_payload(body, 10_000).text
    assert f"base64 of <customer><email>{MASK}</email><phone>{MASK}</phone><id>c1</id>" in text
    assert base64.b64encode(xml)[:16].decode() not in text


def test_an_escaped_quote_ends_no_text() -> None:
    assert show_payload(b'{"phone": "07\\"12 345 678", "x": 1', 1000).text == f'{{"phone": {MASK}, "x": 1'


def test_no_control_character_is_left() -> None:
    hostile = "\x1b[2J\x1b]0;mine\x07\x9b31m\u202egnp.exe\rend"
    for value in (hostile.encode(), json.dumps({"a": hostile}).encode(), b"\xff" + hostile.encode()):
        text = show_payload(value, 1000).text
        assert not set(text) & set("\x1b\x07\x9b\u202e\r")
    assert show_headers([b"\x1b[1m"], [b"\x9b"]) == [("\ufffd[1m", "\ufffd")]
    assert harmless("tab\tand\nnewline") == "tab\tand\nnewline"


def test_a_secret_at_the_cut_is_not_shown_in_part() -> None:
    for shift in range(30):
        text = show_payload(b"x" * (50 - shift) + b" " + CARD.encode() + b" " + b"y" * 9000, 60).text
        assert "4111" not in text


@pytest.mark.parametrize(
    "piece", [b"1 ", b'"a":', b"a ", b"<a ", b'\\"a\\"', b"phone:[", b'"phone":"\\', b"a@", b"\\", b"a:"]
)
def test_hostile_ones_take_no_long_time(piece: bytes) -> None:
    began = time.process_time()
    show_payload(piece * (1_000_000 // len(piece)), 64 * 1024)
    assert time.process_time() - began < 5


def test_long_ones_are_cut() -> None:
    assert show_payload(b"x" * 200, 100).cut
    assert show_payload(b"\xff" * 200, 100).cut
    assert len(show_payload(json.dumps(["word"] * 200).encode(), 100).text) == 100


def test_deep_ones_end_in_a_mask() -> None:
    value: object = "deep"
    for _ in range(DEPTH_MAX + 2):
        value = [value]
    assert MASK in str(mask_tree(value))
    assert show_payload(b"[" * 100_000, 100).form == "text", "what no parser takes is text"


def test_headers() -> None:
    names = [b"ce_id", b"Authorization", b"x-\xff", b"note"]
    values = [b"evt_1", b"Bearer abcdef123456", b"\xff", CARD.encode()]
    assert show_headers(names, values) == [
        ("ce_id", "evt_1"),
        ("Authorization", MASK),
        ("x-\ufffd", "\ufffd"),
        ("note", MASK),
    ]


def test_what_is_cut_says_so_though_what_is_left_fits() -> None:
    """Who reads the beginning for the whole believes that nothing stands behind it."""
    assert show_payload(b"x" * (SEAM_LENGTH + 200), 100).cut
    assert not show_payload(b"x" * 100, 100).cut


def test_a_form_shows_no_secret_in_a_name_and_no_more_fields_than_the_bound() -> None:
    fields = [f"{CARD}=1", *(f"a{number}=1" for number in range(FIELDS_MAX))]
    payload = show_payload("&".join(fields).encode(), 100_000)
    assert (payload.form, CARD in payload.text) == ("form", False)
    assert len(payload.text.splitlines()) == FIELDS_MAX


@pytest.mark.parametrize("name", ["Name", "name", "key", "Key"])
@pytest.mark.parametrize("value", ["Value", "value"])
def test_a_named_value_is_known_by_its_name(name: str, value: str) -> None:
    assert json.loads(shown({name: "msisdn", value: 254712345678}))[value] == MASK


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_an_envelope_in_an_envelope_is_opened(encode: Callable[[bytes], bytes]) -> None:
    """What is left as base64 shows its secret to whoever decodes it."""
    secret = {"phone": "0712345678", "note": "\u00fb\u00ff\u00fe????>>>>"}
    inner = encode(json.dumps(secret, ensure_ascii=False).encode()).decode()
    text = shown({"bt_payload": encode(json.dumps({"inner": inner}).encode()).decode()})
    assert text.count("base64 of") == 2
    assert MASK in text
    assert inner not in text


def test_a_phone_number_keeps_its_ends() -> None:
    assert phone("+254712345678") == "+254 ••• 78"
    assert phone(None) == ""


@pytest.mark.parametrize(
    "key", ["phone", "CustomerPhone", "MSISDN", "mobile_no", "e-mail", "email", "From", "to", "cvc"]
)
def test_personal_keys(key: str) -> None:
    assert is_personal(key)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_no_payload_makes_it_fail_and_no_card_comes_through(value: object) -> None:
    assert CARD not in show_payload(json.dumps({"a": value, "b": CARD}).encode(), 100_000).text


@given(st.binary(max_size=300))
def test_no_bytes_make_it_fail(value: bytes) -> None:
    assert show_payload(value, 100).bytes_total == len(value)
