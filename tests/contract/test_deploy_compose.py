"""compose.yaml and its secrets: valid, closed, of one mind with the settings."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from deploy_files import CLEAN_END_SECONDS, DEPLOY, SETTING, image_environment, is_setting, load_yaml

from ops.roles import ROLES
from runtime.settings import load

pytestmark = pytest.mark.unit

COMPOSE = load_yaml("compose.yaml")
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = sorted(name for name, service in SERVICES.items() if "build" in service)
OFFICIAL = Path(__file__).parent / "official" / "compose-spec.json"


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    (tmp_path / "new-secrets.sh").write_text((DEPLOY / "new-secrets.sh").read_text())
    subprocess.run(["sh", "new-secrets.sh"], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path / "secrets"


def test_it_is_valid() -> None:
    validator = jsonschema_rs.validator_for(json.loads(OFFICIAL.read_text()))
    assert [error.message for error in validator.iter_errors(COMPOSE)] == []
    assert not validator.is_valid({**COMPOSE, "services": {"x": {"imagee": "y"}}})


def test_every_role_is_a_service() -> None:
    assert set(ROLES) <= set(OURS)
    for name in ROLES:
        assert SERVICES[name]["command"] == [name]
    assert set(OURS) == {*ROLES, "migrate", "ops"}
    assert SERVICES["ops"]["profiles"] == ["ops"], "the command line is run, not started"
    assert SERVICES["migrate"]["command"] == ["migrate", "up"]


def test_roles_start_after_what_they_need() -> None:
    for name in set(OURS) - {"migrate"}:
        conditions = {other: found["condition"] for other, found in SERVICES[name]["depends_on"].items()}
        assert conditions == {
            "migrate": "service_completed_successfully", "kafka-rights": "service_completed_successfully",
            "postgres": "service_healthy",
        }  # fmt: skip
    assert SERVICES["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert SERVICES["migrate"]["restart"] == "no"


def test_whoever_is_waited_for_has_a_health_check() -> None:
    for service in SERVICES.values():
        for other, found in service.get("depends_on", {}).items():
            if found["condition"] == "service_healthy":
                assert "test" in SERVICES[other]["healthcheck"], other


def volumes_of_images() -> dict[str, set[str]]:
    """Return the volumes that the brokers' images declare, as the stand-ins do, by the variables that name them."""
    declared = {}
    for name in ("kafka", "postgres", "redis"):
        lines = (DEPLOY / "stand-ins" / name / "Containerfile").read_text().splitlines()
        (volume,) = [line.removeprefix("VOLUME ") for line in lines if line.startswith("VOLUME ")]
        declared[f"{name.upper()}_IMAGE"] = set(json.loads(volume)) if volume.startswith("[") else {volume}
    return declared


def test_no_container_leaves_a_volume_without_a_name() -> None:
    """An image's volume that nothing is mounted on gets one, and `down` and `up` again leave it and make the next."""
    for name, service in SERVICES.items():
        mounted = {one.split(":")[1] for one in service.get("volumes", ())} | {
            one.partition(":")[0] for one in service.get("tmpfs", ())
        }
        for variable, paths in volumes_of_images().items():
            if f"${{{variable}:-" in service["image"]:
                assert paths <= mounted, name


OF_COMPOSE = {"RATCHET_IMAGE", "RATCHET_DOOR", "RATCHET_CONSOLE_DOOR"}
"""Variables of the file itself; all others are settings."""


def test_a_role_drains_before_it_is_killed() -> None:
    for name in OURS:
        assert float(SERVICES[name]["stop_grace_period"].removesuffix("s")) > CLEAN_END_SECONDS


ENDS = {"migrate", "kafka-rights", "ops"}
"""Services that do one thing and end."""


def test_what_ends_is_started_again_but_for_what_should_end() -> None:
    assert {name for name, service in SERVICES.items() if service["restart"] == "no"} == ENDS
    assert {service["restart"] for name, service in SERVICES.items() if name not in ENDS} == {"unless-stopped"}
    for name in ("kafka", "postgres"):
        assert SERVICES[name]["stop_grace_period"] == "60s", "killed, it reads its whole log again at its next start"


def test_what_is_to_be_kept_lies_on_a_volume_with_a_name() -> None:
    kept = {"kafka": "/var/lib/kafka/data", "postgres": "/var/lib/postgresql", "prometheus": "/prometheus",
            "grafana": "/var/lib/grafana"}  # fmt: skip
    assert set(COMPOSE["volumes"]) == set(kept)
    for name, path in kept.items():
        assert f"{name}:{path}" in SERVICES[name]["volumes"]
    assert SERVICES["kafka"]["environment"]["KAFKA_LOG_DIRS"] == kept["kafka"]
    assert "command" not in SERVICES["postgres"], "nothing turns off what makes a commit durable"
    assert SERVICES["postgres"]["shm_size"] == "256m", "workers of a statement share memory there; 64m are too little"


def test_each_service_is_in_the_networks_that_it_needs() -> None:
    """What the outside asks, or what asks it, is in front; the watchers do not see the brokers but by Prometheus."""
    outside = {"ingress": {"front", "back"}, "dispatcher": {"front", "back"}, "console": {"front", "back"},
               "prometheus": {"back", "watch"}, "grafana": {"watch"}}  # fmt: skip
    for name, service in SERVICES.items():
        assert set(service["networks"]) == outside.get(name, {"back"}), name


def test_ports_lead_to_where_a_role_listens() -> None:
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {
        "ingress": ["${RATCHET_DOOR:-127.0.0.1:8080}:8080"],
        "console": ["${RATCHET_CONSOLE_DOOR:-127.0.0.1:8081}:8081"],
        "prometheus": ["127.0.0.1:9091:9090"],
        "grafana": ["127.0.0.1:3000:3000"],
    }
    assert image_environment()["RATCHET_INGRESS__BIND"] == "0.0.0.0:8080"
    assert SERVICES["console"]["environment"]["RATCHET_CONSOLE__BIND"] == "0.0.0.0:8081"


def test_all_speak_of_the_same_topics_and_of_the_same_group() -> None:
    for name in ("RATCHET_KAFKA__TOPIC_PREFIX", "RATCHET_KAFKA__GROUP"):
        found = {one: SERVICES[one]["environment"].get(name) for one in ({*OURS} - {"migrate"}) | {"kafka-rights"}}
        assert None not in found.values(), found
        assert len(set(found.values())) == 1, found
    for name in set(OURS) - {"migrate"}:
        assert {"RATCHET_KAFKA__PARTITIONS", "RATCHET_PUBLIC_URL"} <= set(SERVICES[name]["environment"])
    rights = SERVICES["kafka-rights"]
    assert rights["environment"]["SEAL_TOPIC"] == "${SEAL_TOPIC:-}", "whoever keeps seals in a topic may write there"
    assert rights["command"] == ["/opt/kafka/bin/kafka-acls.sh", "kafka:9092", "/run/secrets/kafka-admin.properties"]


def test_logs_fill_no_disk() -> None:
    for name, service in SERVICES.items():
        assert service["logging"] == {"driver": "json-file", "options": {"max-size": "20m", "max-file": "5"}}, name


def test_a_health_check_asks_what_the_others_will_ask() -> None:
    health = {
        name: " ".join(service["healthcheck"]["test"])
        for name, service in SERVICES.items()
        if "test" in service.get("healthcheck", {})
    }
    assert "/dev/tcp/localhost/9092" in health["kafka"], "the listener of the clients"
    assert "--host 127.0.0.1" in health["postgres"], "the server that runs the init scripts listens on its socket alone"
    assert "grep -q -e PONG -e NOAUTH" in health["redis"], "redis-cli ends well whatever it is answered"
    assert "/-/healthy" in health["prometheus"]
    for name in set(OURS) - ENDS:
        assert "healthcheck" not in SERVICES[name], "the image has one"


def test_our_containers_may_do_nothing() -> None:
    for name in OURS:
        service = SERVICES[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert [one.partition(":")[0] for one in service["tmpfs"]] == ["/tmp"]
        assert "mode=1777" in service["tmpfs"][0], "the home is made there by nobody's root"
        assert "uid=" not in service["tmpfs"][0], "podman knows no owner of a tmpfs"
        assert service["environment"]["RATCHET_HOME"].startswith("/tmp/")


def test_only_loopback_ports_are_published() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert ports
    for port in ports:
        assert "127.0.0.1:" in port, port
    assert COMPOSE["networks"]["back"] == {"internal": True}
    for name in ("kafka", "postgres", "redis"):
        assert SERVICES[name]["networks"] == ["back"]
        assert "ports" not in SERVICES[name]


def test_no_password_stands_in_the_file() -> None:
    for service in SERVICES.values():
        for name, value in (service.get("environment") or {}).items():
            secret = any(word in name for word in ("PASSWORD", "SECRET", "TOKEN", "DSN", "JAAS"))
            assert not secret or (name.endswith("_FILE") and value.startswith("/run/secrets/")), name


def test_only_the_migration_knows_the_owner() -> None:
    assert [name for name in OURS if "ratchet-owner.toml" in SERVICES[name]["secrets"]] == ["migrate"]


def test_each_process_has_its_own_secrets_alone() -> None:
    for name in set(OURS) - {"migrate"}:
        assert SERVICES[name]["secrets"] == [f"ratchet-{name}.toml"]
        assert SERVICES[name]["environment"]["RATCHET_CONFIG"] == f"/run/secrets/ratchet-{name}.toml"


def test_each_broker_has_its_own_secrets_alone() -> None:
    assert {name: service.get("secrets", []) for name, service in SERVICES.items() if name not in OURS} == {
        "kafka": ["kafka-jaas.conf", "kafka-admin.properties"],
        "kafka-rights": ["kafka-admin.properties"],
        "postgres": ["postgres_password", "postgres_owner_password", "postgres_roles"],
        "redis": ["redis.conf"],
        "prometheus": [],
        "grafana": ["grafana_password"],
    }
    assert not any("ANONYMOUS" in name or "DISABLE_LOGIN" in name for name in SERVICES["grafana"]["environment"])


def test_one_broker_keeps_its_own_topics_and_makes_no_others_by_itself() -> None:
    """Three copies of them would be made on one broker never: no group could commit an offset."""
    kafka = SERVICES["kafka"]["environment"]
    for name in ("OFFSETS_TOPIC_REPLICATION_FACTOR", "TRANSACTION_STATE_LOG_REPLICATION_FACTOR",
                 "TRANSACTION_STATE_LOG_MIN_ISR"):  # fmt: skip
        assert kafka[f"KAFKA_{name}"] == "1"
    assert kafka["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_nobody_speaks_with_kafka_who_did_not_log_in() -> None:
    kafka = SERVICES["kafka"]["environment"]
    assert kafka["KAFKA_AUTHORIZER_CLASS_NAME"] == "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
    protocols = dict(one.split(":") for one in kafka["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(","))
    assert set(protocols.values()) == {"SASL_PLAINTEXT"}
    assert kafka["KAFKA_SUPER_USERS"] == "User:admin"
    assert "KAFKA_ALLOW_EVERYONE_IF_NO_ACL_FOUND" not in kafka
    assert "CONTROLLER://localhost:9093" in kafka["KAFKA_LISTENERS"]


def test_every_setting_is_one() -> None:
    names = set(SETTING.findall((DEPLOY / "compose.yaml").read_text())) - OF_COMPOSE
    assert {name for name in names if not is_setting(name)} == set()
    assert not is_setting("RATCHET_INGRESS__BINDD")


def test_the_script_makes_every_secret_and_keeps_what_is_there(secrets: Path) -> None:
    for name, secret in COMPOSE["secrets"].items():
        assert (secrets.parent / secret["file"]).is_file(), name
    before = {path.name: path.read_bytes() for path in secrets.iterdir()}
    assert len(set(before.values())) == len(before), "each is random"
    assert secrets.stat().st_mode & 0o077 == 0
    (secrets / "console_password").unlink()
    subprocess.run(["sh", "new-secrets.sh"], cwd=secrets.parent, check=True, capture_output=True)
    after = {path.name: path.read_bytes() for path in secrets.iterdir()}
    assert {name for name in after if after[name] != before[name]} == {"console_password"}


def test_secrets_are_long_and_redis_is_closed_and_bounded(secrets: Path) -> None:
    random = [path.read_text() for path in secrets.iterdir() if path.name.endswith(("_password", "_key", "_secret"))]
    assert len(random) == 20
    assert {len(one) for one in random} == {48}, "192 bits"
    redis = (secrets / "redis.conf").read_text().splitlines()
    assert redis == [
        f"requirepass {(secrets / 'redis_password').read_text()}",
        'save ""',
        "maxmemory 128mb",
        "maxmemory-policy allkeys-lru",
    ]
    owner = tomllib.loads((secrets / "ratchet-owner.toml").read_text())["postgres"]
    assert owner["dsn"] == "postgresql://ratchet_app@postgres:5432/ratchet", "its name alone: what the grants are for"
    assert owner["owner_dsn"].startswith("postgresql://ratchet_owner:")
    ingress = tomllib.loads((secrets / "ratchet-ingress.toml").read_text())
    assert ingress["providers"]["github"]["secrets"] == [(secrets / "webhook_secret").read_text()]
    assert ingress["api_keys"] == {"shop": (secrets / "client_key").read_text()}


def test_the_secrets_are_settings(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SERVICES["ingress"]["environment"]:
        monkeypatch.delenv(name, raising=False)
    logins = set()
    for role in (*ROLES, "ops"):
        monkeypatch.setenv("RATCHET_CONFIG", str(secrets / Path(SERVICES[role]["environment"]["RATCHET_CONFIG"]).name))
        settings = load()
        assert settings.kafka.bootstrap == "kafka:9092"
        assert settings.kafka.sasl_user == f"ratchet-{role}"
        assert settings.postgres.owner_dsn is None
        assert (settings.console.password is not None) is (role == "console")
        assert bool(settings.api_keys or settings.providers) is (role == "ingress")
        assert settings.postgres.dsn is not None
        assert settings.kafka.sasl_password is not None
        logins |= {settings.postgres.dsn.get_secret_value(), settings.kafka.sasl_password.get_secret_value()}
    assert len(logins) == 2 * len((*ROLES, "ops")), "a password each"
    monkeypatch.setenv("RATCHET_CONFIG", str(secrets / "ratchet-owner.toml"))
    assert load().postgres.owner_dsn is not None
