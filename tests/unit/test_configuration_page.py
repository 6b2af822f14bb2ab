"""docs/configuration.md names every setting there is, as it is; what README and the other pages name exists."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import markdown_pages as markdown
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "contract"))
from deploy_files import SETTING, is_setting

from ops.configuration_page import page

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
NO_SETTINGS = {"RATCHET_IMAGE", "RATCHET_DOOR"}
"""What compose.yaml takes from its environment."""
PAGES = [name for name in markdown.pages() if name != "CHANGELOG.md"]
"""The changelog alone may name a setting that is gone."""


def test_the_page_is_what_the_settings_are() -> None:
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == page(), "run `make configuration`"


def test_every_name_on_it_is_a_setting() -> None:
    names = re.findall(r"(?m)^\| `(RATCHET_[^`]+)`", page())
    assert len(names) > 250
    assert [name for name in names if not is_setting(re.sub("<.*?>", "x", name))] == []
    assert {"RATCHET_CONSOLE__SESSION_IDLE_SECONDS", "RATCHET_SMS__TWILIO__FROM"} <= set(names)


@pytest.mark.parametrize("name", PAGES)
def test_what_the_pages_name_is_a_setting(name: str) -> None:
    found = set(SETTING.findall((ROOT / name).read_text(encoding="utf-8"))) - NO_SETTINGS
    assert {one for one in found if not is_setting(one) and not one.endswith("PROVIDERS")} == set()
