"""What `ratchet status` makes of its look-ups: each is bounded, and what one lacks is stated and hides no other."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

import pytest
from pydantic import SecretStr

from ops import lag, status
from ops.lag import PartitionState, problems, read_partitions
from ops.parking_standstill import ParkingStandstill
from ops.status import RoleState, RoleStatus, StatusReport, ask_probe, gather
from runtime import kafka, kafka_ends
from runtime.kafka_ends import STABLE, Ends
from runtime.settings import KafkaSettings, OpsSettings, PostgresSettings, Settings
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path

pytestmark = pytest.mark.unit

NOT_READ = PartitionState("payments.webhooks", 3, Ends(0, 9, 9), 2, is_read=False)
STANDS = ParkingStandstill("2026-01-02T03:04:05+00:00", 61.0, "Kafka", 7)
WHOLE: dict[str, Any] = {"partitions": [NOT_READ], "counts": {"ledger": 5}, "standstill": STANDS, "away": ["b is away"]}
UNREAD = "no consumer reads payments.webhooks/3: 7 offsets wait"


async def for_ever() -> Any:
    await asyncio.Event().wait()


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Awaitable[StatusReport]]:
    async def gathered(*, embedded: bool = False, **found: Any) -> StatusReport:
        answers = WHOLE | found

        def answering(name: str) -> Any:
            async def answer(_: Settings) -> Any:
                await asyncio.sleep(0)
                if isinstance(answers[name], Exception):
                    raise answers[name]
                return await for_ever() if answers[name] is for_ever else answers[name]

            return answer

        async def role(_: Settings, name: str) -> RoleStatus:
            return RoleStatus(name, 1, RoleState.RUNNING, "here")

        for module, name, one in (
            (status, "read_partitions", "partitions"),
            (status, "read_counts", "counts"),
            (status, "read_standstill", "standstill"),
            (status.availability, "problems", "away"),
        ):
            monkeypatch.setattr(module, name, answering(one))
        monkeypatch.setattr(status, "role_status", role)
        monkeypatch.setattr(status.home_disks, "low", lambda *_: ["disk: 0.1 GB free"])
        servers = {} if embedded else {
            "kafka": KafkaSettings(bootstrap="kafka:9092"),
            "postgres": PostgresSettings(dsn=SecretStr("postgresql://app@h/d")),
        }  # fmt: skip
        ops = OpsSettings().model_copy(update={"lookup_timeout_seconds": 0.15})
        return await gather(Settings(home=tmp_path, **servers).model_copy(update={"ops": ops}))

    return gathered


async def test_all_that_is_found_is_shown(look: Any) -> None:
    found = await look()
    assert (found.unknown, found.problems, found.counts) == ([], ["b is away", UNREAD], {"ledger": 5})
    assert found.lag == {"payments.webhooks": 7, "payments.intents": 0, "payments.events": 0}
    assert (found.partitions, found.parking_standstill) == ({"payments.webhooks/3": 7}, STANDS)
    assert [one.state for one in found.roles] == [RoleState.RUNNING] * 5
    assert StatusReport.of_document(found.document()) == found
    shown = [str(line) for line in status.trouble_lines(found)]
    assert shown == ["problem: b is away", f"problem: {UNREAD}", f"parking: {STANDS.shown}"]


AWAY = UnavailableError("it does not answer")


@pytest.mark.parametrize(
    ("lacks", "how"),
    [
        (("partitions",), AWAY),
        (("counts",), AWAY),
        (("standstill",), AWAY),
        (("away",), AWAY),
        (("partitions", "standstill"), for_ever),
        (("counts", "away"), for_ever),
    ],
)
async def test_what_cannot_be_known_is_stated_and_hides_nothing_else(look: Any, lacks: Sequence[str], how: Any) -> None:
    async with asyncio.timeout(5):
        found = await look(**dict.fromkeys(lacks, how))
    assert found.unknown == ["a look-up took too long" if how is for_ever else "it does not answer"]
    assert found.counts == ({} if "counts" in lacks else {"ledger": 5})
    assert found.parking_standstill == (None if "standstill" in lacks else STANDS)
    assert bool(found.lag) is bool(found.partitions) is ("partitions" not in lacks)
    shown = "b is away" in found.problems, UNREAD in found.problems
    assert shown == ("away" not in lacks, "partitions" not in lacks)
    assert [str(line) for line in status.trouble_lines(found)][-1] == f"unknown: {found.unknown[0]}"


async def test_one_reason_is_stated_once_and_each_other_too(look: Any) -> None:
    found = await look(partitions=AWAY, counts=AWAY, standstill=UnavailableError("another"))
    assert sorted(found.unknown) == ["another", "it does not answer"]


async def test_without_endpoints_the_home_is_looked_at_alone(look: Any, tmp_path: Path) -> None:
    found = await look(embedded=True)
    assert found.unknown == [f"no endpoint is configured and no stack runs in {tmp_path}"]
    assert (found.problems, found.lag, found.counts) == (["disk: 0.1 GB free"], {}, {})


async def test_the_disks_of_an_embedded_stack_are_named_beside_what_is_away(
    look: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def running(settings: Settings) -> Settings:
        return settings.model_copy(update={"kafka": KafkaSettings(bootstrap="localhost:1")})

    monkeypatch.setattr(status.endpoints, "found", running)
    for found in (await look(embedded=True), await look(embedded=True, partitions=UnavailableError("x"))):
        assert found.problems[:2] == ["disk: 0.1 GB free", "b is away"]


ANSWERS = {
    "no JSON": (b"HTTP/1.1 503 X\r\ncontent-length: 5\r\n\r\nhello", "JSONDecodeError"),
    "a list": (b"HTTP/1.1 503 X\r\ncontent-length: 2\r\n\r\n[]", "AttributeError"),
    "no HTTP": (b"hello\r\n\r\n", "ClientResponseError"),
    "nothing": (b"", "TimeoutError"),
}


@pytest.mark.parametrize("what", ANSWERS)
async def test_a_probe_that_answers_otherwise_is_a_role_that_does_not_answer(what: str) -> None:
    answer, why = ANSWERS[what]
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        if not answer:
            await ended.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with asyncio.timeout(5):
        found = await ask_probe(f"127.0.0.1:{port}", 0.05 if not answer else 4.0, "livez")
    ended.set()
    server.close()
    assert found == f"the probe at 127.0.0.1:{port} does not answer ({why})"


class PaperKafka:
    """A topic that is written and read meanwhile: whoever looks later sees later offsets."""

    def __init__(self, state: str, *held: Any) -> None:
        self.offset = 100
        self.state = state
        self.held = set(held)
        self.asked: list[Any] = []

    def at(self, *_: object) -> PaperKafka:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def _later(self) -> int:
        await asyncio.sleep(0)
        self.offset += 10
        return self.offset

    async def committed(self, _group: str) -> Any:
        return dict.fromkeys(PLACES, await self._later())

    async def group(self, _group: str) -> Any:
        await self._later()
        return type("Group", (), {"state": self.state, "held": self.held})

    async def topics(self, names: Any) -> Any:
        self.asked = list(names)
        return PLACES

    async def ends(self, places: Any) -> Any:
        offset = await self._later()
        return {place: Ends(0, offset, offset) for place in places}


class Place(tuple[str, int]):
    __slots__ = ()
    topic = property(lambda self: self[0])
    partition = property(lambda self: self[1])


PLACES = [Place(("payments.webhooks", 0)), Place(("payments.webhooks", 1))]


@pytest.mark.parametrize(("state", "read"), [(STABLE, [True, False]), ("PreparingRebalance", [True, True])])
async def test_live_traffic_is_no_problem_and_a_partition_without_a_member_is(
    monkeypatch: pytest.MonkeyPatch, state: str, read: list[bool]
) -> None:
    """What was committed is asked first: else what is read meanwhile stands behind the end, as if the topic was cut."""

    @asynccontextmanager
    async def opening(*_: object) -> AsyncIterator[None]:
        yield

    paper = PaperKafka(state, PLACES[0])
    monkeypatch.setattr(kafka, "opening", opening)
    monkeypatch.setattr(kafka_ends, "EndsReader", paper.at)
    monkeypatch.setattr(kafka_ends, "partitions_in", lambda found: found)
    found = await read_partitions(Settings())
    assert [one.is_read for one in found] == read
    assert all(one.committed is not None and one.committed < one.ends.high for one in found)
    assert len(problems(found, Settings())) == read.count(False)
    assert paper.asked == list(Settings().kafka.topics.consumed_names)
    assert lag.lag_of(found) == {("payments.webhooks", 0): 20, ("payments.webhooks", 1): 20}
