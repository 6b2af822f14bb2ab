# noqa: INP001 - a module beside the script that uses it, in no package
"""A kube-apiserver with an etcd of its own on loopback: what it takes, a cluster would take.

Nothing else of a cluster runs: no controller makes pods of a Deployment, and no kubelet would run them.
"""

from __future__ import annotations

import copy
import http.client
import json
import secrets
import socket
import ssl
import subprocess
import tempfile
import time
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOPBACK: Final = "127.0.0.1"
START_SECONDS_MAX: Final = 120.0
STOP_SECONDS_MAX: Final = 30.0
ASK_SECONDS_MAX: Final = 30.0
POLL_SECONDS: Final = 0.2
LAST_WORDS: Final = 2000
CERTIFICATE: Final = "certificates/apiserver.crt"
"""Made by kube-apiserver at its start, with the authority that signed it, in its folder."""
DRY_RUN: Final = "?dryRun=All&fieldValidation=Strict"
"""What is posted goes through all that a real one does but the last step: it is not stored."""
STORED: Final = "?fieldValidation=Strict"


class RefusedError(Exception):
    """The API server refused what it was asked; the message is what it answered."""


@dataclass(frozen=True, slots=True)
class ApiServer:
    """One that answers. `folder` holds its files; `kubeconfig` is what helm and kubectl log in with."""

    port: int
    token: str
    folder: Path
    context: ssl.SSLContext

    @property
    def kubeconfig(self) -> Path:
        """Return the file that names it, and our login."""
        return self.folder / "kubeconfig"

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a request as an administrator. Raises RefusedError at a refusal, and at a warning; OSError."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        connection = http.client.HTTPSConnection(LOOPBACK, self.port, context=self.context, timeout=ASK_SECONDS_MAX)
        with closing(connection):
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
        if answer.status >= http.client.BAD_REQUEST:
            raise RefusedError(f"{method} {path}: {answer.status} {text.decode(errors='replace')}")
        if warning := answer.headers.get_all("Warning"):
            raise RefusedError(f"{method} {path}: warned of {'; '.join(warning)}")
        found: dict[str, Any] = json.loads(text) if text.startswith(b"{") else {}
        return found

    def collection(self, version: str, kind: str, namespace: str) -> str:
        """Return the path under which documents of a kind stand, as the server itself names it."""
        base = f"/apis/{version}" if "/" in version else f"/api/{version}"
        for one in self.ask("GET", base)["resources"]:
            if one["kind"] == kind and "/" not in one["name"]:
                return f"{base}/namespaces/{namespace}/{one['name']}" if one["namespaced"] else f"{base}/{one['name']}"
        raise RefusedError(f"{version} has no {kind}")

    def post(self, document: dict[str, Any], namespace: str = "default", *, stored: bool = False) -> None:
        """Have a document taken: looked at as a whole and not stored, unless `stored`. Raises RefusedError."""
        path = self.collection(document["apiVersion"], document["kind"], namespace)
        self.ask("POST", path + (STORED if stored else DRY_RUN), document)

    def define(self, definition: dict[str, Any]) -> None:
        """Add a kind by its CustomResourceDefinition; return when the server takes documents of it."""
        self.post(definition, stored=True)
        path = f"/apis/{definition['apiVersion']}/customresourcedefinitions/{definition['metadata']['name']}"
        served = [one["name"] for one in definition["spec"]["versions"] if one["served"]]
        group, kind = definition["spec"]["group"], definition["spec"]["names"]["kind"]

        def established() -> bool:
            conditions = self.ask("GET", path).get("status", {}).get("conditions") or []
            if not any(one["type"] == "Established" and one["status"] == "True" for one in conditions):
                return False
            try:
                return all(self.collection(f"{group}/{version}", kind, "default") for version in served)
            except RefusedError:  # established, and not served yet
                return False

        _until(established, f"{kind} is not established")


def misspelled(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document with a field that its kind does not have, as deep as a container where it has some. Pure."""
    wrong = copy.deepcopy(document)
    inner: Any = wrong.get("spec", wrong)
    containers = inner.get("template", {}).get("spec", {}).get("containers") if "template" in inner else None
    (containers[0] if containers else inner)["noSuchField"] = 1
    return wrong


def pod_of(document: dict[str, Any]) -> dict[str, Any] | None:
    """Return the pod that a controller would make of a document; None where it makes none. Pure."""
    template = document.get("spec", {}).get("template") if document["kind"] in {"Deployment", "Job"} else None
    if template is None:
        return None
    metadata = template["metadata"] | {"name": document["metadata"]["name"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


@contextmanager
def running(etcd: Path, kube_apiserver: Path) -> Iterator[ApiServer]:
    """Run both of these programs, empty, while the context lasts. Raises RefusedError where they do not start."""
    with tempfile.TemporaryDirectory(prefix="ratchet-apiserver-") as name, ExitStack() as ends:
        folder, token = Path(name), secrets.token_urlsafe(32)
        stored, peers, port = _free_port(), _free_port(), _free_port()
        _write_keys(folder, token)
        ends.enter_context(_process("etcd", [etcd, *_etcd_words(folder, stored, peers)], folder))
        words = [kube_apiserver, *_apiserver_words(folder, stored, port)]
        process = ends.enter_context(_process("kube-apiserver", words, folder))
        certificate = folder / CERTIFICATE

        def ready() -> bool:
            if process.poll() is not None:
                raise RefusedError(f"kube-apiserver ended: {_last_words(folder, 'kube-apiserver')}")
            return certificate.exists() and _answers(port, token, folder)

        _until(ready, f"kube-apiserver does not answer in {START_SECONDS_MAX:g} s", folder)
        server = _server(port, token, folder)
        _write_kubeconfig(server)
        yield server


def _etcd_words(folder: Path, port: int, peers: int) -> list[str]:
    there, peer = f"http://{LOOPBACK}:{port}", f"http://{LOOPBACK}:{peers}"
    return [
        f"--data-dir={folder / 'etcd'}", f"--listen-client-urls={there}", f"--advertise-client-urls={there}",
        f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}",
    ]  # fmt: skip


def _apiserver_words(folder: Path, stored: int, port: int) -> list[str]:
    return [
        f"--etcd-servers=http://{LOOPBACK}:{stored}", f"--bind-address={LOOPBACK}", f"--advertise-address={LOOPBACK}",
        f"--secure-port={port}", f"--cert-dir={(folder / CERTIFICATE).parent}", "--anonymous-auth=false",
        f"--token-auth-file={folder / 'tokens.csv'}", "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={folder / 'public.pem'}",
        f"--service-account-signing-key-file={folder / 'private.pem'}", "--service-cluster-ip-range=10.0.0.0/24",
        # It would publish its own address, and refuses one of loopback.
        "--endpoint-reconciler-type=none",
    ]  # fmt: skip


def _write_keys(folder: Path, token: str) -> None:
    """Write our login, and the keys that service accounts' tokens are signed with."""
    (folder / "tokens.csv").write_text(f'{token},admin,admin,"system:masters"\n')
    key = ec.generate_private_key(ec.SECP256R1())
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )  # fmt: skip
    (folder / "private.pem").write_bytes(secret)
    (folder / "public.pem").write_bytes(public)


def _write_kubeconfig(server: ApiServer) -> None:
    authority = str(server.folder / CERTIFICATE)
    cluster = {"server": f"https://{LOOPBACK}:{server.port}", "certificate-authority": authority}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "check", "cluster": cluster}],
        "users": [{"name": "check", "user": {"token": server.token}}],
        "contexts": [{"name": "check", "context": {"cluster": "check", "user": "check"}}],
        "current-context": "check",
    }
    server.kubeconfig.touch(mode=0o600)
    server.kubeconfig.write_text(yaml.safe_dump(document))


def _server(port: int, token: str, folder: Path) -> ApiServer:
    return ApiServer(port, token, folder, ssl.create_default_context(cafile=str(folder / CERTIFICATE)))


def _answers(port: int, token: str, folder: Path) -> bool:
    try:
        _server(port, token, folder).ask("GET", "/readyz")
    except (OSError, RefusedError, http.client.HTTPException):
        return False
    return True


@contextmanager
def _process(name: str, words: list[Any], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen([str(word) for word in words], stdout=log, stderr=log)  # noqa: S603 - our own words
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until(holds: Any, otherwise: str, folder: Path | None = None) -> None:
    """Return when it holds. Raises RefusedError with `otherwise` and the log's last words past the bound."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while not holds():
        if time.monotonic() > deadline:
            raise RefusedError(f"{otherwise}: {_last_words(folder, 'kube-apiserver') if folder else ''}")
        time.sleep(POLL_SECONDS)


def _last_words(folder: Path, name: str) -> str:
    return (folder / f"{name}.log").read_text(errors="replace")[-LAST_WORDS:]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
