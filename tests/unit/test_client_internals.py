"""What we know of the insides of our Kafka client and HTTP server: every private name is there, every stand-in whole.

A name that went away with a new version must fail here, loudly, and not be a slow path or a consumer that dies at the
first record of a kind that nobody tried.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import aiokafka
import pytest
import uvicorn
from aiokafka.consumer import fetcher, subscription_state
from aiokafka.errors import BrokerResponseError, KafkaConnectionError, KafkaError
from aiokafka.protocol import api
from aiokafka.protocol.struct import Struct
from aiokafka.record import default_records, memory_records
from packaging.requirements import Requirement
from packaging.version import Version
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from producers.ingress import body
from producers.ingress.http.protocol import HttpProtocol
from producers.ingress.http.uvicorn_parts import HeldFlow, HttpCycle
from runtime import kafka_connections, kafka_records
from runtime.http_server import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parent.parent.parent
DECLARED = (ROOT / "pyproject.toml").read_text()
COMPILED = {"__pyx_vtable__", "__reduce_cython__", "__setstate_cython__", "__setstate__", "__reduce__", "__reduce_ex__"}
"""What Cython adds to a class so that it can't be pickled."""
OF_EVERY_CLASS = {
    *("__class__", "__dict__", "__doc__", "__module__", "__new__", "__init__", "__init_subclass__", "__weakref__"),
    *("__subclasshook__", "__getattribute__", "__slots__", "__annotations__", "__abstractmethods__", "__final__"),
    *("__orig_bases__", "__parameters__", "__class_getitem__", "__dir__", "__sizeof__", "__hash__", "_abc_impl"),
}


async def answer_nothing(scope: Any, receive: Any, send: Any) -> None:
    """Be an application."""


class StandIn(NamedTuple):
    """A class of ours, the class of the library that it replaces, and an instance of ours."""

    ours: type
    theirs: type
    instance: Callable[[], object]


def batch_bytes(count: int = 3, *, codec: int = 0, control: bool = False, odd_at: int | None = None) -> bytes:
    """Build a batch in Kafka's format 2 with the library's own builder."""
    builder = default_records._DefaultRecordBatchBuilderPy(2, codec, 1 if control else 0, 7, 0, 0, 1 << 20)
    for number in range(count):
        name = "hÿ" if number == odd_at else "hh"  # "ÿ" is c3 bf
        builder.append(number, 1_790_000_000_000, b"key", b"value %d" % number, [(name, b"v")])
    raw = bytearray(builder.build())
    if control:
        raw[21:23] = (int.from_bytes(raw[21:23], "big") | default_records.DefaultRecordBase.CONTROL_MASK).to_bytes(2)
    if odd_at is not None:
        raw = raw.replace(b"h\xc3\xbf", b"h\xff\xfe")
    raw[17:21] = default_records.calc_crc32c(bytes(raw[21:])).to_bytes(4, "big")
    return bytes(raw)


def tolerant() -> Any:
    return kafka_records.TolerantBatch(memoryview(batch_bytes()))


PLACE = aiokafka.TopicPartition("t", 0)
FETCH_RESULT = fetcher.FetchResult
CONNECTION = kafka_connections.AIOKafkaConnection
"""The client's own, whatever another test has put there."""


def result(raw: bytes, *, cls: Any = kafka_records.BoundedResult) -> Any:
    """Return what was fetched of a partition whose position is 0."""
    assignment = subscription_state.Assignment([PLACE])
    assignment.state_value(PLACE).seek(0)
    records = fetcher.PartitionRecords(PLACE, memory_records.MemoryRecords(raw), [], 0, None, None, True, 1)
    return cls(PLACE, assignment=assignment, partition_records=records, backoff=0)


STAND_INS = [
    StandIn(kafka_records.TolerantBatch, default_records.DefaultRecordBatch, tolerant),
    StandIn(
        kafka_records._SlowBatch, default_records._DefaultRecordBatchPy, lambda: kafka_records._SlowBatch(batch_bytes())
    ),
    StandIn(kafka_records.TolerantRecords, memory_records.MemoryRecords, lambda: kafka_records.TolerantRecords(b"")),
    StandIn(kafka_records.BoundedResult, FETCH_RESULT, lambda: result(b"")),
    StandIn(kafka_connections.Connection, CONNECTION, lambda: kafka_connections.Connection("127.0.0.1", 1)),
    StandIn(HttpCycle, RequestResponseCycle, lambda: HttpCycle.__new__(HttpCycle)),
    StandIn(HttpProtocol, HttpToolsProtocol, lambda: HttpProtocol.__new__(HttpProtocol)),
    StandIn(HeldFlow, FlowControl, lambda: HeldFlow(asyncio.Transport())),
    StandIn(Server, uvicorn.Server, lambda: Server(Config(answer_nothing))),
]


PUBLIC_BASES = {
    aiokafka.ConsumerRebalanceListener,
    aiokafka.abc.ConsumerRebalanceListener,
    aiokafka.abc.AbstractTokenProvider,
    BrokerResponseError,
    KafkaConnectionError,
    KafkaError,
    *(api.Request, api.RequestStruct, api.Response, Struct),
}
"""Made to be extended, and documented so."""


def special(cls: type) -> set[str]:
    """Return the special methods that the class has and `object` has not, or has otherwise."""
    names = {name for name in dir(cls) if name.startswith("__")} - COMPILED - OF_EVERY_CLASS
    return {name for name in names if getattr(cls, name) is not getattr(object, name, None)}


@pytest.mark.parametrize("one", STAND_INS, ids=lambda one: one.ours.__name__)
async def test_a_stand_in_has_the_whole_protocol_of_what_it_replaces(one: StandIn) -> None:
    """Special methods are looked up on the class: what `__getattr__` passes on does not count for them."""
    missing = special(one.theirs) - special(one.ours)
    assert not missing, "Python asks the class, and never `__getattr__`"
    instance = one.instance()
    plain = {name for name in dir(one.theirs) if not name.startswith("_")}
    assert [name for name in sorted(plain) if not hasattr(instance, name)] == []


@pytest.mark.parametrize("one", STAND_INS, ids=lambda one: one.ours.__name__)
def test_a_stand_in_takes_the_calls_that_the_replaced_takes(one: StandIn) -> None:
    for name, theirs in inspect.getmembers(one.theirs, inspect.isfunction):
        ours = getattr(one.ours, name)
        if name.startswith("__") or ours is theirs:
            continue
        needed = [p.name for p in inspect.signature(ours).parameters.values() if p.default is p.empty]
        taken = list(inspect.signature(theirs).parameters)
        assert needed == taken[: len(needed)], name


def test_no_class_of_ours_replaces_or_extends_a_library_s_without_a_reason_above() -> None:
    """A new one must be put into STAND_INS."""
    listed = {one.ours for one in STAND_INS}
    files = [file for folder in ("runtime", "producers", "consumer", "ops") for file in (ROOT / folder).rglob("*.py")]
    for file in files:
        if not re.search(r"^\s*(from|import) (aiokafka|uvicorn)", file.read_text(), re.MULTILINE):
            continue
        module = importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
        for _, cls in inspect.getmembers(module, inspect.isclass):
            bases = {base for base in cls.__mro__[1:] if base.__module__.split(".")[0] in ("aiokafka", "uvicorn")}
            if cls.__module__ == module.__name__ and bases - PUBLIC_BASES:
                assert cls in listed, cls


def each(reader: Callable[[Any], list[Any]], raw: bytes) -> tuple[list[Any], list[Any]]:
    ours = kafka_records.TolerantBatch(memoryview(raw))
    theirs = default_records.DefaultRecordBatch(memoryview(raw))
    return [reader(batch) for batch in (ours, theirs)]  # type: ignore[return-value]


def shown(record: Any) -> tuple[Any, ...]:
    return (record.offset, record.timestamp, record.key, record.value, list(record.headers))


READERS: dict[str, Callable[[Any], list[Any]]] = {
    "for": lambda batch: [shown(record) for record in batch],
    "iter, then next": lambda batch: [shown(next(iter(batch)))],
    "its attributes": lambda batch: [
        getattr(batch, name) for name in sorted(dir(default_records.DefaultRecordBatch)) if name[0] not in "_v"
    ],
    "checksum": lambda batch: [batch.validate_crc()],
}
BY_NEXT: dict[str, Callable[[Any], list[Any]]] = {
    "next": lambda batch: [shown(next(batch))],
    "next to the end": lambda batch: [shown(record) for record in iter(lambda: next(batch, None), None)],
}
"""The client's own reads plain batches alone so, and decompresses nothing: control records are plain."""


@pytest.mark.parametrize("codec", range(5))
@pytest.mark.parametrize("how", READERS)
def test_a_batch_reads_as_the_client_s_own(how: str, codec: int) -> None:
    ours, theirs = each(READERS[how], batch_bytes(codec=codec))
    assert ours == theirs


@pytest.mark.parametrize("how", BY_NEXT)
def test_a_plain_batch_reads_by_next_as_the_client_s_own(how: str) -> None:
    ours, theirs = each(BY_NEXT[how], batch_bytes())
    assert ours == theirs


@pytest.mark.parametrize("codec", range(5))
def test_a_batch_that_is_begun_by_next_goes_on_by_for(codec: int) -> None:
    batch = kafka_records.TolerantBatch(memoryview(batch_bytes(codec=codec)))
    assert [shown(next(batch)), *map(shown, batch)] == [shown(record) for record in each(list, batch_bytes())[1]]


def test_a_control_batch_gives_its_record_by_next() -> None:
    ours, theirs = each(BY_NEXT["next"], batch_bytes(1, control=True))
    assert ours == theirs
    assert kafka_records.TolerantBatch(memoryview(batch_bytes(1, control=True))).is_control_batch


@pytest.mark.parametrize("codec", range(5))
def test_what_is_no_utf_8_is_read_slowly_from_there_on_by_either_way(codec: int) -> None:
    raw = batch_bytes(5, codec=0, odd_at=2)
    if codec:
        plain = default_records._DefaultRecordBatchPy(raw)
        head, records = bytearray(raw[: plain._pos]), bytes(raw[plain._pos :])
        encode = [None, *(getattr(default_records, f"{name}_encode") for name in ("gzip", "snappy", "lz4", "zstd"))]
        head[22] |= codec
        raw = bytes(head) + encode[codec](records)  # type: ignore[misc]
    for reader in (READERS["for"], BY_NEXT["next to the end"]):
        found = reader(kafka_records.TolerantBatch(memoryview(raw)))
        assert [record[3] for record in found] == [b"value %d" % number for number in range(5)]
        assert found[2][4] == [("h\udcff\udcfe", b"v")]


def names(module: str, *paths: str) -> Iterator[tuple[str, str]]:
    return ((module, path) for path in paths)


PRIVATE = [
    *names("aiokafka.consumer.fetcher", "MemoryRecords", "PartitionRecords", "FetchResult.getall"),
    *names("aiokafka.record.default_records", "DefaultRecordBatch", "_DefaultRecordBatchPy._maybe_uncompress"),
    *names("aiokafka.record.memory_records", "_MemoryRecordsPy._cache_next", "_MemoryRecordsPy.next_batch"),
    *names("aiokafka.conn", "collect_hosts", "create_conn", "AIOKafkaConnection._send_sasl_token"),
    *names("aiokafka.consumer.fetcher", "Fetcher.error_future"),
    *names("aiokafka.client", "AIOKafkaClient.bootstrap", "create_conn"),
    *names("aiokafka.conn", "CloseReason.CONNECTION_BROKEN"),
    *names("aiokafka.protocol.metadata", "MetadataRequest"),
    *names("aiokafka.producer.message_accumulator", "MessageAccumulator.fail_all"),
    *names("uvicorn.protocols.http.httptools_impl", "STATUS_LINE"),
    *names("uvicorn.protocols.http.httptools_impl", "RequestResponseCycle.receive", "RequestResponseCycle.send"),
    *names("uvicorn.protocols.http.httptools_impl", "HttpToolsProtocol._start_asgi_task"),
    *names("uvicorn.protocols.http.httptools_impl", "HttpToolsProtocol._unset_keepalive_if_required"),
    *names("uvicorn.protocols.http.httptools_impl", "HttpToolsProtocol._unsupported_upgrade_warning"),
    *names("uvicorn.protocols.http.httptools_impl", "HttpToolsProtocol.on_response_complete"),
    *names("uvicorn.server", "Server.capture_signals", "Server.startup", "ServerState"),
]
"""What we import, override or call, though it is no public part of the library."""


@pytest.mark.parametrize(("module", "path"), PRIVATE, ids=lambda part: part)
def test_a_private_name_that_we_use_is_there(module: str, path: str) -> None:
    found = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)


async def test_the_inside_of_the_producer_that_is_given_up_is_there() -> None:
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers="127.0.0.1:1")
    try:
        assert producer._message_accumulator._batches == {}
        assert producer._sender.sender_task is None
        assert producer.client.cluster.controller is None
    finally:
        producer._closed = True
    batch = inspect.getsource(importlib.import_module("aiokafka.producer.message_accumulator").MessageBatch.__init__)
    assert "self._drain_waiter" in batch


async def test_the_inside_of_a_request_that_the_ingress_reads_is_there() -> None:
    """One that is not there would be taken for a server whose body must be waited for: slower, and unseen."""
    state = ServerState()
    protocol = HttpProtocol(config=Config(answer_nothing, log_config=None), server_state=state, app_state={})
    for name in ("flow", "scope", "headers", "url", "parser", "pipeline", "cycle", "logger", "access_logger"):
        assert hasattr(protocol, name) or name in HttpToolsProtocol.__annotations__ or name in SET_LATE, name
    own = list(inspect.signature(RequestResponseCycle).parameters)
    assert own == list(inspect.signature(HttpCycle).parameters)
    source = inspect.getsource(RequestResponseCycle.__init__)
    for name in ("more_body", "keep_alive", "disconnected", "response_started", "response_complete", "message_event"):
        assert f"self.{name}" in source, name
    for name in ("waiting_for_100_continue", "default_headers", "on_response", "transport", "flow", "body"):
        assert f"self.{name}" in source, name
    cycle = HttpCycle.__new__(HttpCycle)
    cycle.more_body = False
    assert body._is_whole(cycle.receive)


SET_LATE = {"url", "headers", "scope", "flow", "cycle"}
"""Set when a connection or a request begins."""


def test_the_client_reads_by_our_stand_in_once_it_is_put_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher, "MemoryRecords", memory_records.MemoryRecords)
    kafka_records.tolerate_odd_headers()
    assert "MemoryRecords(" in inspect.getsource(fetcher.Fetcher._proc_fetch_request), "it is looked up in the module"
    assert fetcher.MemoryRecords is kafka_records.TolerantRecords
    assert isinstance(kafka_records.TolerantRecords(batch_bytes()).next_batch(), kafka_records.TolerantBatch)


@pytest.mark.parametrize("library", [aiokafka, uvicorn], ids=lambda library: library.__name__)
def test_a_library_whose_private_names_we_use_is_held_to_a_range(library: Any) -> None:
    """The next minor version may rename them: it is taken on purpose, with this file as its test."""
    declared = re.search(rf'"({library.__name__}[\[><=][^"]*)"', DECLARED)
    assert declared is not None
    allowed, here = Requirement(declared[1]).specifier, Version(library.__version__)
    assert allowed.contains(here)
    assert not allowed.contains(Version(f"{here.major}.{here.minor + 1}.0"))


@pytest.mark.parametrize(("bytes_max", "sizes"), [(1, [1, 1, 1, 1, 1]), (20, [2, 2, 1]), (10**6, [5])])
async def test_what_was_fetched_is_given_out_by_bytes_and_nothing_twice(
    monkeypatch: pytest.MonkeyPatch, bytes_max: int, sizes: list[int]
) -> None:
    monkeypatch.setattr(kafka_records.BoundedResult, "bytes_max", bytes_max, raising=False)
    found, parts = result(batch_bytes(5)), []
    while found.has_more() and (part := found.getall()):
        parts.append(part)
    assert [len(part) for part in parts] == sizes
    assert [record.offset for part in parts for record in part] == [0, 1, 2, 3, 4]
    assert found._assignment.state_value(PLACE).position == 5


@pytest.mark.parametrize("max_records", [None, 1, 2, 5, 6])
async def test_what_was_fetched_is_given_out_as_the_client_s_own(
    monkeypatch: pytest.MonkeyPatch, max_records: int | None
) -> None:
    monkeypatch.setattr(kafka_records.BoundedResult, "bytes_max", 10**9, raising=False)
    read = []
    for cls in (kafka_records.BoundedResult, FETCH_RESULT):
        found, parts = result(batch_bytes(5), cls=cls), []
        while found.has_more():
            part = [record.offset for record in found.getall(max_records)]
            parts.append((part, found._assignment.state_value(PLACE).position))
        read.append(parts)
    assert read[0] == read[1]


def test_results_are_kept_apart_from_errors_by_the_class_that_is_put_there() -> None:
    source = inspect.getsource(fetcher.Fetcher.fetched_records)
    assert "type(res_or_error) is FetchResult" in source, "looked up in the module, as where one is made"
    assert "FetchResult(" in inspect.getsource(fetcher.Fetcher._proc_fetch_request)
