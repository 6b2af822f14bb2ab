"""A plugin of pytest: the tests that are named first, then those of one example, then those of many.

Properties, and tests of every order, take a hundred times as long to notice the same.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pytest

OF_MANY: Final = ("every_order", "any_order")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the tests that come first, and the module that is changed."""
    parser.addoption("--unread", help="a module that may not be imported yet: its text has changed since")
    parser.addoption("--first", action="append", default=[], help="the id of a test that runs before others")


def pytest_configure(config: pytest.Config) -> None:
    """Fail where a change could not be seen."""
    assert config.getoption("--unread") not in sys.modules, "it was imported before it was changed"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort what was collected; otherwise it stays in order."""
    first = {name: place for place, name in enumerate(config.getoption("--first"))}

    def place(item: pytest.Item) -> tuple[int, bool, bool]:
        many = any(word in item.nodeid for word in OF_MANY)
        return first.get(item.nodeid, len(first)), hasattr(getattr(item, "obj", None), "hypothesis"), many

    items.sort(key=place)
