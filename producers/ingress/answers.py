"""Answers of the ingress: status, headers and body as data, and how they are sent."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
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
HEADS_HELD_MAX: Final = 256
"""Heads that are kept as bytes: nearly every webhook gets the same one."""
_LINE_END: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
"""What no header may hold (RFC 9110, 5.5)."""


@dataclass(slots=True)
class Answer:
    """One whole response."""

    status: int
    body: bytes
    media_type: str = "application/json"
    headers: RawHeaders = ()

    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """Return all headers as ASGI has them."""
        return raw_headers(self.media_type, len(self.body), self.headers)

    def head(self) -> bytes:
        """Return all headers as they go over the wire, each with its line's end."""
        return head_of(self.media_type, len(self.body), self.headers)


WholeSend = Callable[[Answer, bytes], bool]
"""Sends an answer in one write under a request's id; False where it must go by ASGI's messages, and nothing went."""


def raw_headers(media_type: str, length: int, headers: RawHeaders) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer whose body has that many bytes."""
    return [
        (b"content-type", media_type.encode()),
        (b"content-length", b"%d" % length),
        *SECURITY_HEADERS,
        *headers,
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


@lru_cache(HEADS_HELD_MAX)
def head_of(media_type: str, length: int, headers: RawHeaders) -> bytes:
    """Return the lines of an answer's headers as they go over the wire.

    Raises ValueError for a name or value that would end its line: what follows would be a header, or an answer, that
    somebody else has written.
    """
    shown = [b"%s: %s" % header for header in raw_headers(media_type, length, headers)]
    if any(_LINE_END.search(line) for line in shown):
        raise ValueError("a header of an answer holds a control character")
    return b"\r\n".join((*shown, b""))


async def send_answer(send: Send, answer: Answer) -> None:
    """Send the whole answer, in one write where the server can."""
    if (whole := getattr(send, "whole", None)) is not None and whole(answer):
        return
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.raw_headers()})
    await send({"type": "http.response.body", "body": answer.body})
