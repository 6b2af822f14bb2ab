"""Names of topics and of the group: what they are made of, what is legal, and that nobody else makes them up."""

from __future__ import annotations

import pytest
import source_files
from events import INTENT_ID, intent, stripe_intent
from msgspec.structs import replace
from pydantic import ValidationError
from source_files import ROOT, Source

import schemas.topics
from consumer.decode import DecodingTerms, Event, decode
from consumer.verdict import Dead
from ops.dlq_filters import LetterFilter
from ops.publish_check import need_topic, record_of
from ops.redrive_preview import Choice, held_back
from producers.relay.redrive import sort_out
from runtime.settings import KafkaSettings, RedriveSettings, load
from runtime.topic_binding import mismatch
from schemas.errors import SettingsError
from schemas.topics import DEFAULT, NAME_LENGTH_MAX, illegal_group, illegal_prefix, topics_of

pytestmark = pytest.mark.unit

ROOMS = ("schemas", "providers", "runtime", "producers", "consumer", "ops")
ACME = topics_of("acme.", "acme-ratchet")
FOR_DOCUMENTS = {"WEBHOOKS", "INTENTS", "EVENTS", "DLQ", "CHANGES", "STATE", "COMMANDS", "CONSUMED", "ALL",
                 "CONSUMER_GROUP"}  # fmt: skip
"""The constants with the default prefix."""
BY_CODE = {(source_files.IMPORT_FROM, "schemas.topics"), (source_files.ATTRIBUTE, "topics")}
"""How code names one of them: it imports it, or has it of the module."""


def test_the_default_names_are_those_that_readers_know() -> None:
    assert [topic.name for topic in DEFAULT.all] == [
        "payments.webhooks", "payments.intents", "payments.events",
        "payments.dlq", "payments.changes", "payments.state", "payments.commands",
    ]  # fmt: skip
    assert (DEFAULT.prefix, DEFAULT.group) == ("payments.", "ratchet")
    assert KafkaSettings().topics is DEFAULT


DAYS_30, DAYS_90, DAY = "2592000000", "7776000000", "86400000"
MIB_2, MIB_4 = "2097152", "4194304"


@pytest.mark.parametrize("kind", ["webhooks", "intents", "events", "changes", "commands", "dlq"])
def test_a_topic_keeps_its_records_for_so_long_and_takes_them_as_they_are_compressed(kind: str) -> None:
    size, kept = (MIB_4, DAYS_90) if kind == "dlq" else (MIB_2, DAYS_30)
    common = {"max.message.bytes": size, "compression.type": "producer"}
    assert getattr(DEFAULT, kind).settings() == common | {"cleanup.policy": "delete", "retention.ms": kept}


def test_the_newest_states_are_kept_and_a_segment_is_closed_each_day() -> None:
    """An open segment is never compacted: who begins to read would read each change since it was opened."""
    common = {"max.message.bytes": MIB_2, "compression.type": "producer"}
    assert DEFAULT.state.settings() == common | {"cleanup.policy": "compact", "segment.ms": DAY}


def test_a_prefix_changes_names_and_nothing_else() -> None:
    assert [topic.name for topic in ACME.all] == [topic.name.replace("payments.", "acme.") for topic in DEFAULT.all]
    assert [topic.settings() for topic in ACME.all] == [topic.settings() for topic in DEFAULT.all]
    assert [topic.must_end for topic in ACME.all] == [False, False, False, True, False, False, False]
    assert ACME.consumed_names == ("acme.webhooks", "acme.intents", "acme.events")
    assert [topic.name for topic in ACME.published] == ["acme.intents", "acme.events"]
    assert ACME.consumed_topic("acme.intents") == ACME.intents
    assert ACME.consumed_topic("payments.intents") is ACME.consumed_topic("acme.dlq") is None


@pytest.mark.parametrize("prefix", ["payments.", "acme.payments.", "a-", "A_", ".", "x" * (NAME_LENGTH_MAX - 9) + "."])
def test_a_legal_prefix(prefix: str) -> None:
    assert illegal_prefix(prefix) is None
    assert KafkaSettings(topic_prefix=prefix).topics.webhooks.name == f"{prefix}webhooks"
    assert max(len(topic.name) for topic in topics_of(prefix).all) <= NAME_LENGTH_MAX


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("", "ends in one of these three"),
        ("acme", "ends in one of these three"),
        ("acme payments.", "no prefix of topics"),
        ("zahlung/ü.", "no prefix of topics"),
        ("acme.\n", "no prefix of topics"),
        ("__acme.", "begins with '__'"),
        ("x" * (NAME_LENGTH_MAX - 8) + ".", "Kafka takes 249"),
    ],
)
def test_an_illegal_prefix_is_refused_and_reported_what_it_takes(prefix: str, expected: str) -> None:
    assert expected in (illegal_prefix(prefix) or "")
    with pytest.raises(ValidationError, match="topic_prefix"):
        KafkaSettings(topic_prefix=prefix)


@pytest.mark.parametrize(("group", "legal"), [
    ("ratchet", True), ("team/pay:ratchet", True), ("x" * 249, True),
    ("", False), ("a b", False), ("x" * 250, False), ("grüppe", False), ("a\n", False),
])  # fmt: skip
def test_a_group(group: str, *, legal: bool) -> None:
    assert (illegal_group(group) is None) is legal
    if legal:
        assert KafkaSettings(group=group).topics.group == group
    else:
        with pytest.raises(ValidationError, match="group"):
            KafkaSettings(group=group)


def test_the_environment_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_KAFKA__TOPIC_PREFIX", "acme.")
    monkeypatch.setenv("RATCHET_KAFKA__GROUP", "acme-ratchet")
    assert load().kafka.topics is ACME
    monkeypatch.setenv("RATCHET_KAFKA__TOPIC_PREFIX", "acme")
    with pytest.raises(SettingsError, match=r"RATCHET_KAFKA__TOPIC_PREFIX: .*'acme\.payments\.'"):
        load()


def test_what_a_record_is_follows_from_its_topic_s_part_in_the_whole() -> None:
    """An intent's bytes on the topic of intents are an intent, whatever the prefix, and on another one they are not."""
    named = DecodingTerms(topics=ACME)
    asked = replace(intent(), topic="acme.intents")
    found = decode(asked, named)
    assert isinstance(found, Event)
    assert found.kind == "intent.create"
    assert found.meaning.ownership is not None
    assert found.meaning.ownership.payment_id == INTENT_ID
    assert isinstance(decode(intent(), named), Dead), "no webhook either"
    paid = replace(stripe_intent("succeeded", amount_received=1000), topic="acme.webhooks")
    assert isinstance(decode(paid, named), Event)


def test_letters_go_back_to_topics_of_ours_alone() -> None:
    columns = {"partition": 0, "key": b"k", "value": b"v", "header_names": [], "header_values": [], "redrive_count": 0,
               "status": "open", "value_left_out": False}  # fmt: skip
    rows = [{"id": 1, "topic": "acme.webhooks", **columns}, {"id": 2, "topic": "payments.webhooks", **columns}]
    found = sort_out(rows, None, ACME)
    assert (found.going[1].topic, list(found.skipped)) == ("acme.webhooks", [2])
    assert sort_out(rows[1:], "acme.intents", ACME).going[2].topic == "acme.intents"
    assert sort_out(rows[1:], "payments.intents", ACME).going == {}
    choice, bounds = Choice(LetterFilter()), RedriveSettings()
    assert [held_back(row, choice, bounds, ACME) is None for row in rows] == [True, False]


def test_publish_knows_the_names() -> None:
    assert record_of(b"{}", topics=ACME).topic == "acme.intents"
    assert record_of(b"{}", headers=[("ce_type", "payment.captured")], topics=ACME).topic == "acme.events"
    need_topic("acme.events", ACME)
    with pytest.raises(SettingsError, match=r"there are acme\.intents, acme\.events"):
        need_topic("payments.events", ACME)


@pytest.mark.parametrize(
    ("bound", "fits"), [(None, True), ("acme.", True), ("payments.", False)], ids=["none", "same", "other"]
)
def test_a_database_belongs_to_one_prefix(bound: str | None, *, fits: bool) -> None:
    why = mismatch(bound, "acme.")
    assert (why is None) is fits
    if why is not None:
        assert "RATCHET_KAFKA__TOPIC_PREFIX is 'acme.'" in why
        assert "'payments.'" in why


def test_nobody_but_documents_and_the_bench_uses_the_default_names() -> None:
    """A name that is written down is the default one: where a company has another, it would be a topic of nobody."""
    assert set(vars(schemas.topics)) >= FOR_DOCUMENTS
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for room in ROOMS
        for path in source_files.python_files(room)
        if "bench" not in path.parts and path.name not in ("topics.py", "asyncapi.py")
        for line in _default_names(source_files.source(path))
    ]
    assert found == []


def _default_names(source: Source) -> list[int]:
    """Return the lines that import a constant of a default name, or hold one in a text that is no docstring."""
    names = {topic.name for topic in DEFAULT.all}
    lines = []
    for use, line in source.uses.items():
        if use.kind == source_files.TEXT:
            lines += [line] * any(name in text for text in use.words for name in names)
        elif (use.kind, use.of) in BY_CODE:
            lines += [line] * any(word in FOR_DOCUMENTS for word in use.words)
    return lines
