"""The benchmark's arithmetic: figures, ratios, chart, workload, floor, memory."""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from consumer.decode import decoded
from consumer.fold import newer, project
from consumer.verdict import Dead
from ops.bench import backlog, chart, contenders, figures, floor, http_load, latency, scale, table, usage
from ops.bench.figures import Round
from ops.bench.workload import NO_ORDERS, make_hot_workload, make_orders, make_workload
from producers.providers import verify
from runtime.sql import statement

if TYPE_CHECKING:
    from pathlib import Path

    from schemas.payment import Facts

pytestmark = pytest.mark.unit


def measured(rate: float, records: int = 1000) -> Round:
    return Round(records, records / rate, {"process": 0.1, "postgres": 0.2, "kafka": 0.01}, 50.0)


def document() -> dict[str, Any]:
    rounds = {
        "naive": [measured(400), measured(500), measured(450)],
        "faststream": [measured(300)] * 3,
        "faststream-workers": [measured(900)] * 3,
        "ratchet": [measured(9000)] * 3,
        "ratchet-2p": [measured(13500)] * 3,
        "floor-2": [measured(20000)] * 3,
    }
    return figures.report(rounds)


def test_a_report_has_median_range_and_the_cpu_of_each_server() -> None:
    naive = document()["contenders"]["naive"]
    assert naive["events_per_second"] == {"median": 450.0, "min": 400.0, "max": 500.0}
    assert naive["cpu_microseconds_per_event"]["median"] == 100.0
    assert {who: one["median"] for who, one in naive["cpu_microseconds_per_event_by"].items()} == {
        "process": 100.0,
        "postgres": 200.0,
        "kafka": 10.0,
    }


def test_ratios_take_the_best_of_ours_and_of_theirs() -> None:
    ratios = document()["ratios"]
    assert ratios["ratchet/naive"] == 20.0
    assert ratios["best/naive"] == 30.0
    assert ratios["best/faststream"] == 15.0
    assert ratios["best/floor-2"] == 0.68
    assert ratios["ratchet/floor-2"] == 0.45
    assert "naive/naive" not in ratios


def test_naive_alone_has_no_ratios() -> None:
    assert figures.report({"naive": [measured(400)]})["ratios"] == {}


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0), (0.001, 1.0)])
def test_a_quantile_is_the_nearest_rank(share: float, expected: float) -> None:
    assert figures.quantile([float(value) for value in range(100, 0, -1)], share) == expected


def test_contenders_are_chosen_beside_naive() -> None:
    assert [one.name for one in contenders.chosen(["ratchet-4"], sweep=False)] == ["naive", "ratchet-4"]
    assert contenders.chosen(None, sweep=False) == contenders.STANDARD
    assert {one.name for one in contenders.chosen(None, sweep=True)} >= {"ratchet-batch-100", "ratchet-batch-5000"}


def test_what_is_shipped_runs_once() -> None:
    same = [one.name for one in contenders.STANDARD + contenders.SWEEP if contenders.same_as_shipped(one, 2, 1000)]
    assert same == ["ratchet-2", "ratchet-batch-1000"]


def test_bars_tell_median_range_and_ratio() -> None:
    naive, *_, ours, floor_bar = chart.bars(document())
    assert (naive.rate, naive.below, naive.above, naive.label) == (450.0, 50.0, 50.0, "450  (1.0x)")
    assert ours.label == "13,500  (30.0x)"
    assert len({naive.colour, ours.colour, floor_bar.colour}) == 3


def test_a_row_of_the_table_has_a_cell_a_column(capsys: pytest.CaptureFixture[str]) -> None:
    found = document()
    row = table.cells("ratchet", found["contenders"]["ratchet"], 20.0)
    assert len(row) == len(table.COLUMNS)
    assert row[2] == "9,000"
    table.show(found)
    assert "best/faststream 15.00" in capsys.readouterr().out


def test_a_hot_workload_is_one_payments_and_legal() -> None:
    workload = make_hot_workload(2000, 1, 0.9, 20)
    keys = Counter(record.key for record in workload.records)
    _, hottest = keys.most_common(1)[0]
    assert hottest / len(workload.records) == pytest.approx(0.9, abs=0.02)
    assert len(workload.records) >= 2000
    ids = Counter(
        dict(record.headers)["ce_id"] for record in workload.records if record.key == keys.most_common(1)[0][0]
    )
    assert max(ids.values()) == 1


def test_parts_of_a_backlog_share_no_event() -> None:
    one, other = make_workload(3000, 1), make_workload(3000, 2)
    ids = [{dict(record.headers)["ce_id"] for record in workload.records} for workload in (one, other)]
    assert not ids[0] & ids[1]
    tables = backlog.Tables()
    tables.add(one)
    tables.add(other)
    assert tables.whole().events == one.events + other.events
    assert tables.records == len(one.records) + len(other.records)


def test_nothing_comes_late_where_nothing_may() -> None:
    seen: set[bytes] = set()
    for record in make_workload(1000, 3, late_share=0.0).records:
        if b"charge.refund.updated" in record.value:
            assert record.key in seen, "its payment was opened before"
        seen.add(record.key)


def test_what_the_events_of_a_workload_come_to_is_what_it_expects() -> None:
    workload = make_workload(2000, 1)
    facts: dict[str, Facts] = defaultdict(dict)
    for record in floor.split(workload.records, 1)[0]:
        _, event = decoded(record)
        if not isinstance(event, Dead):
            ref = next(ref.ref for ref in event.meaning.refs if ref.ref in workload.ends)
            facts[ref] |= newer(facts[ref], event.meaning.facts)
    rows = {ref: project(known) for ref, known in facts.items()}
    for ref, end in workload.ends.items():
        row = rows[ref]
        assert (row.status, row.authorized, row.captured, row.refunded) == (
            end.status, end.authorized, end.captured, end.refunded,
        )  # fmt: skip


def test_orders_are_placed_for_a_share_of_the_payments() -> None:
    workload = make_workload(1000, 1)
    orders = make_orders(workload, 0.5)
    assert len(orders.records) == len(workload.ends) // 2
    owned = [event.meaning.ownership for _, event in map(decoded, orders.records) if not isinstance(event, Dead)]
    references = [one.reference for one in owned if one is not None]
    assert set(references) < set(workload.references.values())
    assert len(references) == len(orders.records)
    assert make_orders(workload, 0.0) == NO_ORDERS


def test_shares_share_no_key() -> None:
    dealt = floor.split(make_workload(500, 1).records, 2)
    keys = [{record.key for record in share} for share in dealt]
    assert not keys[0] & keys[1]
    assert [record.offset for record in dealt[0]] == list(range(len(dealt[0])))


def test_parked_events_are_named_as_this_run_names_them() -> None:
    delete, move, find = (statement("consumer", name) for name in ("delete_parked", "move_mark", "find_marked"))
    now = {("parked", 1): 11, ("parked", 2): 12, ("mark", 1): 21}
    assert floor.now_named((delete, [1, 2]), now) == (delete, [11, 12])
    assert floor.now_named((move, 1, 2), now) == (move, 21, 12)
    assert floor.now_named((find, [1], 100), now) == (find, [21], 100)
    assert floor.answered((find, [1], 100), [{"mark_id": 1, "parked_id": 2}]) == [("mark", 1), ("parked", 2)]
    assert floor.answered((delete, [1]), [{"id": 1}]) == []
    assert floor.now_named(("select 1", [1]), now) == ("select 1", [1])


@pytest.mark.parametrize(
    ("samples", "flat"),
    [([50.0] * 20, True), ([float(value) for value in range(50, 70)], False), ([50, 60, 61, 60] * 5, True)],
)
def test_memory_is_flat_or_grows(samples: list[float], *, flat: bool) -> None:
    assert backlog.is_flat(samples) is flat


def test_spent_never_falls_below_zero() -> None:
    assert usage.spent({"kafka": 2.0, "postgres": 1.0}, {"kafka": 1.0, "postgres": 1.5}) == {
        "kafka": 0.0,
        "postgres": 0.5,
    }


def test_rates_are_reported_as_shares_of_the_first() -> None:
    assert scale.summary({"0 rows": [100.0, 110.0, 90.0], "10 rows": [75.0]})["10 rows"]["share_of_first"] == 0.75


def test_latency_runs_from_the_first_202_to_the_row() -> None:
    assert latency.milliseconds({"a": 1.0, "b": 2.0, "poison": 3.0}, {"a": 1.25, "b": 2.5}) == [250.0, 500.0]


def test_what_a_path_carries_runs_from_the_first_202_to_the_last_row() -> None:
    accepted = {"a": 10.0, "b": 11.0, "poison": 11.5, "c": 12.0}
    assert latency.carried_rate(accepted, {"a": 10.5, "b": 11.5, "c": 13.0, "of the warm-up": 99.0}) == 1.0


def test_latency_is_measured_at_a_tenth_of_what_each_path_carries(tmp_path: Path) -> None:
    bench = tmp_path / "bench.json"
    assert latency.processed_rate(bench) == latency.RATE_UNKNOWN
    bench.write_text('{"contenders": {"ratchet": {"events_per_second": {"median": 9000}}}}')
    carried, asked = {"naive": 400.0, "ratchet": 2500.0}, argparse.Namespace(rate=None, naive_rate=None)
    planned = {plan.name: plan.rate for plan in latency.plans(carried, latency.processed_rate(bench), asked)}
    assert planned == {
        "naive": 40.0,
        "ratchet": 250.0,
        "ratchet at naive's pace": 40.0,
        "ratchet, a tenth of its consumer's rate": 900.0,
    }


def test_the_sender_signs_what_the_ingress_takes() -> None:
    ((event_id, raw),) = http_load.requests_of(make_workload(1, 5).records[:1], "127.0.0.1:1", 1_790_000_000)
    head, _, body = raw.partition(http_load.HEAD_END)
    lines = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    headers = {name.lower(): [value] for name, value in lines.items()}
    (found,) = verify("stripe", headers=headers, body=body, url="", secrets=[http_load.SECRET], now=1_790_000_000)
    assert found.event_id == event_id
    assert int(lines["Content-Length"]) == len(body)
