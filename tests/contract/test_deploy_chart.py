"""The Helm chart, by what it makes: deploy/helm/rendered.yaml, written by `make deploy-check ARGS=--write`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import jsonschema_rs
import pytest
from deploy_files import CLEAN_END_SECONDS, DEPLOY, ROOT, SETTING, is_setting, load_yaml, of_kind

from ops.roles import ROLES
from runtime.settings import KafkaSettings
from schemas.topics import CONSUMED, CONSUMER_GROUP

sys.path.insert(0, str(DEPLOY))
import check
import go_tools

pytestmark = pytest.mark.unit

CHART = DEPLOY / "helm" / "ratchet"
TEXT = (DEPLOY / "helm" / "rendered.yaml").read_text()
VALUES = load_yaml("helm", "ratchet", "values.yaml")
SCHEMA = json.loads((CHART / "values.schema.json").read_text())


DEPLOYMENTS = {
    name.removeprefix("ratchet-"): one["spec"]["template"]["spec"] for name, one in of_kind("Deployment").items()
}
PODS = [*DEPLOYMENTS.values(), of_kind("Job")["ratchet-migrate"]["spec"]["template"]["spec"]]


def test_what_is_kept_was_made_from_this_chart() -> None:
    assert check.chart_digest() in TEXT.splitlines()[0], "run `make deploy-check ARGS=--write`"


@pytest.mark.skipif(
    not go_tools.place("helm").exists(), reason="helm is not in .ratchet/tools: `make deploy-check` builds it with Go"
)
def test_helm_makes_what_is_kept() -> None:
    assert check.rendered_file() == TEXT, "run `make deploy-check ARGS=--write`"


def test_every_role_is_a_deployment() -> None:
    assert set(ROLES) <= set(DEPLOYMENTS)
    for role, pod in DEPLOYMENTS.items():
        assert pod["containers"][0]["args"] == [role]


def test_a_role_drains_within_its_grace_period() -> None:
    for role, pod in DEPLOYMENTS.items():
        (container,) = pod["containers"]
        pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        assert pod["terminationGracePeriodSeconds"] > pause + CLEAN_END_SECONDS, role
    assert DEPLOYMENTS["ingress"]["containers"][0]["lifecycle"], "proxies must hear of the stop first"


def test_kubernetes_sets_no_names_of_ours() -> None:
    for pod in PODS:
        assert pod["enableServiceLinks"] is False, "RATCHET_CONSOLE_SERVICE_HOST would be an unknown setting"


def test_probes_ask_the_fixed_port() -> None:
    settings = of_kind("ConfigMap")["ratchet"]["data"]
    for pod in DEPLOYMENTS.values():
        (container,) = pod["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert settings["RATCHET_ROLE__PROBE_BIND"] == f"0.0.0.0:{ports['probe']}"
        asked = {probe: container[f"{probe}Probe"]["httpGet"] for probe in ("startup", "liveness", "readiness")}
        assert asked["startup"] == asked["liveness"] == {"path": "/livez", "port": "probe"}
        assert asked["readiness"] == {"path": "/readyz", "port": "probe"}
    assert settings["RATCHET_INGRESS__BIND"].endswith(":8080")


def test_containers_may_do_nothing() -> None:
    for pod in PODS:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["automountServiceAccountToken"] is False
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
        assert "/var/lib/ratchet" in {mount["mountPath"] for mount in container["volumeMounts"]}
        assert {"requests", "limits"} <= set(container["resources"])


def test_only_the_migration_sees_the_owners_secret() -> None:
    users = [
        pod["containers"][0]["name"]
        for pod in PODS
        if "ratchet-owner" in [one.get("secretRef", {}).get("name") for one in pod["containers"][0]["envFrom"]]
    ]
    assert users == ["migrate"]
    hook = of_kind("Job")["ratchet-migrate"]["metadata"]["annotations"]["helm.sh/hook"]
    assert hook == "pre-install,pre-upgrade"
    assert not [one for one in PODS[-1]["containers"][0]["envFrom"] if "configMapRef" in one], "it is not there yet"


def test_each_process_has_its_own_secret_alone() -> None:
    for pod in PODS:
        (container,) = pod["containers"]
        secrets = [one["secretRef"]["name"] for one in container["envFrom"] if "secretRef" in one]
        assert secrets == ["ratchet-owner" if container["name"] == "migrate" else f"ratchet-{container['name']}"]
        mounted = [one["secret"]["secretName"] for one in pod["volumes"] if "secret" in one]
        assert mounted == ([] if container["name"] == "migrate" else ["kafka-tls"])


def test_disruptions_leave_one() -> None:
    replicas = {name: one["spec"].get("replicas") for name, one in of_kind("Deployment").items()}
    budgets = of_kind("PodDisruptionBudget")
    assert set(budgets) == {name for name, number in replicas.items() if number != 1}
    for budget in budgets.values():
        assert budget["spec"]["maxUnavailable"] == 1


def test_lag_scales_the_consumers_but_a_halted_partition_does_not() -> None:
    spec = of_kind("ScaledObject")["ratchet-consumer"]["spec"]
    triggers = {one["metadata"]["topic"]: one["metadata"] for one in spec["triggers"]}
    assert set(triggers) == {topic.name for topic in CONSUMED}
    for trigger in triggers.values():
        assert trigger["consumerGroup"] == CONSUMER_GROUP
        assert trigger["excludePersistentLag"] == "true"
        assert trigger["offsetResetPolicy"] == "earliest", "as the consumer's own"
        assert trigger["bootstrapServers"] == of_kind("ConfigMap")["ratchet"]["data"]["RATCHET_KAFKA__BOOTSTRAP"]
    assert spec["minReplicaCount"] >= 1, "also events that wait for their deadline need a consumer"
    assert spec["maxReplicaCount"] <= VALUES["kafka"]["partitions"]
    assert "replicas" not in of_kind("Deployment")["ratchet-consumer"]["spec"], "two would set it against each other"
    assert "replicas" not in of_kind("Deployment")["ratchet-ingress"]["spec"]


def test_every_pod_reaches_kafka_the_same_way() -> None:
    settings = of_kind("ConfigMap")["ratchet"]["data"]
    known = {name: value for name, value in settings.items() if name.startswith("RATCHET_KAFKA__")}
    inline = {one["name"]: one["value"] for one in PODS[-1]["containers"][0]["env"]}
    assert inline == {"RATCHET_KAFKA__BOOTSTRAP": known["RATCHET_KAFKA__BOOTSTRAP"]}, "the migration never connects"
    assert "PASSWORD" not in TEXT.replace("name: RATCHET_KAFKA__SASL_PASSWORD", ""), "passwords stay in the Secret"
    for pod in DEPLOYMENTS.values():
        (volume,) = [one for one in pod["volumes"] if one["name"] == "kafka-tls"]
        assert volume["secret"]["secretName"] == "kafka-tls"
        (mount,) = [one for one in pod["containers"][0]["volumeMounts"] if one["name"] == "kafka-tls"]
        for name in ("CA_FILE", "CERTIFICATE_FILE", "KEY_FILE"):
            assert str(Path(known[f"RATCHET_KAFKA__{name}"]).parent) == mount["mountPath"]
        assert mount["readOnly"] is True


def test_the_chart_s_kafka_settings_fit_together(tmp_path: Path) -> None:
    settings = of_kind("ConfigMap")["ratchet"]["data"]
    known = {name.removeprefix("RATCHET_KAFKA__").lower(): value for name, value in settings.items() if "KAFKA" in name}
    for name in ("ca_file", "certificate_file", "key_file"):
        known[name] = str(tmp_path / name)
        (tmp_path / name).touch()
    assert KafkaSettings(**known, sasl_password="x").sasl


def test_the_autoscaler_logs_in_as_the_consumer_does() -> None:
    login = of_kind("TriggerAuthentication")["ratchet-kafka"]["spec"]
    assert {one["parameter"]: one["name"] for one in login["env"]} == {
        "username": "RATCHET_KAFKA__SASL_USER", "password": "RATCHET_KAFKA__SASL_PASSWORD",
    }  # fmt: skip
    assert {one["containerName"] for one in login["env"]} == {"consumer"}
    assert {one["parameter"]: one["key"] for one in login["secretTargetRef"]} == {
        "ca": "ca.crt", "cert": "tls.crt", "key": "tls.key",
    }  # fmt: skip
    for trigger in of_kind("ScaledObject")["ratchet-consumer"]["spec"]["triggers"]:
        assert trigger["authenticationRef"] == {"name": "ratchet-kafka"}
        assert (trigger["metadata"]["tls"], trigger["metadata"]["sasl"]) == ("enable", "scram_sha512")
        assert "unsafeSsl" not in trigger["metadata"]


def test_only_the_ingresses_paths_are_led_in() -> None:
    paths = [one["path"] for one in of_kind("Ingress")["ratchet"]["spec"]["rules"][0]["http"]["paths"]]
    assert paths == ["/webhooks", "/payment-intents", "/payments", "/openapi.json"]
    policies = of_kind("NetworkPolicy")
    assert policies["ratchet"]["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert policies["ratchet-ingress"]["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "ingress"


def test_every_setting_is_one() -> None:
    sources = [path.read_text() for path in (CHART / "values.yaml", *(CHART / "templates").iterdir())]
    names = {name for text in (TEXT, *sources) for name in SETTING.findall(text)}
    assert "RATCHET_KAFKA__BOOTSTRAP" in names
    assert {name for name in names if not is_setting(name)} == set()


def test_values_fit_their_schema() -> None:
    validator = jsonschema_rs.validator_for(SCHEMA)
    assert [error.message for error in validator.iter_errors(VALUES)] == []
    assert set(VALUES) | {"global"} == set(SCHEMA["properties"]), "every value is described"
    for wrong in (
        {"settings": {"RATCHET_API_KEYS": "{}"}},
        {"settings": {"RATCHET_PROVIDERS__STRIPE__SECRETS": "[]"}},
        {"settings": {"OTHER": "x"}},
        {"kafka": VALUES["kafka"] | {"bootstrap": "kafka"}},
        {"kafka": VALUES["kafka"] | {"securityProtocol": "TLS"}},
        {"kafka": VALUES["kafka"] | {"sasl": {"mechanism": "GSSAPI"}}},
        {"kafka": VALUES["kafka"] | {"sasl": {"password": "x"}}},
        {"kafka": VALUES["kafka"] | {"tls": {"ca": "../ca.pem"}}},
        {"settings": {"RATCHET_KAFKA__SASL_PASSWORD": "x"}},
        {"replicaCount": 2},
        {"terminationGracePeriodSeconds": "40"},
    ):
        assert not validator.is_valid(VALUES | wrong), wrong


def test_the_chart_is_the_projects() -> None:
    chart = load_yaml("helm", "ratchet", "Chart.yaml")
    assert f'version = "{chart["appVersion"]}"' in (ROOT / "pyproject.toml").read_text()
    assert (CHART / "files" / "rules.yaml").read_text() == (DEPLOY / "prometheus" / "rules.yaml").read_text()
    assert (CHART / "files" / "dashboard.json").read_text() == (DEPLOY / "grafana" / "ratchet.json").read_text()
