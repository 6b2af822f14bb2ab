"""The API's routes at the ingress."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from starlette.routing import Route

import providers
from producers.ingress.access_log import line_of
from producers.ingress.answers import Answer, of_problem, send_answer
from producers.ingress.intents.handler import Intents
from producers.ingress.intents.idempotency import IdempotencyRecords
from producers.ingress.intents.routes import PAYMENTS, PREFIX
from producers.ingress.routes import has_secret
from runtime.settings.scopes import scopes_of
from schemas import openapi, problems

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import Receive, Scope, Send

    from producers.ingress.rate_limits import RateLimits
    from producers.ingress.transactions import Transactions
    from runtime.clock import Clock
    from runtime.settings import Settings


def verifications_of(names: Collection[str]) -> dict[str, openapi.Verification]:
    """Return how the requests of each provider are verified, for the document."""
    return {
        name: openapi.Verification(found.signed_by, in_path=has_secret(name), fetched=found.certificate is not None)
        for name in names
        if (found := providers.find(name)) is not None
    }


class Document:
    """`GET /openapi.json`: the interface, as one document made at the start.

    It names the providers that are configured here; where none is, all that payments can be made with.
    """

    def __init__(self, server_url: str, configured: Collection[str]) -> None:
        named = [name for name in providers.paying() if name in configured] or providers.paying()
        self._answer = Answer(
            200, msgspec.json.encode(openapi.document(named, server_url, verifications_of(configured)))
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        line_of(scope).template = "/openapi.json"
        if scope["method"] in ("GET", "HEAD"):
            await send_answer(send, self._answer)
        else:
            await send_answer(send, of_problem(problems.METHOD_NOT_ALLOWED, (b"allow", b"GET, HEAD")))


def intents_routes(settings: Settings, transactions: Transactions, clock: Clock, rates: RateLimits) -> list[Route]:
    """Return the routes; raises SettingsError for API keys that can't be."""
    configured = {provider for provider, _ in scopes_of(settings).configured()}
    records = IdempotencyRecords(transactions, settings.intents, settings.kafka.topics.intents.name)
    intents = Intents(settings, records, clock, rates)
    return [
        Route(PREFIX, intents),
        Route(PREFIX + "/{rest:path}", intents),
        Route(PAYMENTS, intents),
        Route("/openapi.json", Document(settings.webhook_base_url(), configured)),
    ]
