"""The comparison after a load: silent where all is well, and each thing that can be wrong is reported."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest
from load import journal
from load.compare import Effects, reconcile
from load.journal import CAPTURE, CREATE, WEBHOOK, Answer
from load.run import figures_of, parsed, percentile
from load.traffic import Traffic

from ops.reconciliation import StoredRows

if TYPE_CHECKING:
    from load.compare import Verdict

pytestmark = pytest.mark.unit

TRAFFIC = Traffic(seed=7, now=1_790_000_000)
LIFE = TRAFFIC.life(0)
EVENTS = [event.key for post in LIFE.posts for event in post.events]
WISH = TRAFFIC.wish(1)
PAYMENT = "0199aaaa-0000-7000-8000-000000000001"
ROW = (
    asdict(LIFE.end)
    | {"flags": list(LIFE.end.flags), "merchant_account": LIFE.merchant_account, "livemode": LIFE.livemode is not False}
    | {"version": 2, "rows": 2, "lowest": 1, "highest": 2}
)


def hook(place: int, status: int = 202, **more: Any) -> Answer:
    return Answer(WEBHOOK, 0, status, place, accepted=len(LIFE.posts[place].events), **more)


def asked(what: str, status: int = 202, **more: Any) -> Answer:
    reported: dict[str, Any] = {"key": WISH.create_key, "payment": PAYMENT, "digest": what}
    return Answer(what, 1, status, **reported | more)


HOOKS = [hook(place) for place in range(len(LIFE.posts))]
ALL = [*HOOKS, asked(CREATE), asked(CAPTURE)]


def stored() -> StoredRows:
    return StoredRows(dict.fromkeys(EVENTS, "applied"), payments={(LIFE.provider, LIFE.provider_ref): dict(ROW)})


def effects() -> Effects:
    return Effects(Counter([(PAYMENT, CREATE), (PAYMENT, CAPTURE)]), {WISH.reference: [PAYMENT]})


def drawn(
    answers: list[Answer] | None = None, found: StoredRows | None = None, of: Effects | None = None, **left: int
) -> Verdict:
    return reconcile(ALL if answers is None else answers, TRAFFIC, found or stored(), of or effects(), left)


def reports(*words: str, **what: Any) -> None:
    """Assert that there is one problem, and that it says so."""
    verdict = drawn(**what)
    assert not verdict.good
    (problem,) = verdict.problems
    assert all(word in problem for word in words), problem


def test_silent_where_all_is_well() -> None:
    again = [hook(0), asked(CREATE), asked(CAPTURE)]
    verdict = drawn([*ALL, *again, hook(1, 503, retry_after="2"), asked(CAPTURE, 429, retry_after="1")])
    assert verdict.good
    assert (verdict.requests, verdict.taken) == (len(ALL) + 5, len(ALL) + 3)
    assert (verdict.refused, verdict.duplicates) == ({"429": 1, "503": 1}, len(LIFE.posts[0].events))
    assert (verdict.intents, verdict.captures, verdict.outcome["applied"]) == (1, 1, len(EVENTS))


def test_a_lost_event() -> None:
    found = stored()
    del found.ledger[EVENTS[0]]
    reports(EVENTS[0][1], "stands nowhere", found=found)


def test_an_event_that_waits_although_all_is_there() -> None:
    found = stored()
    del found.ledger[EVENTS[0]]
    found.parked.add(EVENTS[0])
    reports(EVENTS[0][1], "parked", found=found)
    assert drawn([*HOOKS[:-1], hook(len(HOOKS) - 1, 503, retry_after="2")], found).good, "not all of the life is there"


def test_an_event_with_two_effects() -> None:
    found = stored()
    found.parked.add(EVENTS[0])
    reports(EVENTS[0][1], "parked as well", found=found)
    found = stored()
    found.payments[LIFE.provider, LIFE.provider_ref]["amount"] *= 2
    reports(LIFE.provider_ref, "amount", found=found)


@pytest.mark.parametrize("status", [400, 401, 404, 408, 409, 413, 429, 500, 502, 504])
def test_a_webhook_refused_otherwise_than_503(status: int) -> None:
    reports(f"webhook 0.1 was answered {status}", answers=[*ALL, hook(1, status, retry_after="2")])


@pytest.mark.parametrize("status", [400, 404, 422, 500, 502])
def test_an_intent_refused_in_a_way_nobody_promised(status: int) -> None:
    reports(f"create 1.0 was answered {status}", answers=[*ALL, asked(CREATE, status, retry_after="2")])


@pytest.mark.parametrize("value", [None, "", "soon", "-1"])
def test_a_503_without_a_time_to_come_again(value: str | None) -> None:
    reports("503", "Retry-After", answers=[*ALL, hook(1, 503, retry_after=value)])


def test_a_request_that_nobody_answered() -> None:
    reports("was not answered (reset)", answers=[*ALL, Answer(WEBHOOK, 0, 0, error="reset")])


@pytest.mark.parametrize("what", [CREATE, CAPTURE])
@pytest.mark.parametrize("times", [0, 2])
def test_an_intent_lost_or_doubled(what: str, times: int) -> None:
    of = effects()
    of.events[PAYMENT, what] = times
    reports(f"{what} 1", f"stands {times} times", of=of)


@pytest.mark.parametrize("ids", [[], [PAYMENT, "another"], ["another"]])
def test_an_intent_without_its_one_payment(ids: list[str]) -> None:
    reports(WISH.reference, of=Effects(effects().events, {WISH.reference: ids}))


def test_two_bodies_under_one_key() -> None:
    reports("different bodies", answers=[*ALL, asked(CREATE, digest="other")])


def test_something_left_on_the_way() -> None:
    reports("spool: 3", spool=3)


def test_an_answer_survives_its_line_and_a_torn_one_is_not_there() -> None:
    lines = [journal.line_of(answer) for answer in ALL]
    assert list(journal.read([*lines, lines[0][:-5]])) == ALL


def test_what_an_answer_says() -> None:
    found = journal.of_webhook(4, 2, 202, {"Retry-After": "1"}, b'{"accepted": 3}')
    assert found == Answer(WEBHOOK, 4, 202, 2, "1", 3)
    assert journal.of_webhook(4, 2, 500, {}, b"no json").accepted == 0
    created = journal.of_intent(CREATE, 9, "key", 202, {}, b'{"id": "x"}')
    assert (created.payment, created.key, len(created.digest)) == ("x", "key", 64)
    assert journal.of_intent(CREATE, 9, "key", 503, {}, b"[]").payment == ""


def test_the_same_seed_posts_the_same() -> None:
    same, other = Traffic(TRAFFIC.seed, TRAFFIC.now), Traffic(8, TRAFFIC.now)
    assert same.deliveries(3) == TRAFFIC.deliveries(3) != other.deliveries(3)
    assert same.wish(3) == TRAFFIC.wish(3) != other.wish(3)
    assert {delivery.place for delivery in same.deliveries(3)} == set(range(len(same.life(3).posts)))
    assert len({TRAFFIC.life(number).provider for number in range(40)}) == 3


def test_the_figures_of_a_run() -> None:
    entry = {"name": "webhook", "start_time": 10.0, "last_request_timestamp": 20.0}
    entries = [entry | {"response_times": {"5": 98, "40": 2}}, entry | {"name": "intent", "response_times": {"7": 100}}]
    webhook, _, everything = figures_of(entries)
    assert (webhook["requests"], webhook["per_second"]) == (100, 10.0)
    assert [webhook[f"p{share}_ms"] for share in (50, 95, 99, 100)] == [5, 5, 40, 40]
    assert (everything["name"], everything["requests"], everything["p50_ms"]) == ("all", 200, 7)
    assert percentile({}, 0.5) == 0


@pytest.mark.parametrize("words", [["--shape", "flat"], ["--seconds", "0"], ["--users", "0"], ["--users", "501"]])
def test_wrong_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        parsed(words)
    assert left.value.code == 2
    assert capsys.readouterr().err
