"""`make containers`: build the image, bring compose.yaml up, load it, kill each container's process, compare.

Where no engine answers it says so and ends with 0; with 1 where anything was lost, doubled, buried or stayed away.
It writes docs/containers.md.
STAND_INS=1 makes the base images itself, for a machine that reaches no registry.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import http.client
import json
import os
import secrets
import shutil
import signal
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from load import journal
from load.posting import LoadedIngress
from load.run import free_address
from load.traffic import CLIENT, Traffic

from containers import page
from containers.engine import HOME, PROJECT, ROOT, AbsentError, Engine, engine, health_checks, run
from ops.roles import ROLES
from ops.run_sample import choose_signers
from runtime.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

IMAGE = "docker.io/library/ratchet:trial"
WEBHOOKS_PER_SECOND, WISHES_PER_SECOND = 20.0, 2.0
UNANSWERED = " was not answered ("
"""How the comparison names a request that found nobody: the only ingress is killed here, and all were sent again."""
REST_SECONDS = 4.0
"""Between one kill and the next."""
UP_SECONDS_MAX = 300.0
BACK_SECONDS_MAX = 120.0
DIES = (*ROLES, "kafka", "postgres", "redis")
CONSUMERS = 3


@dataclass
class Seen:
    """What one trial saw. Times in seconds; `back` maps a kill to the time until its container was healthy again."""

    at: str = ""
    engine: str = ""
    compose: str = ""
    stand_ins: bool = False
    image_seconds: float = 0.0
    image_mebibytes: float = 0.0
    up_seconds: float = 0.0
    down_up_seconds: float = 0.0
    back: dict[str, float] = field(default_factory=dict)
    verdict: dict[str, Any] = field(default_factory=dict)
    webhooks: int = 0
    audit: str = ""
    doctor: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    load_average: float = 0.0

    @property
    def good(self) -> bool:
        """Tell whether nothing was lost, doubled or buried, and everything came back."""
        return not self.problems


@dataclass
class Trial:
    """The composition under trial: a copy of deploy/ with secrets of its own, under a project's name of its own."""

    engine: Engine
    address: str
    environment: dict[str, str]

    @property
    def folder(self) -> str:
        """Return where its files are."""
        return str(HOME / "deploy")

    def compose(self, *words: str, statuses: Container[int] = (0,)) -> str:
        """Run a command of Compose on the trial."""
        files = ("-f", f"{self.folder}/compose.yaml", "-f", f"{self.folder}/trial.yaml")
        return run(
            [*self.engine.compose, "-p", PROJECT, *files, *words], self.environment, UP_SECONDS_MAX, statuses=statuses
        )

    def ops(
        self, *words: str, mounts: Sequence[str] = (), more: Sequence[str] = (), statuses: Container[int] = (0,)
    ) -> str:
        """Run the image once, with the rights of the command line, inside the network."""
        volumes = [word for mount in mounts for word in ("-v", mount)]
        return self.compose("run", "--rm", "--no-deps", "-T", *volumes, *more, "ops", *words, statuses=statuses)

    def name_of(self, service: str, number: int = 1) -> str:
        """Return the name of a service's container."""
        return f"{PROJECT}-{service}-{number}"

    def health_of(self, container: str) -> tuple[int, bool]:
        """Return the process of a container and whether its health check passes; without one, whether it runs."""
        state = self.engine.inspect(container)["State"]
        health = state.get("Health") or state.get("Healthcheck") or {}
        status = health.get("Status") or ("healthy" if state["Running"] else "")
        return int(state["Pid"]), bool(state["Running"]) and status == "healthy"


def prepare(found: Engine) -> tuple[Trial, dict[str, Any], str]:
    """Copy deploy/, make its secrets and what the load signs with; return the trial, its signers and its API key."""
    target = HOME / "deploy"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(ROOT / "deploy", target, ignore=shutil.ignore_patterns("secrets", "__pycache__", "stand-ins"))
    run(["sh", str(target / "new-secrets.sh")], os.environ)
    signers, reported = choose_signers(Settings())
    key = secrets.token_urlsafe(24)
    reported |= {"RATCHET_API_KEYS": json.dumps({CLIENT: [key]})}
    services = {name: {"environment": reported} for name in ROLES}
    (target / "trial.yaml").write_text(json.dumps({"services": services}))  # YAML takes JSON
    ingress = free_address()
    own = {"RATCHET_IMAGE": IMAGE, "RATCHET_DOOR": ingress, "RATCHET_CONSOLE_DOOR": free_address()}
    return Trial(found, ingress, dict(found.environment) | own), signers, key


def build(found: Engine, seen: Seen) -> None:
    """Build the image from deploy/Dockerfile as it is; with stand-ins, the machine's certificates come by mounts."""
    begun = time.monotonic()
    words = ["-f", str(ROOT / "deploy" / "Dockerfile"), "-t", IMAGE]
    if seen.stand_ins:
        run([str(ROOT / "deploy" / "stand-ins" / "make.sh")], os.environ, seconds_max=1800)
        begun = time.monotonic()
        run([str(ROOT / "deploy" / "stand-ins" / "image.sh"), *words], os.environ, seconds_max=1200)
    else:
        found.run("build", *words, str(ROOT), seconds_max=1200)
    seen.image_seconds = time.monotonic() - begun
    (image,) = json.loads(found.run("image", "inspect", IMAGE))
    seen.image_mebibytes = image["Size"] / 2**20


def refuses_forged(address: str) -> bool:
    """Tell whether the ingress answers a forged webhook with 401; raise OSError where it does not answer."""
    host, _, port = address.partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=5)
    try:
        connection.request("POST", "/webhooks/stripe", b"{}", {"Stripe-Signature": "t=1,v1=00"})
        return connection.getresponse().status == http.client.UNAUTHORIZED
    finally:
        connection.close()


async def until_ingress(trial: Trial) -> None:
    """Return when the published port serves. Raises TimeoutError after `UP_SECONDS_MAX`."""
    async with asyncio.timeout(UP_SECONDS_MAX):
        while True:
            try:
                if await asyncio.to_thread(refuses_forged, trial.address):
                    return
            except (OSError, http.client.HTTPException):
                pass
            await asyncio.sleep(0.3)


async def kill(trial: Trial, service: str, number: int = 1) -> float:
    """End a container's process with SIGKILL, as the kernel would; return the seconds until it is healthy again."""
    container = trial.name_of(service, number)
    process, _ = await asyncio.to_thread(trial.health_of, container)
    begun = time.monotonic()
    os.kill(process, signal.SIGKILL)
    async with asyncio.timeout(BACK_SECONDS_MAX):
        while True:
            await asyncio.sleep(0.3)
            now, healthy = await asyncio.to_thread(trial.health_of, container)
            if healthy and now not in {0, process}:
                return time.monotonic() - begun


async def kill_noted(trial: Trial, seen: Seen, service: str, number: int | None = None) -> None:
    """Kill, and note when it was back, or that it was not. `number` is which of the scaled consumers."""
    name = service if number is None else f"{service} {number} of {CONSUMERS}"
    try:
        seen.back[name] = await kill(trial, service, number or 1)
        report(f"{name} killed, back after {seen.back[name]:.1f} s")
    except TimeoutError:
        seen.problems.append(f"{name} was not healthy {BACK_SECONDS_MAX:g} s after its process was killed")
    await asyncio.sleep(REST_SECONDS)


async def under_load(trial: Trial, seen: Seen, ingress: LoadedIngress) -> None:
    """Kill each, three consumers too, and take all down and up again, while webhooks and intents come in."""
    async with ingress.under_load(WEBHOOKS_PER_SECOND, WISHES_PER_SECOND):
        await asyncio.sleep(REST_SECONDS)
        for service in DIES:
            await kill_noted(trial, seen, service)
        await asyncio.to_thread(
            trial.compose, "up", "-d", "--no-build", "--no-recreate", "--scale", f"consumer={CONSUMERS}"
        )
        for number in range(1, CONSUMERS + 1):
            await kill_noted(trial, seen, "consumer", number)
        report("down and up again")
        begun = time.monotonic()
        await asyncio.to_thread(trial.compose, "down", "--timeout", "30")
        await asyncio.to_thread(trial.compose, "up", "-d", "--no-build")
        await until_ingress(trial)
        seen.down_up_seconds = time.monotonic() - begun
        await asyncio.sleep(REST_SECONDS)
    await ingress.send_again()


def compare(trial: Trial, seen: Seen, ingress: LoadedIngress) -> None:
    """Compare what was taken with the rows, verify the ledger, and ask doctor."""
    answers = HOME / "answers.jsonl"
    answers.write_text("".join(map(journal.line_of, ingress.answers)))
    answers.chmod(0o644)
    traffic = ingress.traffic
    seen.verdict = json.loads(
        trial.ops(
            "-m", "containers.reconcile", "/answers.jsonl", str(traffic.seed), str(traffic.now),
            mounts=(f"{ROOT}/tests:/tests:ro", f"{answers}:/answers.jsonl:ro"),
            more=("-e", "PYTHONPATH=/tests", "--entrypoint", "python"),
        )
    )  # fmt: skip
    seen.webhooks = sum(answer.taken for answer in ingress.answers if answer.what == journal.WEBHOOK)
    seen.problems += [one for one in seen.verdict.pop("problems") if UNANSWERED not in one]
    if seen.verdict["letters"]:
        seen.problems.append(f"{seen.verdict['letters']} dead letters")
    if ingress.waiting:
        seen.problems.append(f"{len(ingress.waiting)} requests are refused still")
    try:
        seen.audit = trial.ops("audit", "verify").strip().splitlines()[-1]
    except RuntimeError as error:
        seen.problems.append(f"audit verify: {error}")
    doctor = json.loads(trial.ops("doctor", "--json", statuses=(0, 1)))
    seen.doctor = [f"{one['check']}: {one['found']}" for one in doctor["checks"] if not one["ok"]]


def report(line: str) -> None:
    """Say how far it is."""
    print(f"containers: {line}", file=sys.stderr, flush=True)  # noqa: T201 - a tool's output


async def play(found: Engine, *, stand_ins: bool) -> Seen:
    """Play the whole trial on this engine; leave nothing of it behind but what it saw."""
    compose = run([*found.compose, "version", "--short"], found.environment).strip()
    at = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M")
    seen = Seen(at=at, engine=found.version, compose=compose, stand_ins=stand_ins)
    report(f"{found.version}, Compose {compose}; building the image")
    build(found, seen)
    report(f"image built in {seen.image_seconds:.0f} s, {seen.image_mebibytes:.0f} MiB; bringing it up")
    trial, signers, key = prepare(found)
    trial.compose("down", "--volumes", "--timeout", "5")
    try:
        begun = time.monotonic()
        with health_checks(found):
            await asyncio.to_thread(trial.compose, "up", "-d", "--no-build")
            await until_ingress(trial)
            seen.up_seconds = time.monotonic() - begun
            report(f"up after {seen.up_seconds:.0f} s; under load")
            ingress = LoadedIngress(
                f"http://{trial.address}", Traffic(int(time.time()), int(time.time())), signers, key
            )
            await under_load(trial, seen, ingress)
            report("comparing")
            await asyncio.to_thread(compare, trial, seen, ingress)
    finally:
        (HOME / "logs.txt").write_text(trial.compose("logs", "--no-color", "--tail", "2000"))
        trial.compose("down", "--volumes", "--timeout", "5")
    seen.load_average = os.getloadavg()[0]
    return seen


def main() -> int:
    """Play, print, write the page; return the exit status."""
    for name in [name for name in os.environ if name.upper().startswith("RATCHET_")]:
        del os.environ[name]
    try:
        with engine() as found:
            seen = asyncio.run(play(found, stand_ins=os.environ.get("STAND_INS", "") not in {"", "0"}))
    except AbsentError as error:
        report(f"skipped: {error}")
        return 0
    (HOME / "seen.json").write_text(json.dumps(asdict(seen), indent=1) + "\n")
    (ROOT / "docs" / "containers.md").write_text(page.page_of(seen))
    report("; ".join(seen.problems) if seen.problems else "nothing lost, doubled or buried; docs/containers.md")
    return 0 if seen.good else 1


if __name__ == "__main__":
    sys.exit(main())
