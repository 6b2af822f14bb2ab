"""What must hold of whatever bytes come in: each target takes an input and raises AssertionError where it does not.

An input is text as people can write it: a first line that chooses, then lines `name: value`, a blank line and a body.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import unicodedata
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
from ops import payloads
from ops.console import choosing
from ops.output import PlainConsole
from producers.ingress import sources
from producers.ingress.answers import head_of
from producers.ingress.http import framing
from producers.ingress.intents import bodies, keys, queued, references, routes
from producers.ingress.intents.queued import Asking
from providers.core.contract import REASONS, Trust
from providers.core.forms import read_form
from providers.core.reading import storable
from runtime import log, terminal
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
HERE: Final = "https://ratchet.example/webhooks"
SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW: Final = 1_790_000_000.0
SECRETS: Final = ("4242424242424242", "+4915112345678", "DE89370400440532013000", "jane@mail.example", SECRET)
"""What must never be seen: of a card, a phone, a bank account, a person, and of a signature."""
TURNS: Final = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
"""Of UAX #9: what turns the direction in which text is read."""
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
    """Check a request's head: it is in order or refused, its pieces come to an end, its fields say one thing."""
    parts = taken_apart(data)
    fields = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in parts.fields]
    with contextlib.suppress(framing.MalformedHeadError):
        framing.need_version(parts.choice)
        framing.need_one_host(fields, parts.choice)
        framing.need_one_framing(fields, parts.choice, upgrade=False)
    _need_pieces(data)
    _need_own_lines(fields)
    _need_foreseen_refusals(parts)


def _need_pieces(data: bytes) -> None:
    begin, before = 0, b""
    while begin < len(data):
        end = framing.next_piece(data, begin, 0, before)
        assert begin < end <= len(data), "no piece is empty"
        assert framing.BLANK_LINE not in (before + data[begin:end])[:-1], "a request ends within a piece"
        before, begin = data[begin:end][-3:], end
        if data[:end].endswith(framing.BLANK_LINE):
            before = b""


def _need_own_lines(fields: list[tuple[bytes, bytes]]) -> None:
    """No field of an answer becomes two, whatever it holds."""
    try:
        lines = head_of("application/json", 0, tuple(fields)).split(b"\r\n")
    except ValueError:
        return
    assert lines[-1] == b""
    assert lines[-1 - len(fields) : -1] == [b"%s: %s" % field for field in fields]
    assert not any(sign in b"".join(lines) for sign in (b"\r", b"\n", b"\0"))


def _need_foreseen_refusals(parts: Parts) -> None:
    """Every provider reads every sender's fields: each is refused in words that were foreseen, or signed."""
    headers: dict[str, list[str]] = {}
    for name, value in parts.fields:
        headers.setdefault(name.lower(), []).append(value)
    for provider in providers.names():
        assert providers.work(provider, headers, len(parts.body)) >= len(parts.body)
        try:
            providers.verify(
                provider, headers=headers, body=parts.body, url=HERE, secrets=(SECRET,), now=NOW, config={}
            )
        except SignatureRejected as error:
            assert error.reason in REASONS, error.reason  # noqa: PT017 - nearly all are refused
            assert not error.detail.startswith("checking raised"), f"{provider}: {error.detail}"  # noqa: PT017 - as above


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
    ordered = bodies.read(command, PAYMENT, parts.body, 10)
    if isinstance(ordered, bodies.Declined):
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
    """Read small things of a request, and show what strangers wrote: no terminal obeys it, and no secret is seen."""
    parts = taken_apart(data)
    references.parse(parts.body)
    routes.parse(parts.body.decode("latin-1"))
    keys.parse([value for _, value in parts.fields])
    sources.sender_address(parts.choice, [value for _, value in parts.fields], TRUSTED)
    well_formed(parts.choice)
    framing_of(parts.body)
    _need_obeyed_by_none(parts)
    _need_masked(parts.choice.encode("latin-1").decode(errors="replace"), parts.body.decode(errors="replace"))


def _need_obeyed_by_none(parts: Parts) -> None:
    """Show a record and write a line of the log: one line of JSON, and nothing that a terminal acts on."""
    names, values = ([field[place].encode("latin-1") for field in parts.fields] for place in (0, 1))
    text = parts.body.decode(errors="surrogateescape")
    printed = io.StringIO()
    PlainConsole(file=printed, width=80, force_terminal=False, no_color=True).print(parts.body.decode("latin-1"))
    line = log.render_json(None, "", dict(log.mask_event(None, "", {"text": text, **dict(parts.fields)})))
    shown = (
        *(payloads.show_payload(parts.body, limit).text for limit in (16, 4096)),
        *(one for pair in payloads.show_headers(names, values) for one in pair),
        *(printed.getvalue(), line, terminal.harmless(text)),
    )
    assert not any(obeyed(sign) for one in shown for sign in one), "a terminal would obey it"
    assert isinstance(json.loads(line), dict)
    assert "\n" not in line


def obeyed(sign: str) -> bool:
    """Tell whether a terminal acts on a character: Unicode's controls but tab and newline, and turns of direction."""
    return (unicodedata.category(sign) == "Cc" and sign not in "\t\n") or unicodedata.bidirectional(sign) in TURNS


def _need_masked(before: str, after: str) -> None:
    """Put a secret between two texts: it is not in what is shown; which one the texts choose."""
    secret = SECRETS[len(before + after) % len(SECRETS)]
    text = f"{before} {secret} {after}"
    assert secret not in log.mask_text(text), f"{secret} is in the log"
    assert secret not in payloads.show_text(text), f"{secret} is shown"
    for whole in (text, json.dumps({"note": text})):
        assert secret not in payloads.show_payload(whole.encode(), 1 << 16).text, f"{secret} is shown of a payload"


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
