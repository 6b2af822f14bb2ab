"""The version stands once in pyproject.toml; the changelog, the chart and the client say the same."""

from __future__ import annotations

import re
import tomllib

import pytest
from markdown_pages import ROOT

pytestmark = pytest.mark.unit

RELEASE = re.compile(r"(?m)^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d{2}-\d{2})$")


def version_in(path: str) -> str:
    return str(tomllib.loads((ROOT / path).read_text(encoding="utf-8"))["project"]["version"])


def test_the_newest_release_of_the_changelog_is_the_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = RELEASE.findall(text)
    assert releases[0][0] == version_in("pyproject.toml")
    assert [date for _, date in releases] == sorted((date for _, date in releases), reverse=True)
    assert text.index("## [Unreleased]") < text.index(f"## [{releases[0][0]}]"), "what comes next needs a place"


def test_chart_and_client_have_the_version() -> None:
    chart = (ROOT / "deploy" / "helm" / "ratchet" / "Chart.yaml").read_text(encoding="utf-8")
    assert re.findall(r"(?m)^(?:version|appVersion): \"?([^\"\n]+)", chart) == [version_in("pyproject.toml")] * 2
    assert version_in("clients/python/pyproject.toml") == version_in("pyproject.toml")
