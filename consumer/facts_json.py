"""Facts as JSON: how the `facts` columns of payments and ledger hold them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from schemas.facts import ChildState, Fact, FactKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schemas.payment import Facts

_KINDS = {kind.value: kind for kind in FactKind}
_PREFIXES = {kind: f"{kind}:" for kind in FactKind}
_decode_joined = msgspec.json.Decoder(dict[str, ChildState]).decode
_decode_reported = msgspec.json.Decoder(list[tuple[str, str, ChildState]]).decode
_decode_plain = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode

NO_FACTS: Final = "[]"
"""What `dump_reported` makes of no facts."""


def dump_joined(facts: Facts) -> str:
    """Return a payment's facts as `{"kind:key": [state, amount, parent, version, replaces, low]}`, short at the end."""
    return _encode({_PREFIXES[kind] + key: _short(state) for (kind, key), state in facts.items()}).decode()


def load_joined(text: str) -> Facts:
    """Read what `dump_joined` wrote."""
    facts: Facts = {}
    for place, state in _decode_joined(text).items():
        kind, _, key = place.partition(":")
        facts[_KINDS[kind], key] = state
    return facts


def dump_reported(facts: Iterable[Fact]) -> str:
    """Return what one event reported as `[[kind, key, [state, amount, ...]], ...]`, in a canonical order."""
    reported = [(fact.kind, fact.key, _values(fact)) for fact in facts]
    if len(reported) > 1:
        try:
            reported.sort()
        except TypeError:  # one child twice, of which one has no amount or parent: those don't compare
            reported.sort(key=repr)
        else:
            if _any_twice(reported):
                reported.sort(key=repr)
    return _encode(reported).decode()


def _any_twice(reported: list[tuple[FactKind, str, Any]]) -> bool:
    """Tell whether sorted facts have one child twice."""
    last, last_kind = "", None
    for kind, key, _ in reported:
        if key == last and kind is last_kind:
            return True
        last, last_kind = key, kind
    return False


def load_reported(text: str) -> list[Fact]:
    """Read what `dump_reported` wrote."""
    return [
        Fact(_KINDS[kind], key, state.name, state.amount, state.parent, state.version, state.replaces)
        for kind, key, state in _decode_reported(text)
    ]


def same_facts(left: str, right: str) -> bool:
    """Tell whether two dumps of `dump_reported` agree, however the database spaced them.

    One may say more than the other: a provider renders one event in two versions of its API, and the newer one leaves
    out what the older one listed. What both say has to be the same, and nothing at all agrees with nothing alone.
    """
    if left == right:
        return True
    fewer, more = sorted((_decode_plain(left), _decode_plain(right)), key=len)
    return fewer == more or (bool(fewer) and all(one in more for one in fewer))


def adds_to(reported: str, more: str) -> bool:
    """Tell whether the second of two dumps of `dump_reported` says all that the first does (not nothing), and more."""
    before, after = _decode_plain(reported), _decode_plain(more)
    return 0 < len(before) < len(after) and all(one in after for one in before)


def _values(fact: Fact) -> tuple[str | int | None, ...]:
    """Return a fact's state as `_short` would."""
    if fact.replaces is not None:
        return (fact.state, fact.amount, fact.parent, fact.version, fact.replaces, None)
    if fact.version:
        return (fact.state, fact.amount, fact.parent, fact.version)
    if fact.parent is not None:
        return (fact.state, fact.amount, fact.parent)
    return (fact.state,) if fact.amount is None else (fact.state, fact.amount)


def _short(state: ChildState) -> ChildState | tuple[str | int | None, ...]:
    """Leave out what a state does not have, as far as it stands at the end; most have a name and an amount."""
    if state.low is not None or state.replaces is not None:
        return state
    if state.version:
        return (state.name, state.amount, state.parent, state.version)
    if state.parent is not None:
        return (state.name, state.amount, state.parent)
    return (state.name,) if state.amount is None else (state.name, state.amount)
