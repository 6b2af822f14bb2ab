"""What the tests of deploy/ share: its files, and which settings there are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel

from runtime.lifecycle import LEAVE_SECONDS_MAX
from runtime.settings import RoleSettings, Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SETTING = re.compile(r"RATCHET_[A-Z0-9_]*[A-Z0-9]")
CLEAN_END_SECONDS = RoleSettings().drain_seconds_max + LEAVE_SECONDS_MAX
"""The longest that a role takes from SIGTERM to its end."""


def load_yaml(*parts: str) -> Any:
    return yaml.safe_load(DEPLOY.joinpath(*parts).read_text())


@cache
def chart_objects() -> list[dict[str, Any]]:
    """Return what the chart makes: deploy/helm/rendered.yaml."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [one for one in yaml.load_all((DEPLOY / "helm" / "rendered.yaml").read_text(), loader) if one]


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    """Return the chart's objects of a kind by their names."""
    return {one["metadata"]["name"]: one for one in chart_objects() if one["kind"] == kind}


def is_setting(name: str) -> bool:
    """Tell whether an environment name leads to a field of the settings; a mapping's keys may be anything."""
    return _leads(Settings, name.removeprefix("RATCHET_").lower().split("__"))


def _leads(annotation: Any, parts: list[str]) -> bool:
    if not parts:
        return True
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = {(field.alias or name): field.annotation for name, field in annotation.model_fields.items()}
        return parts[0] in fields and _leads(fields[parts[0]], parts[1:])
    if get_origin(annotation) is Mapping:
        return _leads(get_args(annotation)[1], parts[1:])
    return False


def dockerfile() -> list[list[str]]:
    """Return the instructions of the image's last stage's file as words; continued lines are one."""
    text = re.sub(r"(?m)^\s*#.*\n", "", (DEPLOY / "Dockerfile").read_text()).replace("\\\n", " ")
    return [line.split() for line in text.splitlines() if line.strip()]


def image_environment() -> dict[str, str]:
    """Return what the image's ENV sets of ours."""
    pairs = [pair.split("=", 1) for words in dockerfile() if words[0] == "ENV" for pair in words[1:]]
    return {name: value for name, value in pairs if name.startswith("RATCHET_")}
