"""One request to the intents API, from its head to its answer."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from producers.ingress.access_log import line_of
from producers.ingress.admission import Window
from producers.ingress.answers import Answer, Refusal, send_answer
from producers.ingress.body import BodyBounds, BodyReader
from producers.ingress.intents import bodies, keys, references, routes
from producers.ingress.intents.answers import CHALLENGE, Declined, of_declined, of_model, of_refusal, of_stored
from producers.ingress.intents.clients import Clients
from producers.ingress.intents.idempotency import UNKNOWN
from producers.ingress.intents.queued import Asking
from producers.ingress.intents.routes import IntentPath, ReadAction, path_of
from producers.ingress.publishing.publisher import Durability
from producers.ingress.rate_limits import fields_of
from producers.ingress.webhooks import declared_bytes, first, headers_of, peer_of
from runtime import telemetry
from runtime.settings.scopes import scopes_of
from schemas import problems
from schemas.errors import UnavailableError
from schemas.intent_answers import AttemptShown, CommandShown, Found, PaymentAnswer, Timeline
from schemas.intents import Command, Intent
from schemas.problems import Problem

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from producers.ingress.access_log import AccessLine
    from producers.ingress.intents.bodies import ParsedCommand
    from producers.ingress.intents.idempotency import IdempotencyRecords
    from producers.ingress.intents.payment_view import PaymentView
    from producers.ingress.rate_limits import RateLimits
    from runtime.clock import Clock
    from runtime.settings import Settings

Headers = dict[str, list[str]]

UNKNOWN_PATH: Final = Declined(problems.UNKNOWN_PATH)
UNAUTHENTICATED: Final = Declined(problems.UNAUTHENTICATED, headers=(CHALLENGE,))
FULL: Final = Declined(problems.WINDOW_FULL)
AWAY: Final = Declined(problems.NOTHING_DURABLE)
NOT_JSON: Final = Declined(problems.UNSUPPORTED_MEDIA_TYPE, headers=((b"accept", b"application/json"),))


class Intents:
    """The intents API: an ASGI application for every path at and under /payment-intents, and /payments."""

    def __init__(self, settings: Settings, records: IdempotencyRecords, clock: Clock, rates: RateLimits) -> None:
        ingress, self._bounds = settings.ingress, settings.intents
        self._records = records
        self._rates = rates
        self._clock = clock
        self._clients = Clients(settings.api_keys)
        self._scopes = scopes_of(settings)
        self._retry_after_seconds = ingress.retry_after_seconds
        self._in_flight = Window(self._bounds.in_flight_max, self._bounds.in_flight_wait_seconds)
        self._large_bodies = Window(self._bounds.large_bodies_max, ingress.in_flight_wait_seconds)
        self._body_bounds = BodyBounds(
            self._bounds.body_bytes_max, ingress.body_bytes_unreserved, ingress.receipt_deadline_seconds
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        line = line_of(scope)
        reader = BodyReader(receive, self._body_bounds, self._large_bodies)
        try:
            answer = await self._answer(scope, reader, line)
            if isinstance(answer, Declined):
                line.refuse(answer.refusal)
                answer = of_declined(answer, self._retry_after_seconds)
            await send_answer(send, answer)
        finally:
            reader.close()

    async def _answer(self, scope: Scope, reader: BodyReader, line: AccessLine) -> Answer | Declined:
        path = routes.parse(scope["path"])
        if path is None:
            return UNKNOWN_PATH
        line.template = path.template
        if scope["method"] not in path.methods:
            allowed = ", ".join(path.methods).encode()
            return Declined(problems.METHOD_NOT_ALLOWED, headers=((b"allow", allowed),))
        headers = headers_of(scope)
        client = self._clients.find(headers.get("authorization", ()))
        if client is None:
            return await self._unknown(peer_of(scope), headers)
        line.client = client
        result = await self._rates.of_client(client, path.action)
        if not result.allowed:
            return Declined(problems.QUOTA_EXCEEDED, headers=fields_of(result))
        answer = await self._answer_client(client, path, scope["query_string"], headers, reader, line)
        return replace(answer, headers=(*answer.headers, *fields_of(result)))

    async def _unknown(self, peer: str | None, headers: Headers) -> Declined:
        """Refuse a key that is none; its sender's address has a quota of that, the one of forged webhooks."""
        result = await self._rates.of_unverified(peer, headers.get("x-forwarded-for", ()))
        if result.allowed:
            return UNAUTHENTICATED
        return Declined(problems.QUOTA_EXCEEDED, headers=fields_of(result))

    async def _answer_client(  # noqa: PLR0913, PLR0917 - the request's parts, once
        self, client: str, path: IntentPath, query: bytes, headers: Headers, reader: BodyReader, line: AccessLine
    ) -> Answer | Declined:
        """Answer a known client that is within its quota."""
        try:
            if path.action is ReadAction.PAYMENTS:
                return await self._search(client, query)
            if isinstance(path.action, ReadAction):
                return await self._show(client, path)
            return await self._take(client, path, path.action, headers, reader, line)
        except UnavailableError:
            return AWAY

    async def _search(self, client: str, query: bytes) -> Answer | Declined:
        """Show the client's payments that a reference leads to."""
        reference = references.parse(query)
        if isinstance(reference, Declined):
            return reference
        found, most = await self._records.find_by_reference(client, reference), self._bounds.payments_found_max
        return of_model(Found(payments=list(map(shown, found[:most])), complete=len(found) <= most))

    async def _show(self, client: str, path: IntentPath) -> Answer | Declined:
        """Show the client's payment, or its timeline."""
        if path.payment_id is None:
            return UNKNOWN
        view = await self._records.find(client, path.payment_id)
        if view is None:
            return UNKNOWN
        if path.action is ReadAction.PAYMENT:
            return of_model(shown(view))
        moments = await self._records.moments(view.id)
        most = self._bounds.timeline_rows_max
        return of_model(Timeline(id=view.id, timeline=moments[:most], complete=len(moments) <= most))

    async def _take(  # noqa: PLR0913, PLR0917 - the request's parts, once
        self, client: str, path: IntentPath, command: Command, headers: Headers, reader: BodyReader, line: AccessLine
    ) -> Answer | Declined:
        """Take a command: its head, its body, a place in the window, and then the transaction."""
        if command is not Command.CREATE and path.payment_id is None:
            return UNKNOWN
        key = keys.parse(headers.get("idempotency-key", ()))
        if isinstance(key, Problem):
            return Declined(key)
        body = await reader.read(declared_bytes(headers))
        if isinstance(body, Refusal):
            return of_refusal(body)
        line.bytes = len(body)
        if body and not _is_json(headers):
            return NOT_JSON
        parsed = bodies.read(command, path.payment_id, body, self._bounds.defects_max)
        if not isinstance(parsed, Declined):
            parsed = self._in_scope(client, parsed)
        if isinstance(parsed, Declined):
            return parsed
        line.provider = parsed.body.provider if isinstance(parsed.body, Intent) else None
        asking = Asking(client, key, self._clock.now(), telemetry.outgoing(first(headers, "traceparent")))
        return await self._answer_once(asking, parsed, line)

    def _in_scope(self, client: str, parsed: ParsedCommand) -> ParsedCommand | Declined:
        """Check and fill in what an intent names; a command names nothing but the payment."""
        if not isinstance(parsed.body, Intent):
            return parsed
        intent = bodies.need_endpoint(parsed.body, client, self._scopes)
        return intent if isinstance(intent, Declined) else replace(parsed, body=intent)

    async def _answer_once(self, asking: Asking, parsed: ParsedCommand, line: AccessLine) -> Answer | Declined:
        if not await self._in_flight.enter():
            return FULL
        try:
            stored = await self._records.make(asking, parsed)
        finally:
            self._in_flight.leave()
        if isinstance(stored, Declined):
            return stored
        line.outcome, line.events = ("replayed", 0) if stored.replayed else ("accepted", 1)
        line.durability = Durability.SPOOL
        return of_stored(stored.payment_id, stored.answer, replayed=stored.replayed)


def shown(view: PaymentView) -> PaymentAnswer:
    """Return a payment as its client sees it."""
    own = {"metadata", "commands", "attempts", "timeline"}
    columns = {name: getattr(view, name) for name in PaymentAnswer.model_fields if name not in own}
    noted = json.loads(view.metadata) if view.metadata else {}
    return PaymentAnswer(
        **columns,
        metadata=noted,
        commands=[CommandShown.model_validate(one) for one in json.loads(view.commands)],
        attempts=[AttemptShown.model_validate(one) for one in json.loads(view.attempts)],
        timeline=f"{path_of(view.id)}/timeline",
    )


def _is_json(headers: Headers) -> bool:
    """Tell whether the body is JSON by its Content-Type; one that is left out is taken for it (RFC 9110, 8.3)."""
    media_type = (first(headers, "content-type") or "application/json").partition(";")[0]
    return media_type.strip().lower() == "application/json"
