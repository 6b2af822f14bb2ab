"""What schemathesis is given of our API: every valid request of its own gets an Idempotency-Key of its own.

A key that it makes up twice for two bodies is refused with 422, as the contract has it, and is no finding. Keys that
are malformed or missing on purpose stay as they are. Accounts are free text to the document and names of what is
configured to the ingress, `attempt_id` is any UUID to the document and one of the payment's attempts to the ingress: a
valid one that schemathesis makes up is left out, as it would be refused with 422. A query
for payments has exactly one name, which the document can only say in words: a valid one is left with one.
"""

from __future__ import annotations

import re
import uuid
from typing import Any

import schemathesis
from pydantic import TypeAdapter, ValidationError

from producers.ingress.intents.keys import PATTERN
from schemas.intents import Account

NAME = "Idempotency-Key"


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    if re.fullmatch(f'{PATTERN}|"{PATTERN}"', str((case.headers or {}).get(NAME, ""))):
        case.headers[NAME] = str(uuid.uuid4())
    if isinstance(case.body, dict) and _is_account(case.body.get("account")):
        del case.body["account"]
    if isinstance(case.body, dict) and _is_uuid(case.body.get("attempt_id")):
        del case.body["attempt_id"]
    if case.operation.path == "/payments" and case.meta.generation.mode.is_positive:
        name, value = next(iter((case.query or {}).items()), ("reference", "ORD-1"))
        case.query = {name: value}


def _is_uuid(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(uuid.UUID(value))
    except ValueError:
        return False


def _is_account(value: object) -> bool:
    try:
        return bool(value) and bool(TypeAdapter(Account).validate_python(value, strict=True))
    except ValidationError:
        return False
