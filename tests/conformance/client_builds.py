"""The clients of all languages as commands: built in a folder of their own, skipped where a toolchain is missing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / "clients"
LANGUAGES = [
    pytest.param("python"),
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("go", "java", "node")),
]
"""Python's runs with the tests of every change; the others download what they need and compile."""
BUILD_SECONDS = 500.0


@dataclass(frozen=True)
class Client:
    """One client as it is started."""

    language: str
    words: tuple[str, ...]
    variables: dict[str, str] = field(default_factory=dict)
    ended_status: int = 0
    """The exit status after SIGTERM."""

    def environment(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if not name.startswith("RATCHET_")} | self.variables


def needed(*words: str | Path, cwd: Path) -> None:
    """Fetch what a client is built of; without its registry the test is skipped."""
    done = subprocess.run([str(word) for word in words], cwd=cwd, capture_output=True, text=True, timeout=BUILD_SECONDS)  # noqa: PLW1510
    if done.returncode:
        pytest.skip(f"{words[0]} can't fetch what the client needs: {(done.stderr + done.stdout)[-300:]}")


def tool(name: str) -> str:
    found = shutil.which(name)
    return found or pytest.skip(f"there is no {name} here")


def python(_: Path) -> Client:
    return Client("python", (sys.executable, "-P", "-m", "ratchet_client"), {"PYTHONPATH": str(CLIENTS / "python")})


def go(folder: Path) -> Client:
    source = CLIENTS / "go"
    needed(tool("go"), "mod", "download", cwd=source)
    made = folder / "ratchet-client"
    subprocess.run(["go", "build", "-o", made, "./cmd/ratchet-client"], cwd=source, check=True)
    return Client("go", (str(made),))


def java(folder: Path) -> Client:
    source = folder / "java"
    shutil.copytree(CLIENTS / "java", source, ignore=shutil.ignore_patterns("target"))
    maven = (tool("mvn"), "-q", "-B", "-ntp")
    words = ("dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=target/lib")
    had = (*maven, "--offline", *words, "compile")
    if subprocess.run(had, cwd=source, capture_output=True, timeout=BUILD_SECONDS, check=False).returncode:
        needed(*maven, *words, cwd=source)
        subprocess.run([*maven, "compile"], cwd=source, check=True, timeout=BUILD_SECONDS)
    places = os.pathsep.join((str(source / "target" / "classes"), str(source / "target" / "lib" / "*")))
    words = (tool("java"), "-XX:TieredStopAtLevel=1", "-cp", places, "ratchet.Main")
    return Client("java", words, ended_status=128 + signal.SIGTERM)  # a JVM says the signal, however it ended


def node(folder: Path) -> Client:
    source = folder / "node"
    shutil.copytree(CLIENTS / "node", source, ignore=shutil.ignore_patterns("node_modules"))
    needed(tool("npm"), "ci", "--no-audit", "--no-fund", "--ignore-scripts", cwd=source)
    return Client("node", (tool("node"), str(source / "main.mjs")))


BUILDERS: dict[str, Callable[[Path], Client]] = {"python": python, "go": go, "java": java, "node": node}
