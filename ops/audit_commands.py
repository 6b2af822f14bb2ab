"""`ratchet audit`: checks that the ledger is what was written."""

from __future__ import annotations

import asyncio
import datetime as dt
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.table import Table

from ops import endpoints, server
from ops.archive_opening import open_archive, open_check
from ops.audit import Audit, AuditInputs, walk
from ops.audit_actions import read_head
from ops.cleaning import clean
from ops.database import as_owner, connected
from ops.dlq_filters import moment
from ops.dlq_options import Since, Until, Who, asker
from ops.documents import plain
from ops.operators import ActionFilter, ActionPage, Operator, list_actions, note_action
from ops.output import EXIT_DONE, EXIT_PROBLEM, AsJson, command, emit, say
from ops.retention import DAYS_MIN, Signing, is_waiting, remove_old
from ops.seal import SealReader, SealWriter, key_of
from ops.seal_topic import newest_seal, publish_seal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from rich.console import RenderableType

    from runtime.settings import Settings

BROKEN_SHOWN_MAX: Final = 100

audit = typer.Typer(no_args_is_help=True, help="The ledger as evidence.")


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    from ops import archive_commands  # which adds its own command to this group

    archive_commands.add_to(audit)
    app.add_typer(audit, name="audit")


@audit.callback()
def _group() -> None:
    """Prove the ledger."""


@asynccontextmanager
async def seal_of(settings: Settings, seal: Path | None, topic: str | None) -> AsyncIterator[Path | None]:
    """Give the seal that was named as a file, or the newest of a topic; None where there is none of both."""
    if topic is None:
        yield seal
    else:
        async with newest_seal(settings, topic) as path:
            yield path


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found, and what the ledger was held against: the seal, and how much of an archive."""

    found: Audit
    seal: SealReader | None
    archived_rows: int = 0
    archived_files: int = 0


async def _verify(settings: Settings, seal: Path | None, topic: str | None, archive: Path | None) -> Verified:
    secret = settings.audit.seal_key
    key = None if secret is None else key_of(secret)
    async with AsyncExitStack() as stack:
        path = await stack.enter_async_context(seal_of(settings, seal, topic))
        reader = checked = None
        if path is not None:
            reader = stack.enter_context(closing(SealReader(path, key_of(secret))))
        if archive is not None:
            checked = stack.enter_context(closing(open_check(archive, key_of(secret), path)))
        connection = await stack.enter_async_context(connected(settings))
        actions = None if reader is None else reader.actions
        held = checked if checked is not None and checked.holds else None
        found = await walk(connection, BROKEN_SHOWN_MAX, AuditInputs(key, reader, actions=actions, archive=held))
        if checked is None:
            return Verified(found, reader)
        of_archive = Audit(BROKEN_SHOWN_MAX)
        of_archive.note(checked.broken)
        of_archive.note(found.broken)
        found.ok, found.broken = found.ok and of_archive.ok, of_archive.broken
        return Verified(found, reader, checked.rows, checked.files)


async def _seal_into(settings: Settings, path: Path | None, topic: str | None) -> tuple[Audit, SealWriter]:
    """Seal into a file, into a topic, or both."""
    with tempfile.TemporaryDirectory(prefix="ratchet-seal-") as folder:
        written = path or Path(folder) / "new.seal"
        found, writer = await _seal(settings, written)
        if found.ok and topic is not None:
            await publish_seal(settings, topic, written)
        return found, writer


async def _seal(settings: Settings, path: Path) -> tuple[Audit, SealWriter]:
    """Walk the ledger and write where each chain ends; nothing is written where anything is broken."""
    key = key_of(settings.audit.seal_key)
    async with connected(settings) as connection:
        actions = await read_head(connection)
        writer = SealWriter(path, key, dt.datetime.now(dt.UTC), actions)
        try:
            found = await walk(connection, BROKEN_SHOWN_MAX, AuditInputs(key, writer=writer, actions=actions))
        except BaseException:
            writer.give_up()
            raise
    if found.ok:
        writer.finish()
    else:
        writer.give_up()
    return found, writer


def _shown(found: Audit, verified: Verified | None = None) -> RenderableType:
    if found.ok:
        seal = verified and verified.seal
        sealed = f", and all that was sealed at {seal.sealed_at:%Y-%m-%d %H:%M:%S} UTC is there" if seal else ""
        archived = ""
        if verified and verified.archived_files:
            files = f"{verified.archived_files:,} files"
            archived = f"; {verified.archived_rows:,} archived rows in {files} are one history with them"
        return f"{found.rows:,} ledger rows, {found.actions:,} actions of people: every chain holds{sealed}{archived}"
    table = Table(
        "row",
        "payment",
        "what is wrong",
        title=f"{found.rows:,} ledger rows, {found.actions:,} actions of people: broken",
    )
    for one in found.broken:
        table.add_row("" if one.id is None else str(one.id), str(one.payment_id or ""), one.why)
    return table


@audit.command("verify")
@command
def verify(
    *,
    seal: Annotated[
        Path | None, typer.Option("--seal", metavar="FILE", help="Also hold the ledger against this seal.")
    ] = None,
    seal_topic: Annotated[
        str | None,
        typer.Option("--seal-topic", metavar="TOPIC", help="Or against the newest seal of this Kafka topic."),
    ] = None,
    archive: Annotated[
        Path | None,
        typer.Option("--archive", metavar="DIR", help="Also prove that this archive and the ledger are one history."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Walk the hash chain of every payment and of people's actions, and name what is broken. Exit 1 where anything is.

    Each payment's row is held against its chain. With a seal: also that no sealed row is gone or another one, of a
    payment or of none, but for what retention took and signed. With an archive: that every file is what was written,
    that every chain goes on from it, and that retention took nothing since then which is not in it.
    """
    if seal is not None and seal_topic is not None:
        raise typer.BadParameter("one seal at a time: --seal or --seal-topic")
    verified = asyncio.run(_verify(endpoints.found(endpoints.load()), seal, seal_topic, archive))
    found = verified.found
    broken = [asdict(one) for one in found.broken]
    figures = {"rows": found.rows, "actions": found.actions, "archived_rows": verified.archived_rows}
    document = {"ok": found.ok, **figures, "broken": broken}
    emit(document, as_json=as_json, show=lambda: _shown(found, verified))
    return EXIT_DONE if found.ok else EXIT_PROBLEM


@audit.command("seal")
@command
def seal(
    path: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Where the seal goes; a file that is there stays.")
    ] = None,
    *,
    topic: Annotated[
        str | None,
        typer.Option("--topic", metavar="TOPIC", help="Publish it to this Kafka topic, also without a file."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Write a signed, dated list of where every chain ends, and of all rows of no payment. Keep it elsewhere.

    The key is RATCHET_AUDIT__SEAL_KEY. Exit 1, and no seal, where the ledger does not hold by itself.
    """
    if path is None and topic is None:
        raise typer.BadParameter("where to? FILE, --topic TOPIC, or both")
    found, writer = asyncio.run(_seal_into(endpoints.found(endpoints.load()), path, topic))
    file = None if path is None else str(path)
    figures = {"rows": found.rows, "payments": writer.payments, "actions": found.actions}
    document = {"ok": found.ok, **figures, "file": file, "topic": topic}
    places = " and ".join(place for place in (file, topic and f"topic {topic}") if place)
    shown = f"{writer.payments:,} payments, {found.rows:,} ledger rows and {found.actions:,} actions sealed in {places}"
    emit(document, as_json=as_json, show=lambda: shown if found.ok else _shown(found))
    return EXIT_DONE if found.ok else EXIT_PROBLEM


def _actions_table(found: ActionPage) -> Table:
    table = Table("id", "when", "who", "what", "on what", "why", "from where")
    for one in found.actions:
        when = one["acted_at"].isoformat(sep=" ", timespec="seconds")
        table.add_row(str(one["id"]), when, one["who"], one["action"], one["target"], one["because"], one["origin"])
    if found.before is not None:
        table.caption = f"older ones: --before {found.before}"
    return table


async def _list_actions(settings: Settings, filters: ActionFilter, limit: int) -> ActionPage:
    async with connected(settings) as connection:
        return await list_actions(connection, filters, limit)


@audit.command("actions")
@command
@server.by_server
def actions(  # noqa: PLR0913 - one argument a filter
    *,
    who: Annotated[str | None, typer.Option("--who", help="Only what this person did.")] = None,
    action: Annotated[str | None, typer.Option("--action", help="Only this, e.g. redrive or redrive.start.")] = None,
    since: Since = None,
    until: Until = None,
    before: Annotated[int | None, typer.Option("--before", min=1, help="Only older ones than this id.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 100,
    as_json: AsJson = False,
) -> int:
    """List what people did or were refused, newest first: who, from where, what, on what, why, when."""
    filters = ActionFilter(who, action, moment(since, "--since"), moment(until, "--until"), before)
    asked = server.given()
    if asked:
        query = {"who": who, "action": action, "since": since, "until": until}
        answer = asked.pages("/actions", "actions", "before", limit, query, before)
        found = ActionPage(tuple(map(server.revived, answer["actions"])), answer["before"])
    else:
        found = asyncio.run(_list_actions(endpoints.found(endpoints.load()), filters, limit))
    document = {"actions": list(map(plain, found.actions)), "before": found.before}
    emit(document, as_json=as_json, show=lambda: _actions_table(found))
    return EXIT_DONE


@audit.command("retain")
@command
def retain(
    *,
    days: Annotated[int, typer.Option("--days", min=DAYS_MIN, help="Keep this many days of ledger rows.")],
    yes: Annotated[bool, typer.Option("--yes", help="Remove them; without it nothing is done.")] = False,
    adopt_unsigned: Annotated[
        bool, typer.Option("--adopt-unsigned", help="Sign what retentions without the key removed before.")
    ] = False,
    who: Who = None,
    as_json: AsJson = False,
) -> int:
    """Remove ledger rows older than that, as the schema's owner, and leave anchors by which the rest is proved.

    With RATCHET_AUDIT__SEAL_KEY the anchors are signed, so that a seal of before still verifies. With
    RATCHET_AUDIT__ARCHIVE only rows go that are archived; exit 1 where older ones are not.
    Old text messages, refetches and digests of bodies go too (RATCHET_RETENTION__SMS_DAYS, __REFETCHES_DAYS).
    """
    if not yes:
        say("ratchet: rows would be removed for good; say --yes")
        return EXIT_PROBLEM
    operator = Operator(asker(who))
    settings = endpoints.found(endpoints.load())
    removed, waiting = asyncio.run(_retain(settings, days, operator, adopt_unsigned=adopt_unsigned))
    counts = ", ".join(f"{number:,} {kind.replace('_', ' ')}" for kind, number in removed.items())
    document = {**removed, "waiting_for_archive": waiting}
    emit(document, as_json=as_json, show=lambda: f"removed: {counts}")
    if waiting:
        say("ratchet: older rows stay, for they are not archived: run `ratchet audit archive`, then this again")
    return EXIT_PROBLEM if waiting else EXIT_DONE


async def _retain(
    settings: Settings, days: int, operator: Operator, *, adopt_unsigned: bool
) -> tuple[dict[str, int], bool]:
    """Remove what is old; return how much of each kind, and whether rows stay for want of an archive."""
    folder = settings.audit.archive
    archive = None if folder is None else open_archive(folder, key_of(settings.audit.seal_key))
    async with connected(as_owner(settings, "ledger rows")) as connection:
        now = dt.datetime.now(dt.UTC)
        secret = settings.audit.seal_key
        signing = Signing(key_of(secret) if secret else None, adopt_unsigned=adopt_unsigned)
        await note_action(connection, operator, "ledger.retain", f"ledger rows older than {days} days", "")
        removed = {"removed": await remove_old(connection, days, now, signing, archive)}
        waiting = archive is not None and await is_waiting(connection, days, now)
        return removed | await clean(connection, settings.retention, now), waiting
