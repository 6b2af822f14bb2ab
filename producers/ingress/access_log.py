"""One canonical line a request, and the last resort for exceptions that nobody foresaw."""

from __future__ import annotations

import asyncio
import random
import time
import traceback
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog

import providers
from producers.ingress.answers import Refusal, of_refusal, send_answer
from producers.ingress.intents.routes import PREFIX as INTENTS_PREFIX
from producers.ingress.publishing.publisher import Durability
from producers.ingress.rate_limits import AddressKeys
from producers.ingress.routes import secrets_in
from runtime import metrics, telemetry
from runtime.log import MASK, ClosedLine, mask_text, write_closed
from schemas import problems

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from producers.ingress.answers import Answer, WholeSend
    from producers.ingress.sources import Network

_log = structlog.get_logger()

SCOPE_KEY: Final = "ratchet.line"
QUIET_TEMPLATES: Final = frozenset({"/livez", "/readyz"})
"""Paths that machines ask every second: logged at debug level."""
TELLING_OUTCOMES: Final = frozenset({"refused", "failed"})
"""Outcomes for which the sender is named (PCI DSS 10.2.2): who asked for what was not given."""
SERIES_MAX: Final = 1024
"""Series of the ingress' metrics that are held; labels are closed sets."""
NAMES_MAX: Final = 1024
"""Accounts and clients of the settings whose shown names are held."""
_random_bits: Final = random.Random().getrandbits  # noqa: S311 - names a request; whoever guesses a name gains nothing
REQUEST_ID: Final = b"x-request-id"
INTERRUPTED: Final = Refusal(problems.INTERRUPTED, "interrupted")
UNEXPECTED: Final = Refusal(problems.INTERRUPTED, "unexpected")


class AccessLine(ClosedLine, gc=False):
    """What is logged of a request; never its body, query, secrets or signature headers.

    `template` is the path's form, `outcome` one of accepted, replayed, answered, refused, failed; `reason` is a
    refusal's slug. The method is one that the parser knows, `account` and `client` are names from the settings; those,
    and a provider that is none of ours, are masked before they are written. `sender` is who asked, as
    `rate_limits.AddressKeys` names addresses: on what was refused or failed, and on all of the intents API.
    """

    event: str = "request"
    request_id: str = msgspec.field(default_factory=lambda: f"{_random_bits(128):032x}")
    method: str = ""
    template: str = msgspec.field(default="unknown", name="path")
    provider: str | None = None
    account: str | None = None
    client: str | None = None
    sender: str | None = None
    outcome: str = "answered"
    reason: str | None = None
    durability: str | None = None
    events: int = 0
    bytes: int = 0
    status: int | None = None
    duration_seconds: float = 0.0

    def refuse(self, refusal: Refusal) -> None:
        """Note a refusal."""
        self.outcome = "failed" if refusal in (INTERRUPTED, UNEXPECTED) else "refused"
        self.reason = refusal.reason


WRITTEN: Final = {
    field: name
    for field, name in zip(AccessLine.__struct_fields__, AccessLine.__struct_encode_fields__, strict=True)
    if field not in {"role", "level", "time"}
}
"""A line's own fields, and the names that they are written by; the others are added by whoever writes."""


def line_of(scope: Scope) -> AccessLine:
    """Return the line of this request."""
    line: AccessLine = scope[SCOPE_KEY]
    return line


class NotingSend:
    """A request's `send`, which notes the status and puts the request's id on the answer."""

    __slots__ = ("_line", "_request_id", "_send", "_send_whole")

    def __init__(self, send: Send, line: AccessLine) -> None:
        self._send = send
        self._line = line
        self._request_id = line.request_id.encode()
        self._send_whole: WholeSend | None = getattr(getattr(send, "__self__", None), "send_whole", None)

    async def __call__(self, message: Message) -> None:
        """Pass on a message of ASGI."""
        if message["type"] == "http.response.start":
            self._line.status = message["status"]
            message["headers"].append((REQUEST_ID, self._request_id))
        await self._send(message)

    def whole(self, answer: Answer) -> bool:
        """Send the whole answer in one write, if the server can; return False where it goes by messages."""
        if self._send_whole is None or not self._send_whole(answer, self._request_id):
            return False
        self._line.status = answer.status
        return True


class AccessLog:
    """Outermost application: writes each request's line, and answers 503 where something raised.

    A webhook never gets another 5xx: its sender tries again, and nothing was promised yet.
    """

    def __init__(self, app: ASGIApp, retry_after_seconds: int, trusted_proxies: Sequence[Network] = ()) -> None:
        self._app = app
        self._name_sender = AddressKeys(trusted_proxies)
        self._retry_after_seconds = retry_after_seconds
        self._log = structlog.get_logger().bind()  # once: the lazy one is put together anew for every line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        line = scope[SCOPE_KEY] = AccessLine(method=scope["method"])
        with _traced(scope) as span:
            try:
                await self._answer(scope, receive, NotingSend(send, line), line)
            finally:
                if line.outcome in TELLING_OUTCOMES or line.template.startswith(INTENTS_PREFIX):
                    line.sender = self._sender(scope)
                self._write(line, time.perf_counter() - started)
                if span is not telemetry.NOTHING:
                    span.answer(line.method, line.template, line.status, _span_fields(line))

    async def _answer(self, scope: Scope, receive: Receive, send: Send, line: AccessLine) -> None:
        refusal = await self._attempt(scope, receive, send, line)
        if refusal is None:
            return
        line.refuse(refusal)
        if line.status is None:
            await send_answer(send, of_refusal(refusal, self._retry_after_seconds))

    async def _attempt(self, scope: Scope, receive: Receive, send: Send, line: AccessLine) -> Refusal | None:
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            return INTERRUPTED
        except Exception as error:  # noqa: BLE001 - the last resort: logged, and the sender is asked to come again
            text = without_secrets(error, secrets_in(scope["path"]) + secrets_in(scope["raw_path"].decode("latin-1")))
            _log.error("request_failed", request_id=line.request_id, provider=line.provider, exception=text)
            return UNEXPECTED
        return None

    def _sender(self, scope: Scope) -> str:
        forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
        client = scope.get("client")
        return self._name_sender(client[0] if client else None, forwarded)

    def _write(self, line: AccessLine, seconds: float) -> None:
        count(line, seconds)
        line.duration_seconds = round(seconds, 6)
        if line.provider is not None and not providers.find(line.provider):
            line.provider = mask_text(line.provider)
        line.account, line.client = known_name(line.account), known_name(line.client)
        quiet = line.template in QUIET_TEMPLATES
        if quiet or not write_closed(line):
            (self._log.debug if quiet else self._log.info)(**fields_of(line))


@lru_cache(NAMES_MAX)
def known_name(name: str | None) -> str | None:
    """Return a name from the settings as a line may show it."""
    return name and mask_text(name)


def fields_of(line: AccessLine) -> dict[str, Any]:
    """Return a line's own fields under the names that they are written by."""
    return {name: getattr(line, field) for field, name in WRITTEN.items()}


def _traced(scope: Scope) -> telemetry.Scope:
    return telemetry.NOTHING if scope["path"] in QUIET_TEMPLATES else telemetry.receiving(scope["headers"])


def _span_fields(line: AccessLine) -> dict[str, str | int | None]:
    """Return what a trace tells of a request."""
    return {"provider": _provider(line), "outcome": line.outcome, "reason": line.reason, "events": line.events}


def _provider(line: AccessLine) -> str:
    """Return the provider if it is a known one, else none: senders could make series otherwise."""
    return line.provider if line.provider and providers.find(line.provider) else "none"


def count(line: AccessLine, seconds: float) -> None:
    """Count the request in the metrics."""
    if line.template in QUIET_TEMPLATES:
        return
    provider = _provider(line)
    _series(metrics.INGRESS_REQUESTS, provider, line.outcome).inc()
    metrics.INGRESS_SECONDS.observe(seconds)
    if line.reason is not None:
        _series(metrics.INGRESS_REFUSALS, provider, line.reason).inc()
    if line.durability is not None:
        _durable_events(provider, line.durability).inc(line.events)


@lru_cache(SERIES_MAX)
def _durable_events(provider: str, durability: str) -> Any:
    """Return where a provider's durable events are counted; other places stand at zero: an alert must see the first."""
    return {place: metrics.INGRESS_EVENTS.labels(provider, place) for place in Durability}[Durability(durability)]


@lru_cache(SERIES_MAX)
def _series(counter: Any, *labels: str) -> Any:
    """Return one series of a metric; looking it up by its labels each time costs more than counting."""
    return counter.labels(*labels)


def without_secrets(error: Exception, hidden: tuple[str, ...]) -> str:
    """Return the exception with its traceback, without what stands in the request's path for us alone."""
    text = "".join(traceback.format_exception(error))
    for secret in sorted(hidden, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text
