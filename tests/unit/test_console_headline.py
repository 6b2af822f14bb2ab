"""What the board says first, and what its chart draws."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from ops.console.board_poller import BoardLook, Queues
from ops.console.chart import HEIGHT, LEAST, WIDTH, chart
from ops.console.headline import incidents, worries
from ops.console.outcomes import ORDER, SPANS, Minute, Outcomes
from ops.console.refusals import refused, since
from ops.status import RoleState, RoleStatus

pytestmark = pytest.mark.unit

NOW = dt.datetime(2026, 11, 23, 3, 10, 30, tzinfo=dt.UTC)
RUNNING = (RoleStatus("ingress", 1, RoleState.RUNNING),)
QUIET = Queues(outbox=0, spool=0, spool_since=None, parked=0, parked_until=None)
WELL = BoardLook(NOW, 2.0, {"applied": 10}, {"payments.webhooks": 0}, 0.0, QUIET, {}, RUNNING, ())
MINUTE = dt.timedelta(minutes=1)


def minute(ago: int, provider: str, outcome: str, events: int, detail: str = "") -> Minute:
    return Minute(NOW.replace(second=0) - ago * MINUTE, provider, outcome, detail, events)


def broken(first: int, last: int, dead: int, applied: int, reason: str = "undecodable") -> list[Minute]:
    """Return minutes in which Adyen's events fail, from `first` to `last` minutes ago."""
    return [
        one
        for ago in range(first, last - 1, -1)
        for one in (minute(ago, "adyen", "dead_letter", dead, reason), minute(ago, "adyen", "applied", applied))
    ]


def reported(*minutes: Minute, **change: Any) -> list[str]:
    look = replace(WELL, outcomes=Outcomes({}, tuple(minutes)), **change)
    return [worry.text for worry in worries(look)]


class TestTheSentence:
    def test_which_provider_since_when_how_many_of_how_many_and_why(self) -> None:
        healthy = [minute(ago, "adyen", "applied", 50) for ago in range(90, 30, -1)]
        (incident,) = incidents([*healthy, *broken(30, 1, 40, 4)], NOW)
        assert incident.worry(NOW).text == (
            "Adyen's webhooks have become dead letters since 02:40 UTC: 1,200 of 1,320, all undecodable"
        )
        assert incident.worry(NOW).link == (
            "/dead-letters?provider=adyen&since=2026-11-23T02%3A40Z&status=open&reason=undecodable"
        )

    def test_a_provider_whose_name_says_webhooks(self) -> None:
        (text,) = reported(*[minute(ago, "standard_webhooks", "dead_letter", 40) for ago in range(20, 0, -1)])
        assert text.startswith("Standard webhooks have become dead letters since")

    def test_several_reasons(self) -> None:
        (text,) = reported(*broken(5, 3, 30, 0), *broken(2, 1, 10, 0, "conflict"))
        assert text.endswith("110 of 110, most of them undecodable (90)")

    def test_the_day_is_named_where_it_is_another_one(self) -> None:
        (text,) = reported(*broken(5 * 60, 1, 5, 0))
        assert "since 2026-11-22 22:10 UTC" in text

    def test_one_failure_among_many_events_is_no_incident(self) -> None:
        assert reported(minute(1, "adyen", "dead_letter", 1, "conflict"), minute(1, "adyen", "applied", 500)) == []

    def test_requests_of_no_provider_are_none_either(self) -> None:
        assert reported(minute(1, "none", "refused", 50, "unknown_provider")) == []

    def test_what_ended_is_none_either(self) -> None:
        assert reported(*broken(60, 15, 40, 4)) == []

    def test_an_earlier_one_is_another_one(self) -> None:
        (incident,) = incidents([*broken(200, 150, 9, 0), *broken(10, 1, 9, 0)], NOW)
        assert (incident.since, incident.failed) == (NOW.replace(second=0) - 10 * MINUTE, 90)

    def test_a_minute_without_failures_between_two_does_not_end_it(self) -> None:
        (incident,) = incidents([*broken(10, 8, 9, 1), minute(7, "adyen", "applied", 9), *broken(6, 1, 9, 1)], NOW)
        assert (incident.since, incident.failed, incident.total) == (NOW.replace(second=0) - 10 * MINUTE, 81, 99)

    def test_dead_letters_come_before_refusals_and_the_larger_first(self) -> None:
        minutes = (
            minute(1, "stripe", "refused", 900, "signature"),
            minute(1, "mollie", "dead_letter", 3, "orphan"),
            minute(1, "adyen", "dead_letter", 30, "orphan"),
            minute(1, "intents", "conflict", 5),
        )
        assert reported(*minutes) == [
            "Adyen's webhooks have become dead letters since 03:09 UTC: 30 of 30, all orphan",
            "Mollie's webhooks have become dead letters since 03:09 UTC: 3 of 3, all orphan",
            "Stripe's webhooks have been refused at the ingress since 03:09 UTC: 900 of 900, all signature",
            "Intents of clients have contradicted what is known since 03:09 UTC: 5 of 5",
        ]

    def test_it_keeps_its_key_while_its_figures_grow(self) -> None:
        first, second = broken(5, 2, 9, 0), broken(5, 1, 9, 0)
        keys = {incidents(minutes, NOW)[0].worry(NOW).key for minutes in (first, second)}
        assert len(keys) == 1


class TestOtherWorries:
    def test_all_is_well(self) -> None:
        assert worries(WELL) == []
        assert reported() == []

    @pytest.mark.parametrize(
        ("change", "text"),
        [
            ({"roles": (RoleStatus("relay"),)}, "relay is down"),
            ({"roles": (RoleStatus("relay", 1, RoleState.UNREADY, reason="no lease"),)}, "relay is unready: no lease"),
            ({"oldest_seconds": 31.0}, "an accepted event has waited for 31 s for the consumer"),
            ({"problems": ("Kafka does not answer",)}, "Kafka does not answer"),
            ({"letters": {"orphan": 1}}, "1 dead letter is open"),
            (
                {"letters": {"orphan": 2}, "letters_since": (NOW - 90 * MINUTE, NOW - 2 * MINUTE)},
                "2 dead letters are open, the oldest for 1 h 30 min, the newest for 2 min",
            ),
        ],
    )
    def test_a_worry_is_named(self, change: dict[str, Any], text: str) -> None:
        assert reported(**change) == [text]

    def test_open_letters_are_reported_behind_what_goes_wrong_now(self) -> None:
        texts = reported(*broken(5, 1, 9, 0), letters={"undecodable": 45}, letters_since=(NOW, NOW))
        assert [text[:18] for text in texts] == ["Adyen's webhooks h", "45 dead letters ar"]
        assert "the newest" not in texts[1]

    def test_nothing_is_reported_of_what_is_not_known(self) -> None:
        blind = replace(WELL, processed=None, lag=None, oldest_seconds=None, queues=None, letters=None)
        assert blind.rate is None
        assert worries(blind) == []
        assert replace(WELL, seconds=0.0).rate is None, "the first look has no time behind it"


class TestTheChart:
    def test_a_column_stands_where_its_time_is_and_is_as_high_as_its_events(self) -> None:
        span = SPANS[0]
        first, last = span.begins(NOW), NOW.replace(second=0)
        counts = {(first, "applied"): 50, (last, "applied"): 99, (last, "dead_letter"): 1}
        drawn = chart(counts, span, NOW)
        assert drawn.highest == 100
        assert [(column.began_at, column.total) for column in drawn.columns] == [(first, 50), (last, 100)]
        assert [column.x for column in drawn.columns] == [0, WIDTH * 4 / 5]
        applied, dead = drawn.columns[1].blocks
        assert (applied.outcome, dead.outcome) == ("applied", "dead_letter")
        assert dead.height > LEAST
        assert round(dead.y, 1) == 0.0
        assert round(applied.y + applied.height, 1) == HEIGHT

    @pytest.mark.parametrize("span", SPANS)
    def test_nothing_was_counted(self, span: Any) -> None:
        drawn = chart({}, span, NOW)
        assert (drawn.columns, drawn.highest) == ((), 0)
        assert 4 < len(drawn.ticks) < 9

    def test_the_spans_are_as_long_as_they_are_called(self) -> None:
        assert [span.seconds * span.columns for span in SPANS] == [300, 24 * 3600, 7 * 24 * 3600]
        assert SPANS[2].begins(NOW) == dt.datetime(2026, 11, 16, 4, tzinfo=dt.UTC)

    def test_totals_are_of_the_whole_span(self) -> None:
        counted = Outcomes({"5m": {(NOW, "applied"): 2, (NOW - MINUTE, "applied"): 3, (NOW, "late"): 1}}, ())
        assert counted.totals("5m") == dict.fromkeys(ORDER, 0) | {"applied": 5, "late": 1}


def test_refusals_are_read_from_the_metrics_of_the_ingress() -> None:
    page = (
        "# TYPE ratchet_ingress_refusals_total counter\n"
        'ratchet_ingress_refusals_total{provider="stripe",reason="signature"} 7.0\n'
        'ratchet_ingress_refusals_total{provider="none",reason="unknown"} 1.0\n'
        "# TYPE other_total counter\nother_total 5.0\n"
    )
    counts = refused(page)
    assert counts == {("stripe", "signature"): 7, ("none", "unknown"): 1}
    assert since({("stripe", "signature"): 5, ("none", "unknown"): 1}, counts) == [("stripe", "signature", 2)]
