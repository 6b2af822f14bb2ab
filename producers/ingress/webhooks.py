"""One webhook, from its body to its answer: receive, verify, publish, and only then say 202."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import providers
from producers.ingress import routes
from producers.ingress.access_log import AccessLine, line_of
from producers.ingress.admission import Window
from producers.ingress.answers import CLOSE, Answer, Refusal, of_problem, of_refusal, send_answer
from producers.ingress.body import TOO_LARGE, BodyBounds, BodyReader
from producers.ingress.clock_check import CLOCK_WRONG, OUT_OF_TIME
from producers.ingress.endpoints import open_endpoints
from producers.ingress.hints import TOO_MANY_WAIT, UNSIGNED
from producers.ingress.publishing import records
from producers.ingress.publishing.publisher import Durability
from producers.ingress.rate_limits import OVER_QUOTA, OVER_QUOTA_UNREAD, fields_of
from producers.ingress.single_flight import SingleFlight
from producers.ingress.verification.dear_checks import DearChecks
from producers.ingress.verification.fetch_budget import Asker
from producers.ingress.verification.inputs import CERTIFICATE_QUOTA, Delivery, VerificationInputs, gather
from runtime import telemetry
from schemas import problems
from schemas.errors import SignatureRejected, UnavailableError

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from producers.ingress.clock_check import ClockCheck
    from producers.ingress.endpoints import Endpoint, Endpoints
    from producers.ingress.hints import Hints
    from producers.ingress.publishing.publisher import Publisher
    from producers.ingress.rate_limits import RateLimits
    from producers.ingress.verification.certificates import Certificates
    from providers.core.contract import Notification
    from runtime.limits import LimitResult
    from runtime.settings import Settings

SMALL_BODY_BYTES: Final = 16 * 1024
"""A body that is checked whatever its sender's quota: nearly every genuine webhook is smaller."""
COME_AGAIN_IN_A_MINUTE: Final = (b"retry-after", b"60")
UNKNOWN_PATH: Final = Refusal(problems.UNKNOWN_PATH, "unknown_path")
UNKNOWN_PROVIDER: Final = Refusal(problems.UNKNOWN_PROVIDER, "unknown_provider")
METHOD_NOT_ALLOWED: Final = Refusal(problems.METHOD_NOT_ALLOWED, "method_not_allowed")
IN_FLIGHT_FULL: Final = Refusal(problems.WINDOW_FULL, "in_flight_full")
NOT_DURABLE: Final = Refusal(problems.NOTHING_DURABLE, "not_durable")


class Webhooks:
    """The webhook endpoint: an ASGI application for every path under /webhooks/."""

    def __init__(  # noqa: PLR0913, PLR0917 - what the ingress is made of, once
        self,
        settings: Settings,
        publisher: Publisher,
        clocks: ClockCheck,
        certificates: Certificates,
        rates: RateLimits,
        hints: Hints,
    ) -> None:
        ingress = settings.ingress
        self._base_url = settings.webhook_base_url()
        self._topic = settings.kafka.topics.webhooks.name
        self._endpoints: Endpoints = open_endpoints(settings)
        self._plain_paths = {
            path: found for path in map(routes.plain_path, self._endpoints) if (found := routes.parse(path))
        }
        self._single_flight = SingleFlight(publisher, ingress)
        self._rates = rates
        self._hints = hints
        self._full_retry = (b"retry-after", str(settings.limits.window_seconds).encode())
        self._clocks = clocks
        self._certificates = certificates
        self._trusted_proxies = ingress.trusted_proxies
        self._retry_after_seconds = ingress.retry_after_seconds
        self._in_flight = Window(ingress.in_flight_max, ingress.in_flight_wait_seconds)
        self._large_bodies = Window(ingress.large_bodies_max, ingress.in_flight_wait_seconds)
        self._dear_checks = DearChecks(ingress.dear_checks_waiting_max, ingress.in_flight_wait_seconds)
        self._bounds = BodyBounds(
            ingress.body_bytes_max, ingress.body_bytes_unreserved, ingress.receipt_deadline_seconds
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        line = line_of(scope)
        found = self._find(scope, line)
        if isinstance(found, Refusal):
            await send_answer(send, self._refused(found, line))
            return
        reader = BodyReader(receive, self._bounds, self._large_bodies)
        try:
            await send_answer(send, await self._take(found, scope, reader, line))
        finally:
            reader.close()

    def _find(self, scope: Scope, line: AccessLine) -> Endpoint | Refusal:
        """Return the endpoint that the request is for, or why there is none."""
        path = self._plain_paths.get(scope["path"]) or routes.parse(scope["path"])
        if path is None:
            return UNKNOWN_PATH
        line.template = path.template
        endpoint = self._endpoints.get((path.provider, path.account))
        if endpoint is None:
            return UNKNOWN_PROVIDER
        line.provider, line.account = path.provider, path.account or None
        return endpoint if scope["method"] == "POST" else METHOD_NOT_ALLOWED

    async def _take(self, endpoint: Endpoint, scope: Scope, reader: BodyReader, line: AccessLine) -> Answer:
        headers, peer = headers_of(scope), peer_of(scope)
        body = await self._read(endpoint, headers, peer, reader, line)
        if isinstance(body, Answer):
            return body
        line.bytes = len(body)
        url = self._base_url + target_of(scope)
        sender = self._rates.sender(peer, headers.get("x-forwarded-for", ()))
        delivery = Delivery(endpoint, headers, body, url, peer, self._clocks.clock.now(), sender)
        inputs = await gather(delivery, self._trusted_proxies, self._certificates, self._may_fetch)
        if isinstance(inputs, Refusal):
            return await self._unverified(inputs, delivery, line)
        work = providers.work(endpoint.provider, headers, len(body))
        checked = await self._dear_checks.run(work, lambda: verified(delivery, inputs))
        if isinstance(checked, Refusal):
            if await self._clock_refuses(checked, work, delivery, inputs):
                return self._refused(CLOCK_WRONG, line)
            return await self._unverified(checked, delivery, line)
        if checked is None or not await self._in_flight.enter():
            return self._refused(IN_FLIGHT_FULL, line)
        try:
            taken = await self._accept(delivery, checked, line)
        finally:
            self._in_flight.leave()
        return await self._unverified(taken, delivery, line) if isinstance(taken, Refusal) else taken

    async def _clock_refuses(self, refusal: Refusal, work: int, delivery: Delivery, inputs: VerificationInputs) -> bool:
        """Tell whether what is out of its time by our clock is genuine, and in time by Postgres's."""
        if refusal.reason not in OUT_OF_TIME or (ahead := self._clocks.ahead) is None:
            return False
        then = replace(delivery, received_at=delivery.received_at + ahead)
        checked = await self._dear_checks.run(work, lambda: verified(then, inputs))
        if checked is None or isinstance(checked, Refusal):
            return False
        self._clocks.prove_wrong()
        return True

    async def _read(
        self, endpoint: Endpoint, headers: dict[str, list[str]], peer: str | None, reader: BodyReader, line: AccessLine
    ) -> bytes | Answer:
        """Return the body, or the answer to one that is not read.

        Of an address over its quota a small body is read, which costs nothing to check; a larger one is refused unread.
        """
        spent = self._rates.spent(peer, headers.get("x-forwarded-for", ()))
        most = endpoint.body_bytes_max or self._bounds.bytes_max
        body = await reader.read(declared_bytes(headers), most if spent is None else min(most, SMALL_BODY_BYTES))
        if not isinstance(body, Refusal):
            return body
        if spent is not None and body is TOO_LARGE:
            return self._refused(OVER_QUOTA_UNREAD, line, spent)
        return self._refused(body, line)

    async def _may_fetch(self, delivery: Delivery) -> Asker | None:
        """Return who would make us call somebody; counted, unless something genuine came from there before."""
        sender = delivery.peer, delivery.forwarded_for
        proven = await self._rates.was_proven(*sender)
        if proven or (await self._rates.of_unverified(*sender)).allowed:
            return Asker(delivery.sender, proven)
        return None

    async def _accept(
        self, delivery: Delivery, notifications: list[Notification], line: AccessLine
    ) -> Answer | Refusal:
        """Publish what is verified. It is never refused for its content: only a lack of storage stops it."""
        if notifications and notifications[0].trust == "hint":
            return await self._take_hints(delivery, notifications, line)
        if self._rates.proves(delivery.peer, delivery.forwarded_for):
            await self._rates.share_proven(delivery.peer, delivery.forwarded_for)
        try:
            with telemetry.publishing(self._topic, len(notifications)):
                arrival = arrival_of(delivery)
                line.durability = await self._single_flight.publish(
                    delivery.endpoint.source, notifications, lambda: records.build(notifications, arrival, self._topic)
                )
        except UnavailableError:
            return self._refused(NOT_DURABLE, line)
        line.outcome, line.events = "accepted" if line.durability else "replayed", len(notifications)
        return self._accepted(delivery, len(notifications))

    async def _take_hints(
        self, delivery: Delivery, notifications: list[Notification], line: AccessLine
    ) -> Answer | Refusal:
        """Queue what an unsigned webhook names to be read again; nothing of it becomes an event."""
        if not delivery.endpoint.unsigned:
            return UNSIGNED
        if delivery.endpoint.hints_by_anybody:
            result = await self._rates.of_unsigned(delivery.peer, delivery.forwarded_for)
            if not result.allowed:
                return self._refused(OVER_QUOTA, line, result)
        try:
            refusal = await self._hints.take(delivery.endpoint, notifications)
        except UnavailableError:
            refusal = NOT_DURABLE
        if refusal is not None:
            return self._refused(refusal, line)
        line.outcome, line.durability = "accepted", Durability.REFETCHES
        return self._accepted(delivery, len(notifications))

    def _accepted(self, delivery: Delivery, events: int) -> Answer:
        fields = self._rates.fields_of_verified(delivery.peer, delivery.forwarded_for)
        return Answer(202, b'{"accepted":%d}' % events, headers=fields)

    async def _unverified(self, refusal: Refusal, delivery: Delivery, line: AccessLine) -> Answer:
        """Refuse what is not verified; its sender's address has a quota of that. Our own outages don't count."""
        if refusal.problem not in {problems.SIGNATURE_REJECTED, problems.QUOTA_EXCEEDED}:
            return self._refused(refusal, line)
        result = await self._rates.of_unverified(delivery.peer, delivery.forwarded_for)
        return self._refused(refusal if result.allowed else OVER_QUOTA, line, result)

    def _refused(self, refusal: Refusal, line: AccessLine, result: LimitResult | None = None) -> Answer:
        line.refuse(refusal)
        if refusal is CERTIFICATE_QUOTA:
            return of_problem(refusal.problem, COME_AGAIN_IN_A_MINUTE)
        if result is not None:
            return of_problem(refusal.problem, *fields_of(result), *((CLOSE,) if refusal.close else ()))
        if refusal is TOO_MANY_WAIT:
            return of_problem(refusal.problem, self._full_retry)
        if refusal is METHOD_NOT_ALLOWED:
            return of_problem(refusal.problem, (b"allow", b"POST"))
        return of_refusal(refusal, self._retry_after_seconds)


def arrival_of(delivery: Delivery) -> records.Arrival:
    """Return what the request says of all its events; its trace is the span under way, or the sender's own."""
    return records.Arrival(
        delivery.endpoint.source,
        delivery.received_at,
        records.well_formed_content_type(first(delivery.headers, "content-type")),
        telemetry.outgoing(first(delivery.headers, "traceparent")),
    )


def verified(delivery: Delivery, inputs: VerificationInputs) -> list[Notification] | Refusal:
    """Return the request's events, or why it is not genuine.

    The body is what came over the wire, byte for byte: nothing is inflated, whatever Content-Encoding says, so the
    signature covers what is kept, and no bomb goes off.
    """
    try:
        return providers.verify(
            delivery.endpoint.provider,
            headers=delivery.headers,
            body=delivery.body,
            url=delivery.url,
            secrets=inputs.secrets,
            now=delivery.received_at,
            config=inputs.config,
        )
    except SignatureRejected as rejected:
        return Refusal(problems.SIGNATURE_REJECTED, rejected.reason)


def peer_of(scope: Scope) -> str | None:
    """Return the address of the connection's other end, or None where it has none."""
    client = scope.get("client")
    return client[0] if client else None


def headers_of(scope: Scope) -> dict[str, list[str]]:
    """Return the headers as `providers.verify` takes them: lower-case names, all values in order, latin-1 text."""
    headers: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
    return headers


def first(headers: dict[str, list[str]], name: str) -> str | None:
    """Return the first value of a header, or None."""
    values = headers.get(name)
    return values[0] if values else None


def declared_bytes(headers: dict[str, list[str]]) -> int:
    """Return the Content-Length, 0 where there is none; the connection has refused what is no number."""
    value = first(headers, "content-length")
    return int(value) if value and value.isascii() and value.isdigit() else 0


def target_of(scope: Scope) -> str:
    """Return path and query as they were sent, byte for byte: some signatures cover them."""
    query = scope["query_string"]
    path: str = scope["raw_path"].decode("latin-1")
    return f"{path}?{query.decode('latin-1')}" if query else path
