# noqa: INP001 - a module beside the script that uses it, in no package
"""The chart before a real kube-apiserver: each document taken, refused where it is misspelled, installed by helm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import api_server
import yaml
from go_tools import CheckError, apiserver_tool, kubernetes_version, run, say, tool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

NAMESPACE: Final = "ratchet"
RESTRICTED: Final = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
"""What a namespace demands of pods, as strictly as Kubernetes knows to."""


def check(
    variants: Mapping[str, Sequence[str]],
    chart: Path,
    rendered: Callable[[Sequence[str]], str],
    definitions: Iterable[dict[str, Any]],
) -> None:
    """Run a kube-apiserver and hold the chart against it, with each set of values.

    `variants` are helm's words by name, `rendered` makes documents of them, `definitions` are the operators' kinds.
    Raises CheckError and RefusedError.
    """
    made = {name: [one for one in yaml.safe_load_all(rendered(words)) if one] for name, words in variants.items()}
    with api_server.running(apiserver_tool("etcd"), apiserver_tool("kube-apiserver")) as server:
        prepare(server, definitions)
        for name, documents in made.items():
            for document in documents:
                server.post(document, NAMESPACE)
                see_refused(server, api_server.misspelled(document))
            say(f"kube-apiserver {kubernetes_version()}: takes the {len(documents)} documents of {name}")
        for name, words in variants.items():
            install(server, chart, words)
            for document in made[name]:
                if pod := api_server.pod_of(document):
                    server.post(pod, NAMESPACE)
            say(f"helm: installs {name}, and its pods are admitted as restricted ones")
        run(tool("helm"), "uninstall", "ratchet", "--no-hooks", "--namespace", NAMESPACE, env=_login(server))


def prepare(server: api_server.ApiServer, definitions: Iterable[dict[str, Any]]) -> None:
    """Make the namespace, the service account that a cluster's controllers make in it, and the operators' kinds."""
    metadata = {"name": NAMESPACE, "labels": RESTRICTED}
    server.post({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}, stored=True)
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    server.post(account, NAMESPACE, stored=True)
    for definition in definitions:
        server.define(definition)


def see_refused(server: api_server.ApiServer, document: dict[str, Any]) -> None:
    """See that the server refuses a document, for its unknown field."""
    try:
        server.post(document, NAMESPACE)
    except api_server.RefusedError as error:
        if "noSuchField" in str(error):
            return
        raise
    raise CheckError(f"kube-apiserver takes a {document['kind']} with a field that it does not have")


def install(server: api_server.ApiServer, chart: Path, words: Sequence[str]) -> None:
    """Have helm install the chart, or go from the values before to these.

    Hooks are left out: without a controller the migration's Job never ends.
    """
    given = ("--install", "--no-hooks", "--reset-values", "--namespace", NAMESPACE, *words)
    run(tool("helm"), "upgrade", "ratchet", chart, *given, env=_login(server))


def _login(server: api_server.ApiServer) -> dict[str, str]:
    return {"KUBECONFIG": str(server.kubeconfig)}
