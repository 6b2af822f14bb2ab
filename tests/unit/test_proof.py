"""What every scheme of signatures counts on: how many may be presented, and which of them fit."""

from __future__ import annotations

import pytest

from providers.core import proof
from schemas.errors import SignatureRejected

pytestmark = pytest.mark.unit


def test_eight_different_signatures_are_looked_at_and_a_ninth_is_refused() -> None:
    eight = tuple("abcdefgh")
    assert proof.few(eight * 2) == eight
    with pytest.raises(SignatureRejected, match="more than 8 signatures") as refused:
        proof.few((*eight, "i"))
    assert refused.value.reason == "malformed_header"
