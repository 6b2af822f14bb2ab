"""docs/configuration.md names every setting there is, as it is; what README and the other pages name exists."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import markdown_pages as markdown
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "contract"))
from deploy_files import SETTING, is_setting

from ops.configuration_page import descriptions, group_of, page
from runtime.settings import ProviderSettings, Settings, TwilioSettings

if TYPE_CHECKING:
    from pydantic import BaseModel

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
NO_SETTINGS = {"RATCHET_IMAGE", "RATCHET_DOOR", "RATCHET_CONSOLE_DOOR"}
"""What compose.yaml takes from its environment."""
PAGES = [name for name in markdown.pages() if name != "CHANGELOG.md"]
"""The changelog alone may name a setting that is gone."""


MEANING_CHARACTERS_MAX = 160


def groups_in(model: type[BaseModel]) -> list[type[BaseModel]]:
    """Return a group and all groups in it."""
    inner = [found for field in model.model_fields.values() if (found := group_of(field.annotation)) is not None]
    return list(dict.fromkeys([model, *(one for found in inner for one in groups_in(found))]))


def test_the_page_is_what_the_settings_are() -> None:
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == page(), "run `make configuration`"


def test_every_name_on_it_is_a_setting() -> None:
    names = re.findall(r"(?m)^\| `(RATCHET_[^`]+)`", page())
    assert len(names) > 250
    assert [name for name in names if not is_setting(re.sub("<.*?>", "x", name))] == []
    assert {"RATCHET_CONSOLE__SESSION_IDLE_SECONDS", "RATCHET_SMS__TWILIO__FROM"} <= set(names)


@pytest.mark.parametrize("model", groups_in(Settings), ids=lambda model: model.__name__)
def test_every_setting_has_its_meaning_below_it(model: type[BaseModel]) -> None:
    """Of a field that is a group, the group's docstring is its meaning."""
    meanings = descriptions(model)
    own = {name for name, field in model.model_fields.items() if group_of(field.annotation) is None}
    assert own - set(meanings) == set(), "write below the field what it means, and run `make configuration`"
    assert [name for name, text in meanings.items() if not text.endswith(".")] == []
    assert {name: text for name, text in meanings.items() if len(text) > MEANING_CHARACTERS_MAX} == {}
    assert inspect.getdoc(model)


def test_what_stands_below_a_field_is_its_meaning() -> None:
    assert descriptions(ProviderSettings)["mode"] == "The mode of deliveries that don't sign theirs; unset: live."
    assert descriptions(TwilioSettings)["from_number"] == "The sender's number."


@pytest.mark.parametrize("name", PAGES)
def test_what_the_pages_name_is_a_setting(name: str) -> None:
    found = set(SETTING.findall((ROOT / name).read_text(encoding="utf-8"))) - NO_SETTINGS
    assert {one for one in found if not is_setting(one) and not one.endswith("PROVIDERS")} == set()
