"""No provider's name stands in code outside its room: who needs something of one asks its `Provider`."""

from __future__ import annotations

import re
from functools import cache
from typing import Final

import pytest
import source_files
from source_files import ROOT, Source, read

import providers

pytestmark = pytest.mark.unit

FOLDERS: Final = ("consumer", "ops", "producers", "runtime", "schemas")
NAMES: Final = re.compile(
    rf"(?<![a-z])({'|'.join([*sorted(providers.names() - {'square', 'checkout'}), 'dodo', 'polar'])})(?![a-z])",
    re.IGNORECASE,
)
"""`square` and `checkout` are words too: where they are meant as providers stands beside others."""

ALLOWED: Final = {
    "ops/bench/": "the benchmark sends what one provider sends",
    "ops/sample/": "the sample plays three providers, which is what it is for",
    "ops/simulated/": "plays a provider each, for `ratchet simulate`",
    "ops/corpus.py": "finds events in files of others, where nothing tells whose they are",
    "consumer/dispatcher/twilio.py": "the client of one service that sends messages, behind the seam `sender`",
    "consumer/dispatcher/sql/finish_sms.sql": "delivery reports come by that service's webhooks",
    "consumer/dispatcher/role.py": "chooses the sender of messages by its settings",
    "consumer/transaction.py": "messages are queued where a sender of them is configured",
    "runtime/settings/outside.py": "settings of the one service that sends messages have its name",
    "runtime/masking.py": "masks the path in which one provider's secret stands, without importing it",
}
"""Where a name may stand, and why."""


def names_in(source: Source) -> list[tuple[int, str]]:
    """Return (line, name) of the names in identifiers, imports and texts; docstrings and comments may tell of any."""
    return [
        (line, name.lower()) for use, line in source.uses.items() for word in use.words for name in NAMES.findall(word)
    ]


@cache
def found() -> dict[str, list[tuple[int, str]]]:
    """Return what stands where, by path."""
    paths = [path for folder in FOLDERS for path in source_files.python_files(folder)]
    code = {str(path.relative_to(ROOT)): names_in(source_files.source(path)) for path in paths}
    for path in (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.sql")):
        lines = [re.sub(r"--.*", "", line) for line in path.read_text().splitlines()]
        names = [(number, name) for number, line in enumerate(lines, 1) for name in NAMES.findall(line)]
        code[str(path.relative_to(ROOT))] = names
    return {path: names for path, names in code.items() if names}


def test_no_provider_is_named_outside_its_room() -> None:
    named = {path: names for path, names in found().items() if not path.startswith(tuple(ALLOWED))}
    assert named == {}


def test_each_exception_still_stands() -> None:
    """What is gone must leave the list."""
    assert [place for place in ALLOWED if not any(path.startswith(place) for path in found())] == []


def test_a_name_is_found_in_code_and_not_in_prose() -> None:
    assert names_in(read('"""Stripe\'s."""\nx = "stripe"\n# adyen\n')) == [(2, "stripe")]
    assert names_in(read("from providers.paypal import x")) == [(1, "paypal")]
    assert [name for _, name in names_in(read("def mpesa_path(twilio): ..."))] == ["mpesa", "twilio"]
    assert names_in(read("stripes = adyens")) == []
