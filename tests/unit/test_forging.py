"""The forgery bench: it covers every provider and family, and notices what must not be."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from ops.bench import forging
from ops.bench.forgeries import VECTORS, Task, attack, main
from ops.bench.forging import FAMILIES, samples
from producers.providers import Notification, names
from schemas.errors import SignatureRejected

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


def task(family: str, provider: str, count: int = 40, *, seconds: float = 60) -> Task:
    return Task(VECTORS, family, provider, count, 1, time.monotonic() + seconds)


def test_every_provider_and_family_is_attacked() -> None:
    found = {family: samples(VECTORS, family) for family in FAMILIES}
    assert all(found.values())
    assert {provider for one in found.values() for provider in one} == names()


@pytest.mark.parametrize(("family", "provider"), [("hmac_body", "github"), ("hmac_fields", "adyen")])
def test_an_acceptance_is_noticed(family: str, provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    samples(VECTORS, family)
    monkeypatch.setattr(forging, "verify", lambda *_, **__: [Notification("e", "k", "p", b"")])
    tally = attack(task(family, provider))
    assert tally.accepted == tally.forgeries == 40
    assert len(tally.failures) == 20


@pytest.mark.parametrize(
    "error",
    [ValueError("x"), SignatureRejected("no_such_reason"), SignatureRejected("bad_signature", "checking raised")],
)
def test_another_exception_is_noticed(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    samples(VECTORS, "hmac_body")

    def raising(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(forging, "verify", raising)
    tally = attack(task("hmac_body", "github"))
    assert (tally.other_exceptions, tally.accepted) == (40, 0)


def test_time_is_bounded() -> None:
    assert attack(task("hmac_body", "github", 10**9, seconds=0)).forgeries == 0


def test_wrong_usage(tmp_path: Path) -> None:
    for arguments in (["--count", "0"], ["--vectors", str(tmp_path)]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
