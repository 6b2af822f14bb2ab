"""Ids of version 7, as RFC 9562 has them, and ids that the same name and time always give."""

from __future__ import annotations

import os
import uuid

import pytest

from schemas.payment import derived_id_bytes, new_id_bytes, new_payment_id

pytestmark = pytest.mark.unit

RFC_MS = 0x017F22E279B0
"""RFC 9562, appendix A.6: 22 February 2022, 19:22:22 UTC."""
RFC_RANDOM = (0xCC3 << 62 | 0x18C4DC0C0C07398F).to_bytes(10, "big")
RFC_ID = uuid.UUID("017F22E2-79B0-7CC3-98C4-DC0C0C07398F")


def test_an_id_is_the_one_of_the_rfc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "urandom", lambda count: RFC_RANDOM[:count])
    assert new_payment_id(RFC_MS) == RFC_ID


def test_a_later_id_sorts_after_an_earlier_one_and_no_two_of_a_moment_are_alike() -> None:
    assert new_id_bytes(RFC_MS) < new_id_bytes(RFC_MS + 1)
    assert len({new_id_bytes(RFC_MS) for _ in range(1000)}) == 1000


@pytest.mark.parametrize("name", ["stripe/acme/pi_1", "", "\ud800"])
def test_a_name_and_a_time_always_give_the_same_id_of_version_7(name: str) -> None:
    made = uuid.UUID(bytes=derived_id_bytes(RFC_MS, name))
    assert made == uuid.UUID(bytes=derived_id_bytes(RFC_MS, name))
    assert (made.version, made.variant, made.int >> 80) == (7, uuid.RFC_4122, RFC_MS)
    assert made != uuid.UUID(bytes=derived_id_bytes(RFC_MS, f"{name}x"))


def test_the_id_of_a_name_is_the_same_in_every_process() -> None:
    """A payment that is opened again after a restore has the id that customers and services know it by."""
    made = uuid.UUID(bytes=derived_id_bytes(RFC_MS, "stripe/acme/pi_1"))
    assert made == uuid.UUID("017f22e2-79b0-759d-9c11-0375af513944")
