"""How it was tried to pay: which attempt is open, and how those ended that are not. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from schemas.facts import FactKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from consumer.children import Children
    from schemas.facts import ChildState

_ENDED: Final = ("failed", "expired", "canceled")
_OPEN: Final = {name: rank for rank, name in enumerate(("created", "requires_action", "processing"))}


def open_attempt(children: Children) -> str | None:
    """Return the state of the attempt that is furthest among those that are open, or None.

    One is over that ended, had money of its own, or whose payment was ended.
    """
    attempts = children.of(FactKind.ATTEMPT)
    found = None
    for key, state in attempts.items():
        rank = _OPEN.get(state.name)
        if rank is None or (found is not None and rank <= _OPEN[found]):
            continue
        ended = children.is_ended(key, state)
        if not ended and not _had_money(children, key, state.version) and not went_on(attempts, key, state):
            found = state.name
    return found


def ended_attempts(children: Children) -> set[str]:
    """Return how attempts ended, and authorizations with them."""
    ended = {state.name for state in children.of(FactKind.ATTEMPT).values() if state.name in _ENDED}
    ended |= {state.name for state in children.of(FactKind.VOID).values()}
    return ended | {"canceled"} if children.has_cancels else ended


def went_on(attempts: Mapping[str, ChildState], key: str, state: ChildState) -> bool:
    """Tell whether an attempt went on under another reference of its payment, which is no older.

    One of them succeeded; or the attempt had the payment's reference alone, and ended under one of its own.
    """
    payment = state.parent or key
    for other, known in attempts.items():
        sibling = other != key and payment in (known.parent, other) and known.version >= state.version
        if sibling and (known.name == "succeeded" or (key == payment and known.name in _ENDED)):
            return True
    return False


def _had_money(children: Children, key: str, version: int) -> bool:
    """Tell whether an authorization or a capture that is no older names the attempt."""
    for kind in (FactKind.AUTHORIZATION, FactKind.CAPTURE):
        for own, state in children.of(kind).items():
            if state.name != "pending" and key in (own, state.parent) and state.version >= version:
                return True
    void = children.of(FactKind.VOID).get(key)
    return void is not None and void.version >= version
