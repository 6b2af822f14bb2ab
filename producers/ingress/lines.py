"""One canonical line a request, and the last resort for exceptions that nobody foresaw."""

from __future__ import annotations

import asyncio
import secrets
import time
import traceback
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import structlog

import providers
from producers.ingress.answers import Refusal, of_refusal, send_answer
from producers.ingress.routes import secrets_in
from runtime import metrics, telemetry
from runtime.log import MASK
from schemas import problems

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = structlog.get_logger()

SCOPE_KEY: Final = "ratchet.line"
QUIET_TEMPLATES: Final = frozenset({"/livez", "/readyz", "/metrics"})
"""Paths that machines ask every second: logged at debug level."""
SERIES_MAX: Final = 1024
"""Series of the door's metrics that are held; labels are closed sets."""
INTERRUPTED: Final = Refusal(problems.INTERRUPTED, "interrupted")
UNEXPECTED: Final = Refusal(problems.INTERRUPTED, "unexpected")


@dataclass(slots=True)
class Line:
    """What is said of a request; never its body, query, secrets or signature headers.

    `template` is the path's form, `outcome` one of accepted, replayed, answered, refused, failed; `reason` is a
    refusal's slug.
    """

    request_id: str = field(default_factory=lambda: secrets.token_hex(16))
    template: str = "unknown"
    provider: str | None = None
    account: str | None = None
    client: str | None = None
    outcome: str = "answered"
    reason: str | None = None
    durability: str | None = None
    events: int = 0
    bytes: int = 0
    status: int | None = None

    def refuse(self, refusal: Refusal) -> None:
        """Note a refusal."""
        self.outcome = "failed" if refusal in (INTERRUPTED, UNEXPECTED) else "refused"
        self.reason = refusal.reason


def line_of(scope: Scope) -> Line:
    """Return the line of this request."""
    line: Line = scope[SCOPE_KEY]
    return line


class CanonicalLines:
    """Outermost application: writes each request's line, and answers 503 where something raised.

    A webhook never gets another 5xx: its sender tries again, and nothing was promised yet.
    """

    def __init__(self, app: ASGIApp, retry_after_seconds: int) -> None:
        self._app = app
        self._retry_after_seconds = retry_after_seconds
        self._log = structlog.get_logger().bind()  # once: the lazy one is put together anew for every line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        line, started = Line(), time.perf_counter()
        scope[SCOPE_KEY] = line
        request_id = (b"x-request-id", line.request_id.encode())

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                line.status = message["status"]
                message["headers"].append(request_id)
            await send(message)

        with _traced(scope) as span:
            try:
                await self._answer(scope, receive, noting, line)
            finally:
                self._write(scope["method"], line, time.perf_counter() - started)
                span.answer(scope["method"], line.template, line.status, _said(line))

    async def _answer(self, scope: Scope, receive: Receive, send: Send, line: Line) -> None:
        refusal = await self._attempt(scope, receive, send, line)
        if refusal is None:
            return
        line.refuse(refusal)
        if line.status is None:
            await send_answer(send, of_refusal(refusal, self._retry_after_seconds))

    async def _attempt(self, scope: Scope, receive: Receive, send: Send, line: Line) -> Refusal | None:
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            return INTERRUPTED
        except Exception as error:  # noqa: BLE001 - the last resort: logged, and the sender is told to come again
            told = told_without(error, secrets_in(scope["path"]) + secrets_in(scope["raw_path"].decode("latin-1")))
            _log.error("request_failed", request_id=line.request_id, provider=line.provider, exception=told)
            return UNEXPECTED
        return None

    def _write(self, method: str, line: Line, seconds: float) -> None:
        count(line, seconds)
        write = self._log.debug if line.template in QUIET_TEMPLATES else self._log.info
        write(
            "request",
            request_id=line.request_id,
            method=method,
            path=line.template,
            provider=line.provider,
            account=line.account,
            client=line.client,
            outcome=line.outcome,
            reason=line.reason,
            durability=line.durability,
            events=line.events,
            bytes=line.bytes,
            status=line.status,
            duration_seconds=round(seconds, 6),
        )


def _traced(scope: Scope) -> telemetry.Scope:
    return telemetry.NOTHING if scope["path"] in QUIET_TEMPLATES else telemetry.receiving(scope["headers"])


def _said(line: Line) -> dict[str, str | int | None]:
    """Return what a trace tells of a request."""
    return {"provider": _provider(line), "outcome": line.outcome, "reason": line.reason, "events": line.events}


def _provider(line: Line) -> str:
    """Return the provider if it is a known one, else none: senders could make series otherwise."""
    return line.provider if line.provider and providers.find(line.provider) else "none"


def count(line: Line, seconds: float) -> None:
    """Count the request in the metrics."""
    if line.template in QUIET_TEMPLATES:
        return
    provider = _provider(line)
    _series(metrics.INGRESS_REQUESTS, provider, line.outcome).inc()
    metrics.INGRESS_SECONDS.observe(seconds)
    if line.reason is not None:
        _series(metrics.INGRESS_REFUSALS, provider, line.reason).inc()
    if line.durability is not None:
        _series(metrics.INGRESS_EVENTS, provider, line.durability).inc(line.events)


@lru_cache(SERIES_MAX)
def _series(counter: Any, *labels: str) -> Any:
    """Return one series of a metric; looking it up by its labels each time costs more than counting."""
    return counter.labels(*labels)


def told_without(error: Exception, hidden: tuple[str, ...]) -> str:
    """Return the exception with its traceback, without what stands in the request's path for us alone."""
    told = "".join(traceback.format_exception(error))
    for secret in sorted(hidden, key=len, reverse=True):
        told = told.replace(secret, MASK)
    return told
