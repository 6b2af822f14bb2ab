"""Commands of upstream services: their bodies are checked, they wait for their create, none is taken for another."""

from __future__ import annotations

import json
from itertools import permutations
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from events import INTENT_ID, intent, placed, record, standard
from msgspec.structs import replace
from paper_books import PaperBooks, payment

from consumer.decode import Endpoints, Event, decode
from consumer.plan import Known
from consumer.resolve import Target, resolve
from consumer.rows import answer_columns
from consumer.verdict import Dead
from schemas.dead_letter import Reason
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


def test_a_misspelt_field_is_told_with_the_one_that_was_meant() -> None:
    assert letter(command("refund", ammount=100)).message == (
        "intent: body.ammount: there is no such field; did you mean amount? "
        "There are amount, currency, metadata, reason"
    )


def test_what_is_told_of_a_stranger_s_name_is_short_and_readable() -> None:
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
    books = PaperBooks()
    books.settle([intent()])
    first, second = command("refund", "a", amount=100), command("refund", "b", amount=100)
    books.settle([first, second, first])
    assert [row.event_id for row in books.ledger if row.event_type == "intent.refund"] == ["a", "b"]


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
        books = PaperBooks()
        if created:
            books.settle(creates)
        for batch in [[first, spelled(first), other]] if together else [[first], [spelled(first)], [other]]:
            books.settle(batch)
        if not created:
            books.settle(creates)
        assert [(one.record, one.reason) for one in books.letters] == [(other, Reason.CONFLICT)]
        assert [row.event_id for row in books.ledger if row.event_type != "intent.create"] == ["r"]
        assert not books.parked


def answered(state: str, command_id: str = "r", *, source: str = "gateway", event_id: str = "", **said: Any) -> Record:
    body = {
        "id": str(INTENT_ID),
        "command_id": command_id,
        **({"reason": "closed"} if state == "refused" else {}),
        **said,
    }
    return record(source, event_id or f"{command_id}:{state}", f"command.{state}", body, topic=EVENTS.name)


def test_an_answer_is_taken_from_an_executor_of_the_payment_s_account_alone() -> None:
    known = Known(
        names={("ratchet", "", "", True, "id", str(INTENT_ID)): INTENT_ID},
        payments={INTENT_ID: payment(id=INTENT_ID, provider="stripe", account="acme", client="shop")},
    )
    bound = Endpoints(executors={"gateway": frozenset({"stripe/acme"}), "other": frozenset({"stripe", "adyen/acme"})})
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
    books = PaperBooks()
    for batch in ([answered("accepted")], [answered("accepted")], [answered("done"), answered("done")]):
        books.settle(batch)
    assert (books.ledger, len(books.parked)) == ([], 2)
    books.settle([intent()])
    assert [row.event_type for row in books.ledger] == ["intent.create", "command.accepted", "command.done"]
    books.settle([answered("refused", event_id="r:done")])
    assert [one.reason for one in books.letters] == [Reason.CONFLICT]


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


def test_of_several_answers_to_one_command_the_latest_state_is_written() -> None:
    told = [answered(state) for state in ("done", "refused", "accepted")]
    for order in permutations([*told, answered("refused", "other")]):
        books = PaperBooks()
        plan = books.settle([intent(), *order])
        assert answer_columns(plan.answers) == [
            [INTENT_ID, INTENT_ID], ["other", "r"], ["refused", "done"], ["closed", None],
        ]  # fmt: skip


def test_commands_that_come_before_their_create_wait_and_are_applied_after_it_in_order() -> None:
    books = PaperBooks()
    books.settle([command("capture", "c"), command("refund", "r1")])
    books.settle([command("refund", "r2")])
    assert (books.ledger, len(books.parked)) == ([], 3)
    books.settle([intent()])
    assert not books.parked
    assert [(row.event_type, row.event_id) for row in books.ledger] == [
        ("intent.create", f"{INTENT_ID}:create"),
        ("intent.capture", "c"),
        ("intent.refund", "r1"),
        ("intent.refund", "r2"),
    ]
    assert {row.payment_id for row in books.ledger if row.payment_id} == {books.ledger[0].payment_id}
    assert all(row.payment_id is not None for row in books.ledger)


def test_any_order_in_one_batch_gives_every_command_its_payment() -> None:
    records = [intent(provider_ref="pay_1"), command("capture"), command("refund"), standard("payment.captured")]
    for order in permutations(records):
        books = PaperBooks()
        books.settle(placed(order))
        assert not books.parked
        assert {row.payment_id for row in books.ledger if row.event_type.startswith("intent.")} == {INTENT_ID}


def test_a_command_of_another_client_has_no_effect() -> None:
    for order in permutations([intent(), command("refund", client="mall")]):
        books = PaperBooks()
        for one in order:
            books.settle([one])
        assert [(one.reason, one.message) for one in books.letters] == [
            (Reason.CONFLICT, "the payment that the command names is none of client mall's")
        ]
        assert [row.event_type for row in books.ledger] == ["intent.create"]
        assert not books.parked
