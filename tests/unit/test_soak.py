"""A soak: what it posts is what it says, a figure that creeps is found, and the page says what a run's file holds."""

from __future__ import annotations

import itertools
from dataclasses import replace
from random import Random

import pytest
from soak import others
from soak.page import Run, Series, page_of
from soak.sampling import buckets_of, quantile, since
from soak.slopes import Point, after_warm_up, later_half, per_event, slope_of
from soak.traffic import OTHER_FAULTS, Mixed
from soak_run import END, HEAD, look

from ops.sample.post import Fault
from producers.providers import names, verify
from schemas.errors import SignatureRejected


def verified(post: object) -> list[object]:
    sealed = others.seal(post)  # type: ignore[arg-type]
    return list(
        verify(
            post.provider,  # type: ignore[attr-defined]
            headers=sealed.headers,
            body=sealed.body,
            url=others.PUBLIC_URL + sealed.path,
            secrets=[others.OTHERS[post.provider].secret],  # type: ignore[attr-defined]
            now=0,
        )
    )


def test_every_provider_takes_part() -> None:
    assert others.OTHERS.keys() | {"stripe", "adyen", "standard_webhooks"} == set(names())


@pytest.mark.parametrize("provider", others.GENUINE)
def test_a_genuine_post_is_verified_and_has_events_of_its_own(provider: str) -> None:
    lives = [others.live(Random(number), provider) for number in range(3)]
    keys = [event.key for life in lives for post in life.posts for event in post.events]
    assert all(verified(post) for life in lives for post in life.posts)
    assert len(keys) == len(set(keys)) > 0


@pytest.mark.parametrize("provider", sorted(others.OTHERS))
@pytest.mark.parametrize("fault", OTHER_FAULTS)
def test_a_broken_seal_is_refused(provider: str, fault: Fault) -> None:
    if provider in others.ONLY_FORGED and fault is not Fault.FORGED:
        pytest.skip("its seal covers no body")
    for post in others.live(Random(1), provider).posts:
        with pytest.raises(SignatureRejected):
            verified(replace(post, fault=fault, hint=False))


def test_the_mix_holds_all_sorts_and_tells_each_payment_to_its_end() -> None:
    mixed = Mixed(Random(7), 1_790_000_000)
    posts = list(itertools.islice(mixed.posts(), 2000))
    posts += mixed.rest()
    assert {post.fault for post in posts} == {None, *Fault}
    assert any(post.duplicate for post in posts)
    assert any(post.hint for post in posts)
    taken = {event.key for post in posts if post.fault is None for event in post.events}
    assert all(event.key in taken for payment in mixed.ended for post in payment.posts for event in post.events)
    assert {payment.provider for payment in mixed.ended} == set(others.GENUINE)


def line(slope: float, *, life: int = 0, level: float = 100.0, start: int = 0, noise: float = 0.5) -> list[Point]:
    rng = Random(3)
    return [
        Point(60.0 * minute, level + slope * (minute - start) / 60 + rng.uniform(-noise, noise), life)
        for minute in range(start, start + 60)
    ]


def test_a_figure_that_creeps_is_kept_apart_from_one_that_does_not() -> None:
    rising, flat = slope_of(after_warm_up(line(5.0))), slope_of(after_warm_up(line(0.0)))
    assert rising is not None
    assert flat is not None
    assert rising.per_hour == pytest.approx(5.0, abs=0.5)
    assert rising.creeps(2.0)
    assert not flat.creeps(2.0)
    assert not flat.undecided(2.0)


def test_what_is_too_uneven_is_not_decided() -> None:
    found = slope_of(after_warm_up(line(2.0, noise=20.0)))
    assert found is not None
    assert found.undecided(2.0)


def test_each_life_of_a_process_has_a_level_of_its_own() -> None:
    """A role that is killed at 130 MiB and comes back at 90 has not lost 40: each of its lives creeps by 8 an hour."""
    found = slope_of(after_warm_up([*line(8.0, life=1), *line(8.0, life=2, level=90.0, start=60)]))
    assert found is not None
    assert found.per_hour == pytest.approx(8.0, abs=0.5)


def test_the_warm_up_does_not_count() -> None:
    points = [Point(60.0 * minute, 50.0 if minute < 10 else 100.0, 1) for minute in range(120)]
    assert min(point.value for point in after_warm_up(points)) == 100.0
    later = [Point(60.0 * minute, 50.0 if minute < 70 else 100.0, 1 if minute < 60 else 2) for minute in range(120)]
    assert {point.second for point in after_warm_up(later) if point.life == 2} == {60.0 * one for one in range(70, 120)}


def test_what_rises_at_first_alone_levels_off() -> None:
    points = [Point(60.0 * minute, min(minute, 50) * 1.0, 1) for minute in range(120)]
    whole, later = slope_of(after_warm_up(points)), slope_of(later_half(points))
    assert whole is not None
    assert later is not None
    series = Series("memory", "MiB", 2.0, points)
    assert (whole.creeps(2.0), later.per_hour) == (True, 0.0)
    assert series.verdict(whole, later) == "levels off"
    assert series.verdict(whole, whole) == series.verdict(whole, None) == "**rises**"


def test_too_few_points_have_no_slope() -> None:
    assert slope_of([]) is None
    assert slope_of([Point(60.0 * minute, 1.0) for minute in range(4)]) is None
    assert slope_of([Point(0.0, 1.0) for _ in range(9)]) is None


def test_what_an_event_adds_is_reported_by_halves() -> None:
    assert per_event([(float(n), n * 10.0 if n < 50 else 500 + (n - 50) * 30.0) for n in range(101)]) == (10.0, 30.0)
    assert per_event([(1.0, 1.0)] * 9) is None


def test_a_quantile_is_of_what_came_since_the_look_before() -> None:
    text = 'ratchet_end_to_end_seconds_bucket{le="0.1"} 90.0\nratchet_end_to_end_seconds_bucket{le="+Inf"} 100.0\n'
    before = buckets_of(text)
    now = {0.1: 90.0, 1.0: 290.0, float("inf"): 300.0}
    assert quantile(since({}, before), 0.5) == pytest.approx(0.1 * 50 / 90)
    assert since(before, {0.1: 1.0, float("inf"): 2.0}) == {0.1: 1.0, float("inf"): 2.0}
    assert quantile(since({0.1: 90.0, 1.0: 90.0, float("inf"): 100.0}, now), 0.5) == pytest.approx(0.1 + 0.9 * 0.5)
    assert quantile({}, 0.99) is None


def test_the_page_names_what_creeps_and_what_the_ledger_check_says() -> None:
    text = page_of(Run(HEAD, [look(minute) for minute in range(120)], END))
    rows = {row.split(" | ")[0].strip("| "): row for row in text.splitlines() if row.startswith("|")}
    assert "+60.00 ± 0.00 | +60.00 ± 0.00 | **rises**" in rows["memory of consumer"]
    assert rows["open files of consumer"].endswith("no leak |")
    assert rows["p99 from record to row"].endswith("too short to tell |")
    assert rows["CPU of consumer an event"].startswith("| CPU of consumer an event | ms | 6.00 | 6.00 |")
    assert rows["`payments`"].endswith("| 50 | 50 | as many as events |")
    assert rows["`payments.webhooks`"].endswith("| 10 | 40 | **faster than events** |")
    assert "nothing was lost, nothing has its effect twice" in text
    assert "relay 1" in text
    broken = page_of(Run(HEAD, [look(1)], {**END, "problems": ["event 1 stands nowhere"], "problems_all": 1}))
    assert "**1 PROBLEMS**.\n\n- event 1 stands nowhere\n" in broken
    assert "broken off" in page_of(Run(HEAD, [], None))
