"""Answers of the intents API: what was refused, with its reasons, and what was taken."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from producers.ingress.answers import CLOSE, Answer, RawHeaders, Refusal
from producers.ingress.intents.routes import path_of
from schemas import problems

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from pydantic import BaseModel

    from schemas.problems import Problem

REPLAYED: Final = (b"idempotent-replayed", b"true")
CHALLENGE: Final = (b"www-authenticate", b'Bearer realm="ratchet"')


@dataclass(frozen=True, slots=True)
class Declined:
    """Why a request is not taken. `members` are further members of the problem (RFC 9457, 3.2)."""

    problem: Problem
    detail: str | None = None
    members: Mapping[str, Any] = field(default_factory=dict)
    headers: RawHeaders = ()
    close: bool = False

    @property
    def refusal(self) -> Refusal:
        """Return the refusal as a log line has it."""
        return Refusal(self.problem, self.problem.slug.replace("-", "_"), self.close)


def of_refusal(refusal: Refusal) -> Declined:
    """Return a refusal of the ingress' other parts as one of the API."""
    return Declined(refusal.problem, close=refusal.close)


def of_declined(declined: Declined, retry_after_seconds: int) -> Answer:
    """Return the answer; a 503, and a 409 that a moment's patience may end, say when to come again."""
    problem = declined.problem
    soon = problem.status == 503 or problem is problems.IDEMPOTENCY_IN_PROGRESS  # noqa: PLR2004
    retry = ((b"retry-after", str(retry_after_seconds).encode()),) if soon else ()
    body = problems.render(problem, declined.detail, **declined.members)
    headers = (*declined.headers, *retry, *((CLOSE,) if declined.close else ()))
    return Answer(problem.status, body, problems.MEDIA_TYPE, headers)


def of_stored(payment_id: UUID, body: bytes, *, replayed: bool) -> Answer:
    """Return the answer that an idempotency record holds."""
    location = (b"location", path_of(payment_id).encode())
    return Answer(202, body, headers=(location, REPLAYED) if replayed else (location,))


def of_model(document: BaseModel) -> Answer:
    """Return a document as a whole answer."""
    return Answer(200, body_of(document))


def body_of(document: BaseModel) -> bytes:
    """Return a document's bytes."""
    return document.model_dump_json().encode()
