"""Alerts, dashboard and runbook: every metric, label, command, setting and section that they name is there."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest
import typer
from deploy_files import DEPLOY, ROOT, SETTING, image_environment, is_setting, load_yaml
from typer.core import TyperGroup

from ops.cli import app
from ops.roles import ROLES
from runtime import metrics
from schemas.dead_letter import Reason

sys.path.insert(0, str(DEPLOY))
import check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.metric_catalogue import Entry

pytestmark = pytest.mark.unit

ALERTS: list[dict[str, Any]] = [
    rule for group in load_yaml("prometheus", "rules.yaml")["groups"] for rule in group["rules"]
]
BOARD = json.loads((DEPLOY / "grafana" / "ratchet.json").read_text())
QUERIES = [(panel["title"], one["expr"]) for panel in BOARD["panels"] for one in panel.get("targets", ())]
RUNBOOK = (ROOT / "RUNBOOK.md").read_text()
KNOWN = {entry.name: entry for entry in metrics.CATALOGUE}
STANDARD = {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_start_time_seconds", "up", "ALERTS"}
TARGET_LABELS = {"instance", "job", "component"}
OTHERS_LABELS = {"persistentvolumeclaim", "mountpoint"}
"""Of the kubelet's and the node exporter's metrics."""
METRIC = re.compile(r"\b(?:ratchet|process)_[a-z0-9_]+")
CLOSED = {
    "role": set(ROLES) | {"console"},
    "lane": set(metrics.LANES),
    "verdict": set(map(str, metrics.VERDICTS)),
    "phase": set(metrics.PHASES),
}
"""Labels whose values are known."""


def entry_of(name: str) -> Entry | None:
    base = re.sub(r"_(bucket|sum|count)$", "", name)
    found = KNOWN.get(name) or KNOWN.get(base)
    return found if found is None or name in KNOWN or found.kind == "histogram" else None


def unknown_in(expr: str) -> Iterator[str]:
    """Yield what an expression names and nobody measures."""
    bare = re.sub(r'"[^"]*"', '""', expr)
    names = set(METRIC.findall(bare))
    labels = TARGET_LABELS | OTHERS_LABELS
    for name in names - STANDARD:
        entry = entry_of(name)
        if entry is None:
            yield name
        else:
            labels |= set(entry.labels) | ({"le"} if entry.kind == "histogram" else set())
    for part in re.findall(r"\b(?:by|on|ignoring|without) \(([^)]*)\)", bare):
        yield from set(part.replace(" ", "").split(",")) - labels
    for name, label, values in re.findall(r'(\w+)\{[^}]*?(\w+)=~?"([^"]*)"', expr):
        if name != "ALERTS" and label not in labels:
            yield f"{name}{{{label}}}"
        if label in CLOSED:
            yield from set(values.split("|")) - CLOSED[label]
        if label == "reason" and name == "ratchet_dead_letters_total":
            yield from set(values.split("|")) - set(map(str, Reason))


@pytest.mark.parametrize(("where", "expr"), [*((one["alert"], one["expr"]) for one in ALERTS), *QUERIES])
def test_every_metric_and_label_is_measured(where: str, expr: str) -> None:
    assert list(unknown_in(expr)) == [], where


def test_what_is_not_measured_is_seen() -> None:
    wrong = (
        "rate(ratchet_ingress_requests[5m])", "sum by (color) (ratchet_outbox_rows)", "ratchet_outbox_rows_sum",
        'ratchet_outbox_rows{lane="spol"}', 'ratchet_dead_letters_total{reason="bad"}',
        'ratchet_parked_events{lane="x"}',
    )  # fmt: skip
    for expr in wrong:
        assert list(unknown_in(expr)), expr


def test_an_alert_on_a_quantile_can_fire_and_is_exact_at_its_threshold() -> None:
    """Prometheus guesses within a bucket, and takes what is above the last one for that one's bound."""
    found = [
        (one["alert"], f"{name}_bucket", float(threshold))
        for one in ALERTS
        for name, threshold in re.findall(r"histogram_quantile\([^>]*?(\w+)_bucket\b[^>]*> ([0-9.]+)$", one["expr"])
    ]
    assert len(found) == sum("histogram_quantile" in one["expr"] for one in ALERTS) > 0
    samples = [sample for family in metrics.REGISTRY.collect() for sample in family.samples]
    for alert, name, threshold in found:
        bounds = sorted({float(one.labels["le"]) for one in samples if one.name == name})
        assert threshold in bounds[:-2], f"{alert}: at {threshold} s, of {bounds}"


OPENED: Final = {
    "ratchet_relay_failures_total": "runtime/metrics.py",
    "ratchet_relay_refused_total": "runtime/metrics.py",
    "ratchet_dead_letters_total": "runtime/metrics.py",
    "ratchet_console_sign_ins_total": "runtime/metrics.py",
    "ratchet_ingress_events_total": "producers/ingress/access_log.py, with a provider's first",
    "ratchet_lease_losses_total": "runtime/lease.py, with the first term",
    "ratchet_background_failures_total": "runtime/background.py, with the task",
    "ratchet_webhooks_recalled_total": "consumer/dispatcher/sql/count_recalled.sql has a row for each provider",
    "ratchet_webhooks_lost_total": "consumer/dispatcher/sql/count_recalled.sql has a row for each provider",
}
"""Counters with labels whose series stand at zero before they rise, and where they are made."""


def test_an_alert_sees_the_first_rise_of_what_it_counts() -> None:
    """increase() of a series that appears with its first event is nothing."""
    counted = {name for one in ALERTS for name in re.findall(r"increase\((ratchet_\w+)", one["expr"])}
    assert "ratchet_relay_refused_total" in counted
    assert {name for name in counted if KNOWN[name].labels} == set(OPENED)


def test_promtool_has_passed_the_rules_as_they_are() -> None:
    assert check.RULES_HELD.read_text().strip() == check.rules_digest(), (
        "run `make deploy-check ARGS='prometheus --write'`: promtool runs rules.test.yaml"
    )


def test_rules_test_yaml_holds_every_alert_to_its_time_and_says_how_severe_it_is() -> None:
    """Each begins to fire in the last of its tests, and none is pending just short of its threshold."""
    tests = {one["name"]: one for one in load_yaml("prometheus", "rules.test.yaml")["tests"]}
    begun = [
        sample["labels"]
        for one in tests["just past its threshold each alert fires, after its time"]["promql_expr_test"]
        for sample in one["exp_samples"]
    ]
    assert sorted(begun) == sorted(
        f'{{alertname="{one["alert"]}",severity="{one["labels"]["severity"]}"}}' for one in ALERTS
    )
    short = tests["just short of every threshold nothing is pending"]
    (expected,) = short["promql_expr_test"]
    assert expected["exp_samples"] == []
    shown = {re.split(r"[{ ]", one["series"])[0] for one in short["input_series"]}
    assert {name for one in ALERTS for name in METRIC.findall(one["expr"])} <= shown, "what is not there fires nothing"


def test_every_metric_is_looked_at_somewhere() -> None:
    found = " ".join(expr for _, expr in QUERIES) + " ".join(one["expr"] for one in ALERTS)
    unseen = {name for name in KNOWN if name not in found}
    assert unseen <= UNSEEN, f"put {unseen - UNSEEN} on the dashboard, or say here why not"


UNSEEN = {
    "ratchet_ledger_rows_total",  # the verdicts say the same; by source it is for questions asked by hand
    "ratchet_consumer_batch_seconds",  # its phases are shown
    "ratchet_postgres_silences_total",  # its breaker and its errors are shown; this tells why, asked by hand
    "ratchet_lease_token",  # for questions asked by hand
}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_every_alert_says_what_it_is_and_leads_to_its_section(alert: dict[str, Any]) -> None:
    assert re.fullmatch(r"\d+[smh]", alert["for"])
    assert alert["labels"]["severity"] in {"critical", "warning"}
    notes = alert["annotations"]
    assert set(notes) == {"summary", "description", "runbook_url"}
    assert notes["runbook_url"] == f"RUNBOOK.md#{alert['alert'].lower()}"
    section = re.search(rf"(?ms)^### {alert['alert']}\n(.*?)(?=^##|\Z)", RUNBOOK)
    assert section, f"RUNBOOK.md has no section {alert['alert']}"
    assert "**Means**" in section[1]
    assert "**Do**" in section[1] or "and **do**" in section[1]


def test_the_runbook_has_no_section_for_an_alert_that_is_gone() -> None:
    sections = set(re.findall(r"(?m)^### (Ratchet\w+)$", RUNBOOK))
    assert sections == {alert["alert"] for alert in ALERTS}
    assert len(ALERTS) == len(sections), "each name once"


def test_links_of_the_runbook_lead_somewhere() -> None:
    anchors = {heading.lower().replace(" ", "-") for heading in re.findall(r"(?m)^#+ (.+)$", RUNBOOK)}
    links = re.findall(r"\]\(#([^)]+)\)", RUNBOOK.replace("\n", " "))
    assert links
    assert {link for link in links if link not in anchors} == set()


def commands() -> list[str]:
    """Return every command line of ours in the runbook: of its blocks and of its spans."""
    blocks = re.findall(r"(?ms)^ *```sh\n(.*?)^ *```", RUNBOOK)
    rest = re.sub(r"(?ms)^ *```.*?^ *```", "", RUNBOOK)
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", rest)]
    lines = [line.strip() for block in blocks for line in block.splitlines()] + spans
    found = [re.search(r"(?:^|-- |exec \w+ |run --rm )(ratchet|migrate audit)( .*|$)", line) for line in lines]
    return [match[2].split("#")[0].strip() for match in found if match and match[1] == "ratchet" and match[2]]


@pytest.mark.parametrize("line", sorted(set(commands())))
def test_every_command_of_the_runbook_exists(line: str) -> None:
    node: Any = typer.main.get_command(app)
    words = line.split()
    while words and isinstance(node, TyperGroup):
        found = node.get_command(typer.Context(node), words.pop(0))
        assert found is not None, f"ratchet {line}"
        node = found
    options = {option for parameter in node.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for option in re.findall(r"--[a-z-]+", " ".join(words)):
        assert option in options, f"ratchet {line}: there is no {option}"


def test_the_runbook_names_the_commands_that_matter() -> None:
    found = " ".join(commands())
    for command in ("status", "doctor", "dlq list", "dlq redrive", "dlq discard", "audit verify", "audit retain"):
        assert command in found


def test_settings_of_the_runbook_exist() -> None:
    names = set(SETTING.findall(RUNBOOK))
    assert names
    assert {name for name in names if not is_setting(name)} == set()


def test_panels_are_kept_apart_and_do_not_overlap() -> None:
    panels = BOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells: dict[tuple[int, int], str] = {}
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in cells, f"{panel['title']} lies over {cells[x, y]}"
                cells[x, y] = panel["title"]


def test_panels_say_what_they_count_in_and_where_from() -> None:
    for panel in BOARD["panels"]:
        if panel["type"] == "row":
            continue
        assert panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}", "no data source is baked in"
        assert panel["targets"]
        if panel["type"] == "timeseries":
            assert panel["fieldConfig"]["defaults"]["unit"]
            assert all(target["legendFormat"] for target in panel["targets"])


def test_prometheus_asks_every_role_at_its_probe() -> None:
    whole = load_yaml("prometheus", "prometheus.yml")
    assert whole["rule_files"] == ["rules.yaml"], "without them no alert fires"
    for name in ("scrape_interval", "evaluation_interval"):
        assert 5 <= int(whole["global"][name].removesuffix("s")) <= 30, "alerts look back over a minute"
    (job,) = whole["scrape_configs"]
    assert job["metrics_path"] == "/metrics"
    assert job["relabel_configs"] == [{"source_labels": ["__meta_dns_name"], "target_label": "component"}]
    (found,) = job["dns_sd_configs"]
    assert job["job_name"] == "ratchet", "the rules ask `up` for it"
    assert (found["type"], set(found["names"])) == ("A", set(ROLES))
    assert image_environment()["RATCHET_ROLE__PROBE_BIND"].endswith(f":{found['port']}")
    services = load_yaml("compose.yaml")["services"]
    assert "./prometheus:/etc/prometheus:ro" in services["prometheus"]["volumes"], "the rules too"
    assert set(found["names"]) <= set(services)
    for name in found["names"]:
        assert set(services[name]["networks"]) & set(services["prometheus"]["networks"]) == {"back"}, "one address each"
