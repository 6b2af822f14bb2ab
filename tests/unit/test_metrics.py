"""The catalogue: documented, well named, cheap, and right about what a batch came to."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiokafka import TopicPartition
from events import placed, standard

from consumer import tally as tallying
from consumer.ledger import LedgerEntry
from consumer.partition_reports import show_lag
from consumer.plan import Letter, Plan
from consumer.tally import count, count_buried, count_woken, source_label, tally
from producers.ingress import access_log
from runtime import metrics, metrics_table
from runtime.breaker import Breaker
from runtime.metric_kinds import AgeHistogram, BreakerGauges, PoolGauges, TotalCounter
from runtime.phases import BatchPhases
from schemas.dead_letter import Reason
from schemas.payment import Outcome

if TYPE_CHECKING:
    from runtime.metric_catalogue import Entry

pytestmark = pytest.mark.unit

DOCUMENT = Path(__file__).parents[2] / "deploy" / "METRICS.md"
PROCESS_METRICS = re.compile(r"process_|python_")


def value(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


# --- the catalogue -----------------------------------------------------------------------------------------------


def test_every_metric_is_documented_as_the_catalogue_has_it() -> None:
    assert metrics_table.table() in DOCUMENT.read_text(), "put what `python -m runtime.metrics_table` writes into it"


def test_the_registry_holds_nothing_beside_the_catalogue() -> None:
    named = {entry.name.removesuffix("_total") for entry in metrics.CATALOGUE}
    served = {family.name for family in metrics.REGISTRY.collect() if not PROCESS_METRICS.match(family.name)}
    assert served == named
    assert len(named) == len(metrics.CATALOGUE)


@pytest.mark.parametrize("entry", metrics.CATALOGUE, ids=lambda entry: entry.name)
def test_names_follow_the_conventions(entry: Entry) -> None:
    assert re.fullmatch(r"ratchet_[a-z_]+", entry.name)
    assert entry.name.endswith("_total") == (entry.kind == "counter")
    assert entry.meaning.endswith(".")
    assert "id" not in entry.labels
    if entry.kind == "histogram":
        assert entry.name.endswith(("_seconds", "_records"))


def test_the_page_is_prometheus_text_with_closed_sets_at_zero() -> None:
    page = metrics.page().decode()
    assert re.search(r'^ratchet_build_info\{version="[^"]+"\} 1\.0$', page, re.MULTILINE)
    assert "process_cpu_seconds_total" in page
    assert "_created" not in page
    for verdict in metrics.VERDICTS:
        assert f'ratchet_consumer_events_total{{verdict="{verdict}"}}' in page
    for phase in metrics.PHASES:
        assert f'ratchet_consumer_batch_phase_seconds_count{{phase="{phase}"}}' in page
    for reason in Reason:
        assert f'ratchet_dead_letters_total{{reason="{reason}"}}' in page
    for name in ("records", "failures", "refused"):
        assert page.count(f"\nratchet_relay_{name}_total{{") == 6, "one of each of its outputs"
    for outcome in ("taken", "rejected", "unknown", "held", "untrue"):
        assert f'ratchet_sms_total{{outcome="{outcome}"}}' in page
    for outcome in ("taken", "refused", "limited"):
        assert f'ratchet_console_sign_ins_total{{outcome="{outcome}"}}' in page


def test_where_a_provider_s_events_can_be_made_durable_stands_at_zero_with_its_first_one() -> None:
    """A series that appears with its first spooled event has not risen: no alert would see that one."""
    line = access_log.AccessLine(method="POST")
    line.provider, line.outcome, line.durability, line.events = "braintree", "accepted", "kafka", 2
    access_log.count(line, 0.01)
    shown = {
        place: metrics.REGISTRY.get_sample_value(
            "ratchet_ingress_events_total", {"provider": "braintree", "durability": place}
        )
        for place in ("kafka", "spool", "refetches")
    }
    assert None not in shown.values()
    assert shown["kafka"]


# --- kinds -------------------------------------------------------------------------------------------------------


def test_ages_are_counted_a_batch_at_once() -> None:
    histogram = AgeHistogram("ratchet_test_seconds", "Test.", (0.1, 1, 10))
    histogram.observe_times([95_000, 99_900, 99_950, 40_000], 100_000.0)
    histogram.observe_times([], 100_000.0)
    histogram.observe_times([98_500], 100_000.0)
    histogram.observe_times([100_500], 100_000.0)
    (family,) = histogram.collect()
    samples = {(sample.name, sample.labels.get("le")): sample.value for sample in family.samples}
    assert samples == {
        ("ratchet_test_seconds_bucket", "0.1"): 3,
        ("ratchet_test_seconds_bucket", "1.0"): 3,
        ("ratchet_test_seconds_bucket", "10.0"): 5,
        ("ratchet_test_seconds_bucket", "+Inf"): 6,
        ("ratchet_test_seconds_count", None): 6,
        ("ratchet_test_seconds_sum", None): pytest.approx(66.65),
    }
    with pytest.raises(ValueError, match="rise"):
        AgeHistogram("ratchet_test_seconds", "Test.", (1, 1))


@dataclass
class Pool:
    size: int
    idle: int
    most: int
    closing: bool = False

    def get_size(self) -> int:
        return self.size

    def get_idle_size(self) -> int:
        return self.idle

    def get_max_size(self) -> int:
        return self.most

    def is_closing(self) -> bool:
        return self.closing


def test_pools_are_counted_together_until_they_close() -> None:
    gauges, first, second = PoolGauges("ratchet_test", "Test."), Pool(4, 1, 6), Pool(1, 1, 2)
    gauges.watch(first)
    gauges.watch(second)

    def counted() -> dict[str, float]:
        (family,) = gauges.collect()
        return {sample.labels["state"]: sample.value for sample in family.samples}

    assert counted() == {"in_use": 3, "idle": 2, "max": 8}
    first.closing = True
    assert counted() == {"in_use": 0, "idle": 1, "max": 2}
    gauges.watch(Pool(1, 0, 1))
    assert counted() == {"in_use": 1, "idle": 1, "max": 3}


def test_totals_of_a_table_are_shown_as_they_were_read_last() -> None:
    """Whoever no longer leads shows none, and not what it read when it did."""
    totals = TotalCounter("ratchet_test_total", "Test.", "provider")

    def shown() -> dict[str, float]:
        (family,) = totals.collect()
        return {f"{sample.name} {sample.labels['provider']}": sample.value for sample in family.samples}

    totals.read({"stripe": 3, "adyen": 1})
    assert shown() == {"ratchet_test_total adyen": 1, "ratchet_test_total stripe": 3}
    totals.read({"stripe": 4})
    assert shown() == {"ratchet_test_total stripe": 4}
    totals.read({})
    assert shown() == {}


def test_of_several_breakers_of_one_service_the_worst_counts() -> None:
    gauges, well, ill = BreakerGauges("ratchet_test", "Test."), Breaker(1.0), Breaker(1.0)
    gauges.watch("kafka", well)
    gauges.watch("kafka", ill)

    def state() -> list[str]:
        (family,) = gauges.collect()
        return [sample.labels["state"] for sample in family.samples if sample.value]

    assert state() == ["closed"]
    ill.failed(0.0)
    assert state() == ["open"]
    assert ill.allows(2.0)
    assert state() == ["probing"]
    well.failed(0.0)
    assert state() == ["open"], "one that is tried again tells nothing of the other"
    assert well.allows(2.0)
    well.succeeded()
    del ill
    assert state() == ["closed"]


def test_phases_add_up_and_are_observed_once() -> None:
    phases = BatchPhases()
    before = value("ratchet_consumer_batch_phase_seconds_count", phase="lock")
    for phase in ("lock", "read", "lock"):
        phases.mark(phase)  # type: ignore[arg-type]
    assert set(phases.seconds) == {"lock", "read"}
    assert all(seconds >= 0 for seconds in phases.seconds.values())
    phases.observe()
    assert value("ratchet_consumer_batch_phase_seconds_count", phase="lock") == before + 1


# --- what a batch came to ----------------------------------------------------------------------------------------


@dataclass
class Row:
    source: str
    outcome: Outcome


@dataclass
class Written:
    """Stands for a plan."""

    rows: list[Row] = field(default_factory=list)
    duplicates: int = 0
    parkings: list[object] = field(default_factory=list)
    woken: list[int] = field(default_factory=list)
    applied: list[int] = field(default_factory=list)
    merges: list[object] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)


def letters(*reasons: Reason) -> list[Letter]:
    return [Letter(record, reason, "") for record, reason in zip(placed([standard("x")] * 9), reasons, strict=False)]


PLANS = [
    Written(
        rows=[Row("stripe/acme", Outcome.APPLIED), Row("stripe", Outcome.APPLIED), Row("intents/shop", Outcome.NOOP)],
        duplicates=2,
        parkings=[object()],
        merges=[object(), object()],
    ),
    Written(
        rows=[Row("made-up", Outcome.LATE)],
        woken=[1, 2, 3],
        applied=[7, 8],
        letters=letters(Reason.ORPHAN, Reason.ORPHAN, Reason.FATAL),
    ),
]


def test_what_plans_come_to_is_counted_once() -> None:
    total = tally(PLANS)  # type: ignore[arg-type]
    assert total.outcomes() == {"applied": 2, "noop": 1, "late": 1}
    assert (total.transactions, total.duplicates, total.parked, total.woken, total.merges) == (2, 2, 1, 3, 2)
    assert total.applied_letters == 2
    assert (total.dead_letters, total.reasons) == (3, Counter({"orphan": 2, "fatal": 1}))


def test_a_plan_has_what_is_counted() -> None:
    assert set(Written.__dataclass_fields__) <= {*Plan.__dataclass_fields__}
    assert {"source", "outcome"} <= {*LedgerEntry.__annotations__}


def test_what_the_sweeper_woke_is_counted_and_is_no_batch() -> None:
    names = {
        "late": ("ratchet_consumer_events_total", {"verdict": "late"}),
        "woken": ("ratchet_consumer_events_total", {"verdict": "woken"}),
        "orphan": ("ratchet_dead_letters_total", {"reason": "orphan"}),
        "batches": ("ratchet_consumer_batch_seconds_count", {}),
    }
    before = {key: value(name, **labels) for key, (name, labels) in names.items()}
    count_woken(PLANS[1])  # type: ignore[arg-type]
    raised = {key: value(name, **labels) - before[key] for key, (name, labels) in names.items()}
    assert raised == {"late": 1, "woken": 3, "orphan": 2, "batches": 0}


def test_a_batch_raises_the_metrics_by_its_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    records = placed([standard("payment.created")] * 3)
    monkeypatch.setattr(tallying.time, "time", lambda: records[0].timestamp_ms / 1000 + 0.3)
    names = {
        "applied": ("ratchet_consumer_events_total", {"verdict": "applied"}),
        "duplicate": ("ratchet_consumer_events_total", {"verdict": "duplicate"}),
        "dead_letter": ("ratchet_consumer_events_total", {"verdict": "dead_letter"}),
        "stripe": ("ratchet_ledger_rows_total", {"source": "stripe", "outcome": "applied"}),
        "intents": ("ratchet_ledger_rows_total", {"source": "intents", "outcome": "noop"}),
        "other": ("ratchet_ledger_rows_total", {"source": "other", "outcome": "late"}),
        "orphan": ("ratchet_dead_letters_total", {"reason": "orphan"}),
        "batches": ("ratchet_consumer_batch_seconds_count", {}),
        "ages": ("ratchet_end_to_end_seconds_count", {}),
        "young": ("ratchet_end_to_end_seconds_bucket", {"le": "0.25"}),
        "older": ("ratchet_end_to_end_seconds_bucket", {"le": "0.5"}),
    }
    before = {key: value(name, **labels) for key, (name, labels) in names.items()}
    count(tally(PLANS), records, 0.02)  # type: ignore[arg-type]
    raised = {key: value(name, **labels) - before[key] for key, (name, labels) in names.items()}
    assert raised == {
        "applied": 2,
        "duplicate": 2,
        "dead_letter": 3,
        "stripe": 2,
        "intents": 1,
        "other": 1,
        "orphan": 2,
        "batches": 1,
        "ages": 3,
        "young": 0,
        "older": 3,
    }


def test_buried_events_count_as_dead_letters() -> None:
    before = (
        value("ratchet_dead_letters_total", reason="orphan"),
        value("ratchet_consumer_events_total", verdict="dead_letter"),
    )
    count_buried(letters(Reason.ORPHAN, Reason.CONFLICT))
    assert value("ratchet_dead_letters_total", reason="orphan") == before[0] + 1
    assert value("ratchet_consumer_events_total", verdict="dead_letter") == before[1] + 2


@pytest.mark.parametrize(
    ("source", "label"),
    [("stripe", "stripe"), ("adyen/acme", "adyen"), ("intents/shop", "intents"), ("x" * 99, "other"), ("", "other")],
)
def test_a_source_is_one_of_a_closed_set(source: str, label: str) -> None:
    assert source_label(source) == label


def test_lag_is_shown_of_the_partitions_that_are_held_alone() -> None:
    first, second = TopicPartition("payments.webhooks", 0), TopicPartition("payments.webhooks", 1)
    show_lag({first: 7, second: -1})
    assert value("ratchet_consumer_lag_records", topic=first.topic, partition="0") == 7
    assert (
        metrics.REGISTRY.get_sample_value("ratchet_consumer_lag_records", {"topic": second.topic, "partition": "1"})
        == 0
    )
    show_lag({second: 3})
    assert (
        metrics.REGISTRY.get_sample_value("ratchet_consumer_lag_records", {"topic": first.topic, "partition": "0"})
        is None
    )
    show_lag({})
