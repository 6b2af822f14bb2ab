"""Answers of the door: status, headers and body as data, and how they are sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from schemas import problems

if TYPE_CHECKING:
    from starlette.types import Send

    from schemas.problems import Problem

RawHeaders = tuple[tuple[bytes, bytes], ...]

SECURITY_HEADERS: Final[RawHeaders] = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
CLOSE: Final = (b"connection", b"close")


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole response."""

    status: int
    body: bytes
    media_type: str = "application/json"
    headers: RawHeaders = ()

    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """Return all headers as they go over the wire."""
        return [
            (b"content-type", self.media_type.encode()),
            (b"content-length", str(len(self.body)).encode()),
            *SECURITY_HEADERS,
            *self.headers,
        ]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not taken: `reason` is a slug for logs and metrics, never for the sender."""

    problem: Problem
    reason: str
    close: bool = False


def of_json(status: int, document: Any) -> Answer:
    """Return a JSON answer."""
    return Answer(status, msgspec.json.encode(document))


def of_problem(problem: Problem, *headers: tuple[bytes, bytes]) -> Answer:
    """Return the problem as an answer."""
    return Answer(problem.status, problems.render(problem), problems.MEDIA_TYPE, headers)


def of_refusal(refusal: Refusal, retry_after_seconds: int) -> Answer:
    """Return a refusal as an answer; a 503 always says when to come again."""
    retry = ((b"retry-after", str(retry_after_seconds).encode()),) if refusal.problem.status == 503 else ()  # noqa: PLR2004
    return of_problem(refusal.problem, *retry, *((CLOSE,) if refusal.close else ()))


async def send_answer(send: Send, answer: Answer) -> None:
    """Send the whole answer."""
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.raw_headers()})
    await send({"type": "http.response.body", "body": answer.body})
