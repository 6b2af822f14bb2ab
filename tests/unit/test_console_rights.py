"""The table of rights names every route of the console, and a route that it does not name can't be made."""

from __future__ import annotations

from typing import Any, cast

import pytest

from ops.console import admin, rights
from ops.console.app import PAGES
from ops.console.visits import action, page
from ops.people import PersonRole

pytestmark = pytest.mark.unit


def routes() -> set[tuple[str, str]]:
    made = [route for part in PAGES for route in part.routes(cast("Any", None))]
    return {(method, route.path) for route in made for method in (route.methods or ()) if method != "HEAD"}


def test_the_table_names_every_route_and_no_other() -> None:
    assert routes() == set(rights.LEAST)


def test_neither_does_the_table_for_programs() -> None:
    routes = admin.routes(cast("Any", None))
    made = {(method, one.path.replace(":path", "")) for one in routes for method in one.methods or ()}
    assert {(method, path) for method, path in made if method != "HEAD"} == set(rights.ADMIN)
    with pytest.raises(LookupError, match="/admin/v1/nothing"):
        rights.least("GET", "/admin/v1/nothing")


def test_nothing_for_programs_changes_anything_for_a_viewer() -> None:
    assert {
        path for (method, path), role in rights.ADMIN.items() if method == "POST" and role in (None, PersonRole.VIEWER)
    } == set()
    assert [path for (_, path), role in rights.ADMIN.items() if role is None] == ["/admin/v1/openapi.json"]


def test_what_pages_and_programs_do_the_same_role_may() -> None:
    both = {
        (method, path.removeprefix("/admin/v1")): role
        for (method, path), role in rights.ADMIN.items()
        if (method, path.removeprefix("/admin/v1")) in rights.LEAST
    }
    assert len(both) > 15
    assert {route: rights.LEAST[route] for route in both} == both


def test_what_shows_or_erases_and_who_is_who_are_an_admin_s() -> None:
    ours = {
        path for table in (rights.LEAST, rights.ADMIN) for (_, path), role in table.items() if role is PersonRole.ADMIN
    }
    assert ours == {
        "/dead-letters/{id}/unmask", "/dead-letters/{id}/redact", "/people", "/people/{name}/remove",
        "/logout/everywhere", "/admin/v1/dead-letters/{id}/unmask", "/admin/v1/dead-letters/{id}/redact",
        "/admin/v1/operators", "/admin/v1/operators/{name}/remove", "/admin/v1/tokens",
        "/admin/v1/tokens/{id}/revoke",
    }  # fmt: skip


@pytest.mark.parametrize("make", [page, action])
def test_a_route_that_it_does_not_name_is_not_made(make: Any) -> None:
    with pytest.raises(LookupError, match="/nowhere"):
        make("/nowhere", None, None)


def test_what_changes_something_is_no_viewer_s() -> None:
    own = {("POST", "/login"), ("POST", "/logout"), ("POST", "/password")}
    assert {
        route for route, role in rights.LEAST.items() if route[0] == "POST" and role in (None, PersonRole.VIEWER)
    } == own


def test_signing_in_alone_is_anybody_s() -> None:
    assert {route for route, role in rights.LEAST.items() if role is None} == {
        ("GET", "/login"),
        ("POST", "/login"),
        ("GET", "/sso/login"),
        ("GET", "/sso/callback"),
    }


def test_roles_are_ordered() -> None:
    covered = {role: [least for least in PersonRole if role.covers(least)] for role in PersonRole}
    assert covered == {
        PersonRole.VIEWER: [PersonRole.VIEWER],
        PersonRole.OPERATOR: [PersonRole.VIEWER, PersonRole.OPERATOR],
        PersonRole.ADMIN: [PersonRole.VIEWER, PersonRole.OPERATOR, PersonRole.ADMIN],
    }
