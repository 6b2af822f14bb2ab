"""What must never reach a log line, wherever it stands; and what a line looks like."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from producers.ingress.access_log import AccessLine, AccessLog
from runtime import log, masking, metrics
from runtime.masking import luhn

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.unit

CARD = "4111111111111111"


@pytest.fixture
def lines() -> Iterator[Any]:
    """Give a function that returns the lines written so far; put structlog and the root logger back afterwards."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level, configuration = root.handlers[:], root.level, structlog.get_config()
    log.configure("ingress", "info", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**configuration)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (CARD, log.MASK),
        ("4111 1111 1111 1111", log.MASK),
        ("card 4111-1111-1111-1111.", f"card {log.MASK}."),
        ("x4111111111111111y", f"x{log.MASK}y"),
        ("on 2026-11-23 4111 1111 1111 1111 paid", f"on 2026-11-23 {log.MASK} paid"),
        ("4111111111111111 and 5555555555554444", f"{log.MASK} and {log.MASK}"),
        ("378282246310005", log.MASK),
        ("4111111111111112", "4111111111111112"),
        ("411111111111", "411111111111"),
        ("12345678901234567890", "12345678901234567890"),
        ("call +254712345678 now", f"call {log.MASK} now"),
        ("+1 (415) 555-2671", log.MASK),
        ("a+1234567", "a+1234567"),
        ("1+1=2, or so", "1+1=2, or so"),
        ("key whsec_abcdefgh1234", f"key {log.MASK}"),
        ("sk_live_abcdefgh", log.MASK),
        ("SK_TEST_ABCDEFGH", log.MASK),
        ("Authorization: Bearer abcdef123456", f"Authorization: {log.MASK}"),
        ("postgresql://ratchet:pa55word@host/db", f"postgresql://{log.MASK}@host/db"),
        ("POST /webhooks/mpesa/hunter22 404", f"POST /webhooks/mpesa/{log.MASK} 404"),
        ("POST /webhooks/MPesa/hunter22 404", f"POST /webhooks/MPesa/{log.MASK} 404"),
        ("4111\u00a01111\u00a01111\u00a01111", log.MASK),
        ("4111_1111_1111_1111", log.MASK),
        ("4111/1111/1111/1111", log.MASK),
        ("4111\u20131111\u20131111\u20131111", log.MASK),
        ("4111  1111  1111  1111", log.MASK),
        ("4111 - 1111 - 1111 - 1111", log.MASK),
        ("4111 1111\r\n1111 1111", log.MASK),
        ("4111+1111+1111+1111", log.MASK),
        ("4111\u200b1111\u200b1111\u200b1111", log.MASK),
        ("4111\u00ad1111\u00b71111\ufeff1111", log.MASK),
        ("card=%204111%201111%201111%201111&x=%C3%A9", f"card= {log.MASK}&x=é"),
        ("4111%2D1111%2d1111%C2%A01111", log.MASK),
        ("phone=%2B254712345678", f"phone={log.MASK}"),
        ("q=2026%2011%2023", "q=2026%2011%2023"),
        ("at 2026-11-27 08:22:21.736421+00:00", "at 2026-11-27 08:22:21.736421+00:00"),
        ("41111111111111111226", log.MASK),
        ("41111111111111112612123", log.MASK),
        ("41111111111111119926", "41111111111111119926"),
        ("4111111111111111.0", f"{log.MASK}.0"),
        ("shpat_0123456789abcdef", log.MASK),
        ("shpss_0123456789abcdef", log.MASK),
        ("rzp_live_abcdefgh1234", log.MASK),
        ("sq0csp-abcdefgh1234", log.MASK),
        ("EAAAl0123456789abcdefg", log.MASK),
        ("FLWSECK-0123456789abcdef-X", log.MASK),
        ("FLWSECK_TEST-0123456789abcdef-X", log.MASK),
        ("key live_dHar4XY7LxsDOtmnkVtjNVWXLSlXsM", f"key {log.MASK}"),
        ("test_masking of live_mode", "test_masking of live_mode"),
        ("AKIAIOSFODNN7EXAMPLE", log.MASK),
        ("pi_3Abc_secret_abcdefgh", log.MASK),
        ("sk_0123456789abcdefghijklmnop", log.MASK),
        ("sandbox_0123456789abcdefghij", log.MASK),
        ("access_token$production$abcd1234$0123456789abcdef", log.MASK),
        ("AQEyhmfxK4zNaBZEw0m/n3Q5qf3VaY9UCJ1+XWZe9W27==-abc", log.MASK),
        ("whsk_abcdefgh1234567", log.MASK),
        ("a_secret_of_ours", "a_secret_of_ours"),
        ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", f"jwt {log.MASK}"),
        ("pay DE89 3704 0044 0532 0130 00 OK", f"pay {log.MASK} OK"),
        ("pay gb82west12345698765432", f"pay {log.MASK}"),
        ("GB83 WEST 1234 5698 7654 32", "GB83 WEST 1234 5698 7654 32"),
        ("DE89370400440532013000 GB82WEST12345698765432", f"{log.MASK} {log.MASK}"),
        ("ref RF18 5390 DE89370400440532013000", f"ref RF18 5390 {log.MASK}"),
        ("to jane.doe+x@mail.example.com.", f"to {log.MASK}."),
        ("jane%40example.com", log.MASK),
        ("jane@example.com", log.MASK),
        ("ops@laptop", "ops@laptop"),
        ("plain text of no interest", "plain text of no interest"),
        ("short", "short"),
    ],
)
def test_what_is_masked_in_a_text(text: str, shown: str) -> None:
    assert log.mask_text(text) == shown


IBANS = """
    AD1200012030200359100100 AE070331234567890123456 AL47212110090000000235698741 AT611904300234573201
    AZ21NABZ00000000137010001944 BA391290079401028494 BE68539007547034 BG80BNBG96611020345678
    BH67BMAG00001299123456 BI4210000100010000332045181 BR1800360305000010009795493C1 BY13NBRB3600900000002Z00AB00
    CH9300762011623852957 CR05015202001026284066 CY17002001280000001200527600 CZ6508000000192000145399
    DE89370400440532013000 DJ2100010000000154000100186 DK5000400440116243 DO28BAGR00000001212453611324
    EE382200221020145685 EG380019000500000000263180002 ES9121000418450200051332 FI2112345600000785
    FK88SC123456789012 FO6264600001631634 FR1420041010050500013M02606 GB29NWBK60161331926819 GE29NB0000000101904917
    GI75NWBK000000007099453 GL8964710001000206 GR1601101250000000012300695 GT82TRAJ01020000001210029690
    HN88CABF00000000000250005469 HR1210010051863000160 HU42117730161111101800000000 IE29AIBK93115212345678
    IL620108000000099999999 IQ98NBIQ850123456789012 IS140159260076545510730339 IT60X0542811101000000123456
    JO94CBJO0010000000000131000302 KW81CBKU0000000000001234560101 KZ86125KZT5004100100 LB62099900000001001901229114
    LC55HEMM000100010012001200023015 LI21088100002324013AA LT121000011101001000 LU280019400644750000
    LV80BANK0000435195001 LY83002048000020100120361 MC5811222000010123456789030 MD24AG000225100013104168
    ME25505000012345678951 MK07250120000058984 MN121234123456789123 MR1300020001010000123456753
    MT84MALT011000012345MTLCAST001S MU17BOMM0101101030300200000MUR NI45BAPR00000013000003558124 NL91ABNA0417164300
    NO9386011117947 OM810180000001299123456 PK36SCBL0000001123456702 PL61109010140000071219812874
    PS92PALS000000000400123456702 PT50000201231234567890154 QA58DOHB00001234567890ABCDEFG RO49AAAA1B31007593840000
    RS35260005601001611379 RU0304452522540817810538091310419 SA0380000000608010167519
    SC18SSCB11010000000000001497USD SD2129010501234001 SE4550000000058398257466 SI56263300012039086
    SK3112000000198742637541 SM86U0322509800000000270100 SO211000001001000100141 ST23000100010051845310146
    SV62CENR00000000000000700025 TL380080012345678910157 TN5910006035183598478831 TR330006100519786457841326
    UA213223130000026007233566001 VA59001123000012345678 VG96VPVG0000012345678901 XK051212012345678906
    YE15CBYE0001018861234567891234
"""
"""Of each country that has account numbers of this form the example in SWIFT's registry of them."""


@pytest.mark.parametrize("iban", IBANS.split(), ids=lambda iban: iban[:2])
def test_account_numbers_of_every_country_are_masked(iban: str) -> None:
    groups = " ".join(iban[at : at + 4] for at in range(0, len(iban), 4))
    assert [log.mask_text(text) for text in (iban, groups)] == [log.MASK, log.MASK]


def test_every_country_whose_account_numbers_are_known_has_an_example() -> None:
    assert set(masking._IBAN_LENGTH) == {iban[:2] for iban in IBANS.split()}


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_card_number_is_masked_whatever_stands_around_it(before: str, after: str) -> None:
    assert CARD not in log.mask_text(f"{before} {CARD} {after}")


@given(st.text(alphabet="0123456789 .-+a", max_size=80))
def test_masking_ends_and_never_lengthens_digits(text: str) -> None:
    assert sum(map(str.isdigit, log.mask_text(text))) <= sum(map(str.isdigit, text))


def test_a_text_full_of_card_numbers_is_masked_whole() -> None:
    assert log.mask_text(f"{CARD} " * 1800) == f"{log.MASK} " * 1800


def test_what_is_masked_in_values() -> None:
    nested = {
        "a": [{"password": "x", "Stripe-Signature": ["y"]}, (CARD, 7, None, True, 1.5)],
        "authorized": 100,
        "card": int(CARD),
        "float": float(CARD),
        "large": 10**12 + 1,
        "large float": 1e15,
        "body": b"secret",
        "secret": None,
        CARD: 1,
        "error": ValueError(f"bad card {CARD}"),
        "set": {"+254712345678"},
    }
    assert log.masked(nested) == {
        "a": [{"password": log.MASK, "Stripe-Signature": log.MASK}, [log.MASK, 7, None, True, 1.5]],
        "authorized": 100,
        "card": log.MASK,
        "float": log.MASK,
        "large": 10**12 + 1,
        "large float": 1e15,
        "body": "<6 bytes>",
        "secret": None,
        log.MASK: 1,
        "error": f"bad card {log.MASK}",
        "set": [log.MASK],
    }


@pytest.mark.parametrize(("digits", "is_masked"), [(12, False), (13, True), (16, True), (19, True), (20, False)])
def test_a_card_number_has_thirteen_to_nineteen_digits(digits: int, *, is_masked: bool) -> None:
    """ISO/IEC 7812-1 and the networks' own lengths: Maestro's and UnionPay's have up to 19."""
    body = "6" * (digits - 1)
    (number,) = (body + check for check in "0123456789" if luhn(body + check))
    assert (log.MASK in log.masked(f"paid by {number} today")) is is_masked


def test_a_card_number_is_masked_below_zero_too() -> None:
    assert log.masked([-4111111111111111, -4111111111111111.0, -5]) == ["-[masked]", "-[masked]", -5]


def test_depth_and_length_are_bounded() -> None:
    value: Any = "x"
    for _ in range(log.DEPTH_MAX + 5):
        value = [value]
    assert log.MASK in json.dumps(log.masked(value))
    assert len(log.mask_text("x" * (log.TEXT_LENGTH_MAX * 2))) == log.TEXT_LENGTH_MAX + 3


def test_a_line_is_json_with_role_level_and_utc_time(lines: Any) -> None:
    structlog.get_logger().info("request", provider="stripe", api_key="k", note="ünïcode")
    structlog.get_logger().debug("unseen")
    (line,) = lines()
    assert line.pop("time").endswith("Z")
    assert line == {
        "event": "request",
        "provider": "stripe",
        "api_key": log.MASK,
        "note": "ünïcode",
        "level": "info",
        "role": "ingress",
    }


def test_exception_text_is_masked_too(lines: Any) -> None:
    try:
        int(f"card {CARD} with sk_live_abcdefgh")
    except ValueError:
        log.get("ingress").exception("failed")
    (line,) = lines()
    assert "ValueError" in line["exception"]
    assert (CARD in line["exception"], "sk_live" in line["exception"]) == (False, False)
    assert line["part"] == "ingress"


def test_libraries_lines_are_masked_json_too(lines: Any) -> None:
    logging.getLogger("aiokafka").warning("cannot reach %s", f"user:{CARD}")
    logging.getLogger("aiokafka").info("unseen")
    (line,) = lines()
    assert line["event"] == f"cannot reach user:{log.MASK}"
    assert (line["logger"], line["level"], line["role"]) == ("aiokafka", "warning", "ingress")


# --- closed lines ------------------------------------------------------------------------------------------------


class Reported(log.ClosedLine, gc=False):
    """A closed line of these tests."""

    count: int = 0


def test_a_closed_line_looks_like_the_others(lines: Any) -> None:
    structlog.get_logger().info("counted", count=1)
    assert log.write_closed(Reported("counted", count=1))
    plain, closed = lines()
    assert plain.keys() == closed.keys()
    assert {**plain, "time": ""} == {**closed, "time": ""}
    assert closed["time"].endswith("Z")
    assert len(closed["time"]) == len(plain["time"])


async def test_closed_lines_of_a_turn_are_one_write(lines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert log._closed is not None
    written: list[str] = []
    monkeypatch.setattr(log._closed, "_stream", io.StringIO())
    monkeypatch.setattr(log._closed._stream, "write", written.append)
    for number in range(3):
        log.write_closed(Reported("counted", count=number))
    assert written == []
    await asyncio.sleep(0)
    assert [json.loads(line)["count"] for line in "".join(written).splitlines()] == [0, 1, 2]
    assert len(written) == 1
    for _ in range(log.CLOSED_LINES_HELD_MAX):
        log.write_closed(Reported("counted"))
    assert len(written) == 2, "no more are held than the bound says"
    await asyncio.sleep(0)
    assert len(written) == 2
    assert lines() == []


def test_a_closed_line_is_left_to_structlog_where_that_goes_another_way(lines: Any) -> None:
    with structlog.testing.capture_logs():
        assert not log.write_closed(Reported("counted"))
    log.configure("ingress", "warning", io.StringIO())
    assert not log.write_closed(Reported("counted"))
    assert lines() == []


def test_names_in_a_request_s_line_are_masked(lines: Any) -> None:
    line = AccessLine(method="POST", provider=f"p{CARD}", account="+254712345678", client="whsec_abcdefgh1234")
    AccessLog(lambda *_: None, 1)._write(line, 0.5)  # type: ignore[arg-type, return-value]
    (shown,) = lines()
    assert (shown["provider"], shown["account"], shown["client"]) == (f"p{log.MASK}", log.MASK, log.MASK)
    assert (shown["path"], shown["duration_seconds"], shown["event"]) == ("unknown", 0.5, "request")


class Full(io.StringIO):
    """A file on a disk that is full."""

    def write(self, _text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.usefixtures("lines")
def test_a_line_that_cannot_be_written_costs_nobody_anything(*, closed: bool) -> None:
    stream = io.StringIO() if closed else Full()
    if closed:
        stream.close()
    before = metrics.REGISTRY.get_sample_value("ratchet_log_lines_lost_total") or 0.0
    log.configure("ingress", "info", stream)
    structlog.get_logger().info("paid")
    logging.getLogger("aiokafka").error("away")
    assert log.write_closed(log.ClosedLine("request"))
    assert (metrics.REGISTRY.get_sample_value("ratchet_log_lines_lost_total") or 0.0) - before >= 3


def test_each_line_of_a_write_that_fails_is_counted() -> None:
    class Full:
        def write(self, _text: str) -> int:
            raise OSError

        flush = write

    before = metrics.LOG_LINES_LOST._value.get()
    assert log.Lossy(Full()).write("one\ntwo\nthree\n") == 0  # type: ignore[arg-type]
    assert metrics.LOG_LINES_LOST._value.get() - before == 3


def test_half_a_character_costs_no_line() -> None:
    """A header's name that is no UTF-8 is read with such."""
    event = {"name": "h\udcff", "reference": "\u202e"}
    assert json.loads(log.render_json(None, "", event)) == event
    assert log.render_json(None, "", event).isascii()


def test_a_line_holds_nothing_that_a_terminal_obeys() -> None:
    text = "\x1b[2J \x9b31m \x9d8;;http://evil.example\x9c \u202egnp.exe \u061c \x7f \r"
    rendered = log.render_json(None, "", {"reference": text})
    assert rendered.isascii()
    assert not set(rendered) & set("\x1b\x7f\r")
    assert json.loads(rendered) == {"reference": text}
