"""Facts as JSON: how the `facts` columns of payments and ledger hold them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from schemas.facts import Fact, FactKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schemas.payment import Facts

_KINDS = {kind.value: kind for kind in FactKind}
_decode_joined = msgspec.json.Decoder(dict[str, tuple[str, int | None]]).decode
_decode_said = msgspec.json.Decoder(list[tuple[str, str, str, int | None]]).decode
_encode = msgspec.json.Encoder().encode


def dump_joined(facts: Facts) -> str:
    """Return a payment's facts as `{"kind:key": [state, amount]}`."""
    return _encode({f"{kind}:{key}": value for (kind, key), value in facts.items()}).decode()


def load_joined(text: str) -> Facts:
    """Read what `dump_joined` wrote."""
    facts: Facts = {}
    for place, value in _decode_joined(text).items():
        kind, _, key = place.partition(":")
        facts[_KINDS[kind], key] = value
    return facts


def dump_said(facts: Iterable[Fact]) -> str:
    """Return what one event said as `[[kind, key, state, amount], ...]`, in a canonical order."""
    return _encode(sorted([(f.kind, f.key, f.state, f.amount) for f in facts])).decode()


def load_said(text: str) -> list[Fact]:
    """Read what `dump_said` wrote."""
    return [Fact(_KINDS[kind], key, state, amount) for kind, key, state, amount in _decode_said(text)]


def same_facts(left: str, right: str) -> bool:
    """Tell whether two dumps of `dump_said` say the same, however the database spaced them."""
    return left == right or _decode_said(left) == _decode_said(right)
