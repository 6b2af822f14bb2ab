"""The outside world on one loopback server: Stripe's, PayPal's, Mollie's, M-Pesa's and Twilio's APIs as we call them.

`faults` are what the next calls meet, in order, each by part of their path: a fault that answers keeps the call from
its handler, one that `accepts` lets the handler work and then spoils the answer.
"""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import partial
from typing import TYPE_CHECKING, Any

from aiohttp import web
from local_http import served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

SID, TOKEN, SENDER = "AC0123456789", "twilio-token", "+15005550006"


@dataclass
class Fault:
    """What one call whose path holds `path` meets instead of a good answer."""

    path: str
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: str = "{}"
    accepts: bool = False
    drops: bool = False
    holds: asyncio.Event | None = None
    met: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Outside:
    """What the outside holds and what it was asked."""

    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    pushes: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    queries: list[dict[str, Any]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    calls: list[tuple[str, str, dict[str, str], str]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    page_messages: int = 50
    events: list[dict[str, Any]] = field(default_factory=list)
    """What Stripe's list of events holds, newest first."""
    payments: list[dict[str, Any]] = field(default_factory=list)
    """What Mollie's list of payments holds, newest first."""
    notifications: list[dict[str, Any]] = field(default_factory=list)
    """What PayPal's list of event notifications holds, newest first."""
    shown: dict[str, tuple[dict[str, str], str]] = field(default_factory=dict)
    """What stands under a path below `/apis/<provider>`, and by which headers it is shown."""
    url: str = ""

    def asked(self, path: str, method: str = "") -> int:
        """Count the calls whose path holds this."""
        return sum(path in call[1] and call[0].startswith(method) for call in self.calls)

    def fail(self, path: str, *statuses: int, **more: Any) -> Fault:
        """Let the next calls of a path meet these statuses; return the last fault."""
        made = [Fault(path, status, **more) for status in statuses or (None,)]
        self.faults += made
        return made[-1]


def application(world: Outside) -> web.Application:
    app = web.Application(middlewares=[_meeting_faults(world)])
    app.add_routes(
        [
            web.post("/apis/paypal/v1/oauth2/token", partial(_paypal_token, world)),
            web.get("/apis/{path:.*}", partial(_shown, world)),
            web.get("/v1/payment_intents/{id}", partial(_object, world, authorization="Bearer sk_test")),
            web.get("/v1/charges/{id}", partial(_object, world, authorization="Bearer sk_test")),
            web.get("/v1/disputes", partial(_disputes, world)),
            web.get("/v2/payments", partial(_mollie_payments, world)),
            web.get("/v2/payments/{id}", partial(_object, world, authorization="Bearer test_mollie")),
            web.get("/v1/events", partial(_stripe_events, world)),
            web.post("/v1/oauth2/token", partial(_paypal_token, world)),
            web.get("/v1/notifications/webhooks-events", partial(_paypal_events, world)),
            web.get("/oauth/v1/generate", partial(_grant, world)),
            web.post("/mpesa/stkpushquery/v1/query", partial(_push, world)),
            web.post("/mpesa/transactionstatus/v1/query", partial(_query, world)),
            web.post(f"/2010-04-01/Accounts/{SID}/Messages.json", partial(_send, world)),
            web.get(f"/2010-04-01/Accounts/{SID}/Messages.json", partial(_list, world)),
        ]
    )
    return app


def _meeting_faults(world: Outside) -> Any:
    @web.middleware
    async def meet(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        text = await request.text()
        world.calls.append((request.method, request.path_qs, dict(request.headers), text))
        fault = next((fault for fault in world.faults if fault.path in f"{request.method} {request.path}"), None)
        if fault is None:
            return await handler(request)
        world.faults.remove(fault)
        answer = await handler(request) if fault.accepts else None
        fault.met.set()
        if fault.holds is not None:
            await fault.holds.wait()
        if fault.drops:
            assert request.transport is not None
            request.transport.abort()
        if fault.status is not None:
            return web.Response(status=fault.status, headers=fault.headers, text=fault.body)
        return answer or web.Response(status=200, text=fault.body)

    return meet


async def _object(world: Outside, request: web.Request, *, authorization: str) -> web.Response:
    if request.headers.get("Authorization") != authorization:
        return web.json_response({"error": {"message": "Invalid API Key provided"}}, status=401)
    found = world.objects.get(request.match_info["id"])
    if found is None:
        return web.json_response({"error": {"code": "resource_missing"}}, status=404)
    return web.json_response(found)


async def _shown(world: Outside, request: web.Request) -> web.Response:
    """Show what stands under the path, as an API does that knows its caller by headers."""
    found = world.shown.get(request.match_info["path"])
    if found is None:
        return web.Response(status=404, text="{}")
    headers, body = found
    allowed = all(request.headers.get(name) == value for name, value in headers.items())
    return web.Response(status=200 if allowed else 401, text=body if allowed else "{}")


async def _disputes(world: Outside, request: web.Request) -> web.Response:
    """List the disputes of one payment, as Stripe's API does; it filters by nothing else."""
    name, wanted = next((name, request.query[name]) for name in ("payment_intent", "charge") if name in request.query)
    found = [one for one in world.objects.values() if one.get("object") == "dispute" and one.get(name) == wanted]
    return web.json_response({"object": "list", "url": "/v1/disputes", "has_more": False, "data": found})


async def _stripe_events(world: Outside, request: web.Request) -> web.Response:
    """List events as Stripe does: newest first, `starting_after` the last one of the page before."""
    if request.headers.get("Authorization") != "Bearer sk_test":
        return web.json_response({"error": {"message": "Invalid API Key provided"}}, status=401)
    query, found = request.query, world.events
    if "starting_after" in query:
        places = [place for place, event in enumerate(found) if event["id"] == query["starting_after"]]
        if not places:
            return web.json_response({"error": {"code": "resource_missing"}}, status=400)
        found = found[places[0] + 1 :]
    first, last = int(query["created[gte]"]), int(query["created[lt]"])
    found = [event for event in found if first <= event["created"] < last]
    limit = int(query["limit"])
    answer = {"object": "list", "url": "/v1/events", "has_more": len(found) > limit, "data": found[:limit]}
    return web.Response(text=json.dumps(answer, indent=2), content_type="application/json")


async def _paypal_token(world: Outside, request: web.Request) -> web.Response:
    form = await request.post()
    if request.headers.get("Authorization") != "Basic " + base64.b64encode(b"client:hidden").decode():
        return web.json_response({"error": "invalid_client"}, status=401)
    assert form["grant_type"] == "client_credentials"
    world.tokens.append(f"A21AA-{len(world.tokens)}")
    return web.json_response({"access_token": world.tokens[-1], "token_type": "Bearer", "expires_in": 32400})


async def _paypal_events(world: Outside, request: web.Request) -> web.Response:
    """List notifications as PayPal does; the link `next` names a host of PayPal's own, and holds the whole query."""
    if not world.tokens or request.headers.get("Authorization") != f"Bearer {world.tokens[-1]}":
        return web.json_response({"name": "AUTHENTICATION_FAILURE"}, status=401)
    query, size = request.query, int(request.query["page_size"])
    start = int(query.get("start", 0))
    found = [one for one in world.notifications if query["start_time"] <= one["create_time"] <= query["end_time"]]
    links = [{"href": f"https://api.paypal.example{request.path_qs}", "rel": "self", "method": "GET"}]
    if len(found) > start + size:
        following = request.rel_url.update_query(start=start + size)
        links.append({"href": f"https://api.paypal.example{following}", "rel": "next", "method": "GET"})
    page = found[start : start + size]
    return web.json_response({"events": page, "count": len(page), "links": links})


async def _mollie_payments(world: Outside, request: web.Request) -> web.Response:
    """List payments as Mollie does: newest first, beginning with the one that `from` names."""
    if request.headers.get("Authorization") != "Bearer test_mollie":
        return web.json_response({"status": 401, "title": "Unauthorized Request"}, status=401)
    limit = int(request.query["limit"])
    ids = [payment["id"] for payment in world.payments]
    first = ids.index(request.query["from"]) if "from" in request.query else 0
    page, rest = world.payments[first : first + limit], world.payments[first + limit :]
    following = {"href": f"https://api.mollie.example/v2/payments?from={rest[0]['id']}&limit={limit}"} if rest else None
    return web.json_response({"count": len(page), "_embedded": {"payments": page}, "_links": {"next": following}})


async def _grant(world: Outside, request: web.Request) -> web.Response:
    if request.headers.get("Authorization") != "Basic " + base64.b64encode(b"consumer:hidden").decode():
        return web.json_response(
            {"errorCode": "400.008.01", "errorMessage": "Invalid Authentication passed"}, status=400
        )
    world.tokens.append(f"token-{len(world.tokens)}")
    return web.json_response({"access_token": world.tokens[-1], "expires_in": "3599"})


async def _push(world: Outside, request: web.Request) -> web.Response:
    if not world.tokens or request.headers.get("Authorization") != f"Bearer {world.tokens[-1]}":
        error = {"requestId": "1", "errorCode": "404.001.03", "errorMessage": "Invalid Access Token"}
        return web.json_response(error, status=404)
    asked = json.loads(await request.text())
    password = base64.b64decode(asked["Password"]).decode()
    assert password == f"174379passkey{asked['Timestamp']}"
    status, answer = world.pushes[asked["CheckoutRequestID"]]
    return web.json_response(answer, status=status)


async def _query(world: Outside, request: web.Request) -> web.Response:
    """Take a transaction status query, as Daraja does: the answer comes by a webhook."""
    if not world.tokens or request.headers.get("Authorization") != f"Bearer {world.tokens[-1]}":
        error = {"requestId": "1", "errorCode": "404.001.03", "errorMessage": "Invalid Access Token"}
        return web.json_response(error, status=404)
    asked = json.loads(await request.text())
    assert (asked["Initiator"], asked["SecurityCredential"]) == ("operator", "encrypted")
    assert (asked["CommandID"], asked["PartyA"], asked["IdentifierType"]) == ("TransactionStatusQuery", "174379", "4")
    world.queries.append(asked | {"ConversationID": f"AG_20261127_{len(world.queries)}"})
    return web.json_response(
        {
            "OriginatorConversationID": "1236-7134259-1",
            "ConversationID": world.queries[-1]["ConversationID"],
            "ResponseCode": "0",
            "ResponseDescription": "Accept the service request successfully.",
        }
    )


def _authorized(request: web.Request) -> bool:
    return request.headers.get("Authorization") == "Basic " + base64.b64encode(f"{SID}:{TOKEN}".encode()).decode()


async def _send(world: Outside, request: web.Request) -> web.Response:
    if not _authorized(request):
        return web.json_response({"code": 20003, "message": "Authenticate", "status": 401}, status=401)
    form = await request.post()
    message = {
        "sid": f"SM{len(world.messages):032x}",
        "to": form["To"],
        "from": form["From"],
        "body": form["Body"],
        "status": "queued",
        "date_created": formatdate(usegmt=False),
        "date_sent": None,
        "status_callback": form["StatusCallback"],
    }
    world.messages.insert(0, message)
    return web.json_response(message, status=201)


async def _list(world: Outside, request: web.Request) -> web.Response:
    if not _authorized(request):
        return web.json_response({"code": 20003, "message": "Authenticate", "status": 401}, status=401)
    wanted = [
        entry
        for entry in world.messages
        if entry["to"] == request.query["To"] and entry["from"] == request.query["From"]
    ]
    page = int(request.query.get("Page", 0))
    part = wanted[page * world.page_messages : (page + 1) * world.page_messages]
    query = request.rel_url.update_query(Page=page + 1)
    more = len(wanted) > (page + 1) * world.page_messages
    return web.json_response({"messages": part, "next_page_uri": str(query) if more else None})


@asynccontextmanager
async def outside() -> AsyncIterator[Outside]:
    """Serve the outside on a free loopback port."""
    world = Outside()
    async with served(application(world), access_log=None, shutdown_timeout=1) as world.url:
        yield world


def intent(key: str, **more: Any) -> dict[str, Any]:
    """Return a PaymentIntent as Stripe's API shows it."""
    return {
        "id": key,
        "object": "payment_intent",
        "amount": 1000,
        "amount_capturable": 0,
        "amount_received": 0,
        "currency": "eur",
        "status": "requires_payment_method",
        "last_payment_error": None,
        "latest_charge": None,
        "metadata": {"reference": f"order-{key}"},
    } | more


def stripe_event(number: int, kind: str, thing: dict[str, Any], created: float) -> dict[str, Any]:
    """Return an event as Stripe's API and its webhooks show it."""
    return {
        "id": f"evt_{number}",
        "object": "event",
        "api_version": "2024-06-20",
        "created": int(created),
        "data": {"object": thing},
        "livemode": True,
        "pending_webhooks": 0,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
    }


def charge(key: str, of: str | None, **more: Any) -> dict[str, Any]:
    """Return a charge as Stripe's API shows it, refunds expanded."""
    return {
        "id": key,
        "object": "charge",
        "payment_intent": of,
        "amount": 1000,
        "amount_captured": 1000,
        "amount_refunded": 0,
        "captured": True,
        "currency": "eur",
        "status": "succeeded",
        "metadata": {},
        "refunds": {"object": "list", "data": []},
    } | more


def dispute(key: str, of: str, **more: Any) -> dict[str, Any]:
    """Return a dispute as Stripe's API shows it: of a debit that its bank returned, which is lost at once."""
    return {
        "id": key,
        "object": "dispute",
        "payment_intent": of,
        "charge": f"ch_{of}",
        "amount": 1000,
        "currency": "eur",
        "status": "lost",
        "reason": "insufficient_funds",
        "balance_transactions": [{"id": "txn_1", "amount": -1000, "currency": "eur"}],
    } | more


def euros(value: str) -> dict[str, str]:
    return {"value": value, "currency": "EUR"}


def mollie_payment(key: str, status: str, **more: Any) -> dict[str, Any]:
    """Return a payment as Mollie's API shows it."""
    return {
        "resource": "payment",
        "id": key,
        "mode": "live",
        "amount": euros("10.00"),
        "status": status,
        "metadata": {"order_id": f"order-{key}"},
    } | more


def stk_answer(key: str, code: str) -> dict[str, Any]:
    """Return an STK query's answer as Daraja documents it."""
    return {
        "ResponseCode": "0",
        "ResponseDescription": "The service request has been accepted successsfully",
        "MerchantRequestID": "22205-34066-1",
        "CheckoutRequestID": key,
        "ResultCode": code,
        "ResultDesc": "The service request is processed successfully.",
    }
