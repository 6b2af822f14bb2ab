"""What dead letters hold goes for good: one on demand, closed ones by age, and nothing brings it back."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from consumer.plan import Letter
from ops.cleaning import clean
from ops.cli import app
from ops.dlq_families import TopicLetter
from ops.dlq_rebuild import _unknown
from ops.letter_erasure import redact, remove_old
from ops.operators import Operator
from runtime.settings import RetentionSettings
from schemas.dead_letter import Reason
from schemas.errors import RatchetError
from schemas.record import Record
from tests.integration import console_harness

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.conftest import Database

pytestmark = pytest.mark.integration

BODY = b'{"card": {"number": "4111111111111111", "cvc": "737"}}'
RECORD = Record("payments.webhooks", 1, 7, 1, b"pi_1", BODY, ((b"ce_id", b"evt_1"), (b"verif-hash", b"the secret")))
ALICE = Operator("alice@laptop")
LETTER = """
insert into dead_letters (topic, partition, "offset", digest, timestamp_ms, key, value, header_names, header_values,
    source, event_id, reason, message, relay_xid, status, created_at)
values ($1, $2, $3, $4, 1, $5, $6, array['ce_id', 'verif-hash']::bytea[], array['evt_1', 'the secret']::bytea[],
    'stripe', 'evt_1', 'conflict', 'why', 1, $7, now() - make_interval(days => $8))
returning id
"""
NOTES = """
insert into erased_letters
select topic, 0, 0, sha256(''), now() - make_interval(days => days)
from (values ('old', 121), ('kept', 119)) as n (topic, days)
"""
"""A note is kept for longer than the letters are: the topic still holds what is erased here."""


async def add(
    connection: Any, status: str = "open", days: int = 0, offset: int = 7, key: bytes | None = RECORD.key
) -> int:
    digest = Letter(replace(RECORD, key=key), Reason.CONFLICT, "why").digest
    place = RECORD.topic, RECORD.partition, offset, digest, key, RECORD.value
    return int(await connection.fetchval(LETTER, *place, status, days))


def published(value: bytes, offset: int = 7, key: bytes | None = RECORD.key) -> TopicLetter:
    record = Record(RECORD.topic, RECORD.partition, offset, 1, key, value, RECORD.headers)
    return TopicLetter(record=record, reason=Reason.CONFLICT, message="why", ours=True, delivery_count=1)


@pytest.fixture
async def application(database: Database) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(database.dsn)
    yield connection
    await connection.close()


async def test_redacting_leaves_a_digest_and_who_did_it(application: Any) -> None:
    one, other = await add(application), await add(application, offset=8)
    await redact(application, one, ALICE, "a CVC")
    row = await application.fetchrow("select * from dead_letters where id = $1", one)
    assert row["value"] == f"redacted, sha256 {hashlib.sha256(BODY).hexdigest()}".encode()
    assert row["header_values"] == [b"evt_1", b"redacted"]
    assert (row["status"], row["digest"]) == ("discarded", Letter(RECORD, Reason.CONFLICT, "why").digest)
    assert row["redacted_at"] is not None
    action = await application.fetchrow("select * from operator_actions")
    assert (action["who"], action["action"], action["target"], action["because"]) == (
        "alice@laptop", "dead_letter.redact", f"dead letter {one}", "a CVC",
    )  # fmt: skip
    assert action["db_role"] == await application.fetchval("select session_user")
    assert await application.fetchval("select value from dead_letters where id = $1", other) == BODY, "one row alone"


async def test_what_can_t_be_redacted_says_why(application: Any) -> None:
    letter_id = await add(application)
    with pytest.raises(RatchetError, match="no dead letter 999"):
        await redact(application, 999, ALICE, "x")
    redrive = await application.fetchval(
        "insert into redrives (requested_by, filter, rate_per_second, policy, failure_ratio_max, failures_min, forced,"
        " matched, selected) values ('a', '{}', 1, 'keep_going', 0.5, 1, false, 1, 1) returning id"
    )
    await application.execute(
        "insert into redrive_messages (redrive_id, dead_letter_id, would, status, claimed_at)"
        " values ($1, $2, 'apply', 'publishing', now())", redrive, letter_id,
    )  # fmt: skip
    with pytest.raises(RatchetError, match="on its way back"):
        await redact(application, letter_id, ALICE, "x")
    await application.execute("update redrive_messages set status = 'skipped', claimed_at = null, detail = 'x'")
    await redact(application, letter_id, ALICE, "x")
    with pytest.raises(RatchetError, match="redacted before"):
        await redact(application, letter_id, ALICE, "x")
    assert await application.fetchval("select count(*) from operator_actions") == 1


@pytest.mark.parametrize("key", [b"pi_1", b"", None])
async def test_a_rebuild_brings_nothing_of_it_back(application: Any, owner: Any, key: bytes | None) -> None:
    """Also of a record without a key, whose digest is another one than that of an empty key."""
    letter_id = await add(application, key=key)
    await redact(application, letter_id, ALICE, "a CVC")
    emptied = await application.fetchval("select value from dead_letters where id = $1", letter_id)
    asked = [published(value, key=key) for value in (BODY, emptied, b"a topic made anew")]
    assert [one.record.value for one in await _unknown(application, asked)] == [b"a topic made anew"]
    await application.execute("update dead_letters set created_at = now() - interval '40 days'")
    assert await remove_old(owner, 30, 120) == 1
    assert [one.record.value for one in await _unknown(application, asked)] == [b"a topic made anew"]


async def test_only_closed_letters_of_an_age_are_removed(application: Any, owner: Any) -> None:
    kept = [await add(application, "open", 400, 1), await add(application, "discarded", 20, 2)]
    await add(application, "discarded", 40, 3)
    gone = await add(application, "redriven", 40, 4)
    await owner.execute("insert into discards (dead_letter_id, discarded_by, because) values ($1, 'a', 'b')", gone)
    await owner.execute(NOTES)
    assert await remove_old(owner, 30, 120) == 2
    assert [row["id"] for row in await owner.fetch("select id from dead_letters order by id")] == kept
    assert await owner.fetch("select topic from erased_letters where topic in ('old', 'kept')") == [("kept",)]
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await remove_old(application, 30, 120)


async def test_a_closed_letter_waits_for_the_end_of_its_redrive_and_goes_then(application: Any, owner: Any) -> None:
    order = (
        "insert into redrives (requested_by, filter, rate_per_second, policy, failure_ratio_max, failures_min, forced,"
        " matched, selected, published, started_at, status, ended_at)"
        " values ('a', '{}', 1, 'keep_going', 0.5, 1, false, 1, 1, 1, now(), $1, case when $2 then now() end)"
        " returning id"
    )
    letters = {}
    for offset, (status, ended) in enumerate((("running", False), ("done", True))):
        letters[status] = await add(application, "redriven", 40, offset)
        redrive = await application.fetchval(order, status, ended)
        await application.execute(
            "insert into redrive_messages (redrive_id, dead_letter_id, would, status, claimed_at, published_at)"
            " values ($1, $2, 'apply', 'published', now(), now())", redrive, letters[status],
        )  # fmt: skip
    assert await remove_old(owner, 30, 120) == 1
    assert [row["id"] for row in await owner.fetch("select id from dead_letters")] == [letters["running"]]
    await application.execute("update redrives set status = 'done', ended_at = now()")
    assert await remove_old(owner, 30, 120) == 1
    assert await owner.fetchval("select count(*) from redrive_messages") == 0


async def test_old_rows_that_name_people_go_by_their_settings(owner: Any, application: Any) -> None:
    await console_harness.fill(owner)
    await owner.execute(
        "insert into sms_transactions (payment_id, to_number, template, status, created_at)"
        " select id, '+254712345678', n.status, n.status, now() - make_interval(days => days)"
        " from payments, (values ('sent', 200), ('failed', 10), ('queued', 200)) as n (status, days)"
    )
    await owner.execute(
        "insert into refetches (provider, account, ref, reason, status, updated_at)"
        " select 'mollie', '', status, 'hint', status, now() - interval '100 days'"
        " from unnest('{done,failed,queued}'::text[]) as status"
    )
    await owner.execute(
        "insert into body_claims (source, digest, event_id)"
        " select 'stripe', sha256(id::bytea), id from unnest('{evt_1,evt_waits,evt_gone}'::text[]) as id"
    )
    now = dt.datetime.now(dt.UTC)
    assert await clean(owner, RetentionSettings(), now) == {"messages": 1, "refetches": 2, "body_claims": 1}
    assert await clean(owner, RetentionSettings(), now) == {"messages": 0, "refetches": 0, "body_claims": 0}
    left = await application.fetch("select event_id from body_claims order by event_id")
    assert [row["event_id"] for row in left] == ["evt_1", "evt_waits"]


async def test_nobody_alters_what_people_did(application: Any) -> None:
    await redact(application, await add(application), ALICE, "x")
    forged = "insert into operator_actions (who, origin, action, target, because, db_role) values ($1,$1,$1,$1,$1,$1)"
    for statement in ("update operator_actions set who = 'bob'", "delete from operator_actions",
                      "delete from erased_letters", "insert into erased_letters values ('a', 0, 0, '')"):  # fmt: skip
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await application.execute(statement)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await application.execute(forged, "x")


async def test_the_commands(
    database: Database, application: Any, owner: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    letter_id = str(await add(application))
    await add(application, "discarded", 40, 3)
    values = {
        "POSTGRES__DSN": database.dsn,
        "POSTGRES__OWNER_DSN": database.owner_dsn,
        "KAFKA__BOOTSTRAP": "127.0.0.1:9",
    }
    for name, value in {**values, "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(f"RATCHET_{name}", value)

    def run(*words: str) -> Any:
        import threading

        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(CliRunner().invoke(app, ["dlq", *words])))
        thread.start()
        thread.join()
        return found[0]

    shown = run("show", letter_id)
    assert "4111" not in shown.stdout + run("show", letter_id, "--json").stdout
    assert "the secret" not in shown.stdout
    assert run("show", letter_id, "--raw").exit_code == 2
    assert "737" in run("show", letter_id, "--raw", "--because", "ticket 7", "--who", "bob").stdout
    action = await application.fetchrow("select who, action, because from operator_actions")
    assert tuple(action) == ("bob", "dead_letter.show_raw", "ticket 7")
    assert run("redact", letter_id, "--because", "a CVC").exit_code == 2, "nobody can be asked"
    assert json.loads(run("redact", letter_id, "--because", "a CVC", "--yes", "--json").stdout)["copies"] == []
    assert run("redact", letter_id, "--because", "a CVC", "--yes").exit_code == 1
    assert run("retain", "--days", "30").exit_code == 1
    assert run("retain", "--days", "3", "--yes").exit_code == 2
    await owner.execute(NOTES)
    assert json.loads(run("retain", "--days", "30", "--yes", "--json").stdout) == {"removed": 1}
    assert await owner.fetch("select topic from erased_letters where topic in ('old', 'kept')") == [("kept",)]
