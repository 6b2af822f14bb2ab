"""compose.yaml and its secrets: valid, closed, of one mind with the settings."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from deploy_files import CLEAN_END_SECONDS, DEPLOY, SETTING, is_setting, load_yaml

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


def test_our_containers_may_do_nothing() -> None:
    for name in OURS:
        service = SERVICES[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert [one.partition(":")[0] for one in service["tmpfs"]] == ["/tmp"]
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


def test_nobody_speaks_with_kafka_who_did_not_log_in() -> None:
    kafka = SERVICES["kafka"]["environment"]
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
