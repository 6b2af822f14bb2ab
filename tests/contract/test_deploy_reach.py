"""Who reaches what in a cluster: Services, the Ingress, network policies, the monitor; and what all of it can read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final, get_args

import pytest
from deploy_files import DEPLOY, load_yaml, of_kind
from pydantic import BaseModel, SecretStr

from runtime.settings import Settings

pytestmark = pytest.mark.unit

VALUES: Final = load_yaml("helm", "ratchet", "values.yaml")
OURS: Final = {"app.kubernetes.io/name": "ratchet", "app.kubernetes.io/instance": "ratchet"}
PORTS: Final = {
    name: {port["name"]: port["containerPort"] for port in one["spec"]["template"]["spec"]["containers"][0]["ports"]}
    for name, one in of_kind("Deployment").items()
}
POLICIES: Final = of_kind("NetworkPolicy")


def tcp(*ports: int) -> list[dict[str, Any]]:
    return [{"protocol": "TCP", "port": port} for port in ports]


def of_role(role: str) -> dict[str, str]:
    return {**OURS, "app.kubernetes.io/component": role}


@pytest.mark.parametrize("role", ["ingress", "console"])
def test_a_service_leads_to_its_role_alone(role: str) -> None:
    assert set(of_kind("Service")) == {"ratchet-ingress", "ratchet-console"}
    spec = of_kind("Service")[f"ratchet-{role}"]["spec"]
    assert spec["selector"] == of_role(role), "another role's pods would get its requests"
    assert spec["ports"] == [{"name": "http", "port": VALUES["service"]["port"], "targetPort": "http"}]
    settings = of_kind("ConfigMap")["ratchet"]["data"]
    host, _, port = settings[f"RATCHET_{role.upper()}__BIND"].rpartition(":")
    assert (host, int(port)) == ("0.0.0.0" if role == "ingress" else "[::]", PORTS[f"ratchet-{role}"]["http"])


def test_the_console_is_open_to_nobody_outside() -> None:
    """However the ingress' own Service is opened: what is kept was made with a load balancer before that one."""
    assert of_kind("Service")["ratchet-ingress"]["spec"]["type"] == "LoadBalancer"
    assert of_kind("Service")["ratchet-console"]["spec"]["type"] == "ClusterIP"
    assert VALUES["service"]["type"] == "ClusterIP"


def test_what_comes_from_outside_is_led_to_the_ingress_with_all_that_is_below_a_path() -> None:
    (rule,) = of_kind("Ingress")["ratchet"]["spec"]["rules"]
    assert rule["host"] == VALUES["ingress"]["host"]
    for one in rule["http"]["paths"]:
        assert one["pathType"] == "Prefix"
        assert one["backend"] == {"service": {"name": "ratchet-ingress", "port": {"name": "http"}}}


def test_every_pod_is_asked_for_metrics_and_asks_the_brokers_and_no_more() -> None:
    spec = POLICIES["ratchet"]["spec"]
    assert spec["podSelector"] == {"matchLabels": OURS}
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    monitoring = {"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}
    assert spec["ingress"] == [{"ports": tcp(VALUES["probePort"]), "from": [monitoring]}], "whom metricsFrom names"
    dns, brokers = spec["egress"]
    assert dns == {"ports": [{"protocol": "UDP", "port": 53}, *tcp(53)]}
    chosen = VALUES["networkPolicy"]
    assert brokers == {"ports": tcp(*(chosen[f"{name}Port"] for name in ("kafka", "postgres", "redis", "otlp")))}
    assert VALUES["kafka"]["bootstrap"].endswith(f":{chosen['kafkaPort']}")
    assert (chosen["postgresPort"], chosen["redisPort"], chosen["otlpPort"]) == (5432, 6379, 4318), (
        "as they listen by default"
    )


def test_only_the_ingress_is_asked_from_outside() -> None:
    spec = POLICIES["ratchet-ingress"]["spec"]
    assert spec == {
        "podSelector": {"matchLabels": of_role("ingress")},
        "policyTypes": ["Ingress"],
        "ingress": [{"ports": tcp(PORTS["ratchet-ingress"]["http"]), "from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}],
    }


def test_only_who_asks_providers_reaches_the_internet_and_by_tls_alone() -> None:
    """The console too, for its people sign in at an issuer."""
    assert of_kind("ConfigMap")["ratchet"]["data"]["RATCHET_CONSOLE__SSO__ISSUER"]
    spec = POLICIES["ratchet-outside"]["spec"]
    assert spec == {
        "podSelector": {
            "matchLabels": OURS,
            "matchExpressions": [
                {"key": "app.kubernetes.io/component", "operator": "In", "values": ["ingress", "dispatcher", "console"]}
            ],
        },
        "policyTypes": ["Egress"],
        "egress": [{"ports": tcp(443)}],
    }
    assert set(POLICIES) == {"ratchet", "ratchet-ingress", "ratchet-outside"}


def test_prometheus_reads_every_pod_s_metrics_under_the_name_that_the_rules_ask() -> None:
    monitor = of_kind("PodMonitor")["ratchet"]
    spec = monitor["spec"]
    assert spec["selector"] == {"matchLabels": OURS}
    (endpoint,) = spec["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["path"]) == ("probe", "/metrics")
    assert all("probe" in ports for ports in PORTS.values())
    assert 5 <= int(endpoint["interval"].removesuffix("s")) <= 30, "alerts look back over a minute"
    labels = {one["targetLabel"]: one for one in endpoint["relabelings"]}
    assert labels["job"]["replacement"] == load_yaml("prometheus", "prometheus.yml")["scrape_configs"][0]["job_name"]
    assert labels["component"]["sourceLabels"] == ["__meta_kubernetes_pod_label_app_kubernetes_io_component"]
    assert monitor["metadata"]["labels"]["release"] == "prometheus", "the operator looks for labels that were asked for"


def is_secret(name: str) -> bool:
    """Tell whether a setting may hold a secret, by the type of its field."""
    kind: Any = Settings
    for part in name.removeprefix("RATCHET_").lower().split("__"):
        fields = {(one.alias or field): one.annotation for field, one in kind.model_fields.items()}
        kind = fields[part]
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return SecretStr in _parts(kind)
    return False


def _parts(kind: Any) -> set[Any]:
    return {kind}.union(*(_parts(one) for one in get_args(kind)))


def test_no_secret_stands_in_the_config_map() -> None:
    assert is_secret("RATCHET_POSTGRES__DSN")
    assert is_secret("RATCHET_API_KEYS")
    for name in of_kind("ConfigMap")["ratchet"]["data"]:
        assert not is_secret(name), name
    text = (DEPLOY / "helm" / "rendered.yaml").read_text()
    assert set(re.findall(r"\S+://\S+", text)) == {"https://pay.example.com", "https://id.example.com"}


def test_settings_that_are_given_win_over_those_that_the_chart_knows() -> None:
    """What is kept was made with them."""
    settings = of_kind("ConfigMap")["ratchet"]["data"]
    assert settings["RATCHET_PUBLIC_URL"] == "https://pay.example.com"
    assert settings["RATCHET_CONSOLE__BIND"] == "[::]:8081"
    assert settings["RATCHET_KAFKA__REPLICATION_FACTOR"] == str(VALUES["kafka"]["replicationFactor"])
    assert settings["RATCHET_KAFKA__PARTITIONS"] == str(VALUES["kafka"]["partitions"])
    names = {
        name: Path(settings[f"RATCHET_KAFKA__{name}"]).name for name in ("CA_FILE", "CERTIFICATE_FILE", "KEY_FILE")
    }
    assert names == {"CA_FILE": "ca.crt", "CERTIFICATE_FILE": "tls.crt", "KEY_FILE": "tls.key"}


def test_the_image_is_named_by_the_digest_that_was_looked_at() -> None:
    pods = [one["spec"]["template"]["spec"] for one in (*of_kind("Deployment").values(), *of_kind("Job").values())]
    version = load_yaml("helm", "ratchet", "Chart.yaml")["appVersion"]
    for pod in pods:
        (container,) = pod["containers"]
        assert container["image"] == f"ratchet:{version}@sha256:{'0123456789abcdef' * 4}"
        assert pod["automountServiceAccountToken"] is False
        assert pod.get("serviceAccountName", "ratchet") == "ratchet"
    assert [pod.get("serviceAccountName") for pod in pods].count(None) == 1, "the migration comes before it is there"
    assert of_kind("ServiceAccount")["ratchet"]["automountServiceAccountToken"] is False
