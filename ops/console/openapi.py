"""The description of `/admin/v1` as OpenAPI 3.1, made from the table of its routes; pure."""

from __future__ import annotations

import re
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from ops import payment_search
from ops.console import choosing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ops.people import PersonRole

LETTER_QUERY: Final = tuple(name for name in choosing.FIELDS if name != "limit")
QUERY: Final[dict[str, tuple[str, ...]]] = {
    "/admin/v1/payments": (*payment_search.FIELDS, "after", "limit"),
    "/admin/v1/dead-letters": (*LETTER_QUERY, "before", "limit"),
    "/admin/v1/redrives": ("limit",),
    "/admin/v1/notes": ("limit",),
    "/admin/v1/recalls": ("limit",),
    "/admin/v1/actions": ("who", "action", "since", "until", "before", "limit"),
}  # fmt: skip
REDRIVE: Final = (*LETTER_QUERY[:-1], "limit", "rate", "max", "force", "keep_going", "to", "because", "typed")
BODY: Final[dict[str, tuple[str, ...]]] = {
    "/admin/v1/notes": ("reason", "source", "kind", "redrive", "note", "until"),
    "/admin/v1/recalls": ("provider", "account", "since", "until", "dry_run", "because"),
    "/admin/v1/dead-letters/discard": (*LETTER_QUERY[:-1], "limit", "typed"),
    "/admin/v1/redrives": REDRIVE,
    "/admin/v1/redrives/preview": REDRIVE,
}
NEEDS_REASON: Final = ("discard", "unmask", "redact", "remove")
FAILURES: Final = {
    "400": "the body can't be read",
    "401": "there is no token, or it has ended",
    "403": "the token's role may not do this",
    "404": "there is no such thing",
    "409": "it can't be done as things stand",
    "413": "the body is too large",
    "421": "the console does not answer to this host",
    "422": "what was asked for can't be meant, or has a name that is not among these",
    "503": "Postgres or Kafka is away",
}


def fields_of(path: str) -> frozenset[str]:
    """Return the fields that a body may have. One that nobody reads is refused: misspelt, it would choose all."""
    return frozenset((*BODY.get(path, ()), *(("because",) if path.endswith(NEEDS_REASON) else ())))


def asked_of(method: str, path: str) -> tuple[str, ...]:
    """Return the names that a query may have. One that nobody reads is refused: misspelt, it would choose all."""
    return tuple(QUERY.get(path, ())) if method == "GET" else ()


def describe(table: Mapping[tuple[str, str], PersonRole | None]) -> dict[str, Any]:
    """Return the description of every route of a table."""
    paths: dict[str, dict[str, Any]] = {}
    for (method, path), least in table.items():
        paths.setdefault(path, {})[method.lower()] = _operation(method, path, least)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Ratchet, for people on call", "version": metadata.version("ratchet-payments")},
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "Failure": {
                    "type": "object",
                    "required": ["error", "message"],
                    "properties": {"error": {"type": "string"}, "message": {"type": "string"}},
                }
            },
        },
    }


def _operation(method: str, path: str, least: PersonRole | None) -> dict[str, Any]:
    words = path.removeprefix("/admin/v1/").replace("{", "").replace("}", "").replace("/", "_").replace(".", "_")
    named = [_parameter(name, "path") for name in re.findall(r"{(\w+)}", path)]
    asked = [_parameter(name, "query") for name in asked_of(method, path)]
    operation: dict[str, Any] = {
        "operationId": f"{method.lower()}_{words}".replace("-", "_"),
        "summary": f"at least {least}" if least else "anybody",
        "parameters": named + asked,
        "responses": {"200": _response("done", {"type": "object"})}
        | {code: _response(problem, {"$ref": "#/components/schemas/Failure"}) for code, problem in FAILURES.items()},
    }
    if least:
        operation["security"] = [{"token": []}]
    if method == "POST":
        operation["requestBody"] = {"content": {"application/json": {"schema": _body(path)}}}
    return operation


def _parameter(name: str, where: str) -> dict[str, Any]:
    return {"name": name, "in": where, "required": where == "path", "schema": {"type": "string"}}


def _response(problem: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": problem, "content": {"application/json": {"schema": schema}}}


def _body(path: str) -> dict[str, Any]:
    kinds: list[str] = ["string", "number", "boolean"]
    fields: dict[str, Any] = {name: {"type": kinds} for name in BODY.get(path, ())}
    if not path.endswith(NEEDS_REASON):
        return {"type": "object", "properties": fields, "additionalProperties": False}
    reason = {"type": "string", "minLength": 1, "maxLength": 500}
    properties = fields | {"because": reason}
    return {"type": "object", "required": ["because"], "properties": properties, "additionalProperties": False}
