"""The page People: their roles, and removing them. They are added at a terminal, by `ratchet operator add`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops import people
from ops.console.visits import action, page
from ops.operators import reason_of
from schemas.errors import RatchetError

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.routing import Route

    from ops.console.parts import Parts
    from ops.console.visits import Visit
    from runtime.postgres import Connection


def routes(parts: Parts) -> list[Route]:
    """Return the routes of people."""
    return [page("/people", show, parts), action("/people/{name}/remove", remove, parts)]


async def show(visit: Visit) -> Response:
    """Show all people with their roles."""
    return visit.render("people.html", found=await visit.parts.reader.run(people.list_people))


async def remove(visit: Visit) -> Response:
    """Remove a person and end their sessions. Nobody can remove themselves, so that somebody is left."""
    name, because = visit.request.path_params["name"], reason_of(visit.form.get("because"), "they are removed")
    if name == visit.person.name:
        raise RatchetError("nobody removes themselves; ask another admin, or use `ratchet operator remove`")

    async def write(connection: Connection) -> None:
        await people.remove(connection, visit.operator, name, because)

    await visit.parts.actions.run(write)
    return visit.redirect("/people")
