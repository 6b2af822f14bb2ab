"""The Dockerfile: locked, small, nobody's root, stopped and probed as the roles expect."""

from __future__ import annotations

import re
import tomllib

import pytest
from deploy_files import ROOT, dockerfile, image_environment, is_setting

from runtime.health import split_address

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


def test_it_asks_the_probe() -> None:
    port = split_address(image_environment()["RATCHET_ROLE__PROBE_BIND"])[1]
    check = " ".join(instruction("HEALTHCHECK"))
    assert f"http://127.0.0.1:{port}/livez" in check
    assert str(port) in instruction("EXPOSE")
    script = re.search(r'"-c", "([^"]+)"', check)
    assert script
    compile(script[1], "HEALTHCHECK", "exec")


def test_its_settings_are_settings() -> None:
    assert image_environment()
    for name in image_environment():
        assert is_setting(name), name
