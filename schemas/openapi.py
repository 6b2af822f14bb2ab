"""The OpenAPI 3.1 document of the ingress, from the pydantic models and the catalogue of problems; pure."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic.json_schema import models_json_schema

from schemas import metadata, problems
from schemas.facts import REF_LENGTH_MAX
from schemas.intent_answers import Accepted, Asked, Found, PaymentAnswer, ProblemDetails, Timeline
from schemas.intents import Cancel, Capture, Intent, Refund

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import BaseModel

    from schemas.problems import Problem

Json = dict[str, Any]

VERSION: Final = "1.0.0"
"""Of the interface, not of the product: a breaking change raises the first number."""
_UUID: Final = "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"
_REF: Final = "#/components/schemas/{model}"
_BODIES: Final[tuple[type[BaseModel], ...]] = (Intent, Capture, Cancel, Refund)
_ANSWERS: Final[tuple[type[BaseModel], ...]] = (Accepted, Asked, PaymentAnswer, Found, Timeline, ProblemDetails)

_LOOK: Final = (
    problems.UNAUTHENTICATED,
    problems.UNKNOWN_INTENT,
    problems.QUOTA_EXCEEDED,
    problems.NOTHING_DURABLE,
    problems.INTERRUPTED,
)
_SEARCH: Final = (
    problems.UNAUTHENTICATED,
    problems.INVALID_QUERY,
    problems.QUOTA_EXCEEDED,
    problems.NOTHING_DURABLE,
    problems.INTERRUPTED,
)
_CREATE: Final = (
    problems.IDEMPOTENCY_KEY_MISSING,
    problems.IDEMPOTENCY_KEY_MALFORMED,
    problems.UNAUTHENTICATED,
    problems.IDEMPOTENCY_IN_PROGRESS,
    problems.BODY_TOO_LARGE,
    problems.UNSUPPORTED_MEDIA_TYPE,
    problems.IDEMPOTENCY_MISMATCH,
    problems.INVALID_BODY,
    problems.QUOTA_EXCEEDED,
    problems.NOTHING_DURABLE,
    problems.WINDOW_FULL,
    problems.INTERRUPTED,
)
_COMMAND: Final = (*_CREATE, problems.UNKNOWN_INTENT, problems.STATE_FORBIDS)
_WEBHOOK: Final = (
    problems.SIGNATURE_REJECTED,
    problems.UNKNOWN_PROVIDER,
    problems.UNKNOWN_PATH,
    problems.BODY_TOO_LARGE,
    problems.QUOTA_EXCEEDED,
    problems.NOTHING_DURABLE,
    problems.WINDOW_FULL,
    problems.INTERRUPTED,
)
_ANY: Final = (
    problems.MALFORMED_REQUEST,
    problems.METHOD_NOT_ALLOWED,
    problems.RECEIPT_TIMEOUT,
    problems.HEAD_TOO_LARGE,
)
"""What a request of any path may be answered, before it is known what it is about."""


class Verification(NamedTuple):
    """How a provider's requests are verified, as the document tells it.

    `headers` are those that its requests prove themselves by, none where that stands in the body; `in_path` tells
    that it is a secret at the end of the path, `fetched` that checking it may need a document from the provider.
    """

    headers: tuple[str, ...] = ()
    in_path: bool = False
    fetched: bool = False

    @property
    def sentence(self) -> str:
        """Return by what a request is verified, in words."""
        named = ", ".join(f"`{header}`" for header in self.headers)
        place = named or ("a secret at the end of the path" if self.in_path else "in the body")
        return place + ("; 503 `proof-unavailable` while its certificate cannot be fetched" if self.fetched else "")


def document(providers: Iterable[str], server_url: str, webhooks: Mapping[str, Verification] | None = None) -> Json:
    """Return the document; `providers` are the names that an intent may carry, `server_url` where the ingress is.

    `webhooks` are the providers whose webhooks are described, each with how its requests are verified.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Ratchet ingress",
            "version": VERSION,
            "description": "Payment intents in, exactly one effect each. Amounts are minor units of their currency.",
        },
        "servers": [{"url": server_url}],
        "paths": _paths() | (_webhook_paths(webhooks) if webhooks else {}),
        "components": {
            "schemas": _schemas(providers),
            "parameters": {"Id": _ID, "IdempotencyKey": _IDEMPOTENCY_KEY},
            "headers": {
                "Location": _LOCATION,
                "Allow": _ALLOW,
                "IdempotentReplayed": _REPLAYED,
                "RetryAfter": _RETRY_AFTER,
                "RateLimit": _RATE_LIMIT,
                "RateLimitPolicy": _RATE_LIMIT_POLICY,
            },
            "securitySchemes": {"apiKey": {"type": "http", "scheme": "bearer"}},
        },
    }


def _paths() -> Json:
    one = "/payment-intents/{id}"
    return {
        "/payment-intents": {"post": _create()},
        one: {"parameters": [_parameter("Id")], "get": _look("getIntent", "The payment as it stands", PaymentAnswer)},
        f"{one}/timeline": {
            "parameters": [_parameter("Id")],
            "get": _look("getTimeline", "The payment's events as the ledger has them", Timeline),
        },
        f"{one}/capture": _command("captureIntent", "Take authorized money", Capture),
        f"{one}/cancel": _command("cancelIntent", "Give the authorization up", Cancel),
        f"{one}/refunds": _command("refundIntent", "Give captured money back", Refund),
        "/payments": {"get": _search()},
        "/livez": {"get": _probe("getLiveness", "The process answers", ("200",))},
        "/readyz": {"get": _probe("getReadiness", "The ingress takes webhooks", ("200", "503"))},
        "/openapi.json": {"get": _probe("getDocument", "This document", ("200",))},
    }


def _webhook_paths(webhooks: Mapping[str, Verification]) -> Json:
    """Return the paths of webhooks: of a provider's own endpoint, of one of its accounts, and those with a secret."""
    signed = {name: one for name, one in webhooks.items() if not one.in_path}
    paths: Json = {}
    if signed:
        own, accounts = _webhook("postWebhook", signed), _webhook("postAccountWebhook", signed)
        provider = _PROVIDER | {"schema": {"type": "string", "enum": sorted(signed)}}
        paths["/webhooks/{provider}"] = {"parameters": [provider], "post": own}
        paths["/webhooks/{provider}/{account}"] = {"parameters": [provider, _ACCOUNT], "post": accounts}
    for name in sorted(webhooks.keys() - signed.keys()):
        named, one = name.title().replace("_", ""), {name: webhooks[name]}
        own, accounts = _webhook(f"post{named}Webhook", one), _webhook(f"post{named}AccountWebhook", one)
        paths[f"/webhooks/{name}/{{secret}}"] = {"parameters": [_SECRET], "post": own}
        paths[f"/webhooks/{name}/{{account}}/{{secret}}"] = {"parameters": [_ACCOUNT, _SECRET], "post": accounts}
    return paths


def _webhook(operation: str, webhooks: Mapping[str, Verification]) -> Json:
    """Return what a provider's webhook is and what it is answered. Its headers and body are the provider's own."""
    sentences = [f"- `{name}`: {one.sentence}" for name, one in sorted(webhooks.items())]
    headers = {header: name for name, one in sorted(webhooks.items()) for header in one.headers}
    accepted = {
        "type": "object",
        "required": ["accepted"],
        "properties": {"accepted": {"type": "integer", "minimum": 0, "description": "Events of the request"}},
    }
    taken = {
        "description": "Taken: every event is durable",
        "headers": _headers(*_RATE_HEADERS),
        "content": {"application/json": {"schema": accepted}},
    }
    fetched = [problems.PROOF_UNAVAILABLE] if any(one.fetched for one in webhooks.values()) else []
    return {
        "operationId": operation,
        "summary": "A provider's own signed request",
        "description": "\n".join(
            ["The raw body is verified and kept as it is. What proves a request:", "", *sentences]
        ),
        "parameters": [
            {
                "name": header,
                "in": "header",
                "required": False,
                "description": f"Of {name}",
                "schema": {"type": "string"},
            }
            for header, name in headers.items()
        ],
        "requestBody": {
            "required": False,
            "description": "The provider's own bytes, of whatever content type",
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        },
        "responses": _responses({"202": taken}, (*_WEBHOOK, *fetched)),
    }


def _create() -> Json:
    return {
        "operationId": "createIntent",
        "summary": "Create a payment intent",
        "description": "202 once the intent and its event are durable. The same key and body get the same bytes again.",
        "security": [{"apiKey": []}],
        "parameters": [_parameter("IdempotencyKey")],
        "requestBody": _body(Intent, required=True),
        "responses": _responses({"202": _taken(Accepted, links=True)}, (*_CREATE, problems.REFERENCE_TAKEN)),
    }


def _command(operation: str, summary: str, body: type[BaseModel]) -> Json:
    post = {
        "operationId": operation,
        "summary": summary,
        "description": "409 with `state` where the payment's state, or what was asked for already, forbids it.",
        "security": [{"apiKey": []}],
        "parameters": [_parameter("IdempotencyKey")],
        "requestBody": _body(body, required=False),
        "responses": _responses({"202": _taken(Asked)}, _COMMAND),
    }
    return {"parameters": [_parameter("Id")], "post": post}


def _look(operation: str, summary: str, answer: type[BaseModel], refusals: Iterable[Problem] = _LOOK) -> Json:
    found = {"description": summary, "headers": _headers(*_RATE_HEADERS), "content": _json(answer)}
    return {
        "operationId": operation,
        "summary": summary,
        "security": [{"apiKey": []}],
        "responses": _responses({"200": found}, refusals),
    }


def _search() -> Json:
    look = _look("findPayments", "The client's own payments that a name leads to", Found, _SEARCH)
    about = "By exactly one of the three. None of that name is an empty list, and so is what belongs to somebody else."
    return look | {"description": about, "parameters": [_query(name, text) for name, text in _NAMES.items()]}


def _query(name: str, description: str) -> Json:
    schema: Json = {"type": "string", "minLength": 1, "maxLength": REF_LENGTH_MAX}
    if name == "id":
        schema = {"type": "string", "format": "uuid"}
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


def _probe(operation: str, summary: str, statuses: tuple[str, ...]) -> Json:
    answer = {"description": summary, "content": {"application/json": {"schema": {"type": "object"}}}}
    answers = dict.fromkeys(statuses, answer)
    if "503" not in answers:
        return {"operationId": operation, "summary": summary, "responses": _responses(answers, ())}
    return {"operationId": operation, "summary": summary, "responses": answers | _responses({}, _ANY)}


def _taken(answer: type[BaseModel], *, links: bool = False) -> Json:
    headers = _headers(*_TAKEN_HEADERS, *_RATE_HEADERS)
    taken: Json = {"description": "Taken: it is durable, and published in order", "headers": headers}
    taken["content"] = _json(answer)
    if links:
        taken["links"] = {
            operation: {"operationId": operation, "parameters": {"id": "$response.body#/id"}}
            for operation in ("getIntent", "getTimeline", "captureIntent", "cancelIntent", "refundIntent")
        }
    return taken


def _responses(answers: Json, refusals: Iterable[Problem]) -> Json:
    """Return the answers and, a status, the problems that come with it."""
    by_status: dict[int, list[Problem]] = {}
    for problem in (*refusals, *_ANY):
        by_status.setdefault(problem.status, []).append(problem)
    return answers | {str(status): _refusal(status, found) for status, found in sorted(by_status.items())}


def _refusal(status: int, found: list[Problem]) -> Json:
    examples = {one.slug: {"value": {"type": one.type, "title": one.title, "status": one.status}} for one in found}
    refusal: Json = {
        "description": "; ".join(problem.title for problem in found),
        "content": {problems.MEDIA_TYPE: {"schema": _ref(ProblemDetails), "examples": examples}},
    }
    if status in _REFUSAL_HEADERS:
        refusal["headers"] = _headers(*_REFUSAL_HEADERS[status])
    return refusal


def _headers(*names: str) -> Json:
    return {name: {"$ref": f"#/components/headers/{name.replace('-', '')}"} for name in names}


@cache
def _models() -> Json:
    """Return the schemas of all models, which are the same for every ingress and take 50 ms to make."""
    _, bodies = models_json_schema([(model, "validation") for model in _BODIES], ref_template=_REF)
    _, answers = models_json_schema([(model, "serialization") for model in _ANSWERS], ref_template=_REF)
    return {**bodies["$defs"], **answers["$defs"]}


def _schemas(providers: Iterable[str]) -> Json:
    schemas = deepcopy(_models())
    for name in (*(model.__name__ for model in _BODIES), PaymentAnswer.__name__):
        schemas[name]["properties"]["metadata"] = {"$ref": _REF.format(model="Metadata")}
    schemas["Metadata"] = metadata.json_schema()
    schemas["Intent"]["properties"]["provider"] = {"type": "string", "enum": sorted(providers)}
    return schemas


def _body(model: type[BaseModel], *, required: bool) -> Json:
    return {"required": required, "content": _json(model)}


def _json(model: type[BaseModel]) -> Json:
    return {"application/json": {"schema": _ref(model)}}


def _ref(model: type[BaseModel]) -> Json:
    return {"$ref": _REF.format(model=model.__name__)}


def _parameter(name: str) -> Json:
    return {"$ref": f"#/components/parameters/{name}"}


_NAMES: Final = {
    "id": "The payment's id, also of one that turned out to be another one",
    "provider_ref": "An id of the provider's: of the payment, or of a charge, capture, refund or attempt of it",
    "reference": "The client's own reference, as its intent gave it",
}
"""By what a client finds its payments."""
_PROVIDER: Final[Json] = {
    "name": "provider",
    "in": "path",
    "required": True,
    "description": "The provider, by its name here",
}
_ACCOUNT: Final[Json] = {
    "name": "account",
    "in": "path",
    "required": True,
    "description": "The account, as the settings name it",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"},
}
_SECRET: Final[Json] = {
    "name": "secret",
    "in": "path",
    "required": True,
    "description": "One of the endpoint's secrets",
    "schema": {"type": "string", "minLength": 24, "pattern": "^[A-Za-z0-9_-]+$"},
}
_ID: Final[Json] = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "The payment's id, as the create answered it",
    "schema": {"type": "string", "format": "uuid"},
}
_IDEMPOTENCY_KEY: Final[Json] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "A UUID of any version, bare or as a quoted string; the answer to it is kept for at least 24 hours",
    "schema": {"type": "string", "pattern": f'^({_UUID}|"{_UUID}")$'},
}
_LOCATION: Final[Json] = {
    "description": "Where the payment is",
    "required": True,
    "schema": {"type": "string", "format": "uri-reference"},
}
_ALLOW: Final[Json] = {"description": "What the path takes", "required": True, "schema": {"type": "string"}}
_REPLAYED: Final[Json] = {
    "description": "`true` where this is the stored answer to an earlier request with the same key and body",
    "schema": {"type": "string", "enum": ["true"]},
}
_RETRY_AFTER: Final[Json] = {
    "description": "Seconds after which it is worth trying again",
    "required": True,
    "schema": {"type": "integer", "minimum": 1},
}
_RATE_LIMIT: Final[Json] = {
    "description": "What is left of the quota (`r`), and in how many seconds there is more (`t`)",
    "required": True,
    "schema": {"type": "string", "pattern": r'^"default";r=[0-9]+;t=[0-9]+$'},
}
_RATE_LIMIT_POLICY: Final[Json] = {
    "description": "The quota: so many requests (`q`) in so many seconds (`w`), for each client and endpoint",
    "required": True,
    "schema": {"type": "string", "pattern": r'^"default";q=[0-9]+;w=[0-9]+$'},
}
_TAKEN_HEADERS: Final = ("Location", "Idempotent-Replayed")
_RATE_HEADERS: Final = ("RateLimit", "RateLimit-Policy")
_REFUSAL_HEADERS: Final = {405: ("Allow",), 429: ("Retry-After", *_RATE_HEADERS), 503: ("Retry-After",)}
