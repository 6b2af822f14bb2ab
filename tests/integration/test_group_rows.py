"""Which names, groups and payments a batch finds: each beside rows that differ in one thing."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from filled_database import by_heap, filled_database, undone
from written_rows import insert

from consumer import rows
from runtime.postgres_arrays import plain_array
from runtime.sql import statement

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    import asyncpg

    Session = asyncpg.Connection[Any]

pytestmark = pytest.mark.integration

PAYMENTS = """insert into payments (id, provider, account, status, refund_status, dispute_status, amount, authorized,
    captured, refunded, disputed, version, facts, head_hash, head_xid, created_at, updated_at)
select lpad(to_hex(n), 32, '0')::uuid, 'p', 'a', 'created', 'none', 'none', 0, 0, 0, 0, 0, 1, '{}', '', 0, now(), now()
from generate_series(40, 1, -1) n"""
NAME = {"provider": "p", "account": "a", "merchant_account": "m", "livemode": True, "kind": "payment", "ref": "r"}
REFERENCE = NAME | {"merchant_account": "", "kind": "reference"}
OTHER = {"provider": "q", "account": "b", "merchant_account": "n", "livemode": False, "kind": "charge", "ref": "s"}
PLACE = {"provider": "p", "account": "a", "livemode": True, "kind": "reference"}
ROOM = 2
"""How many payments a group has beside its promises."""


def near(name: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the names that differ from one in one thing."""
    return [name | {column: OTHER[column]} for column in name]


def pay(number: int) -> uuid.UUID:
    return uuid.UUID(int=number)


def number(payment_id: object) -> int:
    return uuid.UUID(str(payment_id)).int


@pytest.fixture(scope="module")
async def filled(stack: Any, template_database: str) -> AsyncIterator[Session]:
    """Give a superuser's connection to a database with payments; what a test does is undone."""
    async with filled_database(stack, template_database, PAYMENTS) as connection:
        yield connection


@pytest.fixture
async def some(filled: Session) -> AsyncIterator[Session]:
    """Give the connection within a transaction that is undone; somebody promised something."""
    async with undone(filled):
        await stand(filled, "promised elsewhere", 40, promise=1)
        yield filled


async def bind(connection: Session, name: dict[str, Any], payment: int | None) -> None:
    await insert(connection, "payment_refs", **name, payment_id=payment and pay(payment))


async def stand(connection: Session, ref: str, /, *payments: int, **changed: Any) -> None:
    """Let payments stand under a reference."""
    for one in payments:
        await insert(connection, "reference_payments", **PLACE | {"ref": ref, "payment_id": pay(one)} | changed)


async def promise(connection: Session, ref: str, payment: int) -> None:
    """Let a payment promise a reference, to which the reference is bound."""
    await bind(connection, REFERENCE | {"ref": ref}, payment)
    await stand(connection, ref, payment, promise=1, groups=True)


async def stand_unpromised(connection: Session, ref: str, payment: int, of_near: int) -> None:
    """Let a payment stand under a reference that nobody promised, beside bound names that differ in one thing."""
    name = REFERENCE | {"ref": ref}
    await bind(connection, name, None)
    await stand(connection, ref, payment)
    for one in near(name):
        await bind(connection, one | ({"ref": f"{ref} {OTHER['ref']}"} if one["ref"] != ref else {}), of_near)


class Locked(NamedTuple):
    """What lock_refs.sql says."""

    names: int
    bound: dict[int, int]
    others: list[tuple[str, int | None]]
    members: list[tuple[str, int]]
    looked_up: list[int]
    beyond: list[str]
    held: list[int]
    snapshot: str | None


async def lock(
    connection: Session, *names: dict[str, Any], promised: Iterable[str] = (), payments: Iterable[int] = ()
) -> Locked:
    arrays = rows.ref_arrays([rows.key_of(one) for one in names])
    marks = plain_array([one["kind"] == "reference" and one["ref"] in promised for one in names])
    further = plain_array([pay(one) for one in payments])
    first, *held = await connection.fetch(statement("consumer", "lock_refs"), *arrays, marks, further, ROOM)
    bound = zip(first["places"] or (), map(number, first["payment_ids"] or ()), strict=True)
    others = [(ref, payment and number(payment)) for *_, ref, payment in json.loads(first["others"] or "[]")]
    members = [(ref, number(payment)) for _, _, _, ref, payment, *_ in json.loads(first["members"] or "[]")]
    return Locked(
        first["refs"],
        dict(bound),
        sorted(others),
        sorted(members),
        sorted(map(number, first["looked_up"] or ())),
        sorted(ref for *_, ref in json.loads(first["beyond"] or "[]")),
        [number(row["id"]) for row in held],
        first["snapshot"],
    )


async def test_a_name_is_found_and_made_by_all_that_it_is(some: Session) -> None:
    """A name of another account, mode or kind is another's payment, and another merchant's money."""
    for at, one in enumerate(near(NAME), start=1):
        await bind(some, one, at)
    made = await lock(some, NAME)
    assert made == Locked(1, {}, [], [], [], [], [], made.snapshot)
    assert await some.fetchval("select count(*) from payment_refs where ref = 'r' and kind = 'payment'") == 5
    for at, one in enumerate(near(NAME), start=1):
        found = await lock(some, one)
        assert (found.names, found.bound, found.looked_up, found.held) == (1, {1: at}, [at], [at]), one
    both = await lock(some, NAME, OTHER, near(NAME)[0])
    assert (both.names, both.bound, both.held) == (3, {3: 1}, [1])


async def test_a_reference_groups_payments_once_it_is_promised(some: Session) -> None:
    await bind(some, REFERENCE, None)
    await stand(some, "r", 1)
    await bind(some, NAME, 2)
    for names in ([REFERENCE], [NAME], [NAME, REFERENCE]):
        found = await lock(some, *names)
        assert (found.members, found.others, found.beyond) == ([], [], []), names
        assert found.held == ([2] if NAME in names else [])
    found = await lock(some, REFERENCE, promised=["r"])
    assert (found.names, found.members, found.held, found.others) == (1, [("r", 1)], [1], [])
    await some.execute("update payment_refs set payment_id = $1 where kind = 'reference'", pay(3))
    for promised in ([], ["r"]):
        found = await lock(some, REFERENCE, promised=promised)
        assert (found.names, found.members, found.held, found.others) == (1, [("r", 1)], [1, 3], [])
        assert found.looked_up == [1, 3]


async def test_names_alone_are_locked_while_nobody_promised_anything(filled: Session) -> None:
    async with undone(filled):
        await bind(filled, NAME, 2)
        await stand(filled, "r", 2)
        assert await lock(filled, NAME) == Locked(1, {1: 2}, [], [], [], [], [2], None)
        await filled.execute("delete from reference_payments")
        await stand(filled, "promised", 3, promise=1)
        found = await lock(filled, NAME)
        assert found.snapshot is not None
        assert found.looked_up == [2]


async def test_what_a_payment_stands_under_is_locked_with_all_who_stand_there(some: Session) -> None:
    """One that is left out is adopted twice, or its group counts money that it does not see."""
    await bind(some, NAME, 1)
    await promise(some, "r", 2)
    await stand(some, "r", 1, 3)
    await stand_unpromised(some, "nobody's", 1, 4)
    await promise(some, "t", 5)
    await stand(some, "t", 1, kind="shared")
    await promise(some, "u", 6)
    found = await lock(some, NAME)
    expected = Locked(1, {1: 1}, [("r", 2)], [("r", 1), ("r", 2), ("r", 3)], [1, 2, 3], [], [1, 2, 3], found.snapshot)
    assert found == expected
    assert await lock(some, payments=[1]) == expected._replace(names=0, bound={})


async def test_a_payment_s_only_reference_is_looked_up(some: Session) -> None:
    await promise(some, "r", 1)
    found = await lock(some, payments=[1])
    assert (found.members, found.others, found.held) == ([("r", 1)], [("r", 1)], [1])


async def stand_beside_others(some: Session) -> None:
    """Put payments under a promised reference, and one under each that differs from it in one thing."""
    await by_heap(some)
    await promise(some, "r", 3)
    await stand(some, "r", 2, 1, promise=2)
    await stand(some, "r", 13, 12, 11)
    for column in PLACE:
        value = "shared" if column == "kind" else OTHER[column]
        await stand(some, "r", 9, **{column: value})


async def test_a_group_has_its_promises_and_the_first_of_the_others(some: Session) -> None:
    await stand_beside_others(some)
    await stand(some, "s", 8)
    found = await lock(some, REFERENCE)
    assert found.members == [("r", one) for one in (1, 2, 3, 11, 12)]
    assert found.held == [1, 2, 3, 11, 12]


async def test_references_to_which_a_group_leads_are_named(some: Session) -> None:
    """What is left out is not locked: another batch gives the same room away."""
    await promise(some, "c", 1)
    await promise(some, "b", 10)
    await promise(some, "e", 11)
    await promise(some, "nobody's further", 12)
    await stand(some, "b", 2)
    await stand(some, "c", 2, 3)
    await stand(some, "e", 3)
    await stand_unpromised(some, "f", 3, 13)
    await stand(some, "nobody's further", 3, kind="shared")
    found = await lock(some, REFERENCE | {"ref": "c"})
    assert found.beyond == ["b", "e"]
    assert found.held == [1, 2, 3]


async def find_reported(
    connection: Session, *events: tuple[str, str], snapshot: str | None = None
) -> tuple[dict[tuple[str, str], Any], list[str], list[int]]:
    """Return what find_reported.sql says: events, what it tells, and payments in groups that grew."""
    found = await connection.fetch(statement("consumer", "find_reported"), *rows.dedupe_arrays(events), snapshot)
    tells = sorted({row["tells"] for row in found if row["tells"] is not None})
    grew = sorted(number(row["payment_id"]) for row in found if row["tells"] == "grew")
    reported = {(row["source"], row["event_id"]): row["facts"] for row in found if row["tells"] is None}
    return reported, tells, grew


LEDGER = {"event_type": "k", "outcome": "noop", "topic": "t", "partition": 0, "relay_xid": 1, "hash": b"x" * 32}
PARKED = {"event_type": "k", "reason": "orphan", "detail": "", "topic": "t", "partition": 0, "timestamp_ms": 0}


async def log(connection: Session, source: str, event_id: str, facts: str = "[]") -> None:
    row = LEDGER | {"source": source, "event_id": event_id, "facts": facts, "offset": 0}
    await insert(connection, "payment_logs", **row, recorded_at=await connection.fetchval("select now()"))


async def park(connection: Session, source: str, event_id: str, facts: str = "[]") -> int:
    now = await connection.fetchval("select now()")
    row = PARKED | {"source": source, "event_id": event_id, "facts": facts, "offset": 0, "header_names": []}
    await insert(connection, "parked_events", **row, header_values=[], parked_at=now, deadline=now)
    return int(await connection.fetchval("select max(id) from parked_events"))


async def test_what_was_taken_is_known_by_its_sender_and_id(filled: Session) -> None:
    async with undone(filled):
        assert await find_reported(filled, ("p", "e-1")) == ({}, [], [])
        await log(filled, "p", "e-1", '["ledger"]')
        await log(filled, "p", "e-2")
        await log(filled, "q", "e-1")
        found = await find_reported(filled, ("p", "e-1"), ("p", "e-3"))
        assert found == ({("p", "e-1"): '["ledger"]'}, [], [])
        await park(filled, "p", "e-3", '["parked"]')
        await park(filled, "q", "e-3")
        await park(filled, "p", "e-4")
        found = await find_reported(filled, ("p", "e-1"), ("p", "e-3"))
        assert found == ({("p", "e-1"): '["ledger"]', ("p", "e-3"): '["parked"]'}, [], [])


async def test_it_is_known_whether_events_or_letters_wait_and_that_a_list_was_asked(
    filled: Session,
) -> None:
    """Where it is left out, what waits for a name is not woken when the name comes."""
    async with undone(filled):
        parked = await park(filled, "p", "e-1")
        assert await find_reported(filled) == ({}, [], [])
        await bind(filled, NAME, None)
        await insert(filled, "parked_refs", **NAME, parked_id=parked)
        assert await find_reported(filled) == ({}, ["waits"], [])
        await filled.execute("delete from parked_refs")
        letter = await filled.fetchval(
            """insert into dead_letters (topic, partition, "offset", digest, timestamp_ms, header_names, header_values,
                reason, message, relay_xid, created_at)
            values ('t', 0, 0, sha256('x'), 0, '{}', '{}', 'orphan', '', 1, now()) returning id"""
        )
        await insert(filled, "orphan_refs", **NAME, letter_id=letter)
        assert await find_reported(filled) == ({}, ["waits"], [])
        await filled.execute("delete from orphan_refs")
        asked = {"provider": "p", "account": "a", "list": "l"}
        now = await filled.fetchval("select now()")
        await insert(filled, "recall_cursors", **asked, began_at=now, read_until=now)
        assert await find_reported(filled) == ({}, ["recalls"], [])


async def test_promises_are_named_where_groups_were_not_looked_up(filled: Session) -> None:
    async with undone(filled):
        now = await filled.fetchval("select pg_current_snapshot()::text")
        await stand(filled, "r", 1)
        assert await find_reported(filled) == ({}, [], [])
        await stand(filled, "r", 2, promise=1)
        assert await find_reported(filled) == ({}, ["promises"], [])
        await filled.execute("delete from reference_payments where promise is null")
        assert await find_reported(filled) == ({}, ["promises"], [])
        assert await find_reported(filled, snapshot=now) == ({}, [], [])


async def test_groups_that_grew_since_a_snapshot_are_named(filled: Session) -> None:
    """A batch that does not know it gives the room of a promise away a second time."""
    transaction = filled.transaction(isolation="repeatable_read")
    await transaction.start()
    try:
        now = int(await filled.fetchval("select pg_snapshot_xmax(pg_current_snapshot())::text"))
        opened, ended = now - 20, now - 10
        snapshot = f"{opened}:{ended}:{opened},{opened + 2}"

        async def grown(xid: int, **changed: Any) -> list[int]:
            """Return whose group grew where payment 2 came to stand under 'r' with payment 1."""
            await stand(filled, "r", 2, **{"xid": xid} | changed)
            claims, tells, found = await find_reported(filled, snapshot=snapshot)
            assert claims == {}
            assert tells == (["grew"] if found else [])
            await filled.execute("delete from reference_payments where payment_id = $1", pay(2))
            return found

        old = opened - 5
        await bind(filled, REFERENCE, 1)
        await stand(filled, "r", 1, promise=1, xid=old)
        for column, value in (OTHER | {"kind": "shared"}).items():
            if column != "merchant_account":  # payment 3 stands elsewhere, and does not grow anything
                await stand(filled, "r", 3, **{column: value, "xid": old})
        for xid in (opened, opened + 2, ended, now - 1):
            assert await grown(xid) == [1, 2], xid - now
        for xid in (old, opened + 1, ended - 1, now, now + 5):
            assert await grown(xid) == [], xid - now
        for xid in (opened, ended):
            assert await grown(xid, kind="shared") == []
        await filled.execute("delete from payment_refs")
        await filled.execute("delete from reference_payments")
        await stand_unpromised(filled, "r", 1, 4)
        await filled.execute("update reference_payments set xid = $1", old)
        assert await grown(ended) == []
        await filled.execute("delete from payment_refs where payment_id is not null")
        await filled.execute("update payment_refs set payment_id = $1", pay(1))
        await filled.execute("update reference_payments set xid = $1", ended)
        assert (await find_reported(filled, snapshot=snapshot))[2] == [1]
    finally:
        await transaction.rollback()


async def groups(connection: Session, payments: Iterable[int], promised: Iterable[str] = ()) -> Any:
    keys = [rows.key_of(REFERENCE | {"ref": ref}) for ref in promised]
    arguments = plain_array([pay(one) for one in payments]), *rows.group_arrays(keys), ROOM
    found = json.loads(await connection.fetchval(statement("consumer", "find_groups"), *arguments) or "[]")
    return sorted((ref, number(payment), promise) for _, _, _, ref, payment, promise, _ in found)


async def test_groups_are_read_anew_by_their_promises(some: Session) -> None:
    await stand_beside_others(some)
    await stand_unpromised(some, "nobody's", 13, 4)
    await promise(some, "t", 5)
    await stand(some, "t", 13, kind="shared")
    whole = [("r", 1, 2), ("r", 2, 2), ("r", 3, 1), ("r", 11, None), ("r", 12, None)]
    assert await groups(some, [13]) == whole
    assert await groups(some, [13, 12, 3]) == whole
    assert await groups(some, [3], ["r"]) == whole
    assert await groups(some, [], ["nobody's"]) == [("nobody's", 13, None)]
    assert await groups(some, [5]) == [("t", 5, 1)]
    assert await groups(some, [20]) == []


async def chains(
    connection: Session, payments: Iterable[int], references: Iterable[str] = ()
) -> tuple[list[int], list[str]]:
    keys = [rows.key_of(REFERENCE | {"ref": ref}) for ref in references]
    arguments = plain_array([pay(one) for one in payments]), *rows.group_arrays(keys), ROOM
    (found,) = await connection.fetch(statement("consumer", "follow_chains"), *arguments)
    refs = sorted(ref for *_, ref in json.loads(found["refs"] or "[]"))
    return sorted(map(number, found["payments"] or ())), refs


async def test_all_that_a_payment_leads_to_is_followed(some: Session) -> None:
    """Each that is left out costs the batch another beginning; after the last of them it waits as if for bad data."""
    assert await chains(some, [20]) == ([20], [])
    await some.execute("update payments set merged_into = $2 where id = $1", pay(20), pay(21))
    await some.execute("update payments set intent_id = $2 where id = $1", pay(21), pay(22))
    assert await chains(some, [20]) == ([20, 21, 22], [])
    assert await chains(some, [22]) == ([22], [])
    await promise(some, "r", 3)
    await stand(some, "r", 22)
    assert await chains(some, [20]) == ([3, 20, 21, 22], ["r"])
    assert await chains(some, [3]) == ([3, 20 + 2], ["r"])
    await promise(some, "s", 4)
    await stand(some, "s", 3)
    assert await chains(some, [20]) == ([3, 4, 20, 21, 22], ["r", "s"])


async def test_references_are_followed_by_those_who_stand_there(some: Session) -> None:
    await stand_beside_others(some)
    await stand_unpromised(some, "nobody's", 11, 4)
    await promise(some, "t", 5)
    await stand(some, "t", 11, kind="shared")
    assert await chains(some, [], ["r"]) == ([1, 2, 3, 11, 12], ["r"])
    assert await chains(some, [7], ["r"]) == ([1, 2, 3, 7, 11, 12], ["r"])
    assert await chains(some, [], ["nobody's"]) == ([1, 2, 3, 11, 12], ["nobody's", "r"])


async def test_who_stands_under_an_id_that_many_share_is_found(some: Session) -> None:
    await by_heap(some)
    await stand(some, "r", 3, 1, 2, kind="shared")
    for column in PLACE:
        value = "reference" if column == "kind" else OTHER[column]
        await stand(some, "r", 9, **{"kind": "shared", column: value})
    await stand(some, "s", 8, kind="shared")
    arguments = rows.group_arrays([rows.key_of(REFERENCE)])
    found = await some.fetch(statement("consumer", "find_under"), *arguments)
    assert [(row["ref"], number(row["payment_id"])) for row in found] == [("r", 1), ("r", 2), ("r", 3)]


async def members(connection: Session) -> list[tuple[str, str, int, int | None, bool, int]]:
    found = await connection.fetch("select * from reference_payments where ref <> 'promised elsewhere'")
    return sorted(
        (one["ref"], one["kind"], number(one["payment_id"]), one["promise"], one["groups"], one["xid"]) for one in found
    )


async def test_a_promise_is_noted_and_never_taken_back(some: Session) -> None:
    now = int(await some.fetchval("select pg_current_xact_id()::text"))

    async def note(payment: int, number: int | None, *, adopts: bool = False) -> list[tuple[Any, ...]]:
        columns = (["p"], ["a"], [True], ["reference"], ["r"], [pay(payment)], [number], [adopts])
        arrays = [plain_array(one) if at in {2, 5, 6, 7} else rows.text_array(one) for at, one in enumerate(columns)]
        await some.execute(statement("consumer", "note_members"), *arrays)
        return await members(some)

    assert await note(1, None) == [("r", "reference", 1, None, False, now)]
    await some.execute("update reference_payments set xid = 7")
    assert await note(1, None) == [("r", "reference", 1, None, False, 7)]
    assert await note(1, 4, adopts=True) == [("r", "reference", 1, 4, True, now)]
    await some.execute("update reference_payments set xid = 7")
    for number in (None, 5):
        assert await note(1, number) == [("r", "reference", 1, 4, True, 7)]


async def test_what_a_payment_stands_under_its_survivor_stands_under_too(some: Session) -> None:
    await stand(some, "r", 1, promise=3)
    await stand(some, "s", 1, 2, kind="shared")
    await stand(some, "u", 3)
    await some.execute(statement("consumer", "copy_members"), [pay(1)], [pay(2)])
    found = [one[:4] for one in await members(some)]
    assert found == [
        ("r", "reference", 1, 3),
        ("r", "reference", 2, None),
        ("s", "shared", 1, None),
        ("s", "shared", 2, None),
        ("u", "reference", 3, None),
    ]
