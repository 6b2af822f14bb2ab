"""Bodies of requests as commands: parsed, validated and fingerprinted; pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
from pydantic import ValidationError

import providers
from producers.ingress.intents.answers import Declined
from schemas.defects import defects_of
from schemas.intents import COMMAND_BODIES, Command, CommandBody, Intent
from schemas.problems import INVALID_BODY
from schemas.record import source_of

if TYPE_CHECKING:
    from uuid import UUID

    from runtime.settings.scopes import Scopes

POINTER_LENGTH_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class ParsedCommand:
    """A valid command of a client. `fingerprint` tells it from another one under the same Idempotency-Key."""

    command: Command
    payment_id: UUID | None
    body: CommandBody
    fingerprint: bytes


def need_endpoint(intent: Intent, client: str, scopes: Scopes) -> Intent | Declined:
    """Return the intent with its scope filled in, or say that the client may not name that endpoint.

    An intent that leaves its merchant account out has the endpoint's where that takes one alone; its mode is the
    endpoint's unless it says so itself.
    """
    found = providers.find(intent.provider)
    if found is None or not found.payments:
        return _invalid([("#/provider", f"must be one of {', '.join(providers.paying())}")])
    place = source_of(intent.provider, intent.account)
    where = "#/account" if intent.account else "#/provider"
    if not scopes.may_use(client, intent.provider, intent.account):
        return _invalid([(where, f"{place} is no account of this client's")])
    if not scopes.is_configured(intent.provider, intent.account):
        return _invalid([(where, f"{place} is not configured here")])
    terms = scopes.terms(intent.provider, intent.account)
    known, merchant_account = terms.merchant_accounts, intent.merchant_account
    if merchant_account and known and merchant_account not in known:
        return _invalid([("#/merchant_account", f"is no merchant account of {place}")])
    if not merchant_account and len(known) == 1:
        merchant_account = known[0]
    livemode = terms.livemode if intent.livemode is None else intent.livemode
    return intent.model_copy(update={"merchant_account": merchant_account, "livemode": livemode})


def read(command: Command, payment_id: UUID | None, body: bytes, defects_max: int) -> ParsedCommand | Declined:
    """Read a command's body, or say what is wrong with it, by JSON pointer. No body is an empty object."""
    document = _parse(body) if body else {}
    if isinstance(document, Declined):
        return document
    try:
        asked = COMMAND_BODIES[command].model_validate(document)
    except ValidationError as error:
        found = defects_of(error, COMMAND_BODIES[command])[:defects_max]
        return _invalid([(_pointer(one.place), one.detail) for one in found])
    return ParsedCommand(command, payment_id, asked, _fingerprint(command, payment_id, document))


def _parse(body: bytes) -> dict[str, Any] | Declined:
    """Parse strict JSON: UTF-8, no NaN, no lone surrogate, no name twice, and no deeper than the parser goes."""
    try:
        document = msgspec.json.decode(body)
        json.loads(body, object_pairs_hook=_need_different)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, RecursionError):
        return _invalid([("#", "is not JSON, has a name twice in one object, or is nested too deep")])
    return document if isinstance(document, dict) else _invalid([("#", "is not an object")])


def _need_different(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object in which a name stands twice: its readers would disagree (RFC 7493, 2.3)."""
    found = dict(members)
    if len(found) < len(members):
        raise ValueError("a name stands twice")
    return found


def _same_numbers(value: Any) -> Any:
    """Return the value with 100 for 100.0 and 1e2: they are one number, and read as one."""
    if isinstance(value, dict):
        return {name: _same_numbers(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_same_numbers(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _invalid(defects: list[tuple[str, str]]) -> Declined:
    errors = [{"pointer": pointer, "detail": detail} for pointer, detail in defects]
    return Declined(INVALID_BODY, f"{defects[0][0]}: {defects[0][1]}", {"errors": errors})


def _pointer(place: tuple[int | str, ...]) -> str:
    """Return a place as a JSON pointer in a URI fragment (RFC 6901, 6)."""
    parts = (str(part).replace("~", "~0").replace("/", "~1") for part in place)
    return "#" + "".join(f"/{part}" for part in parts)[:POINTER_LENGTH_MAX]


def _fingerprint(command: Command, payment_id: UUID | None, document: dict[str, Any]) -> bytes:
    """Digest what was asked; order of members, white space and the spelling of a number ask for nothing else."""
    content = msgspec.json.encode([command, payment_id, _same_numbers(document)], order="sorted")
    return hashlib.sha256(content).digest()
