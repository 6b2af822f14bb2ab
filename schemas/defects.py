"""What is wrong with a document that a model refuses, and what to mend: the words of answers and dead letters. Pure.

Values are never quoted: they may be numbers of cards or telephones.
"""

from __future__ import annotations

import json
from collections import Counter
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import BaseModel, ValidationError

NAME_SHOWN_MAX = 64
"""Characters of a field's name that are shown; a stranger chose it."""


class BodyDefect(NamedTuple):
    """What is wrong at one place; `place` are the names and positions that lead there."""

    place: tuple[int | str, ...]
    detail: str


def defects_of(error: ValidationError, model: type[BaseModel]) -> list[BodyDefect]:
    """Return what a model's own error tells, in its order; an unknown field is named with the one that was meant."""
    found = error.errors(include_input=False, include_url=False, include_context=False)
    return [
        BodyDefect(one["loc"], _unknown(one["loc"], model) if one["type"] == "extra_forbidden" else one["msg"])
        for one in found
    ]


def _unknown(place: tuple[int | str, ...], model: type[BaseModel]) -> str:
    names = sorted(model.model_fields)
    meant = get_close_matches(str(place[-1])[:NAME_SHOWN_MAX].lower(), names, n=1)
    hint = f"did you mean {meant[0]}? There are" if meant else "there are"
    return f"there is no such field; {hint} {', '.join(names)}"


def shown(place: Sequence[int | str]) -> str:
    """Return a place as a path with dots, bounded and readable; "the record" for the document itself."""
    path = ".".join(str(part)[:NAME_SHOWN_MAX] for part in place) or "the record"
    return path.encode("ascii", "backslashreplace").decode() if path.isprintable() else repr(path)[1:-1]


def twice_named(value: bytes) -> str | None:
    """Return a name that stands twice in one object of a JSON document, or None.

    Its readers would disagree on which of the two counts (RFC 8259, 4). Raises what `json` raises for no JSON.
    """
    found: list[str] = []

    def note(members: list[tuple[str, Any]]) -> None:
        if len({name for name, _ in members}) < len(members):
            found.append(Counter(name for name, _ in members).most_common(1)[0][0])

    json.loads(value, object_pairs_hook=note, parse_int=str, parse_float=str)
    return found[0] if found else None
