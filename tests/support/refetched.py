"""What providers' APIs answer, read as the consumer reads it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import providers
from consumer.fold import newer, project
from providers.core.refetch import Fetched

if TYPE_CHECKING:
    from providers.core.refetch import Refetch
    from schemas.facts import Meaning
    from schemas.payment import Projection


def refetch_of(name: str) -> Refetch:
    provider = providers.find(name)
    assert provider is not None
    assert provider.refetch is not None
    return provider.refetch


def fold(*meanings: Meaning) -> Projection:
    facts: dict[Any, Any] = {}
    for meaning in meanings:
        facts |= newer(facts, meaning.facts)
    return project(facts)


def fetched(provider: str, ref: str, value: dict[str, Any], *, about: str | None = None) -> Meaning:
    """Interpret an API's answer as the consumer does, by its kind; it is about what was asked for, or about another."""
    body = json.dumps(value).encode()
    answer = refetch_of(provider).answer(ref, 200, body)
    assert isinstance(answer, Fetched), answer
    assert answer.ref == (about or ref)
    return providers.interpret(provider, answer.kind, body)
