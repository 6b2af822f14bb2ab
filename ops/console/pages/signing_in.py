"""Signing in and out, and choosing a password."""

from __future__ import annotations

import asyncio
import contextlib
import math
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from starlette.exceptions import HTTPException

from ops.console.origin import site_of, visitor
from ops.console.persons import EMERGENCY
from ops.console.visits import action, own_path, page
from ops.passwords import LENGTH_MAX, LENGTH_MIN, hashed
from runtime import log, metrics
from schemas.errors import RatchetError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response
    from starlette.routing import Route

    from ops.console.parts import Parts
    from ops.console.persons import Person
    from ops.console.visits import Visit

NAME_LENGTH_MAX: Final = 64
UNKNOWN: Final = "unknown"
"""What `operator_actions` says in place of a name that nobody has: a password may have been typed there."""

_log = log.get("console")


def routes(parts: Parts) -> list[Route]:
    """Return the routes of signing in and out."""
    return [
        page("/login", ask, parts),
        action("/login", sign_in, parts),
        page("/password", ask_password, parts),
        action("/password", choose_password, parts),
        action("/logout", sign_out, parts),
        action("/logout/everywhere", sign_out_everywhere, parts),
    ]


async def ask(visit: Visit) -> Response:
    """Ask for name and password; redirect to the board where nobody needs one, or the session has one."""
    target = own_path(visit.query("next"))
    if not visit.guarded or visit.session.signed_in:
        return visit.redirect(target)
    return visit.render("login.html", target=target, problem="", name="")


async def sign_in(visit: Visit) -> Response:
    """Check the password, within the bound on tries, and begin a new session if it is right."""
    name = visit.form.get("name", "").strip().lower()[:NAME_LENGTH_MAX]
    parts, address = visit.parts, visitor(visit.parts.settings.console, visit.request)
    sender = site_of(address)
    target = own_path(visit.form.get("next", "/"))
    wait = parts.tries.wait_seconds(sender)
    if wait:
        metrics.SIGN_INS.labels("limited").inc()
        problem = f"Too many tries. Wait {math.ceil(wait)} seconds."
        return visit.render("login.html", HTTPStatus.TOO_MANY_REQUESTS, target=target, problem=problem, name=name)
    parts.tries.note(sender)  # before it is compared: what comes at the same moment counts too
    person = await _admitted(visit, name)
    if person is None:
        return await _refuse(visit, name, target)
    metrics.SIGN_INS.labels("taken").inc()
    parts.tries.give_back(sender)
    visit.session = await parts.sessions.sign_in(person, address)
    write = _log.warning if person is EMERGENCY else _log.info
    write(
        "console_emergency_sign_in" if person is EMERGENCY else "console_signed_in", visitor=address, person=person.name
    )
    return visit.redirect("/password" if person.one_time else target)


async def _admitted(visit: Visit, name: str) -> Person | None:
    """Return who comes in; without a name it is the emergency password that counts."""
    parts, password = visit.parts, visit.form.get("password", "")[:LENGTH_MAX]
    if name:
        return await parts.rows.admit(name, password)
    return EMERGENCY if await parts.password.opens(password) else None


async def _refuse(visit: Visit, name: str, target: str) -> Response:
    """Say that name and password do not fit, and nothing of which; write down whom it was about, if anybody."""
    metrics.SIGN_INS.labels("refused").inc()
    _log.warning("console_sign_in_refused", visitor=visitor(visit.parts.settings.console, visit.request))
    with contextlib.suppress(RatchetError):  # what can't be written down is refused all the same
        known = not name or await visit.parts.rows.knows(name)
        await visit.parts.rows.note_refused_sign_in((name or EMERGENCY.name) if known else UNKNOWN, visit.origin)
    problem = "That is not the password." if not name else "That name and that password do not belong together."
    return visit.render("login.html", HTTPStatus.UNAUTHORIZED, target=target, problem=problem, name=name)


async def ask_password(visit: Visit) -> Response:
    """Show the form for a new password."""
    return _asking(visit, HTTPStatus.OK, "")


def _asking(visit: Visit, status: HTTPStatus, problem: str) -> Response:
    if visit.person.operator_id is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return visit.render("password.html", status, problem=problem, length_min=LENGTH_MIN, length_max=LENGTH_MAX)


async def choose_password(visit: Visit) -> Response:
    """Set a person's new password, within the bound on tries, and end every session that the old one opened."""
    person, chosen = visit.person, visit.form.get("chosen", "")
    if person.operator_id is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    tries, guessed = visit.parts.tries, f"the password of {person.name}"
    if wait := tries.wait_seconds(guessed):
        return _asking(visit, HTTPStatus.TOO_MANY_REQUESTS, f"Too many tries. Wait {math.ceil(wait)} seconds.")
    tries.note(guessed)  # before it is compared: what comes at the same moment counts too
    current = await visit.parts.rows.admit(person.name, visit.form.get("current", "")[:LENGTH_MAX])
    if current is not None:
        tries.forget(guessed)
    problem = _unfit(chosen, visit.form) if current is not None else "The first is not your password by now."
    if problem:
        return _asking(visit, HTTPStatus.UNPROCESSABLE_ENTITY, problem)
    kept = await asyncio.to_thread(hashed, chosen)
    await visit.parts.rows.choose_password(person, kept, visit.origin)
    address = visitor(visit.parts.settings.console, visit.request)
    visit.session = await visit.parts.sessions.sign_in(replace(person, one_time=False), address)
    return visit.redirect("/")


def _unfit(chosen: str, form: Mapping[str, str]) -> str:
    """Return what is wrong with a new password; empty where nothing is."""
    if not LENGTH_MIN <= len(chosen) <= LENGTH_MAX:
        return f"A password has {LENGTH_MIN} to {LENGTH_MAX} characters; a few words make one."
    if chosen != form.get("again", ""):
        return "The two are not the same."
    return "That is the one you have." if chosen == form.get("current", "") else ""


async def sign_out(visit: Visit) -> Response:
    """End the session."""
    await visit.parts.sessions.end(visit.session)
    visit.session = visit.parts.sessions.begin()
    return visit.redirect("/login")


async def sign_out_everywhere(visit: Visit) -> Response:
    """End every session of every console; `operator_actions` says who did."""
    await visit.parts.sessions.end_all(visit.who, visit.origin)
    visit.session = visit.parts.sessions.begin()
    return visit.redirect("/login")
