"""What the ingress answered to each request, one line of JSON each."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

NO_ANSWER: Final = 0
"""The status of a request that nobody answered."""
WEBHOOK: Final = "webhook"
CREATE: Final = "create"
CAPTURE: Final = "capture"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer.

    Of a webhook: which post (`life`, `place`), and how many events the ingress says it took. Of an intent: its number
    as `life`, its Idempotency-Key, the payment's id and the digest of the body. `error` is why there was no answer.
    """

    what: str
    life: int
    status: int
    place: int = 0
    retry_after: str | None = None
    accepted: int = 0
    key: str = ""
    payment: str = ""
    digest: str = ""
    error: str = ""

    @property
    def taken(self) -> bool:
        """Tell whether the ingress answered that it has it."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def wait_seconds(self) -> float | None:
        """Return how long to wait before the same is sent again; None where the answer does not say."""
        found = self.retry_after
        return float(found) if found and found.isascii() and found.isdigit() else None


def _member(body: bytes, name: str) -> object:
    try:
        document = json.loads(body)
    except ValueError:
        return None
    return document.get(name) if isinstance(document, dict) else None


def of_webhook(life: int, place: int, status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    """Note what was answered to a webhook."""
    number = _member(body, "accepted")
    accepted = number if isinstance(number, int) else 0
    return Answer(WEBHOOK, life, status, place, headers.get("Retry-After"), accepted)


def of_intent(  # noqa: PLR0917 - the parts of one line
    what: str, number: int, key: str, status: int, headers: Mapping[str, str], body: bytes
) -> Answer:
    """Note what was answered to a create or a capture."""
    payment, digest = str(_member(body, "id") or ""), sha256(body).hexdigest()
    return Answer(what, number, status, retry_after=headers.get("Retry-After"), key=key, payment=payment, digest=digest)


def line_of(answer: Answer) -> str:
    """Return the line of an answer."""
    return json.dumps(asdict(answer), separators=(",", ":")) + "\n"


def read(lines: Iterable[str]) -> Iterator[Answer]:
    """Read lines again; a last line that was cut off is not there."""
    for line in lines:
        if line.endswith("\n"):
            yield Answer(**json.loads(line))
