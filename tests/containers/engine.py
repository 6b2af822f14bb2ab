"""Whichever container engine answers on this machine, Docker or podman, and Compose on top of it for who asks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence

ROOT = Path(__file__).parent.parent.parent
HOME = ROOT / ".ratchet" / "containers"
BUILT_COMPOSE = ROOT / ".ratchet" / "tools" / "docker-compose"
PROJECT = "ratchet-trial"
ASK_SECONDS_MAX = 60.0
COMMAND_SECONDS_MAX = 600.0
BUILD_SECONDS_MAX = 1800.0
"""Compose has two thousand packages; on a busy machine they take more than ten minutes."""
SERVICE_SECONDS_MAX = 20.0
HEALTH_SECONDS = 2.0
SYSTEMD = Path("/run/systemd/private")


class AbsentError(Exception):
    """There is no engine, or nothing that speaks Compose with it; the message says what to install."""


@dataclass(frozen=True)
class Engine:
    """A container engine that answers. `program` is its command line."""

    program: str
    version: str
    environment: Mapping[str, str]

    @cached_property
    def compose(self) -> tuple[str, ...]:
        """Return the words that Compose is called by, which may have to be built first. Raises AbsentError."""
        return compose_for(self.environment)

    def run(self, *words: str, seconds_max: float = COMMAND_SECONDS_MAX) -> str:
        """Run a command of the engine; return what it printed. Raises RuntimeError, with its last words."""
        return run([self.program, *words], self.environment, seconds_max)

    def inspect(self, container: str) -> dict[str, Any]:
        """Return what the engine knows of a container."""
        (found,) = json.loads(self.run("inspect", "--type", "container", container, seconds_max=ASK_SECONDS_MAX))
        known: dict[str, Any] = found
        return known


def run(
    words: Sequence[str],
    environment: Mapping[str, str],
    seconds_max: float = COMMAND_SECONDS_MAX,
    *,
    statuses: Container[int] = (0,),
) -> str:
    """Run a command; return its standard output. Raises RuntimeError, with its last words, at another status.

    After `seconds_max` it raises TimeoutExpired, and whatever the command has started is ended with it.
    """
    with subprocess.Popen(
        words,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    ) as process:
        try:
            output, errors = process.communicate(timeout=seconds_max)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode not in statuses:
        raise RuntimeError(f"{' '.join(words)} ended with {process.returncode}: {(errors or output)[-2000:]}")
    return output


def answers(*words: str, environment: Mapping[str, str] | None = None) -> str | None:
    """Return what a command prints where it is there and succeeds, or None."""
    if shutil.which(words[0]) is None:
        return None
    try:
        done = subprocess.run(
            words, env=environment and dict(environment), capture_output=True, text=True, check=False,
            timeout=ASK_SECONDS_MAX,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def compose_for(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the words that Compose is called by; build it where only Go is there. Raises AbsentError."""
    for words in (("docker", "compose"), ("docker-compose",), (str(BUILT_COMPOSE),)):
        if answers(*words, "version", environment=environment):
            return words
    if shutil.which("go") is None:
        raise AbsentError("an engine answers, but nothing speaks Compose: install docker-compose")
    run([str(ROOT / "deploy" / "stand-ins" / "compose.sh")], os.environ, BUILD_SECONDS_MAX)
    return (str(BUILT_COMPOSE),)


@contextmanager
def engine() -> Iterator[Engine]:
    """Find Docker where its daemon answers, else podman with its service for Compose. Raises AbsentError."""
    if version := answers("docker", "info", "--format", "{{.ServerVersion}}"):
        yield Engine("docker", f"Docker {version}", os.environ)
        return
    version = answers("podman", "info", "--format", "{{.Version.Version}} with {{.Host.OCIRuntime.Name}}")
    if version is None:
        raise AbsentError("no container engine answers: start Docker, or install podman")
    socket = HOME / f"podman-{os.getpid()}.sock"  # of this process alone: runs may go on at the same time
    socket.parent.mkdir(parents=True, exist_ok=True)
    socket.unlink(missing_ok=True)
    with (HOME / "podman.log").open("wb") as log:
        words = ["podman", "system", "service", "--time", "0", f"unix://{socket}"]
        service = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + SERVICE_SECONDS_MAX
        while not socket.exists():
            if time.monotonic() > deadline:
                raise AbsentError("podman is there, but its service does not start: podman system service")
            time.sleep(0.1)
        environment = dict(os.environ) | {"DOCKER_HOST": f"unix://{socket}"}
        yield Engine("podman", f"podman {version}", environment)
    finally:
        service.terminate()
        service.wait(SERVICE_SECONDS_MAX)
        socket.unlink(missing_ok=True)


def ask_health_checks(found: Engine, over: threading.Event) -> None:
    """Run the health checks of the trial's containers by turns until it is over.

    podman has systemd's timers run them, and never does where there is no systemd.
    """
    ours = ("ps", "--quiet", "--filter", f"label=com.docker.compose.project={PROJECT}")
    while not over.wait(HEALTH_SECONDS):
        for container in (answers(found.program, *ours) or "").split():
            answers(found.program, "healthcheck", "run", container)


@contextmanager
def health_checks(found: Engine) -> Iterator[None]:
    """Have health checks run while the context lasts, where the engine does not do so itself."""
    if found.program != "podman" or SYSTEMD.exists():
        yield
        return
    over = threading.Event()
    asking = threading.Thread(target=ask_health_checks, args=(found, over), daemon=True)
    asking.start()
    try:
        yield
    finally:
        over.set()
        asking.join(ASK_SECONDS_MAX)
