"""What must never reach a log line, wherever it stands; and what a line looks like."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from runtime import log

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
        ("plain text of no interest", "plain text of no interest"),
        ("short", "short"),
    ],
)
def test_what_is_masked_in_a_text(text: str, shown: str) -> None:
    assert log.mask_text(text) == shown


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
        "large": 10**12 + 1,
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
        "large": 10**12 + 1,
        "body": "<6 bytes>",
        "secret": None,
        log.MASK: 1,
        "error": f"bad card {log.MASK}",
        "set": [log.MASK],
    }


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
        log.get("door").exception("failed")
    (line,) = lines()
    assert "ValueError" in line["exception"]
    assert (CARD in line["exception"], "sk_live" in line["exception"]) == (False, False)
    assert line["part"] == "door"


def test_libraries_lines_are_masked_json_too(lines: Any) -> None:
    logging.getLogger("aiokafka").warning("cannot reach %s", f"user:{CARD}")
    logging.getLogger("aiokafka").info("unseen")
    (line,) = lines()
    assert line["event"] == f"cannot reach user:{log.MASK}"
    assert (line["logger"], line["level"], line["role"]) == ("aiokafka", "warning", "ingress")
