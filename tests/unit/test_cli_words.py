"""The command line without brokers: exit statuses, messages, what is shown and what never is."""

from __future__ import annotations

import base64
import datetime as dt
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
import typer
from pydantic import SecretStr
from typer.testing import CliRunner

from ops import binds, board, cli, doctor, durability, endpoints, up
from ops.cli import app
from ops.dlq_filters import moment
from ops.documents import letter_document, major, plain, raw_document
from ops.run_sample import choose_signers, make_run
from ops.sample import hints, orders
from ops.sample.plan import PROVIDERS
from ops.sample.send import Progress
from ops.stack_commands import export_lines
from ops.status import RoleState, RoleStatus, StatusReport, healthy
from runtime.kafka import _new_topic
from runtime.masking import MASK
from runtime.settings import KafkaSettings, Settings
from schemas.errors import SettingsError
from schemas.topics import DLQ, STATE, WEBHOOKS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in list(os.environ):
        if name.startswith("RATCHET_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("RATCHET_HOME", str(tmp_path))
    return lambda *words: CliRunner().invoke(app, list(words))


def test_version(run: Any) -> None:
    result = run("version", "--json")
    assert result.exit_code == 0
    assert set(json.loads(result.stdout)) == {"version", "python"}
    assert run("version").stdout.startswith("ratchet ")


@pytest.mark.parametrize(
    "words",
    [
        ("payment", "show", "x"),
        ("dlq", "list"),
        ("dlq", "show", "1"),
        ("migrate", "up"),
        ("migrate", "status"),
        ("migrate", "down"),
        ("consumer",),
    ],
)
def test_without_endpoints_it_says_what_to_do_in_one_line(run: Any, words: tuple[str, ...]) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert "ratchet stack up" in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


@pytest.mark.parametrize("words", [("nonsense",), ("dlq", "list", "--limit", "0"), ("dlq", "show", "x")])
def test_wrong_usage_is_2(run: Any, words: tuple[str, ...]) -> None:
    assert run(*words).exit_code == 2


def test_a_bad_time_is_2(run: Any) -> None:
    result = run("dlq", "list", "--since", "yesterday")
    assert result.exit_code == 2
    assert "--since" in result.stderr


def test_an_unknown_setting_is_2_and_named(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_KAFKAESQUE", "1")
    result = run("status")
    assert (result.exit_code, "RATCHET_KAFKAESQUE" in result.stderr) == (2, True)


def test_half_the_endpoints_is_2(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_KAFKA__BOOTSTRAP", "127.0.0.1:1")
    result = run("dlq", "list")
    assert (result.exit_code, "RATCHET_POSTGRES__DSN is not;" in result.stderr) == (2, True)
    monkeypatch.delenv("RATCHET_KAFKA__BOOTSTRAP")
    monkeypatch.setenv("RATCHET_POSTGRES__DSN", "postgresql://a@b/c")
    assert "RATCHET_KAFKA__BOOTSTRAP is not" in run("dlq", "list").stderr


def test_an_absent_database_is_1(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_KAFKA__BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setenv("RATCHET_POSTGRES__DSN", "postgresql://app:hunter2@127.0.0.1:1/x")
    result = run("payment", "show", "x")
    assert result.exit_code == 1
    assert "Postgres does not let us in" in result.stderr
    assert "hunter2" not in result.stderr
    assert run("doctor").exit_code == 1
    document = json.loads(run("status", "--json").stdout)
    assert document["counts"] == {}
    assert document["lag"] == {}
    assert len(document["unknown"]) == 2


def test_status_without_anything(run: Any) -> None:
    result = run("status", "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 1
    assert [role["role"] for role in document["roles"]] == ["ingress", "consumer", "relay", "dispatcher", "console"]
    assert {role["state"] for role in document["roles"]} == {"down"}
    assert "no endpoint" in document["unknown"][0]
    assert "consumer" in run("status").stdout


def test_stack_commands_without_a_stack(run: Any) -> None:
    assert run("stack", "env").exit_code == 1
    assert json.loads(run("stack", "down", "--json").stdout) == {"stopped": False}
    assert {broker["state"] for broker in json.loads(run("stack", "status", "--json").stdout).values()} == {"stopped"}


def test_doctor_never_shows_a_secret(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_PROVIDERS__STRIPE__SECRETS", '["whsec_one_of_a_kind"]')
    result = run("doctor", "--json")
    checks = {check["check"]: check for check in json.loads(result.stdout)["checks"]}
    assert "stripe: 1" in checks["secrets"]["found"]
    assert "whsec_one_of_a_kind" not in result.stdout
    assert checks["endpoints"]["ok"] is False


@pytest.mark.parametrize(
    ("found", "ok", "words"),
    [
        ({"max.message.bytes": "2097152", "retention.ms": "2592000000"}, True, ""),
        ({"max.message.bytes": "9999999", "retention.ms": "-1"}, True, ""),
        ({"max.message.bytes": "1048588", "retention.ms": "604800000"}, False, "max.message.bytes=2097152 and reten"),
        (None, False, "create"),
        ({}, False, "DescribeConfigs"),
    ],
)
def test_topic_finding(found: dict[str, str] | None, ok: bool, words: str) -> None:  # noqa: FBT001
    finding = doctor.topic_finding(WEBHOOKS, found)
    assert (finding.ok, words in finding.advice) == (ok, True)


def test_states_are_compacted() -> None:
    sizes = {"max.message.bytes": "9999999", "retention.ms": "604800000"}
    assert doctor.topic_finding(STATE, sizes | {"cleanup.policy": "compact"}).ok
    assert "cleanup.policy=compact" in doctor.topic_finding(STATE, sizes | {"cleanup.policy": "delete"}).advice


def test_the_dlq_s_records_end() -> None:
    sizes = {"max.message.bytes": "9999999"}
    assert doctor.topic_finding(DLQ, sizes | {"retention.ms": str(DLQ.retention_ms)}).ok
    assert not doctor.topic_finding(DLQ, sizes | {"retention.ms": "-1"}).ok
    assert doctor.topic_finding(WEBHOOKS, sizes | {"retention.ms": "-1"}).ok


SAFE = {"min.insync.replicas": "2", "unclean.leader.election.enable": "false"}


@pytest.mark.parametrize(
    ("brokers", "replicas", "changed", "advice"),
    [
        (1, 1, {"min.insync.replicas": "1", "unclean.leader.election.enable": "true"}, []),
        (3, 3, {}, []),
        (3, None, {}, []),
        (3, 1, {}, ["3 replicas"]),
        (2, 2, {"min.insync.replicas": "1"}, ["min.insync.replicas=2"]),
        (3, 3, {"unclean.leader.election.enable": "true"}, ["unclean.leader.election.enable=false"]),
        (3, 1, {"min.insync.replicas": "1"}, ["3 replicas", "min.insync.replicas=2"]),
    ],
)
def test_a_topic_that_one_broker_takes_along(
    brokers: int, replicas: int | None, changed: dict[str, str], advice: list[str]
) -> None:
    lacks = durability.lacks_of_topic(brokers, replicas, SAFE | changed)
    assert len(lacks) == len(advice)
    assert all(words in lack for words, lack in zip(advice, lacks, strict=True))
    whole = SAFE | {"max.message.bytes": "9999999", "retention.ms": "9999999999"}
    finding = doctor.topic_finding(WEBHOOKS, whole, lacks)
    assert (finding.ok, finding.advice) == (not lacks, "; ".join(lacks))
    assert durability.lacks_of_topic(brokers, replicas, {}) == lacks[: replicas == 1 and brokers > 1]


@pytest.mark.parametrize(
    ("name", "value", "ok"),
    [
        ("fsync", "off", False),
        ("full_page_writes", "off", False),
        ("synchronous_commit", "off", False),
        ("synchronous_commit", "local", True),
        ("synchronous_commit", "remote_apply", True),
    ],
)
def test_a_postgres_that_confirms_before_it_has_written(name: str, value: str, *, ok: bool) -> None:
    good = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
    assert doctor.durability_finding(good).ok
    finding = doctor.durability_finding(good | {name: value})
    assert finding.ok is ok
    assert name in finding.advice or ok


def test_the_fewest_copies_of_a_topic_count() -> None:
    assert doctor.least_replicas([]) is None
    assert doctor.least_replicas([{"replicas": [1, 2, 3]}, {"replicas": [1]}]) == 1


@pytest.mark.parametrize(("factor", "least"), [(1, None), (2, None), (3, "2"), (5, "2")])
def test_topics_are_made_with_two_copies_in_sync_where_there_are_three(factor: int, least: str | None) -> None:
    made = _new_topic(WEBHOOKS, KafkaSettings(replication_factor=factor))
    assert made.topic_configs.get("min.insync.replicas") == least


def test_doctor_names_a_server_that_takes_no_writes_and_a_database_of_other_topics() -> None:
    assert doctor.writes_finding(read_only=False).ok
    assert not doctor.writes_finding(read_only=True).ok
    assert [doctor.prefix_finding(bound_to, "eu.").ok for bound_to in (None, "eu.", "", "us.")] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        (1250, "EUR", "12.50 EUR"),
        (1250, "JPY", "1,250 JPY"),
        (1250, "KWD", "1.250 KWD"),
        (5, None, "0.05"),
        (None, "EUR", ""),
    ],
)
def test_amounts_in_major_units(amount: int | None, currency: str | None, shown: str) -> None:
    assert major(amount, currency) == shown


def test_rows_as_json() -> None:
    at = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    row = {"hash": b"\x01\xff", "facts": '[["terms", "amount"]]', "at": at, "n": 3, "none": None, "text": "[]"}
    assert plain(row) == {
        "hash": "01ff", "facts": [["terms", "amount"]], "at": str(at), "n": 3, "none": None, "text": "[]",
    }  # fmt: skip


def test_a_letter_is_shown_masked() -> None:
    value = b'{"card": {"number": "4111111111111111", "cvc": "737"}'
    names, values = [b"ce_id", b"verif-hash"], [b"evt", b"the secret itself"]
    row = {"id": 1, "key": b"+254712345678", "value": value, "header_names": names, "header_values": values}
    document = letter_document(row)
    assert document["key"] == MASK
    assert document["headers"] == [["ce_id", "evt"], ["verif-hash", MASK]]
    assert document["payload"]["text"] == f'{{"card": {{"number": "{MASK}", "cvc": {MASK}}}'
    assert "4111111111111111" not in str(document)
    assert base64.b64encode(value).decode()[:16] not in str(document)


def test_a_letter_keeps_its_bytes() -> None:
    row = {"id": 1, "key": None, "value": b"\xff\x00", "header_names": [b"ce_id"], "header_values": [b"evt"]}
    document = raw_document(row)
    assert document["value_base64"] == "/wA="
    assert document["key_base64"] is None
    assert document["headers"] == [["ce_id", "evt"]]


def test_times() -> None:
    assert moment(None, "--since") is None
    assert moment("2026-11-23", "--since") == dt.datetime(2026, 11, 23, tzinfo=dt.UTC)
    with pytest.raises(SettingsError, match="--until"):
        moment("soon", "--until")


def test_exports_are_quoted_for_a_shell() -> None:
    assert export_lines({"A": "it's $HOME"}) == "export A='it'\"'\"'s $HOME'\n"


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        (RoleStatus("relay"), True),
        (RoleStatus("relay", 1, RoleState.RUNNING, "x"), True),
        (RoleStatus("relay", 1, RoleState.STALLED, "x", "no turn has ended"), False),
        (RoleStatus("relay", None, RoleState.DOWN, "x", "the process 1 is gone"), False),
    ],
)
def test_what_counts_as_a_problem(role: RoleStatus, expected: bool) -> None:  # noqa: FBT001
    assert healthy(StatusReport([role], {}, {}, {}, [])) is expected
    assert not healthy(StatusReport([role], {}, {}, {}, ["Kafka does not answer"]))


def dsn(text: str) -> Settings:
    return Settings(postgres={"dsn": SecretStr(text)})


def test_the_apps_role_is_read_from_its_dsn() -> None:
    assert endpoints.app_role(dsn("postgresql://a%20b:secret@h/x")) == "a b"
    with pytest.raises(SettingsError, match="names no role"):
        endpoints.app_role(dsn("postgresql://h/x"))


def test_the_owners_dsn_goes_to_no_role() -> None:
    settings = Settings(
        kafka={"bootstrap": "k:1"},
        postgres={"dsn": "postgresql://app@h/x", "owner_dsn": "postgresql://owner@h/x"},
        redis={"url": "redis://r"},
    )
    environment = endpoints.environment(settings)
    assert environment["RATCHET_POSTGRES__DSN"] == "postgresql://app@h/x"
    assert environment["RATCHET_REDIS__URL"] == "redis://r"
    assert not any("OWNER" in name for name in environment)
    with pytest.raises(SettingsError, match="OWNER_DSN is not set"):
        endpoints.owner_dsn(dsn("postgresql://app@h/x"))


def test_random_secrets_only_where_none_is_configured() -> None:
    signers, environment = choose_signers(Settings())
    assert set(signers) == {*PROVIDERS, hints.NAME, orders.CLIENT}
    assert json.loads(environment["RATCHET_API_KEYS"]) == {orders.CLIENT: [signers[orders.CLIENT].secret]}
    assert json.loads(environment["RATCHET_PROVIDERS__STRIPE__SECRETS"]) == [signers["stripe"].secret]
    configured = Settings(
        providers={
            "stripe": {"secrets": ["whsec_mine", "whsec_old"]},
            "ADYEN": {"secrets": ["AA"], "merchant_accounts": ["Shop"]},
            "standard_webhooks": {"secrets": ["whpk_public"]},
        }
    )
    signers, environment = choose_signers(configured)
    assert environment == {}
    assert signers["stripe"].secret == "whsec_mine"
    assert signers["adyen"].merchant_account == "Shop"
    assert "standard_webhooks" not in signers


def test_a_tenants_secret_counts_as_configured() -> None:
    accounts = {"acme": {"secrets": ["AA"]}}
    assert choose_signers(Settings(providers={"adyen": {"accounts": accounts}})) == ({}, {})


def test_a_run_is_planned_by_its_seed() -> None:
    signers, _ = choose_signers(Settings())
    first, second = (make_run(Settings(sample={"seed": 5, "lives": 3}), signers).plan for _ in range(2))
    assert first.seed == second.seed == 5
    assert [life.provider_ref for life in first.lives] == [life.provider_ref for life in second.lives]
    assert make_run(Settings(sample={"lives": 1}), {}).plan.posts == ()


def test_one_up_a_home(tmp_path: Path) -> None:
    with up.alone(tmp_path), pytest.raises(SettingsError, match=f"pid {os.getpid()}"), up.alone(tmp_path):
        pass
    with up.alone(tmp_path):
        pass


def test_a_port_is_decided_once() -> None:
    assert binds.fixed("127.0.0.1:8080") == "127.0.0.1:8080"
    assert int(binds.fixed("127.0.0.1:0").rpartition(":")[2]) > 0


def test_rates_and_lines() -> None:
    assert board.rate(10, 30, 2) == 10
    assert board.rate(10, 30, 0) == 0
    assert board.rate(30, 10, 2) == 0
    signers, _ = choose_signers(Settings())
    run = make_run(Settings(sample={"seed": 5, "lives": 3}), signers)
    run.progress = Progress(total=1200, sent=7, accepted=5, refused=2, retried=1)
    line = "sample: 7 of 1,200 requests posted, 5 accepted, 2 refused, 1 tried again"
    assert board.progress_line(run) == line
    status = StatusReport([RoleStatus("relay")], {"payments.webhooks": 3}, {}, {"ledger": 9}, ["why"])
    assert board.board(status, run, 12.5)
    assert board.wants_board(as_json=False, isatty=lambda: True)
    assert not board.wants_board(as_json=True, isatty=lambda: True)


def test_each_command_stands_in_the_module_that_is_named_for_it() -> None:
    context = typer.Context(typer.main.get_command(app))
    for name in cli.MODULES:
        command = context.command.get_command(context, name)
        assert command is not None
        assert command.name == name
