"""Signing in by an OpenID provider: the redirect to it, and its callback."""

from __future__ import annotations

import contextlib
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from ops.console.origin import is_https, visitor
from ops.console.sso import COOKIE, SignInRefusedError, opened, sealed
from ops.console.visits import own_path, page
from runtime import log, metrics
from schemas.errors import RatchetError

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.routing import Route

    from ops.console.parts import Parts
    from ops.console.visits import Visit

_log = log.get("console")


def routes(parts: Parts) -> list[Route]:
    """Return the routes of signing in by a provider."""
    return [page("/sso/login", leave, parts), page("/sso/callback", come_back, parts)]


async def leave(visit: Visit) -> Response:
    """Redirect to the provider; a cookie binds the attempt to this browser."""
    sso, console = visit.parts.sso, visit.parts.settings.console
    if not sso.on:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    address, attempt = await sso.begin(own_path(visit.query("next")))
    response = visit.redirect(address)
    response.set_cookie(
        COOKIE,
        sealed(await visit.parts.rows.key(), attempt),
        max_age=console.sso.attempt_seconds,
        path="/sso",
        secure=is_https(console, visit.request),
        httponly=True,
        samesite="lax",  # it has to come along when the provider sends the visitor back
    )
    return response


async def come_back(visit: Visit) -> Response:
    """Begin a session for who signed in at the provider; a refusal is shown and written to `operator_actions`."""
    sso, console, parts = visit.parts.sso, visit.parts.settings.console, visit.parts
    if not sso.on:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    cookie = visit.request.cookies.get(COOKIE)
    attempt = opened(await parts.rows.key(), cookie, console.sso.attempt_seconds)
    try:
        person = await sso.finish(attempt, visit.request.query_params)
    except SignInRefusedError as error:
        return await _refuse(visit, str(error))
    target = "/" if attempt is None else attempt.target
    address = visitor(console, visit.request)
    metrics.SIGN_INS.labels("taken").inc()
    visit.session = await parts.sessions.sign_in(person, address)
    _log.info("console_signed_in", visitor=address, person=person.name, by=sso.host)
    response = visit.render("signed_in.html", target=target)
    response.delete_cookie(COOKIE, path="/sso")
    return response


async def _refuse(visit: Visit, problem: str) -> Response:
    metrics.SIGN_INS.labels("refused").inc()
    _log.warning("console_sign_in_refused", visitor=visitor(visit.parts.settings.console, visit.request))
    with contextlib.suppress(RatchetError):  # what can't be written down is refused all the same
        await visit.parts.rows.note_refused_sign_in("unknown", visit.origin)
    response = visit.render("login.html", HTTPStatus.UNAUTHORIZED, target="/", problem=f"{problem}.", name="")
    response.delete_cookie(COOKIE, path="/sso")
    return response
