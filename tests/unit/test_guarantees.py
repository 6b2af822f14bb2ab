"""Guarantees that no speed is worth: nothing of the product may switch durability off."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runtime.kafka import _new_topic
from runtime.settings import KafkaSettings
from schemas.topics import CHANGES, CONSUMED, DLQ

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
ROOMS = ("schemas", "providers", "runtime", "producers", "consumer", "ops", "migrations")
WEAKENED = re.compile(
    r"synchronous_commit\W+(off|local|remote_write)|fsync\W+off|full_page_writes\W+off|\backs\W+(0|1)\b|\bunlogged\b",
    re.IGNORECASE,
)

MARKS = ("synchronous_commit", "fsync", "full_page_writes", "acks", "unlogged")
"""One of these stands wherever `WEAKENED` finds something; looking for them takes a twentieth of its time."""


def weakening(text: str) -> str | None:
    """Return what switches durability off in a text, or None."""
    lowered = text.lower()
    match = WEAKENED.search(text) if any(word in lowered for word in MARKS) else None
    return match[0] if match else None


def sources() -> list[Path]:
    return [path for room in ROOMS for path in (ROOT / room).rglob("*") if path.suffix in (".py", ".sql")]


def test_there_is_something_to_look_at() -> None:
    assert len(sources()) > 150


@pytest.mark.parametrize(
    "text",
    ["set synchronous_commit = off", '"synchronous_commit": "off"', "fsync=off", "acks=1", "create unlogged table"],
)
def test_a_weakening_is_recognised(text: str) -> None:
    assert weakening(text)


@pytest.mark.parametrize(("copies", "needed"), [(1, None), (2, None), (3, "2"), (5, "2")])
def test_a_record_of_three_copies_is_on_two_brokers_before_it_counts(copies: int, needed: str | None) -> None:
    for topic in (*CONSUMED, DLQ, CHANGES):
        made = _new_topic(topic, KafkaSettings(bootstrap="127.0.0.1:1", replication_factor=copies))
        assert (made.replication_factor, made.topic_configs.get("min.insync.replicas")) == (copies, needed)


def test_nothing_switches_durability_off() -> None:
    found = {path.relative_to(ROOT): what for path in sources() if (what := weakening(path.read_text()))}
    assert found == {}
