"""What one forged request costs the ingress' only thread, and that it says no for the right reason."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from forged_requests import NOW, REQUESTS, Forged

import providers
from schemas.errors import SignatureRejected

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.unit

CPU_SECONDS_MAX = 0.04
"""CPU seconds of one request, on a busy machine. Without the bounds on what is parsed it is 0.1 to 2.4."""


def check(forged: Forged) -> str:
    """Return why the request is refused."""
    with pytest.raises(SignatureRejected) as refused:
        providers.verify(
            forged.provider,
            headers=forged.headers,
            body=forged.body,
            url=forged.url,
            secrets=forged.secrets,
            now=NOW,
            config=forged.config,
        )
    return refused.value.reason


@pytest.mark.parametrize("name", REQUESTS)
def test_a_forged_request_of_1_mib_is_cheap(name: str, record_figure: Callable[..., None]) -> None:
    seconds = []
    for _ in range(3):
        began = time.thread_time()
        check(REQUESTS[name])
        seconds.append(time.thread_time() - began)
    record_figure(cpu_ms=min(seconds) * 1000)
    assert min(seconds) < CPU_SECONDS_MAX
