"""Where each target begins: the requests of tests/contract/vectors and a few inputs of our own."""

from __future__ import annotations

import base64
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import providers
from schemas.errors import SignatureRejected
from schemas.record import Attributes
from schemas.topics import EVENTS, INTENTS, WEBHOOKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from providers.core.contract import Notification

CORPUS: Final = Path(__file__).parent / "corpus"
VECTORS: Final = Path(__file__).parent.parent / "contract" / "vectors"
SEED_BYTES_MAX: Final = 4096


@cache
def accepted() -> dict[str, dict[str, Any]]:
    """Return the genuine requests of all vectors, by provider and name."""
    return {
        f"{path.stem}/{case['name']}": case
        for path in sorted(VECTORS.glob("*.json"))
        for case in json.loads(path.read_text())["cases"]
        if case["expect"] == "accept"
    }


@cache
def genuine_bodies(provider: str) -> frozenset[bytes]:
    """Return the bodies of a provider's genuine requests."""
    return frozenset(
        base64.b64decode(case["body_base64"]) for name, case in accepted().items() if name.partition("/")[0] == provider
    )


def written(choice: str, fields: Iterable[tuple[str, str]], body: bytes) -> bytes:
    """Return an input; see `targets`."""
    head = "\n".join([choice, *(f"{name}: {value}" for name, value in fields)])
    return head.encode("latin-1") + b"\n\n" + body


def of(target: str) -> list[bytes]:
    """Return all that a target begins with: its seeds, and the files of its corpus."""
    kept = [path.read_bytes() for path in sorted((CORPUS / target).glob("*"))]
    return [seed for seed in SEEDS[target]() if len(seed) <= SEED_BYTES_MAX] + kept


def _signatures() -> Iterator[bytes]:
    for name, case in accepted().items():
        fields = [
            (field, one)
            for field, value in case["headers"].items()
            for one in ([value] if isinstance(value, str) else value)
        ]
        yield written(name, fields, base64.b64decode(case["body_base64"]))


def _events() -> Iterator[tuple[str, Notification]]:
    for name, case in accepted().items():
        provider = name.partition("/")[0]
        try:
            found = providers.verify(
                provider,
                headers=case["headers"],
                body=base64.b64decode(case["body_base64"]),
                url=case["url"],
                secrets=case["secrets"],
                now=case["now"],
                config=case.get("config"),
            )
        except SignatureRejected:
            continue
        yield from ((provider, one) for one in found)


def _meanings() -> Iterator[bytes]:
    for provider, one in _events():
        yield written(f"{provider} {one.kind or ''}", [], one.body)


def _records() -> Iterator[bytes]:
    reported = [(WEBHOOKS.name, provider, one.event_id or "e", one.kind or "", one.body) for provider, one in _events()]
    event = b'{"payment_id":"p1","id":"c1","amount":100,"currency":"EUR"}'
    reported += [(EVENTS.name, "billing", "e1", kind, event) for kind in ("payment.captured", "refund.pending")]
    for command, body in INTENT_BODIES:
        value = b'{"id":"01890000-0000-7000-8000-000000000001","client":"shop","command":"%s","body":%s}'
        reported.append((INTENTS.name, "intents/shop", "i1", f"intent.{command}", value % (command.encode(), body)))
    for topic, source, event_id, kind, body in reported:
        headers = Attributes(source=source, event_id=event_id, kind=kind, received_at=1_790_000_000.0).to_headers()
        yield written(topic, [(name, (value or b"").decode("latin-1")) for name, value in headers], body)


def _batches() -> Iterator[bytes]:
    for codec in ("plain", "gzip", "snappy", "lz4", "zstd"):
        yield written(codec, [("h\xff\xfe", "v"), ("h\xc3\xa9", "")], b"value")


def _heads() -> Iterator[bytes]:
    yield b"1.1\nHost: a\nContent-Length: 4\n\nbody"
    yield b"1.1\nHost: [::1]:80\nTransfer-Encoding: chunked\n\n3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n"
    first = {name.partition("/")[0]: seed for name, seed in zip(accepted(), _signatures(), strict=True)}
    for seed in first.values():
        yield b"1.1" + seed[seed.index(b"\n") :]


INTENT_BODIES: Final = (
    ("create", b'{"provider":"stripe","amount":1000,"currency":"EUR","reference":"r1","capture":"automatic"}'),
    ("create", b'{"provider":"stripe","amount":1e3,"currency":"EUR","provider_ref":"pi_1","metadata":{"a":"b"}}'),
    ("capture", b'{"amount":10}'),
    ("refund", b'{"amount":10}'),
    ("cancel", b"{}"),
)

SEEDS: Final = {
    "signatures": _signatures,
    "meanings": _meanings,
    "records": _records,
    "batches": _batches,
    "heads": _heads,
    "forms": lambda: (
        b"reason=undecodable&ids=1%2C2&since=2026-01-01&limit=10&status=open",
        b"max=100&rate=2.5&because=a+b&bt_payload=YWJj%0A&bt_signature=a%7Cb",
    ),
    "intents": lambda: (written(command, [], body) for command, body in INTENT_BODIES),
    "texts": lambda: (
        b"10.0.0.1\nx: 192.0.2.1, 10.1.2.3\n\nreference=r1",
        b"[2001:db8::1]:50001\nx: ::ffff:192.0.2.1\n\n/v1/payments/01890000-0000-7000-8000-000000000001/refunds",
        b"00-%032x-%016x-01\nx: %s\n\n\x00\x00\x00\x00\x01" % (1, 1, b"01890000-0000-7000-8000-000000000001"),
        b'AB12\nce_id: \x1b[31m\n\n{"card": "4111 1111 1111 1111", "to": "+49 151 12345678"}',
        b"q\nname: a%2Bb\n\nphone=%2B4915112345678&mail=jane%40mail.example",
    ),
}
