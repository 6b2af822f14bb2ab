"""Every case of `vectors/` of every provider that exists: what is genuine is taken, all else is refused."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from producers import providers
from providers.core.contract import REASONS
from schemas.errors import SignatureRejected

pytestmark = pytest.mark.unit

VECTORS = Path(__file__).parent / "vectors"
NAMES = sorted(path.stem for path in VECTORS.glob("*.json") if path.stem in providers.names())

ALIKE = {"wrong_secret": "bad_signature", "altered_body": "bad_signature", "wrong_url": "bad_signature"}
"""Reasons of the cases that look the same to a verifier."""


def _cases() -> list[Any]:
    return [
        pytest.param(name, case, id=f"{name}-{case['name']}")
        for name in NAMES
        for case in json.loads((VECTORS / f"{name}.json").read_text())["cases"]
    ]


def _verify(provider: str, case: dict[str, Any], body: bytes) -> Any:
    return providers.verify(
        provider,
        headers=case["headers"],
        body=body,
        url=case["url"],
        secrets=case["secrets"],
        now=case["now"],
        config=case.get("config"),
    )


@pytest.mark.parametrize(("provider", "case"), _cases())
def test_case(provider: str, case: dict[str, Any]) -> None:
    body = base64.b64decode(case["body_base64"])
    if case["expect"] == "reject":
        with pytest.raises(SignatureRejected) as refused:
            _verify(provider, case, body)
        assert refused.value.reason in REASONS
        wanted = ALIKE.get(case["reason"], case["reason"])
        allowed = {wanted, "bad_signature"} if wanted == "malformed_header" else {wanted}
        assert refused.value.reason in allowed
        return
    notifications = _verify(provider, case, body)
    assert all(one.trust == case["trust"] for one in notifications)
    assert all(isinstance(one.body, bytes) for one in notifications)
    if "events" in case:
        got = [{"event_id": one.event_id, "kind": one.kind, "payment_ref": one.payment_ref} for one in notifications]
        assert got == case["events"]


@pytest.mark.parametrize("name", sorted(providers.names()))
def test_provider_is_found_by_its_file_name(name: str) -> None:
    found = providers.find(name)
    assert found is not None
    assert found.name == name
    assert (VECTORS / f"{name}.json").exists()


def test_unknown_provider() -> None:
    assert providers.find("nobody") is None
    assert providers.find("core.contract") is None
    with pytest.raises(LookupError, match="nobody"):
        providers.verify("nobody", headers={}, body=b"", url="", secrets=["s"], now=0)
