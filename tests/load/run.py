"""`make load`: start the product in a home of its own, load it, wait until the ledger is at rest, compare, stop.

Exit status 0 where every 2xx is in the ledger and every refusal was a promised one; 1 otherwise; 2 for wrong usage.
Writes report.html (Locust's page), stats*.csv (Locust's tables), answers.jsonl (every answer) and verdict.json.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from load import journal
from load.effects import verdict_of
from load.shapes import SHAPES
from load.traffic import CLIENT, Traffic
from ops import endpoints
from ops.run_sample import choose_signers
from runtime.lifecycle import read_run_file
from runtime.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from load.compare import Verdict
    from ops.sample.signing import Signer

LOCUSTFILE = Path(__file__).with_name("locustfile.py")
START_SECONDS_MAX = 120.0
STOP_SECONDS_MAX = 60.0
USERS_STOP_SECONDS = 30
REST_SECONDS_MAX = 120.0
PROBLEMS_SHOWN_MAX = 20
SECONDS, USERS = 25.0, 40
USERS_MAX = 500
WRITTEN = ("report.html", "answers.jsonl", "stats.json", "verdict.json")


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    shape: str
    seconds: float
    users: int
    seed: int
    out: Path


def parsed(words: list[str]) -> Options:
    """Read the command line; leave with status 2 where it is wrong."""
    parser = argparse.ArgumentParser(prog="make load ARGS=", description=__doc__)
    parser.add_argument("--shape", choices=sorted(SHAPES), default="steady")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long the load lasts (%(default)s)")
    parser.add_argument("--users", type=int, default=USERS, help=f"how many at the most (%(default)s, max {USERS_MAX})")
    parser.add_argument("--seed", type=int, default=None, help="which payments; the same seed posts the same")
    parser.add_argument("--out", type=Path, default=Path(".ratchet/load"), help="where the report goes (%(default)s)")
    found = parser.parse_args(words)
    if found.seconds <= 0 or not 0 < found.users <= USERS_MAX:
        parser.error(f"--seconds must be above 0 and --users 1 to {USERS_MAX}")
    seed = found.seed if found.seed is not None else secrets.randbits(31)
    return Options(found.shape, found.seconds, found.users, seed, found.out)


@contextmanager
def product(home: Path, more: dict[str, str]) -> Iterator[tuple[Settings, str]]:
    """Run `ratchet up --no-sample` on free ports; yield its settings and its ingress's URL."""
    own = {"RATCHET_HOME": str(home), "RATCHET_INGRESS__BIND": "127.0.0.1:0", "RATCHET_CONSOLE__BIND": free_address()}
    with (home / "up.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "ops.cli", "up", "--no-sample"],
            env=dict(os.environ) | own | more,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C reaches us alone; the product is stopped in order
        )
        try:
            url = ingress_of(home, process)
            yield endpoints.found(Settings().model_copy(update={"home": home})), url
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_SECONDS_MAX)


def free_address() -> str:
    """Return a loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def ingress_of(home: Path, process: subprocess.Popen[bytes]) -> str:
    """Wait until the product serves; return the URL of its ingress. Exit with its last words where it does not."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while "serving at" not in (home / "up.log").read_text():
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"ratchet up does not serve: {(home / 'up.log').read_text()[-2000:]}")
        time.sleep(0.1)
    found = read_run_file(home, "ingress")
    assert found is not None, "an ingress that serves says where"
    return f"http://{found.address}"


def load(url: str, options: Options, environment: dict[str, str]) -> None:
    """Run Locust headless until the shape is over; raise where it can't run at all."""
    words = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--host", url, "--only-summary"]
    words += ["--html", str(options.out / "report.html"), "--csv", str(options.out / "stats"), "--csv-full-history"]
    words += ["--json-file", str(options.out / "stats"), "--stop-timeout", str(USERS_STOP_SECONDS)]
    words += ["--exit-code-on-error", "0", "--loglevel", "WARNING"]
    with (options.out / "locust.log").open("wb") as log:
        bound = options.seconds + START_SECONDS_MAX + USERS_STOP_SECONDS
        ended = subprocess.run(words, env=environment, stdout=log, stderr=log, check=False, timeout=bound)
    if ended.returncode != 0 or not (options.out / "report.html").exists():
        raise SystemExit(f"Locust failed: {(options.out / 'locust.log').read_text()[-2000:]}")
    with (options.out / "stats_exceptions.csv").open(encoding="utf-8", newline="") as file:
        if raised := [row["Message"] for row in csv.DictReader(file)]:
            raise SystemExit(f"the users failed: {raised}")


def percentile(times: dict[str, int], share: float) -> float:
    """Return the time (ms) within which that share of requests was answered; 0 where there were none."""
    left = share * sum(times.values())
    for milliseconds, number in sorted((float(key), number) for key, number in times.items()):
        left -= number
        if left <= 0:
            return milliseconds
    return 0.0


def figures_of(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return requests, requests a second and latencies (ms) of each kind of request, the sum last."""
    whole: Counter[str] = Counter()
    for entry in entries:
        whole.update(entry["response_times"])
    starts, ends = [entry["start_time"] for entry in entries], [entry["last_request_timestamp"] for entry in entries]
    parts = [(one["name"], one["response_times"], one["start_time"], one["last_request_timestamp"]) for one in entries]
    parts.append(("all", dict(whole), min(starts, default=0.0), max(ends, default=0.0)))
    return [
        {
            "name": name,
            "requests": sum(times.values()),
            "per_second": round(sum(times.values()) / max(1.0, end - start), 1),
            **{f"p{share}_ms": percentile(times, share / 100) for share in (50, 95, 99, 100)},
        }
        for name, times, start, end in parts
    ]


def tell(verdict: Verdict, options: Options, rest_seconds: float, console: Console) -> int:
    """Write verdict.json, show the table and the verdict; return the exit status."""
    figures = figures_of(json.loads((options.out / "stats.json").read_text()))
    reported = asdict(options) | {"out": str(options.out), "good": verdict.good, "rest_seconds": round(rest_seconds, 1)}
    document = reported | asdict(verdict) | {"figures": figures}
    (options.out / "verdict.json").write_text(json.dumps(document, indent=2))
    table = Table("request", "number", "a second", "p50 ms", "p95 ms", "p99 ms", "max ms")
    for one in sorted(figures[:-1], key=lambda found: str(found["name"])) + figures[-1:]:
        table.add_row(str(one["name"]), *(f"{value:,}" for name, value in one.items() if name != "name"))
    console.print(table)
    for problem in verdict.problems[:PROBLEMS_SHOWN_MAX]:
        console.print(problem, markup=False)
    refused = ", ".join(f"{number:,} x {status}" for status, number in verdict.refused.items()) or "none"
    console.print(
        f"{options.shape}: {'every 2xx is in the ledger' if verdict.good else f'{len(verdict.problems)} PROBLEMS'}; "
        f"{verdict.taken:,} of {verdict.requests:,} requests taken, refused: {refused}; {verdict.outcome}, "
        f"{verdict.intents:,} intents, {verdict.captures:,} captures; at rest after {rest_seconds:.1f} s "
        f"({options.out / 'report.html'}, seed {options.seed})",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    return 0 if verdict.good else 1


def reports(options: Options, traffic: Traffic, signers: Mapping[str, Signer], api_key: str) -> dict[str, str]:
    """Return what the locustfile reads in its environment."""
    return {
        "LOAD_SHAPE": options.shape,
        "LOAD_SECONDS": str(options.seconds),
        "LOAD_USERS": str(options.users),
        "LOAD_SEED": str(traffic.seed),
        "LOAD_NOW": str(traffic.now),
        "LOAD_JOURNAL": str(options.out / "answers.jsonl"),
        "LOAD_SIGNERS": json.dumps({name: signer.secret for name, signer in signers.items()}),
        "LOAD_API_KEY": api_key,
    }


def run(options: Options, home: Path, console: Console) -> int:
    """Start, load, wait, compare, stop; return the exit status."""
    traffic, api_key = Traffic(options.seed, int(time.time())), secrets.token_urlsafe(24)
    signers, provider_secrets = choose_signers(Settings())
    console.print(f"starting the product for {options.shape}: {options.users} users, {options.seconds:g} s")
    with product(home, {**provider_secrets, "RATCHET_API_KEYS": json.dumps({CLIENT: api_key})}) as (settings, url):
        load(url, options, dict(os.environ) | reports(options, traffic, signers, api_key))
        with (options.out / "answers.jsonl").open(encoding="utf-8") as lines:
            answers = list(journal.read(lines))
        if not any(answer.taken for answer in answers):
            raise SystemExit("the ingress took nothing: there is nothing to compare")
        begun = time.monotonic()
        verdict = asyncio.run(verdict_of(settings, answers, traffic, rest_seconds_max=REST_SECONDS_MAX))
        return tell(verdict, options, time.monotonic() - begun, console)


def main(words: list[str]) -> int:
    """Make room for the report and run; the product under load is one of its own, not the one that is configured."""
    options = parsed(words)
    options.out.mkdir(parents=True, exist_ok=True)
    for name in WRITTEN:
        (options.out / name).unlink(missing_ok=True)
    for name in [name for name in os.environ if name.upper().startswith("RATCHET_")]:
        del os.environ[name]
    home = Path(tempfile.mkdtemp(prefix="ratchet-load-"))
    try:
        return run(options, home, Console())
    finally:
        if (home / "log").exists():
            shutil.copytree(home / "log", options.out / "log", dirs_exist_ok=True)
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
