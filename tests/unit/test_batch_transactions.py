"""One batch's transaction on a connection on paper: what begins anew, what is read for whom, what is written."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import uuid
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import asyncpg
import pytest
from events import intent, placed, standard, understood
from msgspec.structs import replace
from source_files import ROOT

from consumer import transaction
from consumer.decode import ANY
from consumer.ledger_reader import GrewError, Needs, needs_of
from consumer.locking_reader import LockingReader
from consumer.plan import Known, OrphanLetter, OwedMessage, Plan
from consumer.reads import read_bodies, read_reported, read_under
from consumer.resolve import keys_of
from consumer.transaction import BEGINNINGS_MAX, BatchWriter
from consumer.verdict import Dead
from runtime.phases import BatchPhases
from runtime.settings import ParkingSettings, Settings
from schemas.dead_letter import Reason
from schemas.sms import Template

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from consumer.plan import Item
    from schemas.record import Record

pytestmark = pytest.mark.unit

NAMES = {one.read_text(encoding="utf-8"): one.stem for one in (ROOT / "consumer" / "sql").glob("*.sql")}
SETTINGS = Settings(parking=ParkingSettings(deadline_seconds=77))
NOW = 1_790_000_000.0
KEYS = [("p", "", "", True, "payment", ref) for ref in "cab"]
WAITS: Any = ("waits", "grew", "promises", "recalls")


class Paper:
    """A pool of one session, which is itself; keeps what is asked of it, in order, and answers as `rows` say."""

    def __init__(self, **rows: Sequence[dict[str, Any]]) -> None:
        self.rows = rows
        self.asked: list[str] = []
        self.arguments: dict[str, tuple[Any, ...]] = {}

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Paper]:
        yield self

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        self.asked.append("begin")
        try:
            yield
        except BaseException:
            self.asked.append("roll back")
            raise
        self.asked.append("commit")

    async def _ask(self, sql: str, *arguments: Any) -> Sequence[Any]:
        await asyncio.sleep(0)
        name = NAMES[sql]
        self.asked.append(name)
        self.arguments[name] = arguments
        return self.rows.get(name, [])

    fetch = execute = executemany = _ask

    async def fetchval(self, sql: str, *arguments: Any) -> Any:
        return await self._ask(sql, *arguments) or None

    async def copy_records_to_table(self, table: str, **_: Any) -> None:
        self.asked.append(table)


class PaperReader:
    """Reads what is known: first raises what is missing, one at a time."""

    def __init__(self, missing: Sequence[GrewError] = (), known: Known | None = None, then: Any = None) -> None:
        self.missing, self.known, self.then = list(missing), known or Known(), then
        self.needs: list[tuple[set[Any], set[Any]]] = []
        self.given: Needs | None = None

    async def read(self, needs: Needs) -> Known:
        self.given = needs
        self.needs.append((set(needs.more_keys), set(needs.payments)))
        await asyncio.sleep(0)
        if self.missing:
            raise self.missing.pop(0)
        if self.then:
            self.then()
        return self.known


def writer_on(
    paper: Paper, reader: PaperReader, plan: Plan | None = None, settings: Settings = SETTINGS
) -> BatchWriter:
    clock: Any = SimpleNamespace(now=lambda: NOW)
    writer = BatchWriter(paper, settings, clock)  # type: ignore[arg-type]
    writer._reader = lambda *_: reader  # type: ignore[method-assign]
    if plan is not None:
        writer._decide = lambda *_: plan  # type: ignore[method-assign]
    return writer


# --- beginning anew ---------------------------------------------------------------------------------------------------


async def test_what_turns_out_to_be_missing_is_locked_beside_all_that_was_before() -> None:
    """In a transaction of its own each time: whoever waits for what this one has must get it meanwhile."""
    first, second = uuid.uuid4(), uuid.uuid4()
    reader = PaperReader([GrewError([KEYS[0]], [first]), GrewError([KEYS[1]], [second])])
    paper = Paper()
    await writer_on(paper, reader).process([])
    assert reader.needs == [(set(), set()), ({KEYS[0]}, {first}), ({KEYS[0], KEYS[1]}, {first, second})]
    assert paper.asked == ["begin", "roll back"] * 2 + ["begin", "commit"]


async def test_what_grows_for_ever_is_a_conflict_and_no_record_s_fault() -> None:
    paper = Paper()
    reader = PaperReader([GrewError(KEYS) for _ in range(2 * BEGINNINGS_MAX)])
    with pytest.raises(asyncpg.SerializationError):
        await writer_on(paper, reader).process([])
    assert paper.asked == ["begin", "roll back"] * BEGINNINGS_MAX


async def test_what_is_processed_is_dated_once_its_locks_are_held() -> None:
    """Dated before, it would be older than what the one who held them wrote meanwhile."""
    at = [1.0]
    reader = PaperReader(then=lambda: at.append(NOW))
    seen: list[float] = []

    def decide(_items: object, _known: object, now: float) -> Plan:
        seen.append(now)
        return Plan()

    writer = writer_on(Paper(), reader)
    writer._clock = SimpleNamespace(now=lambda: at[-1])  # type: ignore[assignment]
    writer._decide = decide  # type: ignore[method-assign, assignment]
    await writer.process([])
    assert seen == [NOW]


async def test_what_a_batch_is_decided_by_is_what_the_settings_say_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """All are numbers: one in another's place is noticed by nothing but what comes of it."""
    given: dict[str, Any] = {}

    class PaperPlanner:
        def __init__(self, _known: Known, **bounds: Any) -> None:
            given.update(bounds)

        def plan(self, _items: object) -> Plan:
            return Plan()

    monkeypatch.setattr(transaction, "Planner", PaperPlanner)
    clock: Any = SimpleNamespace(now=lambda: NOW)
    paper: Any = Paper(lock_refs=locked(0))
    writer = BatchWriter(paper, SETTINGS, clock)
    await writer.process([])
    limits = SETTINGS.consumer
    assert {name: given[name] for name in ("now", "xid", "facts_max", "group_max", "command_seconds")} == {
        "now": NOW,
        "xid": 9,
        "facts_max": limits.facts_per_payment_max,
        "group_max": limits.payments_per_promise_max,
        "command_seconds": SETTINGS.intents.command_expires_seconds,
    }
    assert paper.arguments["lock_refs"][-1] == limits.payments_per_promise_max


@pytest.mark.parametrize("recalls", [True, False])
async def test_what_a_provider_s_list_showed_is_noted_as_it_was_before_the_batch(
    monkeypatch: pytest.MonkeyPatch,
    recalls: bool,  # noqa: FBT001
) -> None:
    """Deciding takes the batch's own events in: noted after it, each would count as known before."""
    happened: list[str] = []

    def noted(*_: object) -> list[Any]:
        happened.append("note")
        return [("source", "event", "first")]

    def decide(*_: object) -> Plan:
        happened.append("decide")
        return Plan()

    monkeypatch.setattr(transaction, "recall_notes", noted)
    monkeypatch.setattr(transaction, "news_of", lambda notes, _: notes)
    monkeypatch.setattr(transaction, "objects_named", lambda _: [("source", "object")])
    paper = Paper()
    writer = writer_on(paper, PaperReader(known=Known(recalls=recalls)))
    writer._decide = decide  # type: ignore[method-assign, assignment]
    await writer.process([])
    assert happened == (["note", "decide"] if recalls else ["decide"])
    assert paper.asked[1:-1] == (["note_recalled", "note_object_webhooks"] if recalls else [])


# --- which statements follow ------------------------------------------------------------------------------------------


class PaperRows:
    """Turns what a plan holds into arguments that say nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: (name,)


ANYTHING: Any = object()
MESSAGE = OwedMessage(uuid.uuid4(), "shop", "+491701234567", Template.CAPTURED)
STATEMENTS: dict[str, tuple[Any, list[str]]] = {
    "rows": ([ANYTHING], ["payment_logs"]),
    "changed": ({1: ANYTHING}, ["write_payments"]),
    "members": ({1: ANYTHING}, ["note_members"]),
    "merges": ([ANYTHING], ["copy_members"]),
    "metadata": ({1: ANYTHING}, ["note_metadata"]),
    "parkings": ([ANYTHING], ["park_event"]),
    "woken": ([1], ["delete_parked"]),
    "applied": ([1], ["apply_letters"]),
    "bodies": ([ANYTHING], ["insert_bodies"]),
    "refetches": ([ANYTHING], ["queue_refetches"]),
    "delivery_reports": ([SimpleNamespace(message_id="SM1")], ["lock_reported_messages", "note_delivery_reports"]),
    "letters": ([ANYTHING], ["bury_record"]),
    "commands": ([ANYTHING], ["insert_command"]),
    "answers": ([ANYTHING], ["answer_commands"]),
    "debits": ([ANYTHING], ["note_debits"]),
    "messages": ([MESSAGE], []),
    "bindings": ({1: ANYTHING}, []),
    "opened": ({1: ANYTHING}, []),
    "marks": ([], []),
    "duplicates": (3, []),
}
"""What a plan may hold, and the statements that it asks for by itself."""


@pytest.fixture
def _paper_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction, "rows", PaperRows())
    monkeypatch.setattr(transaction, "values_of", lambda row: row)


def test_all_that_a_plan_may_hold_is_looked_at() -> None:
    assert STATEMENTS.keys() == set(Plan.__dataclass_fields__)


@pytest.mark.usefixtures("_paper_rows")
@pytest.mark.parametrize("name", STATEMENTS)
async def test_each_thing_of_a_plan_is_written_whatever_else_it_holds(name: str) -> None:
    held, wanted = STATEMENTS[name]
    paper = Paper()
    await writer_on(paper, PaperReader(), Plan(**{name: held})).process([])
    assert paper.asked == ["begin", *wanted, "commit"]


@pytest.mark.usefixtures("_paper_rows")
async def test_an_event_that_is_parked_has_its_whole_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    made = PaperRows()
    made.parking_arguments = lambda *arguments: asked.append(arguments)  # type: ignore[attr-defined]
    monkeypatch.setattr(transaction, "rows", made)
    await writer_on(Paper(), PaperReader(), Plan(parkings=[ANYTHING])).process([])
    now = dt.datetime.fromtimestamp(NOW, dt.UTC)
    assert asked == [(ANYTHING, now, now + dt.timedelta(seconds=77))]


@pytest.mark.usefixtures("_paper_rows")
@pytest.mark.parametrize(
    ("configured", "off", "queued"),
    [(True, {}, 1), (False, {}, 0), (True, {"shop": ("captured",)}, 0), (True, {"shop": ("*",)}, 0)],
    ids=["wanted", "no Twilio", "refused", "all refused"],
)
async def test_a_message_is_queued_where_it_can_go_out_and_is_wanted(
    configured: bool,  # noqa: FBT001
    off: dict[str, Any],
    queued: int,
) -> None:
    """Queued before Twilio is set up, all of them would go out on the day that it is."""
    twilio = SimpleNamespace(configured=configured)
    sms = SimpleNamespace(twilio=twilio, wants=SETTINGS.sms.model_copy(update={"off": off}).wants)
    paper = Paper()
    writer = writer_on(paper, PaperReader(), Plan(messages=[MESSAGE]))
    writer._sms = sms  # type: ignore[assignment]
    await writer.process([])
    assert paper.asked.count("queue_messages") == queued


@pytest.mark.usefixtures("_paper_rows")
@pytest.mark.parametrize(("some_wait", "marks"), [(True, [5, 6]), (False, [])])
async def test_who_waits_is_woken_once_the_marks_are_committed(some_wait: bool, marks: list[int]) -> None:  # noqa: FBT001
    """A waking before that would find neither the marks nor what they lead to."""
    paper = Paper(mark_bound=[{"id": 5}, {"id": 6}])
    writer = writer_on(paper, PaperReader(known=Known(some_wait=some_wait)), Plan(bindings={KEYS[0]: uuid.uuid4()}))
    followed: list[Any] = []

    async def follow(plan: Plan) -> None:
        followed.append((plan.marks, paper.asked[-1]))

    writer.waker.follow = follow  # type: ignore[method-assign]
    plan = await writer.process([])
    assert plan.marks == marks
    assert followed == ([(marks, "commit")] if marks else [])
    assert ("mark_bound" in paper.asked) is some_wait


@pytest.mark.usefixtures("_paper_rows")
async def test_what_fails_in_the_midst_is_followed_by_nothing() -> None:
    class Failing(Paper):
        async def copy_records_to_table(self, table: str, **_: Any) -> None:
            raise asyncpg.UniqueViolationError("another was quicker")

    paper = Failing()
    known = Known(some_wait=True)
    plan = Plan(rows=[ANYTHING], bindings={KEYS[0]: uuid.uuid4()})
    writer = writer_on(paper, PaperReader(known=known), plan)
    writer.waker = None  # type: ignore[assignment]
    with pytest.raises(asyncpg.UniqueViolationError):
        await writer.process([])
    assert paper.asked == ["begin", "roll back"]


DEAD = Dead(Reason.DATA_REJECTED, "refused")


@pytest.mark.parametrize("dead", [None, DEAD])
async def test_parked_events_are_processed_with_all_that_they_wait_on(dead: Dead | None) -> None:
    names = ("provider", "account", "merchant_account", "livemode", "kind", "ref")
    paper = Paper(find_waited_refs=[dict(zip(names, key, strict=True)) for key in KEYS])
    reader = PaperReader()
    await writer_on(paper, reader, Plan()).process_parked([3, 4], dead)
    assert reader.given is not None
    assert (reader.given.keys, reader.given.parked, reader.given.dead) == (set(KEYS), [3, 4], dead)


def letter_row(letter_id: int, record: Record) -> dict[str, Any]:
    names = ("topic", "partition", "offset", "timestamp_ms", "key", "value")
    headers = record.headers
    return {name: getattr(record, name) for name in names} | {
        "id": letter_id,
        "header_names": [name.encode() for name, _ in headers],
        "header_values": [value for _, value in headers],
    }


async def test_letters_that_no_version_can_read_any_more_stay_letters() -> None:
    good, bad = placed([standard("refund.succeeded", child="r")] * 2)
    rows = [letter_row(7, good), letter_row(8, bad) | {"value": b"no JSON"}]
    reader = PaperReader()
    await writer_on(Paper(find_orphans=rows), reader, Plan()).apply_letters([7, 8])
    assert reader.given is not None
    assert [one.id for one in reader.given.orphans] == [7]
    assert reader.given.keys == set(keys_of(understood(good)))
    paper = Paper(find_orphans=rows[1:])
    assert await writer_on(paper, reader, None).apply_letters([8]) == Plan()
    assert paper.asked == ["find_orphans"], "there is nothing to lock"


# --- what is locked and read ------------------------------------------------------------------------------------------


def locked(count: int, **more: Any) -> list[dict[str, Any]]:
    """Return what lock_refs.sql answers where so many references are locked and no payment is known."""
    nothing = dict.fromkeys(("places", "payment_ids", "others", "members", "beyond", "snapshot", "looked_up"))
    return [nothing | {"xid": 9, "refs": count} | more]


def reader_on(paper: Paper) -> LockingReader:
    return LockingReader(paper, BatchPhases(), ANY, group_max=200, grace_seconds=300.0)  # type: ignore[arg-type]


async def test_references_are_locked_in_one_order_whoever_asks() -> None:
    """In another order than the next batch's both wait for each other, until one is given up."""
    paper = Paper(lock_refs=locked(3))
    known = await reader_on(paper).read(Needs(keys=frozenset(KEYS[:2]), more_keys={KEYS[2]}))
    assert paper.arguments["lock_refs"][5] == '{"a","b","c"}'
    assert list(known.refs) == sorted(KEYS)
    assert known.xid == 9


async def test_a_reference_that_was_not_locked_is_locked_anew() -> None:
    """Another made it meanwhile: nothing says what it is bound to."""
    with pytest.raises(GrewError) as grew:
        await reader_on(Paper(lock_refs=locked(2))).read(Needs(keys=frozenset(KEYS)))
    assert grew.value.keys == set(KEYS)


async def test_what_references_lead_to_is_held_too() -> None:
    """Moved without its lock a payment would lose what another batch writes to it meanwhile."""
    theirs, more = uuid.uuid4(), uuid.uuid4()
    other = [*KEYS[0][:5], "other", str(more)]
    paper = Paper(
        lock_refs=locked(3, places=[2], payment_ids=[theirs], others=json.dumps([other])),
        follow_chains=[{"refs": None, "payments": [theirs, more]}],
    )
    with pytest.raises(GrewError) as grew:
        await reader_on(paper).read(Needs(keys=frozenset(KEYS)))
    assert grew.value.payments == {theirs, more}
    assert paper.arguments["follow_chains"][0].strip("{}").split(",") == sorted([str(theirs), str(more)])


@pytest.mark.parametrize("column", ["merged_into", "intent_id"])
async def test_what_a_payment_leads_to_is_held_too(monkeypatch: pytest.MonkeyPatch, column: str) -> None:
    """The one that it turned out to be, and the intent whose attempt it is: both are folded again with it."""
    mine, leads_to = uuid.uuid4(), uuid.uuid4()
    payment = SimpleNamespace(**({"merged_into": None, "intent_id": None} | {column: leads_to}))
    monkeypatch.setattr(transaction.rows, "payment_of", lambda _: payment)
    answers = [*locked(3, places=[2], payment_ids=[mine]), {"id": mine}]
    paper = Paper(lock_refs=answers, follow_chains=[{"refs": None, "payments": [leads_to]}])
    with pytest.raises(GrewError) as grew:
        await reader_on(paper).read(Needs(keys=frozenset(KEYS)))
    assert grew.value.payments == {leads_to}
    assert paper.arguments["follow_chains"][0] == f"{{{leads_to}}}"


PROMISED = ("p", "", "", True, "reference", "ORD")
SHARED = ("p", "", "", True, "shared", "ORDER")


async def test_who_stands_under_a_promised_reference_is_held_before_it_is_decided() -> None:
    member = uuid.uuid4()
    found = json.dumps([["p", "", True, "ORD", str(member), None, False]])
    paper = Paper(
        lock_refs=locked(1),
        find_groups=found,
        follow_chains=[{"refs": None, "payments": [member]}],  # type: ignore[arg-type]
    )
    with pytest.raises(GrewError) as grew:
        await reader_on(paper).read(Needs(keys=frozenset([PROMISED]), promised=frozenset([PROMISED])))
    assert grew.value.payments == {member}


async def test_a_reference_under_which_nobody_stands_is_known_to_be_empty() -> None:
    paper = Paper(lock_refs=locked(1))
    known = await reader_on(paper).read(Needs(keys=frozenset([PROMISED]), promised=frozenset([PROMISED])))
    assert known.groups == {PROMISED: {}}


async def test_who_stands_under_an_order_is_held_before_it_is_gathered() -> None:
    under = uuid.uuid4()
    row = {"provider": "p", "account": "", "livemode": True, "ref": "ORDER", "payment_id": under}
    paper = Paper(lock_refs=locked(1), find_under=[row], follow_chains=[{"refs": None, "payments": [under]}])
    with pytest.raises(GrewError) as grew:
        await reader_on(paper).read(Needs(keys=frozenset([SHARED]), gathered=frozenset([SHARED])))
    assert grew.value.payments == {under}


async def test_a_body_that_was_taken_is_known_whichever_id_it_comes_under() -> None:
    """The id is unsigned: whoever sends the bytes again under another one would have their effect twice."""
    one = understood(PLAIN)
    unsigned = replace(one, digest=b"d" * 32)
    known = Known()
    paper: Any = Paper(find_bodies=[{"source": one.source, "digest": b"d" * 32}])
    await read_bodies(paper, known, [one, unsigned])
    assert known.bodies == {(one.source, b"d" * 32)}
    await read_bodies(paper, known, [unsigned])
    assert paper.asked == ["find_bodies"], "what is known is not asked again"


def row_of_parked(parked_id: int, record: Record) -> dict[str, Any]:
    return letter_row(parked_id, record) | {"event_id": f"e{parked_id}", "processed": False}


COMMAND = intent(command="capture")
PLAIN = standard("payment.captured")


@pytest.mark.parametrize("parked", [[COMMAND, PLAIN], [PLAIN, COMMAND]], ids=["first", "last"])
async def test_commands_that_waited_are_checked_against_those_that_are_open(parked: list[Record]) -> None:
    """Woken without them a refund is asked for beside another one: more goes back than came in."""
    assert understood(COMMAND).meaning.commands
    assert not understood(PLAIN).meaning.commands
    keys = frozenset(key for one in parked for key in keys_of(understood(one)))
    found = [row_of_parked(number, one) for number, one in enumerate(parked)]
    paper = Paper(lock_refs=locked(len(keys)), find_parked=found)
    known = await reader_on(paper).read(Needs(keys=keys, parked=[0, 1]))
    assert [one.id for one in known.parked] == [0, 1]
    assert paper.arguments["read_commands"] == ([], 300.0)


async def test_what_parked_events_carry_beside_what_they_wait_on_is_locked_too() -> None:
    keys = keys_of(understood(PLAIN))
    paper = Paper(lock_refs=locked(0), find_parked=[row_of_parked(1, PLAIN)])
    with pytest.raises(GrewError) as grew:
        await reader_on(paper).read(Needs(parked=[1]))
    assert grew.value.keys == set(keys)
    known = await reader_on(paper).read(Needs(parked=[1], dead=DEAD))
    assert [one.dead for one in known.parked] == [DEAD], "one that is buried needs none of them"


async def test_orphans_are_looked_up_as_events_are_and_only_those_that_are_still_open_are_applied() -> None:
    """One that was processed meanwhile has its effect once; one that somebody discarded has none."""
    one, other = (understood(standard("refund.succeeded", child=child)) for child in "ab")
    keys = frozenset(keys_of(one) + keys_of(other))
    paper = Paper(lock_refs=locked(len(keys)), lock_letters=[{"id": 8}])
    orphans = [OrphanLetter(7, one), OrphanLetter(8, other)]
    known = await reader_on(paper).read(Needs(keys=keys, orphans=orphans))
    assert known.orphans == [orphans[1]]
    _, ids, _ = paper.arguments["find_reported"]
    assert sorted(ids.strip("{}").replace('"', "").split(",")) == sorted([one.event_id, other.event_id])
    assert paper.asked.index("lock_refs") < paper.asked.index("find_reported") < paper.asked.index("lock_letters")


async def test_commands_are_read_for_commands_alone() -> None:
    for record, asked in ((PLAIN, False), (COMMAND, True)):
        item: Item = (record, understood(record))
        needs = needs_of([item])
        paper = Paper(lock_refs=locked(len(needs.keys)))
        await reader_on(paper).read(needs)
        assert ("read_commands" in paper.asked) is asked


# --- what one look tells ----------------------------------------------------------------------------------------------


def telling(*tells: str, payment_id: object = None) -> list[dict[str, Any]]:
    return [{"tells": one, "payment_id": payment_id} for one in tells]


@pytest.mark.parametrize("order", [1, -1])
async def test_each_row_of_a_look_tells_its_own_whichever_comes_last(order: int) -> None:
    known, mine = Known(), uuid.uuid4()
    known.payments[mine] = ANYTHING
    paper: Any = Paper(find_reported=telling(*WAITS[::order], payment_id=mine))
    assert await read_reported(paper, known, [], "1:1:")
    assert (known.some_wait, known.recalls) == (True, True)


@pytest.mark.parametrize(
    ("tells", "held", "grew"),
    [
        (("grew",), True, True),
        (("grew",), False, False),
        (("promises",), False, True),
        (("waits", "recalls"), True, False),
    ],
)
async def test_a_group_grew_where_a_payment_that_is_held_is_in_it(
    tells: tuple[str, ...],
    held: bool,  # noqa: FBT001
    grew: bool,  # noqa: FBT001
) -> None:
    known, one = Known(), uuid.uuid4()
    if held:
        known.payments[one] = ANYTHING
    paper: Any = Paper(find_reported=telling(*tells, payment_id=one))
    assert await read_reported(paper, known, []) is grew


async def test_who_stands_under_an_order_stands_there_in_its_own_account_and_mode() -> None:
    """Test money under the key of real money, or another account's, would be joined to the order's payment."""
    one, other, third = (uuid.UUID(int=number) for number in (1, 2, 3))
    scope = {"provider": "paypal", "ref": "O-1"}
    rows = [
        {**scope, "account": "acme", "livemode": False, "payment_id": one},
        {**scope, "account": "acme", "livemode": False, "payment_id": other},
        {**scope, "account": "", "livemode": True, "payment_id": third},
    ]
    known, paper = Known(), Paper(find_under=rows)
    await read_under(cast("Any", paper), known, [("paypal", "acme", "", False, "shared", "O-1")])
    assert known.under == {
        ("paypal", "acme", "", False, "shared", "O-1"): [one, other],
        ("paypal", "", "", True, "shared", "O-1"): [third],
    }


async def test_a_body_that_was_taken_already_stays_known_beside_those_that_are_looked_up() -> None:
    known = Known(bodies={("mpesa", b"1")})
    unsigned = replace(understood(standard("payment.captured")), source="mpesa", digest=b"2")
    paper = Paper(find_bodies=[{"source": "mpesa", "digest": b"2"}])
    await read_bodies(cast("Any", paper), known, [unsigned])
    assert known.bodies == {("mpesa", b"1"), ("mpesa", b"2")}
