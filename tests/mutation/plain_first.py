"""A plugin of pytest: tests of one example before properties, which take a hundred times as long to notice the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort what was collected; otherwise it stays in order."""
    items.sort(key=lambda item: hasattr(getattr(item, "obj", None), "hypothesis"))
