"""How the chart's pods come and go: roll-outs, disruptions, probes, scaling, the migration, and what a pod may use."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

import pytest
from deploy_files import CLEAN_END_SECONDS, DEPLOY, dockerfile, load_yaml, of_kind

from ops.roles import ROLES
from runtime.settings import RoleSettings

pytestmark = pytest.mark.unit

TEXT: Final = (DEPLOY / "helm" / "rendered.yaml").read_text()
VALUES: Final = load_yaml("helm", "ratchet", "values.yaml")
DEPLOYMENTS: Final = {
    one["metadata"]["labels"]["app.kubernetes.io/component"]: one for one in of_kind("Deployment").values()
}
JOB: Final = of_kind("Job")["ratchet-migrate"]
PODS: Final = {role: one["spec"]["template"]["spec"] for role, one in DEPLOYMENTS.items()} | {
    "migrate": JOB["spec"]["template"]["spec"]
}
SECONDS_TO_RESTART_MAX: Final = 60.0
"""RUNBOOK.md, RatchetRoleStuck: whoever runs it should have restarted it within a minute."""
UNITS: Final = {"": 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


def container(role: str) -> dict[str, Any]:
    (found,) = PODS[role]["containers"]
    return found


def size(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([KMG]i)?", text).groups("")  # type: ignore[union-attr]
    return int(number) * UNITS[unit]


@pytest.mark.parametrize("role", DEPLOYMENTS)
def test_a_roll_out_leaves_one_that_works(role: str) -> None:
    """Of the ingress all: who finds none may not come again. Of the others one less, and never one more."""
    spec = DEPLOYMENTS[role]["spec"]
    assert spec["strategy"]["type"] == "RollingUpdate"
    expected = {"maxSurge": 1, "maxUnavailable": 0} if role == "ingress" else {"maxSurge": 0, "maxUnavailable": 1}
    assert spec["strategy"]["rollingUpdate"] == expected
    assert spec["revisionHistoryLimit"] >= 2, "what a bad one replaced can be brought back"
    assert VALUES["roles"][role]["enabled"] is True
    assert VALUES["roles"][role]["replicas"] >= (1 if role == "console" else 2)


def test_settings_that_changed_are_rolled_out() -> None:
    """A pod reads the ConfigMap when it starts alone."""
    written = re.search(r"kind: ConfigMap\n(?:.*\n)*?data:\n((?:  .*\n)+)", TEXT)
    assert written
    settings = re.sub(r"(?m)^  ", "", written[1]).rstrip("\n")
    for one in DEPLOYMENTS.values():
        noted = one["spec"]["template"]["metadata"]["annotations"]["checksum/settings"]
        assert noted == hashlib.sha256(settings.encode()).hexdigest()


@pytest.mark.parametrize("role", DEPLOYMENTS)
def test_probes_wait_as_long_as_a_role_may_take(role: str) -> None:
    own = RoleSettings()
    startup, liveness, readiness = (container(role)[f"{name}Probe"] for name in ("startup", "liveness", "readiness"))
    for probe in (startup, liveness, readiness):
        assert probe["timeoutSeconds"] >= own.probe_timeout_seconds, "an answer that comes is no failure"
    seconds = {name: one["periodSeconds"] * one["failureThreshold"] for name, one in (
        ("startup", startup), ("liveness", liveness), ("readiness", readiness))}  # fmt: skip
    assert seconds["startup"] >= own.start_seconds_max
    assert own.stalled_after_seconds <= seconds["liveness"] <= SECONDS_TO_RESTART_MAX
    assert liveness["failureThreshold"] >= 3, "one answer that is late ends no process"
    assert 1 < readiness["failureThreshold"] <= 3
    assert seconds["readiness"] <= 15, "who is not ready is asked for no longer"
    assert VALUES["roles"]["ingress"]["preStopSeconds"] >= readiness["periodSeconds"], "proxies hear of the stop first"


@pytest.mark.parametrize("role", DEPLOYMENTS)
def test_whatever_chooses_a_role_s_pods_chooses_them_alone(role: str) -> None:
    one = DEPLOYMENTS[role]
    labels = one["spec"]["template"]["metadata"]["labels"]
    own = one["spec"]["selector"]["matchLabels"]
    assert own == {
        "app.kubernetes.io/name": "ratchet",
        "app.kubernetes.io/instance": "ratchet",
        "app.kubernetes.io/component": role,
    }
    assert own.items() <= labels.items()
    assert container(role)["name"] == role
    spread = PODS[role]["topologySpreadConstraints"]
    assert [rule["topologyKey"] for rule in spread] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    for rule in spread:
        assert rule["labelSelector"]["matchLabels"] == own
        assert rule["whenUnsatisfiable"] == "ScheduleAnyway", "a cluster of one node runs all"
        assert rule["maxSkew"] == 1
    budget = of_kind("PodDisruptionBudget").get(f"ratchet-{role}")
    if role != "console":
        assert budget is not None
        assert budget["spec"] == {
            "maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow", "selector": {"matchLabels": own},
        }  # fmt: skip


@pytest.mark.parametrize("role", PODS)
def test_a_pod_can_read_and_write_what_it_mounts_and_nobody_else_can(role: str) -> None:
    (user,) = (words[1] for words in dockerfile() if words[0] == "USER")
    security = PODS[role]["securityContext"]
    assert f"{security['runAsUser']}:{security['runAsGroup']}" == user, "whom the image's home belongs to"
    assert security["fsGroup"] == security["runAsGroup"], "Secrets are mounted as root's and this group's"
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    volumes = {one["name"]: one for one in PODS[role]["volumes"]}
    mounts = {one["name"]: one["mountPath"] for one in container(role)["volumeMounts"]}
    assert set(mounts) == set(volumes)
    assert (mounts["home"], mounts["tmp"]) == ("/var/lib/ratchet", "/tmp")
    for name in ("home", "tmp"):
        assert size(volumes[name]["emptyDir"]["sizeLimit"]) >= 16 << 20, "a run file and a crash report fit"
    if role != "migrate":
        assert volumes["kafka-tls"]["secret"]["defaultMode"] == 0o440


@pytest.mark.parametrize("role", PODS)
def test_a_secret_is_needed_and_wins_over_what_is_no_secret(role: str) -> None:
    sources = container(role)["envFrom"]
    kinds = [next(iter(one)) for one in sources]
    assert kinds == (["secretRef"] if role == "migrate" else ["configMapRef", "secretRef"])
    for one in sources:
        assert not next(iter(one.values())).get("optional"), (
            "a role that starts without it would wait, or do less, in silence"
        )


@pytest.mark.parametrize("role", PODS)
def test_memory_is_bounded_and_cpu_is_not(role: str) -> None:
    """A process that is throttled answers its probe late and loses its lease."""
    resources = container(role)["resources"]
    assert set(resources["limits"]) == {"memory"}
    assert set(resources["requests"]) == {"cpu", "memory"}
    assert size(resources["limits"]["memory"]) >= 2 * size(resources["requests"]["memory"])
    if role != "migrate":
        assert resources == VALUES["roles"][role]["resources"]


def test_the_migration_runs_before_and_leaves_the_way_free_for_the_next() -> None:
    annotations = JOB["metadata"]["annotations"]
    assert annotations["helm.sh/hook"] == "pre-install,pre-upgrade"
    policies = annotations["helm.sh/hook-delete-policy"].split(",")
    assert "before-hook-creation" in policies, "a Job can't be changed: the next upgrade would be refused"
    assert "hook-failed" not in policies, "its log says why"
    pod = PODS["migrate"]
    assert pod["restartPolicy"] == "Never", "each try has a log of its own"
    assert JOB["spec"]["backoffLimit"] >= 1
    assert JOB["spec"]["activeDeadlineSeconds"] >= 600, "an index is built beside live traffic"
    assert container("migrate")["args"] == ["migrate", "up"]
    assert {container(role)["image"] for role in PODS} == {container("migrate")["image"]}, (
        "its schema is the roles' one"
    )
    assert {container(role)["imagePullPolicy"] for role in PODS} == {"IfNotPresent"}
    assert VALUES["migrate"]["enabled"] is True


def test_load_adds_ingresses_and_takes_them_away_slowly() -> None:
    spec = of_kind("HorizontalPodAutoscaler")["ratchet-ingress"]["spec"]
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "ratchet-ingress"}
    assert spec["minReplicas"] == VALUES["roles"]["ingress"]["replicas"] >= 2
    assert spec["maxReplicas"] == VALUES["autoscaling"]["maxReplicas"] > spec["minReplicas"]
    (metric,) = spec["metrics"]
    assert metric["resource"]["name"] == "cpu"
    target = metric["resource"]["target"]
    assert (target["type"], target["averageUtilization"]) == ("Utilization", VALUES["autoscaling"]["cpuPercent"])
    assert 40 <= target["averageUtilization"] <= 80, "room for a burst, until another one is there"
    assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] >= 60


def test_lag_adds_consumers_and_takes_them_away_slowly() -> None:
    """Each change of their number stops all of them for a moment."""
    spec = of_kind("ScaledObject")["ratchet-consumer"]["spec"]
    fewest = VALUES["roles"]["consumer"]["replicas"]
    assert spec["scaleTargetRef"] == {"name": "ratchet-consumer"}
    assert spec["minReplicaCount"] == fewest >= 2
    assert spec["maxReplicaCount"] == VALUES["keda"]["maxReplicas"] > fewest
    assert spec["fallback"]["replicas"] == fewest, "a Kafka that does not answer ends no consumer"
    down = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
    assert down["stabilizationWindowSeconds"] == VALUES["keda"]["scaleDownSeconds"] >= 60
    assert down["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 60}]
    assert 5 <= spec["pollingInterval"] == VALUES["keda"]["pollingSeconds"] < down["stabilizationWindowSeconds"]
    for trigger in spec["triggers"]:
        found = trigger["metadata"]
        assert found["lagThreshold"] == str(VALUES["keda"]["lagThreshold"])
        assert int(found["lagThreshold"]) >= 1000, "what a consumer works off in a second is no reason for another one"
        assert found["activationLagThreshold"] == "0"
        assert found["allowIdleConsumers"] == "false", "more than partitions stand idle"


def test_the_default_values_are_safe_ones() -> None:
    for name in ("migrate", "podDisruptionBudget", "networkPolicy"):
        assert VALUES[name]["enabled"] is True, name
    for name in ("keda", "autoscaling", "ingress"):
        assert VALUES[name]["enabled"] is False, name
    assert VALUES["serviceAccount"]["create"] is True
    assert VALUES["secretName"] == "", "no Secret that all roles see"
    secrets = [VALUES["ownerSecretName"], *(one["secretName"] for one in VALUES["roles"].values())]
    assert len(set(secrets)) == len(secrets) == len({*ROLES, "console"}) + 1
    assert VALUES["kafka"]["replicationFactor"] == 3, "a broker that is lost takes nothing with it"
    assert VALUES["kafka"]["partitions"] >= VALUES["keda"]["maxReplicas"]
    longest = max(one["preStopSeconds"] for one in VALUES["roles"].values())
    assert VALUES["terminationGracePeriodSeconds"] > longest + CLEAN_END_SECONDS
