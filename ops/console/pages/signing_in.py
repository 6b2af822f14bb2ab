"""Signing in and out."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import TYPE_CHECKING

from ops.console.exposure import site_of, visitor
from ops.console.visits import action, own_path, page
from runtime import log, metrics

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.routing import Route

    from ops.console.parts import Parts
    from ops.console.visits import Visit

_log = log.get("console")


def routes(parts: Parts) -> list[Route]:
    """Return the routes of signing in and out."""
    return [
        page("/login", ask, parts, public=True),
        action("/login", sign_in, parts, public=True),
        action("/logout", sign_out, parts),
        action("/logout/everywhere", sign_out_everywhere, parts),
    ]


async def ask(visit: Visit) -> Response:
    """Ask for the password; there is nothing to ask where none is set or it was given."""
    target = own_path(visit.query("next"))
    if visit.parts.settings.console.password is None or visit.session.signed_in:
        return visit.redirect(target)
    return visit.render("login.html", target=target, said="")


async def sign_in(visit: Visit) -> Response:
    """Compare the password, within the bound on tries; begin a new session where it is right."""
    parts, address = visit.parts, visitor(visit.parts.settings.console, visit.request)
    sender = site_of(address)
    target = own_path(visit.form.get("next", "/"))
    wait = parts.tries.wait_seconds(sender)
    if wait:
        metrics.SIGN_INS.labels("limited").inc()
        said = f"Too many tries. Wait {math.ceil(wait)} seconds."
        return visit.render("login.html", HTTPStatus.TOO_MANY_REQUESTS, target=target, said=said)
    parts.tries.note(sender)
    if parts.password is None or not await parts.password.opens(visit.form.get("password", "")):
        metrics.SIGN_INS.labels("refused").inc()
        _log.warning("console_sign_in_refused", visitor=address)
        return visit.render("login.html", HTTPStatus.UNAUTHORIZED, target=target, said="That is not the password.")
    metrics.SIGN_INS.labels("taken").inc()
    parts.tries.forget(sender)
    visit.session = await parts.sessions.sign_in(address)
    _log.info("console_signed_in", visitor=address)
    return visit.redirect(target)


async def sign_out(visit: Visit) -> Response:
    """End the session."""
    await visit.parts.sessions.end(visit.session)
    visit.session = visit.parts.sessions.begin()
    return visit.redirect("/login")


async def sign_out_everywhere(visit: Visit) -> Response:
    """End every session of every console; `operator_actions` says who did."""
    await visit.parts.sessions.end_all(visit.who)
    visit.session = visit.parts.sessions.begin()
    return visit.redirect("/login")
