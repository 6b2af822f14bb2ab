"""The client's executor without brokers: what it answers, what it begins, in which order, and what it leaves."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from ratchet_client.execute import Carrying, Executor, Refused, answer_id, decoded
from ratchet_client.ordered import Retry
from schemas.events import ANSWERS
from schemas.record import EVENT_ID_LENGTH_MAX

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ratchet_client.types import CommandRecord

pytestmark = pytest.mark.unit

PLACE = "payments.commands-0"


def record(offset: int, command_id: str, payment: str = "p1", *, seconds: float = 60.0, **more: Any) -> Any:
    expires = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
    value = {
        "id": command_id, "payment_id": payment, "attempt_id": f"{payment}-a", "client": "shop", "command": "refund",
        "provider": "stripe", "account": "", "merchant_account": "", "livemode": True, "provider_ref": "pi_1",
        "reference": None, "currency": "EUR", "amount": 5, "reason": None, "metadata": None,
        "asked_at": "2026-01-01T00:00:00+00:00", "expires_at": expires.isoformat(), "later": [1],
    } | more  # fmt: skip
    return SimpleNamespace(
        topic="payments.commands", partition=0, offset=offset, key=payment.encode(), value=json.dumps(value).encode()
    )


class Answers:
    """A publisher that keeps what it is given."""

    def __init__(self) -> None:
        self.reported: list[tuple[str, str, str | None]] = []

    async def send(self, sent: Any) -> None:
        kind = sent.headers["ce_type"]
        ANSWERS[kind].model_validate(sent.value | {"id": "01890000-0000-7000-8000-000000000001"})
        assert (sent.topic, sent.key, sent.headers["ce_source"]) == ("events", sent.value["id"], "gateway")
        assert sent.headers["ce_id"] == f"{sent.value['command_id']}:{kind.removeprefix('command.')}"
        self.reported.append((sent.value["command_id"], kind.removeprefix("command."), sent.value.get("reason")))


class Topic:
    """A consumer's commits."""

    def __init__(self, **_: Any) -> None:
        self.committed: dict[str, int] = {}

    async def commit(self, offsets: dict[str, int]) -> None:
        self.committed |= offsets


@pytest.fixture
def carrying(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Carrying]:
    monkeypatch.setattr("ratchet_client.join.AIOKafkaConsumer", Topic)

    def make(carry_out: Callable[[CommandRecord], Awaitable[None]], *accounts: str, **more: Any) -> Carrying:
        retry = Retry(pause_seconds=0.0)
        executor = Executor("b:9092", "gateway", "gateway", accounts or ("stripe",), carry_out, retry=retry, **more)
        return Carrying(executor, Answers())

    return make


async def finish(run: Carrying, *records: Any) -> list[tuple[str, str, str | None]]:
    for one in records:
        run._begin(PLACE, one)
    await asyncio.gather(*run._tasks([PLACE]))
    await run._commit([PLACE])
    reported: list[tuple[str, str, str | None]] = run._publisher.reported
    return reported


async def test_what_is_done_refused_and_unknown_is_answered_so(carrying: Any) -> None:
    calls: list[tuple[str, str | None, str]] = []

    async def carry_out(command: CommandRecord) -> None:
        calls.append((command.id, command.provider_ref, command.attempt_id))
        if command.id == "no":
            raise Refused(" the card is closed ")
        if len([one for one in calls if one[0] == "late"]) in {1, 2}:
            raise TimeoutError

    run = carrying(carry_out)
    reported = await finish(run, record(0, "yes", "p1"), record(1, "no", "p2"), record(2, "late", "p3"))
    by_command = {name: [(state, reason) for one, state, reason in reported if one == name] for name, _, _ in reported}
    assert by_command == {
        "yes": [("accepted", None), ("done", None)],
        "no": [("accepted", None), ("refused", "the card is closed")],
        "late": [("accepted", None), ("done", None)],
    }
    assert sorted(calls) == sorted([("yes", "pi_1", "p1-a"), ("no", "pi_1", "p2-a"), *[("late", "pi_1", "p3-a")] * 3])
    assert run._consumer.committed == {PLACE: 3}


async def test_commands_of_a_payment_wait_for_each_other(carrying: Any) -> None:
    begun: list[str] = []
    released = asyncio.Event()

    async def carry_out(command: CommandRecord) -> None:
        begun.append(command.id)
        if command.id == "first":
            await released.wait()

    run = carrying(carry_out)
    for one in (record(0, "first"), record(1, "second"), record(2, "other", "p2")):
        run._begin(PLACE, one)
    while "other" not in begun:  # noqa: ASYNC110 - a bound is the test's own
        await asyncio.sleep(0)
    await run._commit([PLACE])
    assert (begun, run._consumer.committed) == (["first", "other"], {PLACE: 0}), "not past what is open"
    released.set()
    assert [name for name, state, _ in await finish(run) if state == "done"] == ["other", "first", "second"]
    assert run._consumer.committed == {PLACE: 3}


async def test_nobody_begins_what_has_expired_or_calls_again_after_it(carrying: Any) -> None:
    calls: list[str] = []

    async def carry_out(command: CommandRecord) -> None:
        calls.append(command.id)
        raise ConnectionError

    run = carrying(carry_out)
    reported = await finish(run, record(0, "late", seconds=-1), record(1, "soon", "p2", seconds=0.05))
    assert ("late" in calls, calls.count("soon") > 0) == (False, True)
    assert reported == [("soon", "accepted", None)], "nobody knows what became of it"
    assert run._consumer.committed == {PLACE: 2}


async def test_only_commands_of_its_accounts_and_its_mode_are_carried_out(carrying: Any) -> None:
    calls: list[str] = []

    async def carry_out(command: CommandRecord) -> None:
        calls.append(command.id)

    run = carrying(carry_out, "stripe", "adyen/acme", livemode=True)
    await finish(
        run,
        record(0, "ours"), record(1, "account", account="acme"), record(2, "adyen", provider="adyen"),
        record(3, "acme", provider="adyen", account="acme"), record(4, "test", livemode=False),
    )  # fmt: skip
    assert calls == ["ours", "acme"]


async def test_what_is_open_is_left_to_whoever_gets_its_partition(carrying: Any) -> None:
    async def carry_out(command: CommandRecord) -> None:
        if command.id == "open":
            await asyncio.Event().wait()

    run = carrying(carry_out)
    for one in (record(4, "done", "p1"), record(5, "open", "p2"), record(6, "also", "p3")):
        run._begin(PLACE, one)
    while ("also", "done", None) not in run._publisher.reported:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0)
    await asyncio.wait_for(run.on_partitions_revoked([PLACE]), 10)
    assert run._consumer.committed == {PLACE: 5}
    assert run._tasks([PLACE]) == []


async def test_a_partition_goes_once_what_was_begun_has_ended(carrying: Any) -> None:
    """Else whoever gets it begins the command again while this one is still at the provider."""
    happened: list[str] = []
    begun = asyncio.Event()

    async def carry_out(_: CommandRecord) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            for _turn in range(5):
                await asyncio.sleep(0)
            happened.append("ended")

    run = carrying(carry_out)
    run._begin(PLACE, record(4, "open"))
    await asyncio.wait_for(begun.wait(), 10)
    await asyncio.wait_for(run.on_partitions_revoked([PLACE]), 10)
    assert (happened, run._consumer.committed) == (["ended"], {PLACE: 4})


@pytest.mark.parametrize("value", [None, b"", b"{", b"[]", b'{"id": "x"}'])
def test_what_is_no_command_names_its_place(value: bytes | None) -> None:
    with pytest.raises(ValueError, match=r"payments\.commands, partition 2, offset 7: no command"):
        decoded(SimpleNamespace(topic="payments.commands", partition=2, offset=7, value=value))


def test_an_answer_has_one_id_whenever_it_is_given() -> None:
    assert answer_id("c-1", "done") == "c-1:done"
    long = "x" * EVENT_ID_LENGTH_MAX
    assert answer_id(long, "done") == answer_id(long, "done") != answer_id(long, "accepted")
    assert len(answer_id(long, "done")) <= EVENT_ID_LENGTH_MAX
