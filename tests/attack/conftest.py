"""Attacks on a running ingress: bounded in count and time, on loopback alone. Each says its figure (`pytest -s`)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "integration"))


@pytest.fixture
def record_figure(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> Callable[..., None]:
    """Give a test a function that prints its figures and keeps them in the report."""

    def record(**figures: float) -> None:
        for name, value in figures.items():
            record_property(name, value)
        shown = ", ".join(f"{name} {value:.1f}" for name, value in figures.items())
        sys.stdout.write(f"\n{request.node.name}: {shown}\n")

    return record
