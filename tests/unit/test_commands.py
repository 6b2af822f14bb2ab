"""Commands of upstream services: their bodies are checked, they wait for their create, none is taken for another."""

from __future__ import annotations

import json
from itertools import permutations
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from events import INTENT_ID, intent, placed, record, standard
from memory_tables import MemoryTables, payment
from msgspec.structs import replace

from consumer.commands import OpenCommand, balance_of
from consumer.decode import DecodingTerms, Event, decode
from consumer.fold import newer, project
from consumer.plan import Known
from consumer.resolve import Target, resolve
from consumer.rows import answer_columns
from consumer.verdict import Dead
from providers.core.payments import captured, refund
from schemas.command_room import Request
from schemas.dead_letter import Reason
from schemas.facts import CommandState
from schemas.topics import EVENTS, INTENTS

if TYPE_CHECKING:
    from schemas.record import Record

pytestmark = pytest.mark.unit

OTHER_ID = UUID(int=INTENT_ID.int + 1)


def command(name: str, event_id: str = "", *, client: str = "shop", **body: Any) -> Record:
    value = {"id": str(INTENT_ID), "client": client, "command": name, "body": body}
    return record(f"intents/{client}", event_id or f"{name}-1", f"intent.{name}", value, topic=INTENTS.name)


def letter(one: Record) -> Dead:
    dead = decode(one)
    assert isinstance(dead, Dead), dead
    return dead


@pytest.mark.parametrize("name", ["capture", "refund"])
@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"ammount": 100}, "body.ammount"),
        ({"amount": -5}, "body.amount"),
        ({"amount": "12.50"}, "body.amount"),
        ({"amount": 1e20}, "body.amount"),
        ({"amount": 100, "currency": "XXX"}, "body.currency"),
        ({"foo": [1]}, "body.foo"),
        ({"metadata": {"a": "x" * 501}}, "body.metadata"),
    ],
)
def test_a_body_that_breaks_the_schema_is_a_letter(name: str, body: dict[str, Any], place: str) -> None:
    dead = letter(command(name, **body))
    assert dead.reason is Reason.UNDECODABLE
    assert dead.message.startswith(f"intent: {place}: ")


@pytest.mark.parametrize("reason", [1, "x" * 256, "a\x00b"])
def test_a_reason_that_breaks_the_schema_is_a_letter(reason: object) -> None:
    for name in ("cancel", "refund"):
        assert letter(command(name, reason=reason)).message.startswith("intent: body.reason: ")


def test_a_misspelt_field_is_reported_with_the_one_that_was_meant() -> None:
    assert letter(command("refund", ammount=100)).message == (
        "intent: body.ammount: there is no such field; did you mean amount? "
        "There are amount, attempt_id, currency, metadata, reason"
    )


def test_what_is_reported_of_a_stranger_s_name_is_short_and_readable() -> None:
    message = letter(command("refund", **{"x\x1b[31m" + "y" * 5000: 1})).message
    assert message.isprintable()
    assert len(message) < 300


@pytest.mark.parametrize("name", ["capture", "cancel", "refund"])
def test_a_command_without_an_id_is_refused(name: str) -> None:
    dead = letter(replace(command(name), headers=()))
    assert dead.reason is Reason.UNDECODABLE
    assert f"a {name} needs a header ce_id" in dead.message


def test_a_create_without_an_id_has_one() -> None:
    event = decode(replace(intent(), headers=()))
    assert isinstance(event, Event)
    assert event.event_id == f"{INTENT_ID}:create"


def test_two_equal_commands_with_ids_are_two_and_a_copy_is_one() -> None:
    tables = MemoryTables()
    tables.process([intent()])
    first, second = command("refund", "a", amount=100), command("refund", "b", amount=100)
    tables.process([first, second, first])
    assert [row.event_id for row in tables.ledger if row.event_type == "intent.refund"] == ["a", "b"]


def spelled(one: Record) -> Record:
    """Return the command as another client's JSON library would write it."""
    return replace(one, value=json.dumps(json.loads(one.value or b""), indent=2, sort_keys=True).encode())


OTHERS: list[Record] = [
    command("refund", "r", amount=200),
    command("refund", "r"),
    command("refund", "r", amount=100, reason="late"),
    command("capture", "r", amount=100),
    replace(
        command("refund", "r", amount=100),
        value=(command("refund", "r", amount=100).value or b"").replace(
            str(INTENT_ID).encode(), str(OTHER_ID).encode()
        ),
    ),
]


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("created", [True, False])
def test_another_command_under_an_id_that_is_known_is_a_conflict(other: Record, *, created: bool) -> None:
    """Whether the first is in the ledger or waits for its create; a copy is one, however it is spelled."""
    first = command("refund", "r", amount=100)
    creates = [intent(), intent(OTHER_ID)]
    for together in (True, False):
        tables = MemoryTables()
        if created:
            tables.process(creates)
        for batch in [[first, spelled(first), other]] if together else [[first], [spelled(first)], [other]]:
            tables.process(batch)
        if not created:
            tables.process(creates)
        assert [(one.record, one.reason) for one in tables.letters] == [(other, Reason.CONFLICT)]
        assert [row.event_id for row in tables.ledger if row.event_type != "intent.create"] == ["r"]
        assert not tables.parked


def answered(
    state: str, command_id: str = "r", *, source: str = "gateway", event_id: str = "", **fields: Any
) -> Record:
    body = {
        "id": str(INTENT_ID),
        "command_id": command_id,
        **({"reason": "closed"} if state == "refused" else {}),
        **fields,
    }
    return record(source, event_id or f"{command_id}:{state}", f"command.{state}", body, topic=EVENTS.name)


def test_an_answer_is_taken_from_an_executor_of_the_payment_s_account_alone() -> None:
    known = Known(
        refs={("ratchet", "", "", True, "id", str(INTENT_ID)): INTENT_ID},
        payments={INTENT_ID: payment(id=INTENT_ID, provider="stripe", account="acme", client="shop")},
    )
    bound = DecodingTerms(
        executors={"gateway": frozenset({"stripe/acme"}), "other": frozenset({"stripe", "adyen/acme"})}
    )
    ours, theirs = (decode(answered("refused", source=name), bound) for name in ("gateway", "other"))
    assert isinstance(ours, Event)
    assert isinstance(theirs, Event)
    assert isinstance(resolve(ours, known), Target)
    refused = resolve(theirs, known)
    assert isinstance(refused, Dead)
    assert (refused.reason, refused.message) == (
        Reason.CONFLICT, "events/other is no executor for stripe/acme; see RATCHET_EXECUTORS",
    )  # fmt: skip
    stranger = decode(answered("done", source="billing"), bound)
    assert isinstance(stranger, Dead)
    assert "ce_source billing is none of RATCHET_EXECUTORS (gateway, other)" in stranger.message


def test_an_answer_waits_for_its_payment_and_is_one_however_often_it_comes() -> None:
    tables = MemoryTables()
    for batch in ([answered("accepted")], [answered("accepted")], [answered("done"), answered("done")]):
        tables.process(batch)
    assert (tables.ledger, len(tables.parked)) == ([], 2)
    tables.process([intent()])
    assert [row.event_type for row in tables.ledger] == ["intent.create", "command.accepted", "command.done"]
    tables.process([answered("refused", event_id="r:done")])
    assert [one.reason for one in tables.letters] == [Reason.CONFLICT]


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (answered("refused", reason=None), "command.refused: reason: "),
        (answered("done", reason="x"), "command.done: reason: there is no such field"),
        (answered("done", command_id=""), "command.done: command_id: "),
        (answered("done", id="x"), "command.done: id: "),
        (answered("finished"), "there is no type command.finished"),
    ],
)
def test_a_wrong_answer_says_what_to_mend(one: Record, message: str) -> None:
    assert message in letter(one).message


@pytest.mark.parametrize(
    "words", ["the card\r\n\tis\x00 closed\ufffd\n", "the card is closed", "\u200bthe card is closed"]
)
def test_a_refusal_in_a_provider_s_own_words_is_kept_as_one_line(words: str) -> None:
    tables = MemoryTables()
    plan = tables.process([intent(), answered("refused", reason=words)])
    assert not tables.letters
    assert answer_columns(plan.answers)[3] == ["the card is closed"]
    long = tables.process([answered("refused", event_id="long:refused", command_id="other", reason="x" * 1000)])
    assert answer_columns(long.answers)[3] == ["x" * 255]


def test_of_several_answers_to_one_command_the_latest_state_is_written() -> None:
    reported = [answered(state) for state in ("done", "refused", "accepted")]
    for order in permutations([*reported, answered("refused", "other")]):
        tables = MemoryTables()
        plan = tables.process([intent(), *order])
        assert answer_columns(plan.answers) == [
            [INTENT_ID, INTENT_ID], ["other", "r"], ["refused", "done"], ["closed", None],
        ]  # fmt: skip


def test_what_a_command_asks_for_has_one_digest_in_every_version() -> None:
    """Pinned: with another one the copy of a command that comes after an update is a dead letter."""
    event = decode(command("refund", "a", amount=5))
    assert isinstance(event, Event)
    assert event.digest is not None
    assert event.digest.hex() == "6ce162923daa17653e0d8e668341ae5619131720482385399f34788879c14cf9"


def test_commands_that_come_before_their_create_wait_and_are_applied_after_it_in_order() -> None:
    tables = MemoryTables()
    tables.process([command("capture", "c"), command("refund", "r1")])
    tables.process([command("refund", "r2")])
    assert (tables.ledger, len(tables.parked)) == ([], 3)
    tables.process([intent()])
    assert not tables.parked
    assert [(row.event_type, row.event_id) for row in tables.ledger] == [
        ("intent.create", f"{INTENT_ID}:create"),
        ("intent.capture", "c"),
        ("intent.refund", "r1"),
        ("intent.refund", "r2"),
    ]
    assert {row.payment_id for row in tables.ledger if row.payment_id} == {tables.ledger[0].payment_id}
    assert all(row.payment_id is not None for row in tables.ledger)


def test_any_order_in_one_batch_gives_every_command_its_payment() -> None:
    records = [intent(provider_ref="pay_1"), command("capture"), command("refund"), standard("payment.captured")]
    for order in permutations(records):
        tables = MemoryTables()
        tables.process(placed(order))
        assert not tables.parked
        assert {row.payment_id for row in tables.ledger if row.event_type.startswith("intent.")} == {INTENT_ID}


def test_a_command_of_another_client_has_no_effect() -> None:
    for order in permutations([intent(), command("refund", client="mall")]):
        tables = MemoryTables()
        for one in order:
            tables.process([one])
        assert [(one.reason, one.message) for one in tables.letters] == [
            (Reason.CONFLICT, "the payment that the command names is none of client mall's")
        ]
        assert [row.event_type for row in tables.ledger] == ["intent.create"]
        assert not tables.parked


def paid_tables(*more: Record) -> MemoryTables:
    """Return tables with a payment of 1000 of the client's that was captured."""
    tables = MemoryTables()
    tables.process([intent(provider_ref="pay_1")])
    tables.process(placed([standard("payment.captured"), *more]))
    assert [row["captured"] for row in tables.payments.values()] == [1000]
    return tables


def states(tables: MemoryTables) -> list[tuple[str, int | None, str | None]]:
    return [(row.command_id, row.amount, row.refusal) for row in tables.commands]


def test_a_command_is_taken_on_with_room_and_refused_without_and_never_a_dead_letter() -> None:
    for together in (True, False):
        tables = paid_tables()
        asked = [command("refund", one, amount=amount) for one, amount in (("a", 600), ("b", 600), ("c", 400))]
        for batch in [asked] if together else [[one] for one in asked]:
            tables.process(batch)
        assert states(tables) == [
            ("a", 600, None),
            ("b", 600, "the payment is captured: of 1000, 0 is refunded and 600 is asked for, which leaves no 600"),
            ("c", 400, None),
        ]
        assert (tables.letters, tables.outcomes()[-3:]) == ([], ["noop"] * 3)
        tables.process([command("refund", "d")])
        assert tables.commands[-1].refusal is not None


def test_a_command_without_an_amount_is_all_that_is_left_and_has_what_its_executor_needs() -> None:
    tables = paid_tables()
    tables.process([command("refund", "a", amount=300), command("refund", "b", reason="late", metadata={"a": [1]})])
    row = tables.commands[-1]
    assert (row.payment_id, row.attempt.id, row.attempt.provider_ref) == (INTENT_ID, INTENT_ID, "pay_1")
    assert (row.client, row.command, row.amount, row.seen, row.reason) == ("shop", "refund", 700, 0, "late")
    assert (row.metadata, (row.expires_at - row.asked_at).total_seconds()) == ('{"a": [1]}', 6 * 3600)
    assert row.relay_xid == tables.ledger[-1].relay_xid


def test_a_pending_refund_that_tells_no_amount_may_be_all_that_was_captured() -> None:
    """GoCardless' events tell none: another refund beside it could give the money back twice."""
    facts = newer({}, (captured("PM1", 1000, authorization="PM1"), refund("RF1", "pending", None, payment="PM1")))
    held = payment(facts=facts, projection=project(facts))
    assert balance_of(held).refunds_pending == 1000


def test_an_answer_in_the_same_batch_counts_for_the_command_after_it() -> None:
    tables = paid_tables()
    tables.process([command("refund", "a")])
    tables.process([command("refund", "b"), answered("refused", "a"), command("refund", "c"), answered("done", "a")])
    tables.process([command("refund", "d")])
    assert [(row.command_id, row.refusal is None) for row in tables.commands] == [
        ("a", True), ("b", False), ("c", True), ("d", False),
    ]  # fmt: skip


def test_a_command_that_is_too_old_when_it_comes_is_refused() -> None:
    tables = paid_tables()
    old = command("refund", "old", amount=1)
    late = replace(
        old, headers=tuple((n, b"2026-09-01T00:00:00+00:00" if n == "ce_time" else v) for n, v in old.headers)
    )
    tables.process([late])
    assert tables.commands[-1].refusal == "it expired at 2026-09-01T06:00:00+00:00, before it could be published"
    tables.process([replace(command("refund", "untimed", amount=1), headers=(("ce_id", b"untimed"),), timestamp_ms=-1)])
    assert tables.commands[-1].refusal is None, "nothing tells when it was asked for: it is new"
    before = replace(
        command("refund", "kafka", amount=1), headers=(("ce_id", b"kafka"),), timestamp_ms=1_789_900_000_000
    )
    tables.process([before])
    assert "it expired at" in (tables.commands[-1].refusal or "")


def test_a_command_of_an_order_is_for_the_attempt_that_it_names() -> None:
    tables = MemoryTables()
    tables.process([intent(reference="ORD-1", amount=1000)])
    paid = [
        standard("payment.captured", payment=name, amount=amount, reference="ORD-1", event_id=name)
        for name, amount in (("gift", 200), ("card", 800))
    ]
    tables.process(placed(paid))
    ids = {row["provider_ref"]: row["id"] for row in tables.payments.values() if row["intent_id"] == INTENT_ID}
    assert set(ids) == {"gift", "card"}
    tables.process([command("refund", "any", amount=100), command("refund", "no", attempt_id=str(OTHER_ID))])
    tables.process([command("refund", "card", attempt_id=str(ids["card"])), command("refund", "rest")])
    any_, no, card, rest = tables.commands
    assert "several attempts have room" in (any_.refusal or "")
    assert "is no attempt of this payment" in (no.refusal or "")
    assert (card.refusal, card.amount, card.attempt.provider_ref) == (None, 800, "card")
    assert (rest.refusal, rest.amount, rest.attempt.provider_ref) == (None, 200, "gift")


def test_silence_frees_and_what_was_done_counts() -> None:
    known = OpenCommand(Request("refund", 1000, 0, INTENT_ID), over=True)
    assert not known.counts
    known.note(CommandState.ACCEPTED)
    assert not known.counts
    known.note(CommandState.DONE)
    known.note(CommandState.REFUSED)
    assert known.counts
