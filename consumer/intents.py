"""From the value of a record of `payments.intents` to a valid command: envelope and body by their schemas. Pure."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NoReturn

import msgspec
from pydantic import ValidationError

from schemas.dead_letter import Reason
from schemas.defects import defects_of, shown, twice_named
from schemas.errors import UninterpretableError
from schemas.intents import COMMAND_BODIES, Command, CommandBody, IntentRecord

if TYPE_CHECKING:
    from pydantic import BaseModel

DETAIL_LENGTH_MAX = 500
"""Characters of what is wrong with a record; more than the names of any body's fields take."""


def read(value: bytes) -> tuple[IntentRecord, CommandBody]:
    """Return a record and its command's body; raise UninterpretableError, saying what to mend."""
    try:
        sent = IntentRecord.model_validate_json(value)
    except ValidationError as error:
        _refuse(error, IntentRecord, ())
    if sent.id.int == 0:
        raise refused("intent: id: the nil UUID names no payment; make one a payment")
    body = COMMAND_BODIES[sent.command]
    try:
        command = body.model_validate(sent.body)
    except ValidationError as error:
        _refuse(error, body, ("body",))
    if name := twice_named(value):
        defect = f"{shown((name,))} stands twice in one object"
        raise refused(f"intent: {defect}; write it once, for readers disagree on which counts")
    return sent, command


def need_event_id(sent: IntentRecord, event_id: str | None) -> str:
    """Return the id that tells a command from its copies. A create is known by its payment's id.

    No other command is known by its bytes: two refunds of the same amount are two, and a copy of one is one.
    """
    if event_id is not None:
        return event_id
    if sent.command is Command.CREATE:
        return f"{sent.id}:create"
    raise refused(
        f"intent: a {sent.command} needs a header ce_id, which tells a second {sent.command} from a copy of the first; "
        "make one a command, and send it again with every copy"
    )


def content_of(sent: IntentRecord, command: CommandBody, event_id: str) -> bytes:
    """Return a digest of what a command asks for, under its id: however its copies spell the JSON, it is the same.

    Two commands under one id differ in it, and so do two equal commands under two.
    """
    body = command.model_dump(mode="json", exclude_unset=True)
    return hashlib.sha256(msgspec.json.encode([event_id, sent.id, sent.command, body], order="sorted")).digest()


def refused(detail: str) -> UninterpretableError:
    """Return the error of a record that its publisher has to mend."""
    return UninterpretableError(Reason.UNDECODABLE, detail[:DETAIL_LENGTH_MAX])


def _refuse(error: ValidationError, model: type[BaseModel], inside: tuple[str, ...]) -> NoReturn:
    first = defects_of(error, model)[0]
    raise refused(f"intent: {shown((*inside, *first.place))}: {first.detail}") from None
