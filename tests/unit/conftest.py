"""Holds every unit test, and what is set up for it, to the bounds of a unit test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from unit_bounds import bounded

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None]:
    with bounded():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None]:
    with bounded():
        return (yield)
