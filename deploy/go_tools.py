# noqa: INP001 - a module beside the scripts that use it, in no package
"""Tools of those who run Ratchet, built from the Go module proxy into .ratchet/tools (minutes, once)."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
DEPLOY: Final = ROOT / "deploy"
TOOLS: Final = ROOT / ".ratchet" / "tools"
GO_TOOLS: Final = {
    "helm": ("helm.sh/helm/v3/cmd/helm@v3.22.0", ""),
    "kubeconform": ("github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0", ""),
    # Without the clients of every cloud; DNS is what prometheus.yml uses.
    "promtool": ("github.com/prometheus/prometheus/cmd/promtool@v0.316.0", "remove_all_sd,enable_dns_sd"),
    "compose-go": ("github.com/compose-spec/compose-go/v2/cmd@v2.16.2", ""),
}
"""A tool, its module and the build tags."""
APISERVER: Final = DEPLOY / "apiserver"
"""The Go module of a kube-apiserver and its etcd: `go install` refuses kubernetes, whose go.mod replaces modules."""
OF_APISERVER: Final = {
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "etcd": "go.etcd.io/etcd/server/v3",
}
"""A program and its package, at the versions of the module's go.mod."""


class CheckError(Exception):
    """A tool found something wrong; the message is what it printed."""


def run(*words: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None) -> str:
    """Run a tool and return its standard output; raise CheckError with all that it printed when it fails."""
    done = subprocess.run(  # noqa: S603 - the words are ours
        [str(word) for word in words],
        cwd=cwd,
        env=os.environ | (env or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CheckError(f"{Path(words[0]).name} {' '.join(map(str, words[1:4]))} ...\n{done.stdout}{done.stderr}")
    return done.stdout


def find_go() -> str | None:
    """Return Go's command, or None where there is none."""
    usual = "/usr/local/go/bin/go"
    return shutil.which("go") or (usual if Path(usual).exists() else None)


def say(line: str) -> None:
    """Tell how far it is, on standard error."""
    sys.stderr.write(f"deploy-check: {line}\n")
    sys.stderr.flush()


def place(name: str) -> Path:
    """Return where a tool of the pinned version stands once it is built."""
    return TOOLS / "go" / GO_TOOLS[name][0].replace("/", "_") / name


def tool(name: str) -> Path:
    """Return a tool; build it where it is missing or of another version."""
    module, tags = GO_TOOLS[name]
    there, go = place(name), find_go()
    if not there.exists() and go is not None:
        say(f"building {name}")
        run(go, "install", f"-tags={tags}", module, env={"GOBIN": str(there.parent), "GOFLAGS": "-mod=mod"})
        (built,) = there.parent.iterdir()
        built.rename(there)
    return there


def kubernetes_version() -> str:
    """Return the version of Kubernetes whose API server is built, as v1.37.2."""
    found = re.search(r"^\tk8s\.io/kubernetes (v\S+)", (APISERVER / "go.mod").read_text(), re.MULTILINE)
    if not found:
        raise CheckError("deploy/apiserver/go.mod requires no k8s.io/kubernetes")
    return found[1]


def apiserver_place(name: str) -> Path:
    """Return where a program of the API server stands once it is built at these versions."""
    pinned = b"".join((APISERVER / file).read_bytes() for file in ("go.mod", "go.sum"))
    return TOOLS / "go" / f"apiserver-{hashlib.sha256(pinned).hexdigest()[:12]}" / name


def apiserver_tool(name: str) -> Path:
    """Return kube-apiserver or etcd; build it where it is missing or of another version."""
    there, go = apiserver_place(name), find_go()
    if not there.exists() and go is not None:
        say(f"building {name}")
        version = kubernetes_version()
        major, minor = version[1:].split(".")[:2]
        reported = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
        flags = " ".join(f"-X k8s.io/component-base/version.{key}={value}" for key, value in reported.items())
        there.parent.mkdir(parents=True, exist_ok=True)
        draft = there.with_name(f"{name}.new")
        words = ("-mod=readonly", "-trimpath", f"-ldflags=-s -w {flags}", "-o", draft, OF_APISERVER[name])
        run(go, "build", *words, cwd=APISERVER, env={"CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"})
        draft.rename(there)
    return there
