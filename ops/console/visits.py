"""The gate: what every request passes before a page is asked, and what becomes of a page's failure.

A route is made by `page` (GET, changes nothing) or `action` (POST: same site, the session's token, a bounded form), so
no page can forget its checks.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, quote

from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from ops.console import rights
from ops.console.origin import is_https, knows_host, person_named, same_site, visitor
from ops.console.persons import EMERGENCY, UNNAMED
from ops.console.sessions import COOKIE, SECURE_COOKIE
from ops.operators import Operator
from ops.people import PersonRole
from runtime import log
from schemas.errors import RatchetError, SettingsError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request

    from ops.console.parts import Parts
    from ops.console.persons import Person
    from ops.console.sessions import ConsoleSession

    Page = Callable[["Visit"], Awaitable[Response]]

FIELDS_MAX: Final = 64
TOKEN_FIELD: Final = "csrf"  # noqa: S105 - the name of a form's field
QUIET_PATHS: Final = ("/live",)
"""Ends of paths that poll: their lines would drown the others."""

_log = log.get("console")


@dataclass(slots=True)
class Visit:
    """One request that passed the gate. `form` holds what was posted; of a repeated field the last.

    `guarded` says that people have to sign in.
    """

    parts: Parts
    request: Request
    session: ConsoleSession
    guarded: bool
    form: dict[str, str] = field(default_factory=dict)

    @property
    def who(self) -> str:
        """Who does it, for the audit."""
        return self.person.name

    @property
    def origin(self) -> str:
        """Where from, for the audit."""
        return f"console, {visitor(self.parts.settings.console, self.request)}"

    @property
    def operator(self) -> Operator:
        """Who does it and where from, for the audit."""
        return Operator(self.who, self.origin)

    @property
    def person(self) -> Person:
        """Who it is; where nobody has to sign in, whoever reaches the address."""
        return self.session.person or UNNAMED

    def may(self, role: str) -> bool:
        """Tell whether the visitor may what this role may, for what a page offers."""
        return (self.session.signed_in or not self.guarded) and self.person.role.covers(PersonRole(role))

    @property
    def live(self) -> bool:
        """Whether a part of a page is asked for, not a page."""
        return self.request.headers.get("hx-request") == "true"

    def query(self, name: str) -> str:
        """Return a value of the query without blanks around it, empty where it is absent."""
        return self.request.query_params.get(name, "").strip()

    def number(self, name: str) -> int:
        """Return a number of the path; raise 404 for what can't be an id."""
        text = self.request.path_params[name]
        if not (text.isascii() and text.isdigit() and len(text) < 19):  # noqa: PLR2004 - a bigint's digits
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return int(text)

    def render(self, template: str, status: HTTPStatus = HTTPStatus.OK, /, **context: Any) -> Response:
        """Return a page."""
        shared = {
            "visit": self,
            "path": self.request.url.path,
            "csrf": self.parts.sessions.token(self.session),
            "guarded": self.guarded,
        }
        return HTMLResponse(self.parts.templates.get_template(template).render(shared | context), status.value)

    def redirect(self, path: str) -> Response:
        """Send the visitor on with a GET."""
        return RedirectResponse(path, HTTPStatus.SEE_OTHER)

    def fail(self, status: HTTPStatus, problem: str, *, retry_seconds: int | None = None) -> Response:
        """Return the page of a failure: what happened and what to do, never a trace."""
        return self.render("failure.html", status, status=status, problem=problem, retry_seconds=retry_seconds)


def page(path: str, handler: Page, parts: Parts) -> Route:
    """Return the route of a page; raises LookupError where the table of rights does not name it."""
    return Route(path, _endpoint(handler, parts, rights.least("GET", path)), methods=["GET"])


def action(path: str, handler: Page, parts: Parts) -> Route:
    """Return the route of something that is done; raises LookupError where the table of rights does not name it."""
    return Route(path, _endpoint(handler, parts, rights.least("POST", path)), methods=["POST"])


def _endpoint(handler: Page, parts: Parts, least: PersonRole | None) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return await answer(request, handler, parts, least)

    return endpoint


async def answer(request: Request, handler: Page, parts: Parts, least: PersonRole | None) -> Response:
    """Answer one request: the gate, the page, and one line for it. `least` is who may ask, None: anybody."""
    began = time.monotonic()
    cookie = request.cookies.get(_cookie_name(secure=is_https(parts.settings.console, request)))
    polls = request.headers.get("hx-request") == "true" and request.method == "GET"
    known = await parts.sessions.read(cookie, looking_on=polls, acting=request.method == "POST")
    session = await _named_by_proxy(parts, request, known) or parts.sessions.begin()
    visit = Visit(parts, request, session, guarded=await parts.sessions.needed())
    response = await _pass(visit, handler, least)
    if known is None or visit.session.id != known.id:
        _give_cookie(visit, response)
    write = _log.debug if request.url.path.endswith(QUIET_PATHS) else _log.info
    write(
        "console_request",
        method=request.method,
        path=request.url.path,
        status=int(response.status_code),
        seconds=round(time.monotonic() - began, 4),
        visitor=visitor(parts.settings.console, request),
        person=visit.session.person.name if visit.session.person else None,
    )
    return response


async def _named_by_proxy(parts: Parts, request: Request, known: ConsoleSession | None) -> ConsoleSession | None:
    """Return a session of the person whom a trusted proxy names, begun where there is none.

    Where it names nobody, the session that is known. A session of somebody else than it names counts no more, unless it
    is the emergency password's: that alone opens while Postgres is away, for then nobody is known by name.
    """
    name = person_named(parts.settings.console, request)
    if name is None:
        return known
    nameless = known if known is not None and known.person in (None, EMERGENCY) else None
    try:
        if known is None or known.person is None or known.person.name != name:
            person = await parts.rows.named(name)
            if person is None:
                _log.warning("console_proxy_names_nobody", person=name)
                return nameless
            known = await parts.sessions.sign_in(person, visitor(parts.settings.console, request))
    except UnavailableError:
        return nameless
    assert known.person is not None, "somebody is signed in"
    return replace(known, person=replace(known.person, one_time=False))


async def _pass(visit: Visit, handler: Page, least: PersonRole | None) -> Response:
    console = visit.parts.settings.console
    if not knows_host(console, visit.request.headers.get("host", "")):
        return visit.fail(
            HTTPStatus.MISDIRECTED_REQUEST,
            "The console answers under its own address alone. Ask for it by that, or set RATCHET_CONSOLE__PUBLIC_URL.",
        )
    if _holds_nul(visit.request):
        return visit.fail(HTTPStatus.NOT_FOUND, NOT_THERE)
    if least is not None and visit.guarded and not visit.session.signed_in:
        return _to_login(visit)
    refusal = await _check_post(visit) if visit.request.method == "POST" else None
    if refusal is None and least is not None:
        refusal = await _check_person(visit, least)
    return refusal or await _safely(visit, handler)


async def _check_person(visit: Visit, least: PersonRole) -> Response | None:
    """Return the refusal of who may not ask for this, and write it down; None for who may."""
    person, request = visit.person, visit.request
    if person.one_time and request.url.path not in rights.OWN_ACCOUNT:
        return visit.redirect("/password") if request.method == "GET" else visit.fail(HTTPStatus.FORBIDDEN, FIRST)
    if person.role.covers(least):
        return None
    because = f"needs {least}, is {person.role}"
    _log.warning("console_refused", person=person.name, method=request.method, path=request.url.path, because=because)
    with contextlib.suppress(RatchetError):  # what can't be written down is refused all the same
        await visit.parts.rows.note(
            visit.who, visit.origin, "console.refused", f"{request.method} {request.url.path}", because
        )
    return visit.fail(
        HTTPStatus.FORBIDDEN, f"This needs the role {least}, and {person.name} is {person.role}; nothing was done."
    )


def _holds_nul(request: Request) -> bool:
    """Tell whether the path or the query has a NUL, which Postgres stores nowhere: nothing can be found by it."""
    return "\0" in request.scope["path"] or any("\0" in value for value in request.query_params.values())


async def _check_post(visit: Visit) -> Response | None:
    """Read the form and check that it is one of ours; return the refusal, or None."""
    if not same_site(visit.parts.settings.console, visit.request.headers):
        return visit.fail(HTTPStatus.FORBIDDEN, "This form was sent from another site; nothing was done.")
    body = await _read_body(visit.request, visit.parts.settings.console.form_bytes_max)
    if body is None:
        return visit.fail(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "This form is too large; nothing was done.")
    try:
        visit.form = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FIELDS_MAX))
        if any("\0" in value for value in visit.form.values()):
            raise ValueError("NUL")  # noqa: TRY301 - one answer for every form that can't be meant
    except ValueError:
        return visit.fail(HTTPStatus.BAD_REQUEST, "This form cannot be read; nothing was done.")
    if not visit.parts.sessions.owns(visit.session, visit.form.pop(TOKEN_FIELD, "")):
        return visit.fail(
            HTTPStatus.FORBIDDEN, "This form is out of date; nothing was done. Go back, reload the page and try again."
        )
    return None


async def _read_body(request: Request, bytes_max: int) -> bytes | None:
    """Return a request's body, or None where it is larger than allowed."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > bytes_max:
            return None
    return bytes(body)


async def _safely(visit: Visit, handler: Page) -> Response:
    """Ask the page; turn its failure into words."""
    try:
        return await handler(visit)
    except HTTPException as error:
        return visit.fail(HTTPStatus(error.status_code), NOT_THERE)
    except UnavailableError as error:
        return visit.fail(HTTPStatus.SERVICE_UNAVAILABLE, f"{error}.", retry_seconds=RETRY_SECONDS)
    except SettingsError as error:
        return visit.fail(HTTPStatus.UNPROCESSABLE_ENTITY, f"{error}.")
    except RatchetError as error:
        return visit.fail(HTTPStatus.CONFLICT, f"{error}.")
    except Exception:  # noqa: BLE001 - the last resort of a page: say it in the log, and that it happened to the visitor
        _log.exception("console_page_failed", path=visit.request.url.path)
        return visit.fail(HTTPStatus.INTERNAL_SERVER_ERROR, "This page failed; the console's log says why.")


FIRST: Final = "Choose a password of your own first; nothing was done."
NOT_THERE: Final = "There is no such page or thing."
RETRY_SECONDS: Final = 5
"""After which a page that failed for an outage asks again by itself."""


def _to_login(visit: Visit) -> Response:
    if visit.live:  # htmx follows this header also where it would not swap
        return Response(status_code=HTTPStatus.UNAUTHORIZED, headers={"hx-redirect": "/login"})
    if visit.request.method != "GET":
        return visit.fail(HTTPStatus.UNAUTHORIZED, "You are signed out; nothing was done. Sign in and try again.")
    target = visit.request.url.path + (f"?{visit.request.url.query}" if visit.request.url.query else "")
    return visit.redirect(f"/login?next={quote(target, safe='')}" if target != "/" else "/login")


def _cookie_name(*, secure: bool) -> str:
    """Return the name of a session's cookie; over https the other one does not count, which a sibling host can set."""
    return SECURE_COOKIE if secure else COOKIE


def _give_cookie(visit: Visit, response: Response) -> None:
    secure = is_https(visit.parts.settings.console, visit.request)
    response.set_cookie(
        _cookie_name(secure=secure),
        visit.parts.sessions.cookie(visit.session),
        max_age=visit.parts.settings.console.session_seconds,
        path="/",
        secure=secure,
        httponly=True,
        samesite="strict",
    )


def own_path(text: str) -> str:
    """Return a path of this console to go to, `/` for anything that could lead elsewhere."""
    plain = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable() and "\\" not in text
    return text if plain else "/"


def checked(form: Mapping[str, str], name: str) -> bool:
    """Tell whether a box of a form is ticked."""
    return form.get(name) in ("on", "true", "1", "yes")
