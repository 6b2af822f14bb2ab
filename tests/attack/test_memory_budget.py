"""What all connections can hold together fits the memory that the chart gives an ingress; figures from settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from producers.ingress.http.uvicorn_parts import READ_BYTES
from runtime.settings import ConsoleSettings, IngressSettings, IntentsSettings

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.unit

MIB = 1024 * 1024
UNITS = {"Ki": 1024, "Mi": MIB, "Gi": 1024 * MIB}
VALUES = Path(__file__).parents[2] / "deploy" / "helm" / "ratchet" / "values.yaml"
PROCESS_BYTES = 130 * MIB
"""An ingress that serves nobody, measured with all its parts connected."""
CONNECTION_BYTES = 12 * 1024
"""Protocol, transport, parser, task and timers of one connection (5,000 idle ones measured)."""
FIELD_BYTES = 220
"""Two byte strings, their pair and their place in a list, beside the field's own bytes."""
BODY_COPIES = 2
"""A body is a buffer of the connection and the bytes made of it."""
LARGE_BODY_COPIES = 3
"""As BODY_COPIES, and the record's copy on its way to Kafka."""
HEADROOM = 0.9
"""Of the limit; the rest is the allocator's, and the kernel's for the sockets."""


def limit_bytes(role: str) -> int:
    values: dict[str, Any] = yaml.safe_load(VALUES.read_text())
    text: str = values["roles"][role]["resources"]["limits"]["memory"]
    return int(text[:-2]) * UNITS[text[-2:]]


def connections_bytes(bounds: IngressSettings | ConsoleSettings, body_bytes: int) -> int:
    head = bounds.header_bytes_max + bounds.header_fields_max * FIELD_BYTES
    each = CONNECTION_BYTES + READ_BYTES + head + BODY_COPIES * body_bytes
    return bounds.connections_max * each


def test_what_all_connections_of_the_ingress_hold_fits_its_limit(record_figure: Callable[..., None]) -> None:
    ingress, intents = IngressSettings(), IntentsSettings()
    small = connections_bytes(ingress, ingress.body_bytes_unreserved)
    large = LARGE_BODY_COPIES * ingress.large_bodies_max * ingress.body_bytes_max
    asked = BODY_COPIES * intents.large_bodies_max * intents.body_bytes_max
    whole = PROCESS_BYTES + small + large + asked
    record_figure(small_mib=small / MIB, large_mib=large / MIB, whole_mib=whole / MIB)
    assert whole <= limit_bytes("ingress") * HEADROOM


def test_what_all_connections_of_the_console_hold_fits_its_limit() -> None:
    console = ConsoleSettings()
    whole = PROCESS_BYTES + connections_bytes(console, console.form_bytes_max)
    assert whole <= limit_bytes("console") * HEADROOM
