"""What must hold of whatever bytes come in: each target takes an input and raises AssertionError where it does not.

An input is text as people can write it: a first line that chooses, then lines `name: value`, a blank line and a body.
"""

from __future__ import annotations

import contextlib
import math
from ipaddress import ip_network
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import parse_qsl
from uuid import UUID

from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

import providers
from consumer.decode import Event, decode
from consumer.framings import framing_of
from consumer.verdict import Dead
from fuzz import seeds
from ops.console import choosing
from producers.ingress import sources
from producers.ingress.http import framing
from producers.ingress.intents import keys, naming, orders, queued, routes
from producers.ingress.intents.queued import Asking
from providers.core.contract import REASONS, Trust
from providers.core.forms import read_form
from providers.core.reading import storable
from runtime.kafka_records import TolerantRecords
from schemas.dead_letter import Reason
from schemas.errors import SettingsError, SignatureRejected, UninterpretableError
from schemas.intents import Command, Intent
from schemas.record import Record
from schemas.topics import EVENTS, INTENTS, WEBHOOKS
from schemas.traceparent import well_formed

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.facts import Meaning

SUM_MAX: Final = 2**63
"""What Postgres' bigint does not hold."""
PAYMENT: Final = UUID("01890000-0000-7000-8000-000000000001")
WHOLE_BODY: Final = frozenset(
    {"checkout", "flutterwave", "github", "gocardless", "paystack", "razorpay", "shopify", "square"}
    | {"standard_webhooks", "stripe"}
)
"""Providers whose signature covers every byte of the body."""
CODECS: Final = ("plain", "gzip", "snappy", "lz4", "zstd")
"""Of a batch, by the number that Kafka gives each."""
TRUSTED: Final = (ip_network("10.0.0.0/8"),)
TOPICS: Final = {topic.name: topic.name for topic in (WEBHOOKS, INTENTS, EVENTS)}


class Parts(NamedTuple):
    """An input taken apart; every byte of it is somewhere."""

    choice: str
    fields: list[tuple[str, str]]
    body: bytes


def taken_apart(data: bytes) -> Parts:
    """Take an input apart; what is missing is empty."""
    head, _, body = data.partition(b"\n\n")
    choice, *lines = head.decode("latin-1").split("\n")
    fields = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
    return Parts(choice, fields, body)


def signatures(data: bytes) -> None:
    """Verify a request: nothing but SignatureRejected is raised, and no body accepted that was never signed."""
    parts = taken_apart(data)
    case = seeds.accepted().get(parts.choice)
    if case is None:
        return
    provider = parts.choice.partition("/")[0]
    headers: dict[str, list[str]] = {}
    for name, value in parts.fields:
        headers.setdefault(name, []).append(value)
    try:
        found = providers.verify(
            provider,
            headers=headers,
            body=parts.body,
            url=case["url"],
            secrets=case["secrets"],
            now=case["now"],
            config=case.get("config"),
        )
    except SignatureRejected as error:
        assert error.reason in REASONS, error.reason  # noqa: PT017 - most inputs are refused
        return
    if provider in WHOLE_BODY and any(one.trust == Trust.VERIFIED for one in found):
        assert parts.body in seeds.genuine_bodies(provider), "a forged body is accepted"
    assert all(one.event_id is None or storable(one.event_id) for one in found)


def meanings(data: bytes) -> None:
    """Interpret an event: it can be stored, or is uninterpretable for a reason that was foreseen."""
    parts = taken_apart(data)
    provider, _, kind = parts.choice.partition(" ")
    if provider not in providers.names():
        return
    for _, named in providers.all_named_by_hint(provider, parts.body):
        assert named is None or storable(named)
    providers.answer_to_query(provider, parts.body)
    try:
        meaning = providers.interpret(provider, kind, parts.body)
    except UninterpretableError as error:
        assert error.reason in (Reason.UNDECODABLE, Reason.UNKNOWN_KIND), error.detail  # noqa: PT017 - as above
        return
    _need_storable(meaning)
    assert meaning == providers.interpret(provider, kind, parts.body), "the same bytes mean the same"


def _need_storable(meaning: Meaning) -> None:
    assert meaning.refs or not meaning.facts, "facts of no payment"
    assert all(storable(ref.ref) for ref in meaning.refs)
    assert all(storable(fact.key) for fact in meaning.facts)
    assert all(abs(fact.amount or 0) < SUM_MAX for fact in meaning.facts)
    assert meaning.amount is None or abs(meaning.amount) < SUM_MAX


def records(data: bytes) -> None:
    """Decode a record: it is an event or a dead letter, and nothing is raised."""
    parts = taken_apart(data)
    topic = TOPICS.get(parts.choice)
    if topic is None:
        return
    headers = tuple((name, value.encode("latin-1")) for name, value in parts.fields)
    found = decode(Record(topic, 0, 0, 1_790_000_000_000, b"key", parts.body, headers))
    assert isinstance(found, Event | Dead)
    if isinstance(found, Event):
        assert found.source
        assert found.event_id
        _need_storable(found.meaning)
    else:
        assert found.reason != Reason.UNEXPECTED, found.message


class _Name(str):
    """A header's name of any bytes, as clients in other languages send it."""

    __slots__ = ()

    def encode(self, encoding: str = "latin-1", errors: str = "strict") -> bytes:
        del encoding
        return str.encode(self, "latin-1", errors)


def batches(data: bytes) -> None:
    """Read records of any keys, values and names of headers that a broker takes, in every codec: all come whole."""
    parts = taken_apart(data)
    if parts.choice not in CODECS:
        return
    builder = _DefaultRecordBatchBuilderPy(2, CODECS.index(parts.choice), 0, 7, 0, 0, 1 << 20)
    plain = [("h", b"v"), ("none", None)]
    odd = [(_Name(name), value.encode("latin-1")) for name, value in parts.fields]
    for number, headers in enumerate((plain, odd, plain)):
        builder.append(number, 1_790_000_000_000, b"key", parts.body, headers)
    wanted = [tuple((_lenient(name), value) for name, value in headers) for headers in (plain, odd, plain)]
    batch = TolerantRecords(bytes(builder.build())).next_batch()
    found = list(batch)
    assert [one.offset for one in found] == [0, 1, 2]
    assert [bytes(one.value) for one in found] == [parts.body] * 3
    assert [tuple(one.headers) for one in found] == wanted


def _lenient(name: str) -> str:
    return name.encode("latin-1").decode("utf-8", "surrogateescape")


def heads(data: bytes) -> None:
    """Check a request's head: it is in order or refused, and its pieces come to an end."""
    parts = taken_apart(data)
    fields = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in parts.fields]
    with contextlib.suppress(framing.MalformedHeadError):
        framing.need_version(parts.choice)
        framing.need_one_host(fields, parts.choice)
        framing.need_one_framing(fields, parts.choice, upgrade=False)
    begin, before = 0, b""
    while begin < len(data):
        end = framing.next_piece(data, begin, 0, before)
        assert begin < end <= len(data), "no piece is empty"
        assert framing.BLANK_LINE not in (before + data[begin:end])[:-1], "a request ends within a piece"
        before, begin = data[begin:end][-3:], end
        if data[:end].endswith(framing.BLANK_LINE):
            before = b""


def forms(data: bytes) -> None:
    """Read a form: what it asks for is within the bounds that are named, or it is refused in words."""
    with contextlib.suppress(SignatureRejected):
        read_form(data)
    try:
        form = dict(parse_qsl(data.decode(), keep_blank_values=True, max_num_fields=64))
    except ValueError:
        return
    chosen = choosing.choose(form)
    assert not chosen.problem or chosen.filters.ids == (), "what can't be read means nothing"
    assert chosen.filters.limit is None or 1 <= chosen.filters.limit <= choosing.NUMBER_MAX
    with contextlib.suppress(SettingsError):
        found = choosing.whole_number(form, "max")
        assert found is None or 1 <= found <= choosing.NUMBER_MAX
    with contextlib.suppress(SettingsError):
        rate = choosing.rate(form)
        assert rate is None or (rate > 0 and math.isfinite(rate))


def intents(data: bytes) -> None:
    """Read a command of a client: the consumer can decode what is accepted; the rest is declined."""
    parts = taken_apart(data)
    if parts.choice not in {command.value for command in Command}:
        return
    command = Command(parts.choice)
    ordered = orders.read(command, PAYMENT, parts.body, 10)
    if isinstance(ordered, orders.Declined):
        return
    asking = Asking("shop", PAYMENT, 1_790_000_000.0)
    body = ordered.body.model_dump(mode="json", exclude_unset=True)
    key = queued.key_of(ordered.body, PAYMENT) if isinstance(ordered.body, Intent) else str(PAYMENT)
    sent = queued.record_of(
        asking, command, PAYMENT, body, event_id=f"{PAYMENT}:{command}", key=key, topic=INTENTS.name
    )
    found = decode(Record(sent.topic, 0, 0, 1_790_000_000_000, sent.key, sent.value, sent.headers))
    assert isinstance(found, Event), f"accepted with 202, and then a dead letter: {found.message}"


def texts(data: bytes) -> None:
    """Read small things of a request: a query, a path, keys, addresses, traces, what a value looks like."""
    parts = taken_apart(data)
    naming.parse(parts.body)
    routes.parse(parts.body.decode("latin-1"))
    keys.parse([value for _, value in parts.fields])
    sources.sender_address(parts.choice, [value for _, value in parts.fields], TRUSTED)
    well_formed(parts.choice)
    framing_of(parts.body)


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "signatures": signatures,
    "meanings": meanings,
    "records": records,
    "batches": batches,
    "heads": heads,
    "forms": forms,
    "intents": intents,
    "texts": texts,
}
