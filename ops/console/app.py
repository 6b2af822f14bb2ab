"""The console as one ASGI application: every path and what answers it."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import jinja2
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Route, Router

from ops.console import admin, words
from ops.console.pages import (
    actions,
    board,
    commands,
    ledger,
    letters,
    notes,
    parked,
    payments,
    people,
    recall,
    redrives,
    signing_in,
    sso,
)
from ops.console.shield import Shield
from ops.console.visits import answer
from ops.people import PersonRole
from runtime.terminal import harmless

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from ops.console.parts import Parts
    from ops.console.static_files import StaticFiles
    from ops.console.visits import Visit

PAGES = (board, payments, letters, notes, redrives, parked, commands, recall, ledger, actions, people, signing_in, sso)
MOVED: Final = {"/books": "/ledger"}
"""Pages whose path was another one: bookmarks and runbooks still name it."""


def shown(value: object) -> object:
    """Return what a page shows of a value: no text turns the order of those around it, or moves a terminal's cursor."""
    return harmless(value) if type(value) is str else value


def make_templates(files: StaticFiles) -> jinja2.Environment:
    """Return the templates: everything is escaped, and a name that is not there is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ops.console", "templates"),
        autoescape=True,
        finalize=shown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(words.FILTERS)
    environment.globals.update(
        static=files.url,
        OUTCOMES=words.OUTCOMES,
        REASONS=words.REASONS,
        BECAME=words.BECAME,
        FIGURES=words.FIGURES,
        WOULD=words.WOULD,
    )
    return environment


def build_app(parts: Parts, files: StaticFiles) -> ASGIApp:
    """Return the whole console."""
    routes = [route for part in PAGES for route in part.routes(parts)]
    programs = admin.routes(parts)
    static = Route("/static/{digest}/{name}", files.answer, methods=["GET"])

    https = (parts.settings.console.public_url or "").startswith("https:")

    async def elsewhere(scope: Scope, receive: Receive, send: Send) -> None:
        response = await answer(Request(scope, receive), _not_there, parts, PersonRole.VIEWER)
        await response(scope, receive, send)

    moved = [_moved(before, now) for before, now in MOVED.items()]
    return Shield(Router([*routes, *programs, *moved, static], redirect_slashes=False, default=elsewhere), https=https)


def _moved(before: str, now: str) -> Route:
    async def answer(_: Request) -> Response:
        return RedirectResponse(now, HTTPStatus.PERMANENT_REDIRECT)

    return Route(before, answer, methods=["GET"])


async def _not_there(visit: Visit) -> Response:  # noqa: ARG001 - as every page
    raise HTTPException(404)
