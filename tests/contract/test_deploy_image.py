"""The Dockerfile: locked, small, nobody's root, stopped and probed as the roles expect."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import threading
import tomllib
from typing import TYPE_CHECKING

import pytest
from deploy_files import DEPLOY, ROOT, dockerfile, image_environment, is_setting, load_yaml

from runtime.health import split_address
from runtime.settings import RoleSettings

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

LINES = dockerfile()
FINAL = LINES[max(number for number, words in enumerate(LINES) if words[0] == "FROM") :]


def instruction(name: str) -> list[str]:
    (found,) = [words[1:] for words in FINAL if words[0] == name]
    return found


def copied() -> list[str]:
    return [name for words in LINES if words[0] == "COPY" and "--from" not in words[1] for name in words[1:-1]]


def test_it_has_two_stages_of_a_named_version() -> None:
    stages = [words for words in LINES if words[0] == "FROM"]
    assert len(stages) == 2
    assert stages[0][-2:] == ["AS", "build"]
    assert {words[1] for words in stages} == {"${PYTHON_IMAGE}"}, "one argument pins both by a digest"
    (default,) = [words[1] for words in LINES if words[0] == "ARG"]
    assert re.fullmatch(r"PYTHON_IMAGE=python:3\.\d+-slim-\w+", default)
    assert "uv" not in " ".join(word for words in FINAL for word in words), "the tool stays in the first stage"


def test_uv_is_the_makefiles_by_its_digests_and_keeps_to_the_lock() -> None:
    (pip,) = [words for words in LINES if words[:4] == ["RUN", "python", "-m", "pip"]]
    assert pip[-4:] == ["--no-deps", "--require-hashes", "-r", "/tmp/requirements-uv.txt"]
    makefile = (ROOT / "Makefile").read_text()
    assert "--no-deps --require-hashes -r requirements-uv.txt" in makefile
    pinned = (ROOT / "requirements-uv.txt").read_text()
    assert re.search(r"^uv==[\d.]+ \\\n    --hash=sha256:[0-9a-f]{64}", pinned, re.MULTILINE)
    syncs = [words for words in LINES if words[:3] == ["RUN", "uv", "sync"]]
    (words,) = syncs
    assert {"--frozen", "--no-default-groups"} <= set(words)
    extras = {words[place + 1] for place, word in enumerate(words) if word == "--extra"}
    assert extras == {"otel", "aws", "sso"}, "what a setting of a role needs; the archive's 55 MB are for a command"
    assert "embedded" not in words
    assert "--all-extras" not in words


def test_what_builds_the_wheel_is_locked_and_stays_out_of_the_image() -> None:
    (words,) = [words for words in LINES if words[0] == "RUN" and "build" in words and "uv" in words]
    text = " ".join(words)
    assert "UV_PROJECT_ENVIRONMENT=/opt/build uv sync --frozen --only-group build" in text
    assert "uv build --wheel --no-build-isolation --python /opt/build/bin/python" in text
    assert not any("/opt/build" in word for line in FINAL for word in line)


def test_it_holds_every_package_and_nothing_else() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    files = {"pyproject.toml", "uv.lock", "README.md", "LICENSE", "requirements-uv.txt"}
    assert set(copied()) == packages | files
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*", "what nobody names stays out: secrets, homes, tests"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == set(copied())


def test_it_runs_as_a_number_that_is_not_root() -> None:
    (user,) = instruction("USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)


def test_it_is_stopped_as_the_roles_expect() -> None:
    assert instruction("STOPSIGNAL") == ["SIGTERM"]
    assert instruction("ENTRYPOINT") == ['["ratchet"]'], "no shell between: signals reach the role"


def health_check() -> list[str]:
    """Return the words of the image's health check."""
    words: list[str] = json.loads(" ".join(instruction("HEALTHCHECK")).partition("CMD ")[2])
    return words


def test_it_asks_the_probe() -> None:
    port = split_address(image_environment()["RATCHET_ROLE__PROBE_BIND"])[1]
    assert f"/dev/tcp/127.0.0.1/{port} " in health_check()[-1]
    assert str(port) in instruction("EXPOSE")


@pytest.mark.parametrize(("answer", "healthy"), [("200 OK", True), ("503 Service Unavailable", False), (None, False)])
def test_the_probe_is_healthy_where_it_answers_200(answer: str | None, *, healthy: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def serve() -> None:
            found, _ = server.accept()
            with found:
                while not b"".join(asked).endswith(b"\r\n\r\n"):  # a shell may send line by line
                    asked.append(found.recv(1000))
                found.sendall(f"HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n".encode())

        asked: list[bytes] = []
        serving = threading.Thread(target=serve, daemon=True)
        if answer is None:
            server.close()
        else:
            serving.start()
        words = [word.replace("127.0.0.1/9090", f"127.0.0.1/{port}") for word in health_check()]
        assert (subprocess.run(words, capture_output=True, check=False).returncode == 0) is healthy
    if answer is not None:
        serving.join(10)
        assert b"".join(asked) == b"GET /livez HTTP/1.0\r\n\r\n"


def test_its_probe_is_asked_in_time() -> None:
    options = dict(word.removeprefix("--").split("=") for word in instruction("HEALTHCHECK") if word.startswith("--"))
    own = RoleSettings()
    assert float(options["timeout"].removesuffix("s")) > own.probe_timeout_seconds
    assert float(options["start-period"].removesuffix("s")) > own.start_seconds_max
    assert int(options["retries"]) >= 3


def test_it_starts_compiled_and_writes_nothing_beside_its_home() -> None:
    environment = dict(word.split("=", 1) for words in LINES if words[0] == "ENV" for word in words[1:])
    assert environment["UV_COMPILE_BYTECODE"] == "1", "else each start compiles all that it imports"
    assert environment["UV_PYTHON_DOWNLOADS"] == "never", "the interpreter is the image's"
    assert environment["PYTHONUNBUFFERED"] == "1", "the last lines before an end are written"
    (home,) = [words for words in LINES if "install" in words and "/var/lib/ratchet" in words]
    assert " ".join(home).endswith("install -d -o 10001 -g 10001 -m 0700 /var/lib/ratchet")


def test_its_settings_are_settings() -> None:
    assert image_environment() == {
        "RATCHET_HOME": "/var/lib/ratchet",
        "RATCHET_INGRESS__BIND": "0.0.0.0:8080",
        "RATCHET_ROLE__PROBE_BIND": "0.0.0.0:9090",
    }, "the console is opened by whoever wants it"
    for name in image_environment():
        assert is_setting(name), name


def test_compose_names_every_image_by_a_variable_that_takes_a_digest() -> None:
    compose = load_yaml("compose.yaml")
    named = {one["image"] for one in compose["services"].values()}
    assert {one for one in named if not re.fullmatch(r"\$\{[A-Z]+_IMAGE:-[\w./-]+:[\w.-]+\}", one)} == set()
    (argument,) = {one["build"]["args"]["PYTHON_IMAGE"] for one in compose["services"].values() if "build" in one}
    (default,) = [words[1] for words in LINES if words[0] == "ARG"]
    assert argument == f"${{PYTHON_IMAGE:-{default.partition('=')[2]}}}"


REGISTRY = """#!/bin/sh
[ "$*" = "buildx imagetools inspect --format {{.Manifest.Digest}} $6" ] || exit 2
echo "sha256:$(printf %s "$6" | sha256sum | cut -c1-64)"
"""
"""Stands for docker, of which only the digests that it prints matter here."""


def pin_images(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{folder}:{os.environ['PATH']}"}
    return subprocess.run(
        ["sh", "pin-images.sh", *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_images_are_pinned_and_what_is_not_is_named(tmp_path: Path) -> None:
    for name in ("compose.yaml", "pin-images.sh"):
        shutil.copy(DEPLOY / name, tmp_path)
    (tmp_path / "docker").write_text(REGISTRY)
    (tmp_path / "docker").chmod(0o755)
    (tmp_path / ".env").write_text("RATCHET_PUBLIC_URL=https://pay.example\nREDIS_IMAGE=redis:7\n")
    unpinned = pin_images(tmp_path, "--check")
    assert unpinned.returncode == 1
    assert unpinned.stderr.count("is not pinned") == 6
    assert "redis:8 is not pinned" in unpinned.stderr
    done = pin_images(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = (tmp_path / ".env").read_text().splitlines()
    assert lines[0] == "RATCHET_PUBLIC_URL=https://pay.example"
    assert len(lines) == 7
    assert all(re.fullmatch(r"[A-Z]+_IMAGE=[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}", line) for line in lines[1:])
    checked = pin_images(tmp_path, "--check")
    assert (checked.returncode, checked.stderr) == (0, "")
    (tmp_path / "compose.yaml").write_text((DEPLOY / "compose.yaml").read_text().replace("postgres:18", "postgres:19"))
    assert "postgres:19 is not pinned" in pin_images(tmp_path, "--check").stderr, "a digest of another version is none"


def test_a_registry_that_says_nothing_pins_nothing(tmp_path: Path) -> None:
    for name in ("compose.yaml", "pin-images.sh"):
        shutil.copy(DEPLOY / name, tmp_path)
    (tmp_path / "docker").write_text("#!/bin/sh\necho unknown\n")
    (tmp_path / "docker").chmod(0o755)
    assert pin_images(tmp_path).returncode == 1
    assert (tmp_path / ".env").read_text() == ""
