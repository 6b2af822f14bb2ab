"""The gate of `/admin/v1`: a bearer token, JSON in and out, and the same table of rights that pages have.

No cookie counts here, so no page of a stranger can make a browser ask with somebody's rights.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from ops.console import openapi, rights
from ops.console.origin import knows_host, visitor
from ops.operators import Operator
from ops.tokens import LENGTH_MAX, PREFIX
from runtime import log
from schemas.errors import RatchetError, SettingsError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from starlette.requests import Request

    from ops.console.parts import Parts
    from ops.console.persons import Person
    from ops.people import PersonRole

    Handler = Callable[["Call"], Awaitable[Mapping[str, Any]]]

SCHEME: Final = "bearer "
STATUSES: Final = (
    (UnavailableError, HTTPStatus.SERVICE_UNAVAILABLE),
    (SettingsError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (RatchetError, HTTPStatus.CONFLICT),
)
SLUGS: Final = {
    HTTPStatus.BAD_REQUEST: "bad_request",
    HTTPStatus.UNAUTHORIZED: "unauthorized",
    HTTPStatus.FORBIDDEN: "forbidden",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.CONFLICT: "conflict",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "body_too_large",
    HTTPStatus.MISDIRECTED_REQUEST: "misdirected_request",
    HTTPStatus.UNPROCESSABLE_ENTITY: "unprocessable",
    HTTPStatus.INTERNAL_SERVER_ERROR: "internal",
    HTTPStatus.SERVICE_UNAVAILABLE: "unavailable",
}
"""What each failure is called in its answer: names of ours, for those of Python change."""

_log = log.get("console")


@dataclass(slots=True)
class Call:
    """One request of a program that passed the gate. `person` is None where anybody may ask.

    `asked` are the names that a query may have, `fields` those of a body.
    """

    parts: Parts
    request: Request
    person: Person | None
    asked: tuple[str, ...]
    fields: frozenset[str]
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def operator(self) -> Operator:
        """Who does it and where from, for the audit."""
        address = visitor(self.parts.settings.console, self.request)
        return Operator("unknown" if self.person is None else self.person.name, f"admin, {address}")

    def number(self, name: str) -> int:
        """Return a number of the path; raise 404 for what can't be an id."""
        text = self.request.path_params[name]
        if not (text.isascii() and text.isdigit() and len(text) < 19):  # noqa: PLR2004 - a bigint's digits
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return int(text)

    def written(self, *also: str) -> dict[str, str]:
        """Return the query's values that are not empty, without those that are named here."""
        query = self.request.query_params
        return {name: text.strip() for name, text in query.items() if text.strip() and name not in also}


def route(method: str, path: str, handler: Handler, parts: Parts) -> Route:
    """Return a route; raises LookupError where the table of rights does not name it.

    A payment's reference may have a slash in it.
    """
    least, asked, fields = rights.least(method, path), openapi.asked_of(method, path), openapi.fields_of(path)

    async def endpoint(request: Request) -> Response:
        return await _answer(Call(parts, request, None, asked, fields), handler, least)

    return Route(path.replace("{ref}", "{ref:path}"), endpoint, methods=[method])


def answer(document: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Return a document as JSON."""
    body = json.dumps(document, default=str, ensure_ascii=False).encode()
    return Response(body, status.value, media_type="application/json")


def refuse(status: HTTPStatus, problem: str) -> Response:
    """Return a failure: what happened and what to do."""
    response = answer({"error": SLUGS[status], "message": problem}, status)
    if status is HTTPStatus.UNAUTHORIZED:
        response.headers["www-authenticate"] = "Bearer"
    return response


async def _answer(call: Call, handler: Handler, least: PersonRole | None) -> Response:
    request, parts = call.request, call.parts
    try:
        response = await _pass(call, least) or answer(await handler(call))
    except HTTPException as error:
        response = refuse(HTTPStatus(error.status_code), "there is no such thing")
    except RatchetError as error:
        status = next(status for kind, status in STATUSES if isinstance(error, kind))
        response = refuse(status, str(error))
    except Exception:  # noqa: BLE001 - the last resort: say it in the log, and that it happened to the caller
        _log.exception("console_page_failed", path=request.url.path)
        response = refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "this failed; the console's log says why")
    _log.info(
        "admin_request",
        method=request.method,
        path=request.url.path,
        status=response.status_code,
        visitor=visitor(parts.settings.console, request),
        person=call.person.name if call.person else None,
    )
    return response


async def _pass(call: Call, least: PersonRole | None) -> Response | None:
    """Check host, token, role, query and body; return the refusal, or None."""
    request, console = call.request, call.parts.settings.console
    if not knows_host(console, request.headers.get("host", "")):
        return refuse(HTTPStatus.MISDIRECTED_REQUEST, "ask the console by its own address")
    if "\0" in request.scope["path"] or any("\0" in value for value in request.query_params.values()):
        raise HTTPException(HTTPStatus.NOT_FOUND)
    if least is None:
        return None
    refusal = await _check_token(call)
    if refusal is not None:
        return refusal
    assert call.person is not None, "the token was checked"
    if not call.person.role.covers(least):
        return await _refuse_role(call, call.person, least)
    _check_names(request.query_params.keys(), call.asked, "query parameter")
    return await _read_body(call) if request.method == "POST" else None


def _check_names(given: Iterable[str], known: Iterable[str], what: str) -> None:
    """Raise SettingsError where a name is given that nobody reads."""
    if unknown := sorted(set(given) - set(known)):
        there = ", ".join(sorted(known)) or "none"
        raise SettingsError(f"{unknown[0][:40]!r}: there is no such {what}; nothing was done. There are: {there}")


async def _check_token(call: Call) -> Response | None:
    """Find whose the token is. A try that fails is written down; it need not be slowed, for nobody guesses 256 bits."""
    header = call.request.headers.get("authorization", "")
    token = header[len(SCHEME) :].strip() if header[: len(SCHEME)].lower() == SCHEME else ""
    if token.startswith(PREFIX) and len(token) <= LENGTH_MAX:
        call.person = await call.parts.rows.bearer(token)
    if call.person is not None:
        return None
    if token:
        with contextlib.suppress(RatchetError):  # what can't be written down is refused all the same
            await call.parts.rows.note_refused_sign_in(call.operator.who, call.operator.origin)
    problem = "send `Authorization: Bearer TOKEN` with a token of `ratchet operator token` that has not ended"
    return refuse(HTTPStatus.UNAUTHORIZED, problem)


async def _refuse_role(call: Call, person: Person, least: PersonRole) -> Response:
    """Refuse who may not, and write it down."""
    target, because = f"{call.request.method} {call.request.url.path}", f"needs {least}, is {person.role}"
    with contextlib.suppress(RatchetError):  # what can't be written down is refused all the same
        await call.parts.rows.note(person.name, call.operator.origin, "console.refused", target, because)
    problem = f"this needs the role {least}, and the token of {person.name} is {person.role}; nothing was done"
    return refuse(HTTPStatus.FORBIDDEN, problem)


async def _read_body(call: Call) -> Response | None:
    """Read a JSON object; an empty body is an empty one."""
    body, bytes_max = bytearray(), call.parts.settings.console.form_bytes_max
    async for chunk in call.request.stream():
        body += chunk
        if len(body) > bytes_max:
            return refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is too large; nothing was done")
    try:
        document = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or any(
        not isinstance(value, str | int | float | bool) for value in document.values()
    ):
        return refuse(HTTPStatus.BAD_REQUEST, "the body has to be a JSON object of texts and numbers; nothing was done")
    if any(isinstance(value, str) and not _storable(value) for value in document.values()):
        return refuse(HTTPStatus.BAD_REQUEST, "a text has a NUL or half a character in it; nothing was done")
    _check_names(document.keys(), call.fields, "field")
    call.body = document
    return None


def _storable(text: str) -> bool:
    """Tell whether Postgres can store a text: JSON can write NUL, and surrogates that are no pair."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)
