"""Building what an event means: needed fields, refs, and the checks that hold for every provider's meaning."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

from msgspec.structs import replace

from providers.core.reading import all_storable, decode, storable, to_id
from schemas.dead_letter import Reason
from schemas.errors import UninterpretableError
from schemas.facts import AMOUNT_MAX, Meaning, Ref, RefKind

if TYPE_CHECKING:
    import msgspec

    from schemas.facts import Fact

T = TypeVar("T")

_UNIX_SECONDS_MAX: Final = 253_402_300_799
"""The end of the year 9999, the last that a datetime can show."""


def undecodable(detail: str) -> UninterpretableError:
    """Return the error for a body that is no JSON, has the wrong shape, or lacks what its kind needs."""
    return UninterpretableError(Reason.UNDECODABLE, detail)


def unknown_kind(kind: str) -> UninterpretableError:
    """Return the error for a kind of a payment family that the provider's file does not know."""
    return UninterpretableError(Reason.UNKNOWN_KIND, f"{kind!r} is not known; teach the provider's file what it means")


def decode_or_raise(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Decode the body, or raise `undecodable`."""
    value = decode(decoder, body)
    if value is None:
        raise undecodable("the body is no JSON of the provider's shape")
    return value


def need_id(value: object, what: str) -> str:
    """Return the id, or raise `undecodable`; `what` names the field."""
    text = to_id(value)
    if text is None:
        raise undecodable(f"{what} is missing or cannot be an id")
    return text


def in_scope(meaning: Meaning, merchant_account: object, livemode: object = None) -> Meaning:
    """Return the meaning with the merchant account and the mode that the body names under its signature.

    What is no id, or no boolean, counts as not named.
    """
    account = to_id(merchant_account) or ""
    live = livemode if isinstance(livemode, bool) else None
    if not meaning.refs or (not account and live is None):
        return meaning
    return replace(meaning, merchant_account=account, livemode=live)


def maybe_id(value: object, what: str) -> str | None:
    """Return the id, or None where there is none; raise `undecodable` for a text that cannot be one."""
    if value is None or value == "" or not isinstance(value, str | int) or isinstance(value, bool):
        return None
    return need_id(value, what)


def id_or_none(value: object) -> str | None:
    """Return the id, or None for what cannot be one: for free text of the merchant's that the event can do without."""
    return None if value is None or isinstance(value, bool) else to_id(value)


def need_amount(value: object, what: str) -> int:
    """Return an amount in minor units, or raise `undecodable`: no whole number, or outside 0..AMOUNT_MAX."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= AMOUNT_MAX:
        raise undecodable(f"{what} is no amount in minor units")
    return value


def need_currency(value: object, what: str) -> str:
    """Return an ISO 4217 code in upper case, or raise `undecodable`."""
    code = value.upper() if isinstance(value, str) else ""
    if not _is_currency(code):
        raise undecodable(f"{what} is no ISO 4217 code")
    return code


@lru_cache(maxsize=512)
def _is_currency(code: str) -> bool:
    """Tell whether it is three capital letters; their meaning is the provider's affair."""
    return len(code) == 3 and code.isascii() and code.isalpha() and code.isupper()  # noqa: PLR2004 - ISO 4217


def maybe_time(value: object) -> float | None:
    """Return unix seconds for display, or None where there is no plausible number."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _UNIX_SECONDS_MAX:
        return float(value)
    return None


def refs_of(*pairs: tuple[RefKind, str | None]) -> tuple[Ref, ...]:
    """Return the references that are there, in the order given and each once."""
    refs: list[Ref] = []
    for kind, ref in pairs:
        if ref and (one := Ref(kind, ref)) not in refs:
            refs.append(one)
    return tuple(refs)


def _refuse_ids(meaning: Meaning) -> NoReturn:
    """Raise `undecodable`, naming the first id that could not be stored; there is one."""
    named = [(f"a {ref.kind} reference", [ref.ref]) for ref in meaning.refs]
    named += [(f"the key of a {fact.kind}", _ids_of(fact)) for fact in meaning.facts]
    what = [what for what, ids in named if not all_storable(ids)]
    raise undecodable(f"{what[0]} is empty, too long or holds characters that no id has")


def _ids_of(fact: Fact) -> list[str]:
    """Return the ids of a fact: its key, what it belongs to and what it replaces."""
    if fact.parent is None and fact.replaces is None:
        return [fact.key]
    return [one for one in (fact.key, fact.parent, fact.replaces) if one is not None]


def checked(meaning: Meaning) -> Meaning:
    """Return the meaning, or raise `undecodable` if anything in it could not be stored or names no payment."""
    refs = [ref.ref for ref in meaning.refs]
    if not all_storable([*refs, *[one for fact in meaning.facts for one in _ids_of(fact)]]):
        _refuse_ids(meaning)
    if meaning.facts and not refs:
        raise undecodable("the event moves money and names no payment")
    if meaning.provider_ref is not None and meaning.provider_ref not in refs and not storable(meaning.provider_ref):
        raise undecodable("the provider's payment id cannot be an id")
    if meaning.currency is not None and not _is_currency(meaning.currency):
        raise undecodable("the currency is no ISO 4217 code")
    if meaning.amount is not None:
        need_amount(meaning.amount, "the amount")
    return meaning
