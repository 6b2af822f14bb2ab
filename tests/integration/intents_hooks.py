"""What schemathesis is told of our API: every valid request of its own gets an Idempotency-Key of its own.

A key that it makes up twice for two bodies is refused with 422, as the contract has it, and is no finding. Keys that
are malformed or missing on purpose stay as they are.
"""

from __future__ import annotations

import re
import uuid
from typing import Any

import schemathesis

from producers.ingress.intents.keys import PATTERN

NAME = "Idempotency-Key"


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    if re.fullmatch(f'{PATTERN}|"{PATTERN}"', str((case.headers or {}).get(NAME, ""))):
        case.headers[NAME] = str(uuid.uuid4())
