"""`ratchet operator`: the people of the console."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from ops import endpoints, people, server, tokens
from ops.database import connected
from ops.dlq_options import Who, asker
from ops.operators import Operator
from ops.output import EXIT_DONE, AsJson, command, emit
from ops.people import PersonRole

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from ops.people import Added, ListedPerson
    from runtime.settings import Settings

operator = typer.Typer(no_args_is_help=True, help="The people of the console, and what each may do.")


Name = Annotated[str, typer.Argument(metavar="NAME", help="By which name somebody signs in.")]


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(operator, name="operator")


async def _add(settings: Settings, who: Operator, name: str, role: PersonRole) -> Added:
    async with connected(settings) as connection:
        return await people.add(connection, who, name, role, settings.console.one_time_password_hours)


async def _list(settings: Settings) -> tuple[ListedPerson, ...]:
    async with connected(settings) as connection:
        return await people.list_people(connection)


async def _remove(settings: Settings, who: Operator, name: str, because: str) -> PersonRole:
    async with connected(settings) as connection:
        return await people.remove(connection, who, name, because)


def _moment(moment: dt.datetime | None) -> str:
    return "" if moment is None else moment.isoformat(sep=" ", timespec="minutes")


def _shown(added: Added) -> str:
    return (
        f"{added.name} may sign in to the console as {added.role}, until {_moment(added.one_time_until)} with\n\n"
        f"    {added.one_time_password}\n\n"
        "and chooses a password then. It is shown this once."
    )


def _table(found: Sequence[ListedPerson]) -> Table:
    table = Table("name", "role", "added", "by", "last signed in")
    for one in found:
        seen = _moment(one.signed_in_at) or "never"
        waits = f", one-time password until {_moment(one.one_time_until)}" if one.one_time_until else ""
        table.add_row(one.name, one.role, _moment(one.added_at), one.added_by, seen + waits)
    return table


@operator.command("add")
@command
def add(
    name: Name,
    *,
    role: Annotated[PersonRole, typer.Option("--role", help="What they may do at most.")],
    who: Who = None,
    as_json: AsJson = False,
) -> int:
    """Add a person and print a one-time password: viewer looks, operator redrives and discards, admin does all."""
    people.checked_name(name)
    added = asyncio.run(_add(endpoints.found(endpoints.load()), Operator(asker(who)), name, role))
    emit(asdict(added), as_json=as_json, show=lambda: _shown(added))
    return EXIT_DONE


@operator.command("list")
@command
@server.by_server
def list_all(*, as_json: AsJson = False) -> int:
    """List the people and their roles."""
    asked = server.given()
    if asked:
        rows = map(server.revived, asked.get("/operators")["operators"])
        found = tuple(people.ListedPerson(**row | {"role": PersonRole(row["role"])}) for row in rows)
    else:
        found = asyncio.run(_list(endpoints.found(endpoints.load())))
    document: dict[str, Any] = {"operators": [asdict(one) for one in found]}
    emit(document, as_json=as_json, show=lambda: _table(found))
    return EXIT_DONE


async def _issue(settings: Settings, who: Operator, name: str, role: PersonRole, days: int) -> tokens.Issued:
    async with connected(settings) as connection:
        return await tokens.issue(connection, who, name, role, days)


async def _tokens(settings: Settings) -> tuple[tokens.ListedToken, ...]:
    async with connected(settings) as connection:
        return await tokens.list_tokens(connection)


async def _revoke(settings: Settings, who: Operator, token_id: int) -> str:
    async with connected(settings) as connection:
        return await tokens.revoke(connection, who, token_id)


def _token_table(found: Sequence[tokens.ListedToken]) -> Table:
    table = Table("token", "name", "role", "until", "by")
    for one in found:
        table.add_row(str(one.id), one.name, one.role, _moment(one.ends_at), one.made_by)
    return table


@operator.command("token")
@command
def issue_token(
    name: Name,
    *,
    role: Annotated[PersonRole, typer.Option("--role", help="What it may do at most; never more than the person.")],
    days: Annotated[int, typer.Option("--days", min=1, max=366, help="After so many days it ends.")] = 30,
    who: Who = None,
    as_json: AsJson = False,
) -> int:
    """Make a token that opens the console's /admin/v1 for a person, and print it once."""
    made = asyncio.run(_issue(endpoints.found(endpoints.load()), Operator(asker(who)), name, role, days))
    head = f"token {made.id} of {name} as {role}, until {_moment(made.ends_at)}:"
    shown = f"{head}\n\n    {made.token}\n\nIt is shown this once."
    emit(asdict(made), as_json=as_json, show=lambda: shown)
    return EXIT_DONE


@operator.command("tokens")
@command
@server.by_server
def list_tokens(*, as_json: AsJson = False) -> int:
    """List the tokens of all people, without what they are."""
    asked = server.given()
    if asked:
        rows = map(server.revived, asked.get("/tokens")["tokens"])
        found = tuple(tokens.ListedToken(**row | {"role": PersonRole(row["role"])}) for row in rows)
    else:
        found = asyncio.run(_tokens(endpoints.found(endpoints.load())))
    emit({"tokens": [asdict(one) for one in found]}, as_json=as_json, show=lambda: _token_table(found))
    return EXIT_DONE


@operator.command("revoke")
@command
@server.by_server
def revoke_token(
    token_id: Annotated[int, typer.Argument(metavar="TOKEN", min=1, help="Its number, as `operator tokens` shows it.")],
    *,
    who: Who = None,
    as_json: AsJson = False,
) -> int:
    """Take a token back: it opens nothing any more."""
    asked, by = server.given(), Operator(asker(who))
    if asked:
        name = asked.post(f"/tokens/{token_id}/revoke")["name"]
    else:
        name = asyncio.run(_revoke(endpoints.found(endpoints.load()), by, token_id))
    emit({"revoked": token_id, "name": name}, as_json=as_json, show=lambda: f"token {token_id} of {name} is taken back")
    return EXIT_DONE


@operator.command("remove")
@command
@server.by_server
def remove(
    name: Name,
    *,
    because: Annotated[str, typer.Option("--because", help="Why; kept with who and when.")] = "",
    who: Who = None,
    as_json: AsJson = False,
) -> int:
    """Remove a person: every session of theirs ends at once."""
    asked, by = server.given(), Operator(asker(who))
    if asked:
        role = PersonRole(asked.post(f"/operators/{server.named(name)}/remove", because=because)["role"])
    else:
        role = asyncio.run(_remove(endpoints.found(endpoints.load()), by, name, because))
    emit({"removed": name, "role": role}, as_json=as_json, show=lambda: f"{name} ({role}) is removed and signed out")
    return EXIT_DONE
